//! Debian packages: from names in a recipe to exact bytes.
//!
//! Where packages come from is what the machine's own package manager is configured
//! with ([`AptConfig`]). What a suite consists of is what its release file says, once a
//! key of the machine's keyrings vouches for it. Which packages are needed is for a
//! solver to find. The result names no host: [`places`](places::places) finds the bytes
//! again on any machine.

mod apt_conf;
pub mod apt_config;
mod apt_sources;
mod archives;
pub mod date;
mod error;
pub mod fuzz;
mod index;
pub mod keyring;
mod lists;
mod packages;
pub mod places;
mod refusal;
mod relation;
mod release;
mod rollback;
mod rules;
mod solve;
mod suites;
#[cfg(test)]
mod test_archive;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;

use lunikernel_cache::{Digest, Progress, Sha256};
use serde::{Deserialize, Serialize};
use url::Url;

pub use apt_config::{AptConfig, AptEntry, SignedBy};
pub use archives::Archives;
pub use error::DebError;
pub use packages::PackagesError;
pub use places::places;
pub use release::ReleaseError;

use crate::fetch::{FetchError, Fetcher};
use crate::recipe::Arch;
use packages::Package;

/// How to lock.
#[derive(Debug, Clone, Copy, Default)]
pub struct DebOptions<'a> {
    /// The present, in seconds since 1970-01-01 00:00:00 UTC: whether release files and
    /// keys have expired is judged by it.
    pub now: u64,
    /// Whether expired release files and keys are accepted, as a frozen mirror has them.
    pub allow_expired: bool,
    /// Names and versions that are preferred to newer ones, from an earlier lock.
    pub keep: &'a [(String, String)],
    /// The release files of that lock, where it was of the same suite: older ones are
    /// refused.
    pub before: &'a [Vouched],
}

/// The exact packages that a recipe's source stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolvedDebs {
    /// The release files that the packages were chosen by.
    pub releases: Vec<Vouched>,
    /// The packages, by name.
    pub packages: Vec<LockedDeb>,
    /// Addresses of archives of snapshots that release files name, by the archive's
    /// name; `@SNAPSHOTID@` stands for the time. Not part of the lock.
    #[serde(skip)]
    pub snapshots: BTreeMap<String, String>,
}

/// A release file, and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vouched {
    /// The archive's name, `debian` for example.
    pub archive: String,
    /// The suite's name, as it was asked for.
    pub suite: String,
    /// What the release calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codename: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What its maker calls the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its date, as archives of snapshots write it: `20260711T101637Z`.
    pub snapshot: String,
    /// The signed file, as it was served.
    pub inrelease: Digest,
    /// Fingerprints of the primary keys that vouch for it.
    pub keys: Vec<String>,
}

/// A Debian package, pinned to its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDeb {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture as Debian calls it, `all` for those that run everywhere.
    pub arch: String,
    /// The source package that it was built from, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePackage>,
    /// The archive's name; with `suite` it names one of the releases.
    pub archive: String,
    /// The suite's name.
    pub suite: String,
    /// The path below the archive's root.
    pub path: String,
    /// SHA-256 of the package.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
}

/// A source package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcePackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl LockedDeb {
    /// What the package is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest {
            sha256: self.sha256,
            size: self.size,
        }
    }

    /// What its file is called.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl ResolvedDebs {
    /// The release that a package was chosen by.
    #[must_use]
    pub fn release_of(&self, deb: &LockedDeb) -> Option<&Vouched> {
        self.releases
            .iter()
            .find(|release| release.archive == deb.archive && release.suite == deb.suite)
    }
}

/// Fetches by address.
pub(crate) trait Download: Sync {
    /// The bytes at `url`, at most `limit` of them.
    fn get(&self, url: &Url, limit: u64) -> impl Future<Output = Result<Vec<u8>, FetchError>>;

    /// Hears what is being done.
    fn progress(&self) -> &dyn Progress;
}

impl Download for Fetcher {
    async fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        Fetcher::get(self, url, limit).await
    }

    fn progress(&self) -> &dyn Progress {
        Fetcher::progress(self)
    }
}

/// What Debian calls an architecture.
fn debian_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "amd64",
    }
}

fn locked(package: &Package, arch: &str, suite: &suites::Suite) -> LockedDeb {
    let source = package.source.as_deref().map(|field| {
        let (name, version) = match field.split_once('(') {
            Some((name, version)) => (name, version.trim_end_matches(')')),
            None => (field, &*package.version),
        };
        SourcePackage {
            name: name.trim().to_owned(),
            version: version.trim().to_owned(),
        }
    });
    LockedDeb {
        name: package.name.to_string(),
        version: package.version.to_string(),
        arch: if package.all { "all" } else { arch }.to_owned(),
        source: source
            .filter(|source| source.name != *package.name || source.version != *package.version),
        archive: suite.archive.clone(),
        suite: suite.name.clone(),
        path: package.filename.to_string(),
        sha256: package.sha256,
        size: package.size,
    }
}
