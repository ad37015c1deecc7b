//! What a verb reads, which nothing that it writes may replace.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_builder::lock::LockedRecipe;
use lunikernel_builder::recipe::{ReadRecipe, Source};
use lunikernel_cache::new_file::folder_of;

use super::Context;
use super::verify::address;
use super::workshop::RecipeArg;
use crate::exit::Exit;
use crate::failure::Failure;

/// Files and folders that a verb reads.
#[derive(Debug, Default)]
pub(crate) struct Reads(Vec<Read>);

#[derive(Debug)]
struct Read {
    path: PathBuf,
    identity: Identity,
    is_folder: bool,
}

/// The device and number by which the system knows a file, whatever path leads to it.
type Identity = (u64, u64);

impl Reads {
    /// And a file, or a folder with all that is in it. What is not there, nobody reads.
    pub(crate) fn and(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        if let Ok(there) = fs::metadata(path) {
            self.0.push(Read {
                path: path.to_owned(),
                identity: (there.dev(), there.ino()),
                is_folder: there.is_dir(),
            });
        }
        self
    }

    /// And each of several.
    pub(crate) fn and_all(self, paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        paths.into_iter().fold(self, Self::and)
    }

    /// And what was named by a path, or by the address of a file of this machine.
    pub(crate) fn and_named(self, named: &Path) -> Self {
        match address(named).map(|url| url.to_file_path()) {
            Some(Ok(path)) => self.and(path),
            Some(Err(())) => self,
            None => self.and(named),
        }
    }

    /// And a recipe, its lock and the files that it names; or what has them in it.
    pub(crate) fn and_recipe(self, recipe: &RecipeArg) -> Self {
        let path = recipe.path();
        let reads = self.and_named(&path);
        if recipe.is_packed() {
            return reads;
        }
        let reads = reads.and(LockedRecipe::lock_path(&path));
        // What is wrong with it is said where it is read to be used.
        match recipe.read() {
            Ok(read) => reads.and_files_of(&read),
            Err(_) => reads,
        }
    }

    /// And the files that a recipe names.
    pub(crate) fn and_files_of(self, recipe: &ReadRecipe) -> Self {
        let sources = recipe.recipe.sources.values();
        sources.fold(self, |reads, source| match source {
            Source::File(path) => reads.and(recipe.folder().join(path)),
            Source::Url(url) => reads.and_named(Path::new(&url.url)),
            Source::Deb(_)
            | Source::Apk(_)
            | Source::Git(_)
            | Source::Crate(_)
            | Source::Oci(_)
            | Source::Tcz(_) => reads,
        })
    }

    /// And the mirrors that are archives.
    pub(crate) fn and_mirrors(self, context: &Context) -> Result<Self, Failure> {
        let paths = context.mirrors()?.into_iter();
        let paths = paths.filter_map(|mirror| mirror.to_file_path().ok());
        // A folder is asked for digests, and no other file there is read.
        Ok(self.and_all(paths.filter(|path| path.is_file())))
    }

    /// Refuses to write to `path`, where that is among them or would be in one of them;
    /// `hint` says what else to do.
    pub(crate) fn keep(&self, path: &Path, hint: &str) -> Result<(), Failure> {
        let refused = |message: String| Err(Failure::new(Exit::BadInput, message).with_hint(hint));
        let shown = path.display();
        if let Some(identity) = identity(path)
            && let Some(read) = self.0.iter().find(|read| read.identity == identity)
        {
            let what = match read.path == path {
                true => "it is what is read".to_owned(),
                false => format!("it is {}, which is read", read.path.display()),
            };
            return refused(format!("{shown} would be replaced, and {what}"));
        }
        let Ok(folder) = fs::canonicalize(folder_of(path)) else {
            return Ok(());
        };
        let around: Vec<Identity> = folder.ancestors().filter_map(identity).collect();
        let within = |read: &&Read| read.is_folder && around.contains(&read.identity);
        match self.0.iter().find(within) {
            None => Ok(()),
            Some(read) => refused(format!(
                "{shown} would be in {}, all of which is read",
                read.path.display()
            )),
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let there = fs::metadata(path).ok()?;
    Some((there.dev(), there.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_found_by_every_path_to_it() {
        let outer = tempfile::tempdir().unwrap();
        let at = |path: &str| outer.path().join(path);
        fs::create_dir_all(at("read/below")).unwrap();
        fs::create_dir(at("beside")).unwrap();
        for file in ["file", "other", "read/below/file"] {
            fs::write(at(file), file).unwrap();
        }
        fs::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        fs::os::unix::fs::symlink(at("read/below"), at("beside/below")).unwrap();
        let reads = Reads::default().and_all([at("link"), at("read"), at("nothing")]);
        for (path, said) in [
            ("file", "would be replaced, and it is"),
            ("beside/../file", "would be replaced"),
            ("link", "would be replaced, and it is what is read"),
            ("read/new", "would be in"),
            ("read/below/file", "would be in"),
            ("beside/below/new", "would be in"),
        ] {
            let error = reads.keep(&at(path), "name another").unwrap_err();
            assert!(error.in_one_line().contains(said), "{path}: {error:?}");
        }
        for path in ["other", "new", "beside/new", "nothing", "nowhere/new"] {
            reads.keep(&at(path), "name another").unwrap();
        }
    }
}
