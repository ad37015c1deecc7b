//! Indexes must not go back in time: an older one is as well signed as the newest, and
//! lists packages with holes that have been mended since.
//!
//! An index has no date. What its maker calls it, which the signature covers, says how
//! many commits it is ahead of a release; and a repository that had a version of a package
//! may have a newer one or drop the package, and does not return to an older one.

use std::collections::BTreeMap;

use super::error::ApkSourceError;
use super::index::Package;
use super::version::Version;
use super::{LockedApk, VouchedIndex};

/// What a lock says about the time at which it was made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before<'a> {
    /// The indexes that it was made by.
    pub indexes: &'a [VouchedIndex],
    /// Its packages.
    pub packages: &'a [LockedApk],
}

/// Compares an index of `repository` with that by which the lock was made.
///
/// # Errors
/// [`ApkSourceError::Older`] where it is older by what its maker calls it, and
/// [`ApkSourceError::Withdrawn`] where the newest version of a package is older than that
/// in the lock.
pub(super) fn check(
    repository: &str,
    description: Option<&str>,
    packages: &[Package],
    before: Before<'_>,
) -> Result<(), ApkSourceError> {
    let mut locked = before.indexes.iter();
    let locked = locked.find(|index| index.repository == repository);
    let called = locked.and_then(|index| index.description.as_deref());
    if let (Some(called), Some(description)) = (called, description)
        && let (Some(then), Some(now)) = (Described::of(called), Described::of(description))
        && now < then
    {
        return Err(ApkSourceError::Older {
            repository: repository.to_owned(),
            found: description.to_owned(),
            locked: called.to_owned(),
        });
    }
    let mut newest: BTreeMap<&str, &Version> = BTreeMap::new();
    for package in packages {
        let known = newest.entry(&package.name).or_insert(&package.version);
        *known = (*known).max(&package.version);
    }
    let of_it = before.packages.iter();
    for locked in of_it.filter(|package| package.repository == repository) {
        if let (Some(newest), Some(version)) =
            (newest.get(&*locked.name), Version::parse(&locked.version))
            && **newest < version
        {
            return Err(ApkSourceError::Withdrawn {
                repository: repository.to_owned(),
                package: locked.name.clone(),
                found: newest.to_string(),
                locked: locked.version.clone(),
            });
        }
    }
    Ok(())
}

/// Where in a repository's history something is that is called as `git describe` does it:
/// `v3.20.3-47-g18457f49f1` is 47 commits behind the tag `v3.20.3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Described {
    tag: Version,
    commits: u64,
}

impl Described {
    fn of(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v')?;
        let described = text.rsplit_once("-g").and_then(|(rest, hash)| {
            let is_hash = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            rest.rsplit_once('-').filter(|_| is_hash)
        });
        let (tag, commits) = described.unwrap_or((text, "0"));
        Some(Self {
            tag: Version::parse(tag)?,
            commits: commits.parse().ok()?,
        })
    }
}

#[cfg(test)]
#[path = "rollback_tests.rs"]
mod tests;
