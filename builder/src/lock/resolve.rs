//! Resolving: from what a recipe asks for to exact bytes.

use std::collections::BTreeSet;

use lunikernel_cache::Cache;

use super::changes::{Change, OUTPUTS, Pins, changes, changes_with};
use super::error::{LockError, SourceError};
use super::file::{LockFile, LockedApks, LockedDebs, LockedSource};
use super::locked::has_base;
use super::steps;
use crate::fetch::Fetcher;
use crate::recipe::{ApkSource, ReadRecipe, Recipe, Source};
use crate::source::deb::{AptConfig, Archives, DebOptions};
use crate::source::{apk, file, git, krate, oci, tcz, url};

/// What may move although the lock fits the recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Nothing: only what the recipe has changed is resolved.
    Nothing,
    /// Everything is resolved anew.
    All,
    /// Only these sources, packages or steps.
    Named(BTreeSet<String>),
}

impl Update {
    /// Whether `name`, of a source or step, is to be resolved anew.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }
}

/// A new lock.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The lock.
    pub lock: LockFile,
    /// What differs from the old one.
    pub changes: Vec<Change>,
}

/// Where things are resolved from.
#[derive(Debug, Clone, Copy)]
pub struct Origins<'a> {
    /// Fetches indexes and files.
    pub fetcher: &'a Fetcher,
    /// Keeps what was fetched.
    pub cache: &'a Cache,
    /// Where this machine gets its packages.
    pub apt: &'a AptConfig,
    /// The present, in seconds since 1970: signatures and release files expire.
    pub now: u64,
    /// Whether release files that have expired are accepted, as a frozen mirror has them.
    pub allow_expired: bool,
    /// Whether release files and indexes that are older than those of the lock are.
    pub allow_downgrade: bool,
}

/// Pins every source of `recipe`. What `old` has and `update` does not name stays
/// as it is, so that the difference is as small as it can be. Steps are not among it:
/// pinning one takes running it, which is for a
/// [`Builder`](crate::build::Builder::lock_steps).
///
/// # Errors
/// [`LockError::Source`] where one of the sources cannot be had or is not vouched for.
pub async fn resolve(
    recipe: &ReadRecipe,
    old: Option<&LockFile>,
    update: &Update,
    origins: Origins<'_>,
) -> Result<Resolved, LockError> {
    let (lock, _) = each(recipe, old, update, origins, false).await?;
    let changes = changes(old.unwrap_or(&LockFile::new()), &lock);
    Ok(Resolved { lock, changes })
}

/// What locking would change, without fetching the packages of Alpine that would have to
/// be fetched to pin them, and without running the steps that would have to run.
///
/// # Errors
/// As [`resolve`].
pub async fn preview(
    recipe: &ReadRecipe,
    old: Option<&LockFile>,
    update: &Update,
    origins: Origins<'_>,
) -> Result<Vec<Change>, LockError> {
    let (mut lock, mut chosen) = each(recipe, old, update, origins, true).await?;
    for step in recipe.recipe.steps.iter().filter(|step| step.network) {
        let asked = steps::asked(&recipe.recipe, &lock)?.remove(&step.name);
        match asked.and_then(|asked| steps::kept(step, asked, old, update)) {
            Some(locked) => drop(lock.steps.insert(step.name.clone(), locked)),
            None => {
                let key = (step.name.clone(), OUTPUTS.to_owned());
                chosen.insert(key, "(would be run)".to_owned());
            }
        }
    }
    let empty = LockFile::new();
    Ok(changes_with(old.unwrap_or(&empty), &lock, chosen))
}

/// Resolves each source; where it is a `preview`, packages of Alpine are only chosen.
async fn each(
    recipe: &ReadRecipe,
    old: Option<&LockFile>,
    update: &Update,
    origins: Origins<'_>,
    preview: bool,
) -> Result<(LockFile, Pins), LockError> {
    let empty = LockFile::new();
    let old = old.unwrap_or(&empty);
    if let Update::Named(names) = update {
        known(names, old)?;
    }
    let mut lock = LockFile::new();
    let mut chosen = Pins::new();
    let mut archives = Archives::new(origins.apt);
    for (name, source) in in_order(&recipe.recipe) {
        let before = old.sources.get(name);
        let pinned = match before {
            Some(locked)
                if locked.fits(source)
                    && has_base(locked, &lock)
                    && !touches(update, name, locked) =>
            {
                Ok(Pinned::Locked(locked.clone()))
            }
            _ => {
                let keep = kept(name, before, update);
                let earlier = Earlier {
                    before,
                    keep: &keep,
                    lock: &lock,
                    preview,
                };
                pin(recipe, source, earlier, &mut archives, origins).await
            }
        };
        let pinned = pinned.map_err(|error| LockError::Source {
            source_name: name.clone(),
            source: Box::new(error),
        })?;
        match pinned {
            Pinned::Locked(locked) => drop(lock.sources.insert(name.clone(), locked)),
            Pinned::Chosen(choice) => chosen.extend(
                choice
                    .packages
                    .into_iter()
                    .map(|package| ((name.clone(), package.name), package.version)),
            ),
        }
    }
    Ok((lock, chosen))
}

/// The sources of a recipe, those of one suite next to each other, so that each suite
/// is fetched and read once, and those that have a base behind all others.
fn in_order(recipe: &Recipe) -> Vec<(&String, &Source)> {
    let mut sources: Vec<_> = recipe.sources.iter().collect();
    // Stable, so that names decide within a suite.
    sources.sort_by_key(|(_, source)| match source {
        Source::Deb(source) => (false, Some(Archives::order(source))),
        Source::Apk(_) => (true, None),
        _ => (false, None),
    });
    sources
}

