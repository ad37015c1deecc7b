//! One cold build.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, Cache, CacheError, Digest, Scratch, Tree};

use super::moment::{Span, now};
use super::{Conditions, VerifyError};
use crate::build::{BuildError, Builder, Built, Recall};
use crate::lock::{LockedRecipe, LockedSource};
use crate::sandbox::Place;

/// Makes a builder on another cache, for other conditions.
pub type MakeBuilder<'a> = &'a dyn Fn(Cache, &Conditions) -> Result<Builder, VerifyError>;

/// Exports what a round built: the digests of what comes of it, by the names of files.
pub type ExportRound<'a> = &'a dyn Fn(&Round) -> Result<BTreeMap<String, Digest>, VerifyError>;

/// A cold build, with the cache that it was made in.
#[derive(Debug)]
pub struct Round {
    /// What came of it.
    pub built: Built,
    /// Where its first step ran.
    pub place: Place,
    /// Under which conditions it was made.
    pub conditions: Conditions,
    /// When it was made, all of it.
    pub span: Span,
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
    conditions: Conditions,
    make: MakeBuilder<'_>,
) -> Result<Round, VerifyError> {
    let begin = now();
    let (folder, cache) = fresh(main, locked, &conditions)?;
    let builder = make(cache.clone(), &conditions)?;
    let sandbox = Arc::clone(&builder.sandbox);
    let failed = |source| VerifyError::Build {
        round: number + 1,
        source: Box::new(with_lasting_log(source, main.blobs())),
    };
    let mut built = builder.build(locked).await.map_err(failed)?;
    if conditions.warm {
        let again = Builder {
            recall: Recall::Unpacked,
            ..builder
        };
        built = again.build(locked).await.map_err(failed)?;
    }
    let ran = built.steps.iter().find_map(|step| step.place.clone());
    Ok(Round {
        built,
        // Only now it is known what one ran in that chooses by itself.
        place: ran.unwrap_or(Place {
            sandbox: sandbox.name(),
            engine: None,
        }),
        conditions,
        span: Span { begin, end: now() },
        cache,
        _folder: folder,
    })
}

/// A cache in a new folder below that of `main`, with nothing in it but the locked inputs.
pub(super) fn fresh(
    main: &Cache,
    locked: &LockedRecipe,
    conditions: &Conditions,
) -> Result<(Scratch, Cache), CacheError> {
    let folder = main.scratch()?;
    let mut place = folder.path().to_owned();
    for _ in 0..conditions.depth {
        place.push("deeper");
    }
    fs_err::create_dir_all(&place).map_err(CacheError::io("make a folder for a round"))?;
    let cache = Cache::open(&place)?;
    tokio::task::block_in_place(|| {
        take_over(locked, conditions.reversed, main.blobs(), cache.blobs())
    })?;
    Ok((folder, cache))
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

/// Copies every input of `locked`, in the order of their names or in reverse.
fn take_over(
    locked: &LockedRecipe,
    reversed: bool,
    from: &BlobStore,
    to: &BlobStore,
) -> Result<(), CacheError> {
    let mut inputs: Vec<(String, Entry)> = Vec::new();
    let mut file = |name: &str, digest| {
        let executable = false;
        inputs.push((name.to_owned(), Entry::File { digest, executable }));
    };
    for source in locked.lock().sources.values() {
        match source {
            LockedSource::Deb(debs) => {
                for package in &debs.packages {
                    file(&package.name, package.digest());
                }
            }
            LockedSource::Apk(apks) => {
                for package in &apks.packages {
                    file(&package.name, package.digest());
                }
            }
            LockedSource::Url(url) => file(&url.url, url.digest()),
            LockedSource::Crate(krate) => file(&krate.name, krate.digest()),
            LockedSource::Oci(oci) => {
                for (name, digest) in oci.parts() {
                    file(&name, digest);
                }
            }
            LockedSource::Tcz(tczs) => {
                for extension in &tczs.extensions {
                    file(&extension.name, extension.digest());
                }
            }
            LockedSource::Git(_) | LockedSource::File(_) => {}
        }
    }
    for source in locked.lock().sources.values() {
        if let LockedSource::Git(git) = source {
            let tree = Tree::load(from, &git.tree)?;
            tree.store(to)?;
            inputs.push((git.url.clone(), Entry::Folder(tree)));
        }
    }
    for (name, step) in &locked.lock().steps {
        let tree = Tree::load(from, &step.outputs)?;
        tree.store(to)?;
        inputs.push((name.clone(), Entry::Folder(tree)));
    }
    let files = locked.files().iter();
    inputs.extend(files.map(|(path, entry)| (path.clone(), entry.clone())));
    if reversed {
        inputs.reverse();
    }
    inputs
        .iter()
        .try_for_each(|(name, entry)| copy_entry(entry, name, from, to))
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
