//! Taking a recipe out of an archive.

use std::path::{Path, PathBuf};

use lunikernel_cache::checkout::{MAX_DEPTH, check_out};
use lunikernel_cache::tree::{Entry, is_name};
use lunikernel_cache::{BlobStore, Cache, CacheError, Digest, Progress, Tree};

use super::{InputsTar, InputsTarError, LOCK, RECIPE};
use crate::lock::{LockFile, LockedSource};
use crate::mirror::with_own_files;
use crate::source::file::FileKind;

impl InputsTar {
    /// Takes everything into `cache`, and writes the recipe, its lock and its own files
    /// to the folder `at`, which must not exist, as their author had them. Says where
    /// the recipe is.
    ///
    /// # Errors
    /// [`InputsTarError::WrongBytes`], [`InputsTarError::Incomplete`] and
    /// [`InputsTarError::Superfluous`] where the content is not what the lock names,
    /// [`InputsTarError::Unfit`] where the lock cannot be read or names paths that a
    /// recipe cannot have.
    pub fn unpack(
        &self,
        cache: &Cache,
        at: &Path,
        progress: &dyn Progress,
    ) -> Result<PathBuf, InputsTarError> {
        let unfit = |what: &str, why: String| InputsTarError::Unfit {
            what: format!("{what} in {}", self.path().display()),
            why,
        };
        let lock =
            LockFile::parse(self.lock()).map_err(|error| unfit("the lock", error.to_string()))?;
        self.take_into(cache, progress)?;
        let blobs = cache.blobs();
        let needed = with_own_files(&lock, blobs).map_err(|error| match error {
            CacheError::Missing { digest } => self.incomplete(&lock, blobs, digest),
            other => other.into(),
        })?;
        if let Some(missing) = needed.iter().find(|digest| !blobs.contains(digest)) {
            return Err(self.incomplete(&lock, blobs, *missing));
        }
        // There is one archive for each lock. What it needs is sorted: both may be millions.
        let is_extra = |digest: &Digest| needed.binary_search(digest).is_err();
        if let Some(extra) = self.blobs().find(is_extra) {
            return Err(InputsTarError::Superfluous {
                path: self.path().to_owned(),
                extra,
            });
        }
        let mut folder = Tree::new();
        for (name, text) in [(RECIPE, self.recipe()), (LOCK, self.lock())] {
            let entry = Entry::File {
                digest: blobs.put(text.as_bytes())?,
                executable: false,
            };
            folder
                .insert(name, entry)
                .map_err(|error| unfit("the lock", error.to_string()))?;
        }
        let mut own: Vec<_> = lock.sources.values().filter_map(own_file).collect();
        // A folder comes before what is in it.
        own.sort_by_key(|file| &file.path);
        for file in own {
            let parts = file.path.trim_end_matches('/').split('/');
            if parts.clone().count() >= MAX_DEPTH || !parts.clone().all(is_name) {
                return Err(unfit("the lock", format!("it names `{}`", file.path)));
            }
            let entry = match file.kind {
                FileKind::Folder => Entry::Folder(Tree::load(blobs, &file.digest)?),
                FileKind::File | FileKind::Executable => Entry::File {
                    digest: file.digest,
                    executable: file.kind == FileKind::Executable,
                },
            };
            folder
                .insert(file.path.trim_end_matches('/'), entry)
                .map_err(|error| unfit("the lock", error.to_string()))?;
        }
        check_out(blobs, &folder, at, None)?;
        Ok(at.join(RECIPE))
    }

    fn incomplete(&self, lock: &LockFile, blobs: &BlobStore, missing: Digest) -> InputsTarError {
        InputsTarError::Incomplete {
            path: self.path().to_owned(),
            what: whose(lock, blobs, &missing),
            missing,
        }
    }
}

/// What in `lock` has this digest, as people call it.
fn whose(lock: &LockFile, blobs: &BlobStore, digest: &Digest) -> Option<String> {
    // Of a tree whose folders are not all there, it is one of those.
    let in_tree = |tree: &Digest| match Tree::load(blobs, tree) {
        Ok(tree) => tree.digests().contains(digest),
        Err(CacheError::Missing { digest: missing }) => missing == *digest,
        Err(_) => false,
    };
    let of_source = |(name, source): (&String, &LockedSource)| {
        let package = |version: &(&str, &str)| format!("{} {} of", version.0, version.1);
        let packages = source.packages();
        let part = match source {
            LockedSource::Git(git) => in_tree(&git.tree).then(|| "part of".to_owned()),
            LockedSource::File(file) if file.kind == FileKind::Folder => {
                in_tree(&file.digest).then(|| "part of".to_owned())
            }
            LockedSource::Oci(oci) => {
                let mut parts = oci.parts().into_iter();
                let part = parts.find(|(_, part)| part == digest);
                part.map(|(name, _)| format!("{name} of"))
            }
            LockedSource::Tcz(tczs) => {
                let mut extensions = tczs.extensions.iter();
                let extension = extensions.find(|it| it.digest() == *digest);
                extension.map(|it| format!("{} of", it.name))
            }
            other => {
                let at = other.digests().iter().position(|it| it == digest);
                at.map(|at| packages.get(at).map_or_else(String::new, package))
            }
        };
        part.map(|part| format!("{part} source `{name}`").trim_start().to_owned())
    };
    let of_step = || {
        let mut steps = lock.steps.iter();
        let step = steps.find(|(_, step)| in_tree(&step.outputs));
        step.map(|(name, _)| format!("part of what step `{name}` made"))
    };
    lock.sources.iter().find_map(of_source).or_else(of_step)
}

fn own_file(source: &LockedSource) -> Option<&crate::source::file::LockedFile> {
    match source {
        LockedSource::File(file) => Some(file),
        _ => None,
    }
}