/// What is known when a source is pinned.
#[derive(Clone, Copy)]
struct Earlier<'a> {
    /// What it was locked to.
    before: Option<&'a LockedSource>,
    /// The packages (name and version) that should stay as they are where they can.
    keep: &'a [(String, String)],
    /// The sources that are pinned already.
    lock: &'a LockFile,
    /// Whether packages of Alpine are only chosen.
    preview: bool,
}

/// What came of pinning a source.
enum Pinned {
    Locked(LockedSource),
    /// Packages of Alpine that were chosen, and not fetched.
    Chosen(apk::Choice),
}

async fn pin(
    recipe: &ReadRecipe,
    source: &Source,
    earlier: Earlier<'_>,
    archives: &mut Archives<'_>,
    origins: Origins<'_>,
) -> Result<Pinned, SourceError> {
    Ok(Pinned::Locked(match source {
        Source::Deb(source) => {
            let options = DebOptions {
                now: origins.now,
                allow_expired: origins.allow_expired,
                keep: earlier.keep,
                before: match earlier.before {
                    Some(LockedSource::Deb(before))
                        if before.request.suite == source.suite && !origins.allow_downgrade =>
                    {
                        &before.releases
                    }
                    _ => &[],
                },
            };
            let resolved = archives
                .resolve(source, recipe.recipe.arch, origins.fetcher, options)
                .await?;
            LockedSource::Deb(LockedDebs {
                request: source.clone(),
                releases: resolved.releases,
                packages: resolved.packages,
            })
        }
        Source::Apk(source) => return pin_apks(recipe, source, earlier, origins).await,
        Source::Url(source) => LockedSource::Url(url::lock(origins.fetcher, source).await?),
        Source::Crate(source) => LockedSource::Crate(krate::lock(origins.fetcher, source).await?),
        Source::Git(source) => LockedSource::Git(git::lock(origins.fetcher, source).await?),
        Source::Oci(source) => LockedSource::Oci(
            oci::lock(origins.fetcher, source, recipe.recipe.arch, recipe.folder()).await?,
        ),
        Source::Tcz(source) => LockedSource::Tcz(tcz::lock(origins.fetcher, source).await?),
        Source::File(path) => LockedSource::File(file::lock(origins.cache, recipe.folder(), path)?),
    }))
}

/// Pins packages of Alpine, over the base that `lock` has already.
async fn pin_apks(
    recipe: &ReadRecipe,
    source: &ApkSource,
    earlier: Earlier<'_>,
    origins: Origins<'_>,
) -> Result<Pinned, SourceError> {
    let Earlier {
        before, keep, lock, ..
    } = earlier;
    let base = lock.base_of(source);
    if let (Some(base), Some(LockedSource::Url(url))) = (
        &base,
        source.base.as_ref().and_then(|name| lock.sources.get(name)),
    ) && !origins.cache.blobs().contains(base)
    {
        // It was locked long ago, and only the packages are new.
        let want = url.want().map_err(SourceError::Url)?;
        origins.fetcher.fetch(&[want]).await?;
    }
    let asked = apk::Asked {
        source,
        arch: recipe.recipe.arch,
        folder: recipe.folder(),
        base,
        keep,
        before: match before {
            Some(LockedSource::Apk(before)) if !origins.allow_downgrade => apk::Before {
                indexes: &before.indexes,
                packages: &before.packages,
            },
            _ => apk::Before::default(),
        },
    };
    let choice = apk::choose(origins.fetcher, asked).await?;
    if earlier.preview {
        return Ok(Pinned::Chosen(choice));
    }
    let known = match before {
        Some(LockedSource::Apk(before)) => before.packages.as_slice(),
        _ => &[],
    };
    let (indexes, packages) = apk::pin(origins.fetcher, choice, known).await?;
    Ok(Pinned::Locked(LockedSource::Apk(LockedApks {
        request: source.clone(),
        base,
        indexes,
        packages,
    })))
}

/// The packages (name and version) that should stay as they are where they can.
fn kept(name: &str, before: Option<&LockedSource>, update: &Update) -> Vec<(String, String)> {
    let packages = before.map(LockedSource::packages).unwrap_or_default();
    let moves = |package: &str| match update {
        Update::Nothing => false,
        Update::All => true,
        Update::Named(names) => names.contains(name) || names.contains(package),
    };
    packages
        .into_iter()
        .filter(|(package, _)| !moves(package))
        .map(|(package, version)| (package.to_owned(), version.to_owned()))
        .collect()
}

/// Whether `update` asks for source `name`, or something in it, to be resolved anew.
/// A file beside the recipe always is: it costs nothing, and it is what its author edits.
fn touches(update: &Update, name: &str, locked: &LockedSource) -> bool {
    match (update, locked) {
        (_, LockedSource::File(_)) | (Update::All, _) => true,
        (Update::Nothing, _) => false,
        (Update::Named(names), locked) => {
            let mut packages = locked.packages().into_iter();
            names.contains(name) || packages.any(|(package, _)| names.contains(package))
        }
    }
}

fn known(names: &BTreeSet<String>, old: &LockFile) -> Result<(), LockError> {
    let is_known = |name: &String| {
        old.steps.contains_key(name)
            || old.sources.iter().any(|(source, locked)| {
                let mut packages = locked.packages().into_iter();
                source == name || packages.any(|(package, _)| package == name)
            })
    };
    match names.iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => Err(LockError::NothingToUpdate { name: name.clone() }),
    }
}
