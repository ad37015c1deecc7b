//! Resolving: from what a recipe asks for to exact bytes.

use std::collections::BTreeSet;

use lunikernel_cache::Cache;

use super::changes::{Change, changes};
use super::error::{LockError, SourceError};
use super::file::{LockFile, LockedDebs, LockedSource};
use crate::fetch::Fetcher;
use crate::recipe::{ReadRecipe, Recipe, Source};
use crate::source::deb::{AptConfig, Archives, DebOptions};
use crate::source::{file, git, krate, url};

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
    let empty = LockFile::new();
    let old = old.unwrap_or(&empty);
    if let Update::Named(names) = update {
        known(names, old)?;
    }
    let mut lock = LockFile::new();
    let mut archives = Archives::new(origins.apt);
    for (name, source) in in_order(&recipe.recipe) {
        let before = old.sources.get(name);
        let pinned = match before {
            Some(locked) if locked.fits(source) && !touches(update, name, locked) => {
                Ok(locked.clone())
            }
            _ => {
                let keep = kept(name, before, update);
                pin(recipe, source, &keep, &mut archives, origins).await
            }
        };
        let pinned = pinned.map_err(|error| LockError::Source {
            source_name: name.clone(),
            source: Box::new(error),
        })?;
        lock.sources.insert(name.clone(), pinned);
    }
    let changes = changes(old, &lock);
    Ok(Resolved { lock, changes })
}

/// The sources of a recipe, those of one suite next to each other, so that each suite
/// is fetched and read once.
fn in_order(recipe: &Recipe) -> Vec<(&String, &Source)> {
    let mut sources: Vec<_> = recipe.sources.iter().collect();
    // Stable, so that names decide within a suite.
    sources.sort_by_key(|(_, source)| match source {
        Source::Deb(source) => Some(Archives::order(source)),
        _ => None,
    });
    sources
}

async fn pin(
    recipe: &ReadRecipe,
    source: &Source,
    keep: &[(String, String)],
    archives: &mut Archives<'_>,
    origins: Origins<'_>,
) -> Result<LockedSource, SourceError> {
    Ok(match source {
        Source::Deb(source) => {
            let options = DebOptions {
                now: origins.now,
                allow_expired: origins.allow_expired,
                keep,
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
        Source::Url(source) => LockedSource::Url(url::lock(origins.fetcher, source).await?),
        Source::Crate(source) => LockedSource::Crate(krate::lock(origins.fetcher, source).await?),
        Source::Git(source) => LockedSource::Git(git::lock(origins.fetcher, source).await?),
        Source::File(path) => LockedSource::File(file::lock(origins.cache, recipe.folder(), path)?),
    })
}

/// The packages (name and version) that should stay as they are where they can.
fn kept(name: &str, before: Option<&LockedSource>, update: &Update) -> Vec<(String, String)> {
    let Some(LockedSource::Deb(before)) = before else {
        return Vec::new();
    };
    let moves = |package: &str| match update {
        Update::Nothing => false,
        Update::All => true,
        Update::Named(names) => names.contains(name) || names.contains(package),
    };
    before
        .packages
        .iter()
        .filter(|package| !moves(&package.name))
        .map(|package| (package.name.clone(), package.version.clone()))
        .collect()
}

/// Whether `update` asks for source `name`, or something in it, to be resolved anew.
/// A file beside the recipe always is: it costs nothing, and it is what its author edits.
fn touches(update: &Update, name: &str, locked: &LockedSource) -> bool {
    match (update, locked) {
        (_, LockedSource::File(_)) | (Update::All, _) => true,
        (Update::Nothing, _) => false,
        (Update::Named(names), LockedSource::Deb(debs)) => {
            names.contains(name) || debs.packages.iter().any(|p| names.contains(&p.name))
        }
        (Update::Named(names), _) => names.contains(name),
    }
}

fn known(names: &BTreeSet<String>, old: &LockFile) -> Result<(), LockError> {
    let is_known = |name: &String| {
        old.steps.contains_key(name)
            || old.sources.iter().any(|(source, locked)| {
                source == name
                    || matches!(locked, LockedSource::Deb(debs)
                        if debs.packages.iter().any(|p| p.name == *name))
            })
    };
    match names.iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => Err(LockError::NothingToUpdate { name: name.clone() }),
    }
}
