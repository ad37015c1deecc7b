//! The parsers of this module for fuzzing: each takes any bytes and writes what it read
//! once more, in the format that it was read from. What is written so must be read as
//! the same again.

use std::fmt::Write as _;

use super::dependency::Dependency;
use super::index;
use super::keys::Keys;
use super::version::Version;

/// Reads an index's text.
#[must_use]
pub fn index(bytes: &[u8]) -> Option<String> {
    let packages = index::parse(str::from_utf8(bytes).ok()?, Some(0)).ok()?;
    let mut out = String::new();
    for package in packages {
        let _ = writeln!(
            out,
            "C:{}\nP:{}\nV:{}\nA:{}\nS:{}\nD:{}\np:{}\ni:{}\nk:{}\n",
            package.checksum,
            package.name,
            package.version,
            package.arch,
            package.size,
            package.depends,
            package.provides,
            package.install_if,
            package.priority
        );
    }
    Some(out)
}

/// Reads words of a list of dependencies.
#[must_use]
pub fn dependencies(bytes: &[u8]) -> Option<String> {
    let words = Dependency::list(str::from_utf8(bytes).ok()?).ok()?;
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    Some(words.join(" "))
}

/// Reads versions, one a line, and whether their order is one.
///
/// # Panics
/// Where two versions are not in the opposite order the other way round.
#[must_use]
pub fn versions(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let versions: Option<Vec<Version>> = text.lines().take(8).map(Version::parse).collect();
    let Some(mut versions) = versions else {
        return false;
    };
    versions.sort();
    for (at, earlier) in versions.iter().enumerate() {
        for later in versions.iter().skip(at) {
            let orders = (earlier.cmp(later), later.cmp(earlier).reverse());
            assert!(
                orders.0.is_le() && orders.0 == orders.1,
                "{versions:?} have no order"
            );
        }
    }
    !versions.is_empty()
}

/// Reads an index as it is served, trusting no key: nothing can be accepted.
#[must_use]
pub fn signed_index(bytes: &[u8]) -> bool {
    super::signed_index::read(bytes, &Keys::default(), 0).is_ok()
}

/// Reads a key.
#[must_use]
pub fn key(bytes: &[u8]) -> bool {
    Keys::default().add("key", bytes).is_ok()
}
