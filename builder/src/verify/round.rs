//! One cold build.

use std::io;

use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, Cache, CacheError, Digest, Scratch, Tree};

use super::VerifyError;
use crate::build::{BuildError, Builder, Built};
use crate::lock::{LockedRecipe, LockedSource};
use crate::sandbox::Surroundings;

/// Makes a builder on another cache, with other surroundings.
pub type MakeBuilder<'a> = &'a dyn Fn(Cache, Surroundings) -> Result<Builder, VerifyError>;

/// A cold build, with the cache that it was made in.
#[derive(Debug)]
pub struct Round {
    /// What came of it.
    pub built: Built,
    /// What was around it.
    pub surroundings: Surroundings,
    /// Where it was made; the artefact is in its store.
    pub cache: Cache,
    _folder: Scratch,
}

impl Round {
    /// The artefact, opened.
    ///
    /// # Errors
    /// [`VerifyError::Artefact`] where it cannot be read.
    pub fn artefact(&self) -> Result<Artefact, VerifyError> {
        let path = self.cache.blobs().path(&self.built.artefact.sha256);
        Ok(Artefact::open(&path)?)
    }
}

/// Builds round `number` of `locked` in a new cache below that of `main`. Only the locked inputs are
/// taken over, and every byte of them is hashed again on the way.
///
/// # Errors
/// [`VerifyError`] where an input is not what the lock says, or the build fails.
pub async fn round(
    main: &Cache,
    locked: &LockedRecipe,
    number: usize,
    surroundings: Surroundings,
    make: MakeBuilder<'_>,
) -> Result<Round, VerifyError> {
    let folder = main.scratch()?;
    let cache = Cache::open(folder.path())?;
    tokio::task::block_in_place(|| take_over(locked, main.blobs(), cache.blobs()))?;
    let builder = make(cache.clone(), surroundings.clone())?;
    let built = builder
        .build(locked)
        .await
        .map_err(|source| VerifyError::Build {
            round: number + 1,
            source: Box::new(with_lasting_log(source, main.blobs())),
        })?;
    Ok(Round {
        built,
        surroundings,
        cache,
        _folder: folder,
    })
}

/// The same error, with the log in a store that outlives the round.
fn with_lasting_log(mut error: BuildError, blobs: &BlobStore) -> BuildError {
    if let BuildError::StepFailed { log, .. } = &mut error {
        let kept = log.take().and_then(|path| fs_err::read(path).ok());
        *log = kept
            .and_then(|bytes| blobs.put(&bytes).ok())
            .map(|digest| blobs.path(&digest.sha256));
    }
    error
}

/// Copies every input of `locked`.
fn take_over(locked: &LockedRecipe, from: &BlobStore, to: &BlobStore) -> Result<(), CacheError> {
    for source in locked.lock().sources.values() {
        match source {
            LockedSource::Deb(debs) => {
                for package in &debs.packages {
                    copy(&package.digest(), &package.name, from, to)?;
                }
            }
            LockedSource::Url(url) => copy(&url.digest(), &url.url, from, to)?,
            LockedSource::Git(git) => {
                let tree = Tree::load(from, &git.tree)?;
                tree.store(to)?;
                copy_entry(&Entry::Folder(tree), &git.url, from, to)?;
            }
            LockedSource::File(_) => {}
        }
    }
    locked
        .files()
        .iter()
        .try_for_each(|(path, entry)| copy_entry(entry, path, from, to))
}

fn copy_entry(
    entry: &Entry,
    name: &str,
    from: &BlobStore,
    to: &BlobStore,
) -> Result<(), CacheError> {
    match entry {
        Entry::File { digest, .. } => copy(digest, name, from, to),
        Entry::Symlink { .. } => Ok(()),
        Entry::Folder(tree) => tree
            .entries()
            .try_for_each(|(part, entry)| copy_entry(entry, &format!("{name}/{part}"), from, to)),
    }
}

/// Copies one blob. The store it goes to hashes it; what comes out must be what the
/// lock says.
fn copy(digest: &Digest, name: &str, from: &BlobStore, to: &BlobStore) -> Result<(), CacheError> {
    let mut writer = to.writer()?;
    let mut reader = from.open(digest)?;
    io::copy(&mut reader, &mut writer).map_err(CacheError::io("copy an input"))?;
    let actual = writer.commit()?;
    if actual == *digest {
        return Ok(());
    }
    Err(CacheError::Mismatch {
        what: format!("{name} in the cache"),
        expected: *digest,
        actual,
    })
}
