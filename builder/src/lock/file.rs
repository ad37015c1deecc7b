//! The lockfile.

use std::collections::BTreeMap;
use std::path::Path;

use lunikernel_cache::Digest;
use lunikernel_cache::regular::read_bounded;
use lunikernel_cache::tree::is_name;
use serde::{Deserialize, Serialize};

use crate::recipe::{ApkSource, DebSource};
use crate::source::apk::{LockedApk, VouchedIndex};
use crate::source::deb::{LockedDeb, Vouched};
use crate::source::file::LockedFile;
use crate::source::git::LockedGit;
use crate::source::krate::LockedCrate;
use crate::source::oci::LockedOci;
use crate::source::tcz::{LockedTczs, is_extension};
use crate::source::url::LockedUrl;

use super::error::LockError;
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
/// The largest package, in bytes: the size field of an `ar` member has ten digits.
const MAX_INPUT: u64 = 9_999_999_999;

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
        let lock: Self = serde_yaml::from_str(text).map_err(|error| {
            let why = error.to_string().replace("<input>:", "line ");
            LockError::Syntax {
                why: why.trim_start_matches("error: ").to_owned(),
            }
        })?;
        lock.check()?;
        Ok(lock)
    }

    /// Refuses what `luni lock` never writes, and nothing should be fetched by.
    fn check(&self) -> Result<(), LockError> {
        for (name, source) in &self.sources {
            let debs = match source {
                LockedSource::Deb(debs) => debs,
                LockedSource::Apk(apks) => {
                    check_apks(name, apks)?;
                    continue;
                }
                LockedSource::Oci(oci) => {
                    if let Some(why) = oci.flaw() {
                        let why = format!("source `{name}`: {why}");
                        return Err(LockError::Syntax { why });
                    }
                    continue;
                }
                LockedSource::Tcz(tczs) => {
                    check_extensions(name, tczs)?;
                    continue;
                }
                _ => continue,
            };
            for package in &debs.packages {
                let wrong = |why: String| LockError::Syntax {
                    why: format!("source `{name}`, package `{}`: {why}", package.name),
                };
                if !package.path.split('/').all(is_name) {
                    return Err(wrong(format!(
                        "`{}` is no path below an archive",
                        package.path
                    )));
                }
                if package.size > MAX_INPUT {
                    return Err(wrong(format!(
                        "{} bytes is more than a package can have ({MAX_INPUT})",
                        package.size
                    )));
                }
            }
        }
        Ok(())
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

fn check_apks(source: &str, apks: &LockedApks) -> Result<(), LockError> {
    let mut before = "";
    for package in &apks.packages {
        let name = package.name.as_str();
        let is_indexed = |index: &VouchedIndex| index.repository == package.repository;
        let flaw = package.flaw().or_else(|| {
            if package.size > MAX_INPUT {
                let size = package.size;
                return Some(format!(
                    "`{name}`: {size} bytes is more than a package can have ({MAX_INPUT})"
                ));
            }
            if !apks.indexes.iter().any(is_indexed) {
                let repository = &package.repository;
                return Some(format!("`{name}`: no index is of `{repository}`"));
            }
            (name <= before)
                .then(|| format!("`{name}` is not behind `{before}`, or is there twice"))
        });
        if let Some(why) = flaw {
            let why = format!("source `{source}`: {why}");
            return Err(LockError::Syntax { why });
        }
        before = name;
    }
    Ok(())
}

fn check_extensions(source: &str, tczs: &LockedTczs) -> Result<(), LockError> {
    for extension in &tczs.extensions {
        let names = extension.depends.iter().chain([&extension.name]);
        for name in names {
            if !is_extension(name) {
                return Err(LockError::Syntax {
                    why: format!("source `{source}`: `{name}` is no extension"),
                });
            }
        }
        let is_md5 =
            extension.md5.len() == 32 && extension.md5.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_md5 || extension.size > MAX_INPUT {
            return Err(LockError::Syntax {
                why: format!(
                    "source `{source}`, extension `{}`: its MD5 or its size makes no sense",
                    extension.name
                ),
            });
        }
    }
    Ok(())
}

impl Default for LockFile {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_alpine_are_such_as_locking_writes() {
        let zeros = format!("sha256:{}", "0".repeat(64));
        let package = |name: &str, repository: &str, size: u64| {
            format!(
                "      - {{name: {name}, version: 1-r0, repository: '{repository}', \
                 checksum: Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=, sha256: '{zeros}', size: {size}}}\n"
            )
        };
        let lock = |packages: &[String]| {
            LockFile::parse(&format!(
                "lockfile: lunikernel-lock/1\nsources:\n  a:\n    apk:\n      \
                 request: {{repositories: ['file:///r'], packages: [a]}}\n      indexes:\n      \
                 - {{repository: 'file:///r', index: {{sha256: '{zeros}', size: 1}}, \
                 key: k.rsa.pub, fingerprint: '{zeros}'}}\n      packages:\n{}",
                packages.concat()
            ))
        };
        let good = [package("a", "file:///r", 1), package("b", "file:///r", 1)];
        lock(&good).unwrap();
        for (bad, expected) in [
            ([good[1].clone(), good[0].clone()], "not behind `b`"),
            ([good[0].clone(), good[0].clone()], "there twice"),
            ([good[0].clone(), package("b", "file:///s", 1)], "no index"),
            (
                [good[0].clone(), package("b", "file:///r", MAX_INPUT + 1)],
                "more than a package can have",
            ),
        ] {
            let error = lock(&bad).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
