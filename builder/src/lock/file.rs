//! The lockfile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::recipe::DebSource;
use crate::source::deb::{LockedDeb, Vouched};
use crate::source::file::LockedFile;
use crate::source::git::LockedGit;
use crate::source::url::LockedUrl;

use super::error::LockError;

/// What `recipe.lock` holds: for each source of the recipe the exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    /// The version of the lockfile's grammar.
    pub lockfile: LockVersion,
    /// What each source of the recipe is.
    pub sources: BTreeMap<String, LockedSource>,
}

/// The version of the lockfile's grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockVersion {
    /// The first one.
    #[serde(rename = "lunikernel-lock/1")]
    V1,
}

/// One source, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LockedSource {
    /// Packages of Debian.
    Deb(LockedDebs),
    /// A file from the web.
    Url(LockedUrl),
    /// A commit of a git repository.
    Git(LockedGit),
    /// A file or folder beside the recipe.
    File(LockedFile),
}

/// Packages of Debian, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDebs {
    /// What the recipe asked for when it was locked.
    pub request: DebSource,
    /// The signed release files that the packages were found through.
    pub releases: Vec<Vouched>,
    /// The packages, sorted by name.
    pub packages: Vec<LockedDeb>,
}

/// The first lines of every lockfile.
const HEADER: &str = "\
# Every input of recipe.yaml, pinned to exact bytes. Written by `luni lock`; commit it,
# and do not edit it by hand.
";

impl LockFile {
    /// A lock of no sources.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lockfile: LockVersion::V1,
            sources: BTreeMap::new(),
        }
    }

    /// Reads a lockfile's text.
    ///
    /// # Errors
    /// [`LockError::Syntax`] where it is not one.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        serde_yaml::from_str(text).map_err(|error| LockError::Syntax {
            why: error.to_string(),
        })
    }

    /// The lockfile's text. Equal locks have equal texts.
    ///
    /// # Errors
    /// [`LockError::Syntax`] where it cannot be written as YAML.
    pub fn render(&self) -> Result<String, LockError> {
        let body = serde_yaml::to_string(self).map_err(|error| LockError::Syntax {
            why: error.to_string(),
        })?;
        Ok(format!("{HEADER}{body}"))
    }
}

impl Default for LockFile {
    fn default() -> Self {
        Self::new()
    }
}
