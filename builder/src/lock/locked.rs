//! A recipe together with a lock that fits it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, Cache, CacheError, Digest, Tree};

use super::error::{LockError, Stale};
use super::file::{LockFile, LockedSource};
use super::steps::{self, LockedStep};
use crate::recipe::{ApkSource, ReadRecipe, Recipe, Source};
use crate::source::file::{self, FileKind, LockedFile};

/// A recipe whose every input is pinned to exact bytes. The only thing that can be built.
#[derive(Debug, Clone)]
pub struct LockedRecipe {
    path: PathBuf,
    recipe: Recipe,
    recipe_text: String,
    lock: LockFile,
    lock_text: String,
    files: BTreeMap<String, Entry>,
}

impl LockedRecipe {
    /// Where the lock of the recipe at `recipe` is.
    #[must_use]
    pub fn lock_path(recipe: &Path) -> PathBuf {
        recipe.with_extension("lock")
    }

    /// Reads the lock beside the recipe, takes the recipe's own files into `cache`, and
    /// checks that all fit together.
    ///
    /// # Errors
    /// [`LockError::Absent`] or [`LockError::Stale`], both mended by `luni lock`, and
    /// whatever keeps a file from being read.
    pub fn open(read: ReadRecipe, cache: &Cache) -> Result<Self, LockError> {
        let (lock, lock_text) = lock_of(&read)?;
        Self::fit(read, lock, lock_text, cache)
    }

    /// What the step at `position` may have been given: the recipe without it and what
    /// comes after it, which the lock need not fit. Beside it what the lock pins of the
    /// step itself, where that is about the step as it is.
    pub(crate) fn before(
        mut read: ReadRecipe,
        position: usize,
        cache: &Cache,
    ) -> Result<(Self, Option<LockedStep>), LockError> {
        let (mut lock, _) = lock_of(&read)?;
        let step = read.recipe.steps.get(position);
        let asked = steps::asked(&read.recipe, &lock)?;
        let pinned = step.filter(|step| step.network).and_then(|step| {
            let locked = lock.steps.get(&step.name)?;
            (asked.get(&step.name) == Some(&locked.asked)).then_some(*locked)
        });
        read.recipe.steps.truncate(position);
        let earlier = &read.recipe.steps;
        lock.steps
            .retain(|name, _| earlier.iter().any(|step| step.name == *name));
        Ok((Self::with(read, lock, cache)?, pinned))
    }

    /// The recipe with a lock that stands nowhere yet.
    pub(crate) fn with(read: ReadRecipe, lock: LockFile, cache: &Cache) -> Result<Self, LockError> {
        let text = lock.render()?;
        Self::fit(read, lock, text, cache)
    }

    fn fit(
        read: ReadRecipe,
        lock: LockFile,
        lock_text: String,
        cache: &Cache,
    ) -> Result<Self, LockError> {
        let mut reasons = stale(&read.recipe, &lock);
        let mut files = BTreeMap::new();
        for (name, locked) in &lock.sources {
            let (LockedSource::File(locked), Some(Source::File(path))) =
                (locked, read.recipe.sources.get(name))
            else {
                continue;
            };
            let now =
                file::lock(cache, read.folder(), path).map_err(|error| LockError::Source {
                    source_name: name.clone(),
                    source: Box::new(error.into()),
                })?;
            if now == *locked {
                files.insert(path.clone(), entry(cache, &now)?);
            } else {
                reasons.push(Stale::File {
                    source_name: name.clone(),
                    path: path.clone(),
                });
            }
        }
        // With other sources, a step's inputs are others too, which need not be said.
        if reasons.is_empty() {
            reasons = steps::stale(&read.recipe, &lock)?;
        }
        if !reasons.is_empty() {
            return Err(LockError::Stale {
                recipe: read.path,
                reasons,
            });
        }
        Ok(Self {
            path: read.path,
            recipe: read.recipe,
            recipe_text: read.text,
            lock,
            lock_text,
            files,
        })
    }

    /// Where the recipe was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recipe.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The recipe's text, byte for byte as it was read.
    #[must_use]
    pub fn recipe_text(&self) -> &str {
        &self.recipe_text
    }

    /// The lock.
    #[must_use]
    pub fn lock(&self) -> &LockFile {
        &self.lock
    }

    /// The lock's text, byte for byte as it was read.
    #[must_use]
    pub fn lock_text(&self) -> &str {
        &self.lock_text
    }

    /// The recipe's own files, by their path beside it.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Entry> {
        &self.files
    }

    /// Digests of everything that has to be there for a build: what a pin protects
    /// from garbage collection.
    pub fn inputs(&self) -> impl Iterator<Item = Digest> {
        self.lock.digests()
    }

    /// The same with nothing but these sources, their bases, and these steps, as if there
    /// were no others.
    pub(crate) fn part(&self, names: &BTreeSet<&str>) -> Self {
        let mut part = self.clone();
        let bases = self.recipe.sources.iter().filter_map(|(name, source)| {
            let Source::Apk(apk) = source else {
                return None;
            };
            names
                .contains(name.as_str())
                .then_some(apk.base.as_deref()?)
        });
        let names: BTreeSet<&str> = names.iter().copied().chain(bases).collect();
        let has = |name: &String| names.contains(name.as_str());
        part.recipe.sources.retain(|name, _| has(name));
        part.recipe.steps.retain(|step| has(&step.name));
        part.lock.sources.retain(|name, _| has(name));
        part.lock.steps.retain(|name, _| has(name));
        part
    }
}

