//! The lockfile.

use std::collections::BTreeMap;
use std::path::Path;

use lunikernel_cache::Digest;
use lunikernel_cache::regular::read_bounded;
use serde::{Deserialize, Serialize};

use crate::recipe::{ApkSource, DebSource};
use crate::source::apk::{LockedApk, VouchedIndex};
use crate::source::deb::{LockedDeb, Vouched};
use crate::source::file::LockedFile;
use crate::source::git::LockedGit;
use crate::source::krate::LockedCrate;
use crate::source::oci::LockedOci;
use crate::source::tcz::LockedTczs;
use crate::source::url::LockedUrl;

use super::error::LockError;
use super::flaws;
use super::steps::LockedStep;

/// What `recipe.lock` holds: for each source of the recipe the exact bytes, and for each
/// step that may use the network what it made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    /// The version of the lockfile's grammar.
    pub lockfile: LockVersion,
    /// What each source of the recipe is.
    pub sources: BTreeMap<String, LockedSource>,
    /// What each step made that may use the network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, LockedStep>,
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
    /// Packages of Alpine.
    Apk(LockedApks),
    /// A file from the web.
    Url(LockedUrl),
    /// A commit of a git repository.
    Git(LockedGit),
    /// A crate's source archive.
    Crate(LockedCrate),
    /// A container image.
    Oci(LockedOci),
    /// Extensions of TinyCore.
    Tcz(LockedTczs),
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

/// Packages of Alpine, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedApks {
    /// What the recipe asked for when it was locked.
    pub request: ApkSource,
    /// The archive that it named as base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Digest>,
    /// The signed indexes that the packages were found through.
    pub indexes: Vec<VouchedIndex>,
    /// The packages, sorted by name.
    pub packages: Vec<LockedApk>,
}

/// The largest lockfile, in bytes: tens of thousands of packages.
const MAX_SIZE: u64 = 16 << 20;

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
            steps: BTreeMap::new(),
        }
    }

    /// Reads a lockfile.
    ///
    /// # Errors
    /// [`LockError::Io`] where it cannot be read, [`LockError::Syntax`] where it is none.
    pub fn read(path: &Path) -> Result<(Self, String), LockError> {
        let failed = |source| LockError::Io {
            attempted: "read the lockfile",
            source,
        };
        let bytes = read_bounded(path, MAX_SIZE).map_err(failed)?;
        let wrong = |why: &str| LockError::Syntax {
            why: format!("{} {why}", path.display()),
        };
        if bytes.len() as u64 > MAX_SIZE {
            return Err(wrong("is larger than 16 MiB"));
        }
        let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
        let lock = Self::parse(&text).map_err(|error| match error {
            LockError::Syntax { why } => wrong(&format!("is none: {why}")),
            other => other,
        })?;
        Ok((lock, text))
    }

    /// Reads a lockfile's text.
    ///
    /// # Errors
    /// [`LockError::Syntax`] where it is not one.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        // What a merge leaves is no flaw of the lock's own, and what mends it is another.
        let mark = |line: &str| ["<<<<<<<", ">>>>>>>"].iter().any(|it| line.starts_with(it));
        if let Some(line) = text.lines().position(mark) {
            let why = format!(
                "line {} is where two versions of it were merged and do not agree",
                line + 1
            );
            return Err(LockError::Syntax { why });
        }
        // What is quoted of it would be in the middle of a message.
        let options = serde_yaml::options! { with_snippet: false };
        let lock: Self = serde_yaml::from_str_with_options(text, options).map_err(|error| {
            let why = error.to_string();
            LockError::Syntax {
                why: why.trim_start_matches("error: ").to_owned(),
            }
        })?;
        lock.check()?;
        Ok(lock)
    }

    /// Refuses what `luni lock` never writes, and nothing should be fetched by.
    fn check(&self) -> Result<(), LockError> {
        let sources = self.sources.iter();
        let mut flaws = sources
            .filter_map(|(name, source)| Some(format!("source `{name}`: {}", source.flaw()?)))
            .chain(self.steps.iter().filter_map(|(name, step)| {
                let why = flaws::size(&step.outputs)?;
                Some(format!("step `{name}`: {why}"))
            }));
        match flaws.next() {
            Some(why) => Err(LockError::Syntax { why }),
            None => Ok(()),
        }
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
