//! Alpine packages: from names in a recipe to exact bytes.
//!
//! What a repository has is what its index says, once one of the trusted keys vouches for
//! it. Which packages are needed is for a solver to find, with what the base has installed
//! counted in. Indexes know packages by the SHA-1 of their control member only, so each
//! package that is chosen is fetched, held to that and to its own signature, and pinned by
//! its SHA-256.

mod base;
mod choose;
mod chosen;
mod dependency;
mod error;
pub mod fuzz;
mod index;
mod keys;
mod pin;
#[cfg(test)]
mod pin_tests;
mod rollback;
mod rules;
mod signed_index;
mod solve;
#[cfg(test)]
mod test_repository;
#[cfg(test)]
mod tests;
mod version;

use lunikernel_cache::{Digest, Sha256};
use serde::{Deserialize, Serialize};
use url::Url;

pub(crate) use base::DATABASE;
pub use choose::{Asked, Choice, choose};
pub use error::ApkSourceError;
pub use index::IndexError;
pub use keys::{Keys, SignatureError, Voucher};
pub use pin::pin;
pub use rollback::Before;
pub use signed_index::SignedIndexError;
pub use version::Version;

use crate::assemble::apk::Checksum;
use crate::recipe::Arch;
use dependency::{Dependency, Versions};

/// An index, and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VouchedIndex {
    /// The repository's address, as the recipe has it.
    pub repository: String,
    /// What its maker calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The index, as it was served.
    pub index: Digest,
    /// The key that vouches for it.
    pub key: String,
    /// The SHA-256 of that key.
    pub fingerprint: Sha256,
}

/// An Alpine package, pinned to its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedApk {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The address of its repository; one of the indexes is of that.
    pub repository: String,
    /// What the index knows it by: the SHA-1 of its control member.
    pub checksum: Checksum,
    /// SHA-256 of the package.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
}

impl LockedApk {
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
    pub fn file_name(&self) -> String {
        format!("{}-{}.apk", self.name, self.version)
    }

    /// Where it may be had.
    ///
    /// # Errors
    /// [`ApkSourceError::Address`] where the lock has an address that is none.
    pub fn place(&self, arch: Arch) -> Result<Url, ApkSourceError> {
        below(&self.repository, &[arch.alpine(), &self.file_name()])
    }

    /// What is wrong with it, where it is such as `luni lock` never writes.
    pub(crate) fn flaw(&self) -> Option<String> {
        if !index::is_package_name(&self.name) {
            return Some(format!("`{}` is no name of a package", self.name));
        }
        Version::parse(&self.version)
            .is_none()
            .then(|| format!("`{}` is no version", self.version))
    }
}

/// The address of something below a repository's.
fn below(repository: &str, parts: &[&str]) -> Result<Url, ApkSourceError> {
    let wrong = |why: String| ApkSourceError::Address {
        url: repository.to_owned(),
        why,
    };
    let mut url = Url::parse(repository).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https" | "file") {
        return Err(wrong(format!("`{}:` cannot be fetched from", url.scheme())));
    }
    url.path_segments_mut()
        .map_err(|()| wrong("it has no path".to_owned()))?
        .pop_if_empty()
        .extend(parts);
    Ok(url)
}

/// Whether a word such as `foo<2` means that version of a package.
pub(crate) fn admits(word: &str, name: &str, version: &str) -> bool {
    let Ok(dependency) = Dependency::parse(word) else {
        return false;
    };
    let version = Version::parse(version);
    *dependency.name == *name
        && !dependency.conflict
        && dependency.admits_provided(version.as_ref())
}

/// Whether a word of what a package provides is one that can be asked for; apk passes over
/// others, such as `pc:bash=4.4-release`, whose version is none.
pub(crate) fn is_provision(word: &str) -> bool {
    Dependency::parse(word).is_ok_and(|provided| !matches!(provided.versions, Versions::Literal(_)))
}

/// What is wrong with a word that should name a package, possibly with versions.
pub(crate) fn flaw_of_request(word: &str) -> Option<String> {
    match Dependency::parse(word) {
        Err(why) => Some(why),
        Ok(dependency) if dependency.conflict => {
            Some(format!("`{word}` says what must not be there"))
        }
        Ok(_) => None,
    }
}