impl LockFile {
    /// The digests of everything that it pins.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let steps = self.steps.values().map(|step| step.outputs);
        self.sources
            .values()
            .flat_map(LockedSource::digests)
            .chain(steps)
    }

    /// The same, with all that its trees in `blobs` name: what a pin must protect from
    /// garbage collection.
    #[must_use]
    pub fn kept(&self, blobs: &BlobStore) -> Vec<Digest> {
        let mut kept: Vec<Digest> = self.digests().collect();
        let trees = self.sources.values().filter_map(|source| match source {
            LockedSource::Git(git) => Some(git.tree),
            LockedSource::File(file) => (file.kind == FileKind::Folder).then_some(file.digest),
            LockedSource::Deb(_)
            | LockedSource::Apk(_)
            | LockedSource::Url(_)
            | LockedSource::Crate(_)
            | LockedSource::Oci(_)
            | LockedSource::Tcz(_) => None,
        });
        let steps = self.steps.values().map(|step| step.outputs);
        for digest in trees.chain(steps) {
            // What is not there needs no protection.
            if let Ok(tree) = Tree::load(blobs, &digest) {
                kept.extend(tree.digests());
            }
        }
        kept
    }
}

/// The lock beside the recipe, and its text.
fn lock_of(read: &ReadRecipe) -> Result<(LockFile, String), LockError> {
    let path = LockedRecipe::lock_path(&read.path);
    match LockFile::read(&path) {
        Err(LockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Err(LockError::Absent {
                recipe: read.path.clone(),
                lock: path,
            })
        }
        other => other,
    }
}

/// A file or folder beside the recipe, as the rest of a build has it.
fn entry(cache: &Cache, locked: &LockedFile) -> Result<Entry, CacheError> {
    Ok(match locked.kind {
        FileKind::Folder => Entry::Folder(Tree::load(cache.blobs(), &locked.digest)?),
        FileKind::File | FileKind::Executable => Entry::File {
            digest: locked.digest,
            executable: locked.kind == FileKind::Executable,
        },
    })
}

/// In which ways `lock` was made for another recipe.
fn stale(recipe: &Recipe, lock: &LockFile) -> Vec<Stale> {
    let mut reasons = Vec::new();
    for (name, source) in &recipe.sources {
        match lock.sources.get(name) {
            None => reasons.push(Stale::Missing(name.clone())),
            Some(locked) if !locked.fits(source) || !has_base(locked, lock) => {
                reasons.push(Stale::Changed(name.clone()))
            }
            Some(_) => {}
        }
    }
    for name in lock.sources.keys() {
        if !recipe.sources.contains_key(name) {
            reasons.push(Stale::Extra(name.clone()));
        }
    }
    reasons
}

/// Whether the base that packages were locked over is the one that is locked.
pub(super) fn has_base(locked: &LockedSource, lock: &LockFile) -> bool {
    match locked {
        LockedSource::Apk(apks) => apks.base == lock.base_of(&apks.request),
        _ => true,
    }
}

impl LockFile {
    /// The archive that is the base of a source, once it is locked.
    pub(super) fn base_of(&self, source: &ApkSource) -> Option<Digest> {
        match self.sources.get(source.base.as_deref()?)? {
            LockedSource::Url(url) => Some(url.digest()),
            LockedSource::File(file) => Some(file.digest),
            _ => None,
        }
    }
}

impl LockedSource {
    /// Whether this is what `source` asked for when it was locked.
    #[must_use]
    pub fn fits(&self, source: &Source) -> bool {
        match (self, source) {
            (Self::Deb(locked), Source::Deb(asked)) => locked.request == *asked,
            (Self::Apk(locked), Source::Apk(asked)) => locked.request == *asked,
            (Self::Url(locked), Source::Url(asked)) => {
                locked.url == asked.url && asked.sha256.is_none_or(|sha256| sha256 == locked.sha256)
            }
            (Self::Git(locked), Source::Git(asked)) => {
                locked.url == asked.url && locked.rev == asked.rev
            }
            (Self::Crate(locked), Source::Crate(asked)) => {
                locked.name == asked.name && locked.version == asked.version
            }
            (Self::Oci(locked), Source::Oci(asked)) => locked.request == *asked,
            (Self::Tcz(locked), Source::Tcz(asked)) => locked.request == *asked,
            (Self::File(locked), Source::File(path)) => locked.path == *path,
            _ => false,
        }
    }

    /// The packages that it has, by name and version, where it is made of packages.
    #[must_use]
    pub fn packages(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Deb(debs) => {
                let packages = debs.packages.iter();
                packages
                    .map(|p| (p.name.as_str(), p.version.as_str()))
                    .collect()
            }
            Self::Apk(apks) => {
                let packages = apks.packages.iter();
                packages
                    .map(|p| (p.name.as_str(), p.version.as_str()))
                    .collect()
            }
            // Extensions of TinyCore have no versions.
            Self::Url(_)
            | Self::Git(_)
            | Self::Crate(_)
            | Self::Oci(_)
            | Self::Tcz(_)
            | Self::File(_) => Vec::new(),
        }
    }

    /// The digests of its content.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        match self {
            Self::Deb(debs) => debs.packages.iter().map(|p| p.digest()).collect(),
            Self::Apk(apks) => apks.packages.iter().map(|p| p.digest()).collect(),
            Self::Url(url) => vec![url.digest()],
            Self::Crate(krate) => vec![krate.digest()],
            Self::Git(git) => vec![git.tree],
            Self::Oci(oci) => oci.digests(),
            Self::Tcz(tczs) => tczs.extensions.iter().map(|e| e.digest()).collect(),
            Self::File(file) => vec![file.digest],
        }
    }
}
