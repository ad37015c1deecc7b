//! What is different between two Lunikernels, as deep down as it can be told: the
//! entry, the member of its initramfs, the field or the byte.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader};

use lunikernel_cache::Digest;
use lunikernel_cache::artefact::{
    Artefact, ArtefactError, EntryReader, FILES, INITRAMFS, LOCK, MANIFEST, RECIPE,
};
use serde::Serialize;

mod bytes;
mod initramfs;
mod json;
mod show;

pub use bytes::Bytes;
pub use initramfs::{GzipField, MemberChange};

/// The first difference between two Lunikernels, in the order of what explains
/// what: first what went in, then what came out, and the manifest, which differs
/// whenever anything does, at last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The entry that it is in.
    pub entry: String,
    /// What it is.
    pub found: Found,
    /// The other entries that differ.
    pub others: Vec<String>,
}

/// What is different in an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Found {
    /// Only one of the two has the entry.
    Presence {
        /// Which one.
        only_in: Side,
    },
    /// A value of the manifest.
    Value {
        /// Where, as a JSON pointer (RFC 6901).
        pointer: String,
        /// What the left one has there, as JSON, if it has anything.
        left: Option<String>,
        /// What the right one has there.
        right: Option<String>,
    },
    /// A field of a gzip header (RFC 1952, 2.3).
    Gzip {
        /// The field.
        field: GzipField,
        /// What the left one has there.
        left: String,
        /// What the right one has there.
        right: String,
    },
    /// A member of the initramfs.
    Member {
        /// Its path, without a leading slash; the left one's where they differ.
        path: String,
        /// What is different about it.
        change: MemberChange,
    },
    /// All members are the same; only how they are packed differs.
    Packing {
        /// The first byte of the packed form that differs.
        bytes: Bytes,
    },
    /// One of the two has an initramfs that cannot be unpacked.
    Unreadable {
        /// Which one.
        side: Side,
        /// Why.
        why: String,
        /// The first byte of the packed form that differs.
        bytes: Bytes,
    },
    /// A byte.
    Content {
        /// The first one that differs.
        bytes: Bytes,
    },
}

/// One of the two that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first one.
    Left,
    /// The second one.
    Right,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Right => "right",
        })
    }
}

/// Two Lunikernels could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// An entry cannot be had.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// An entry could not be read.
    #[error("could not read the entry `{entry}` to compare it")]
    Read {
        /// The entry.
        entry: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The manifests say that an entry differs, and its content does not.
    #[error("the entry `{entry}` is the same in both, and their manifests give it two digests")]
    Contradiction {
        /// The entry.
        entry: String,
    },
}

impl CompareError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Artefact(error) => error.hint(),
            Self::Read { .. } | Self::Contradiction { .. } => {
                Some("check each of them with `luni inspect`".to_owned())
            }
        }
    }
}

/// Compares two Lunikernels; `None` where they are the same. Which entries differ is
/// taken from their manifests, so nothing of an entry that is the same is read.
///
/// # Errors
/// [`CompareError`] where an entry cannot be read or is damaged.
pub fn compare(left: &Artefact, right: &Artefact) -> Result<Option<Difference>, CompareError> {
    let mut names = differing(left, right);
    names.sort_by_key(|(name, _)| rank(name));
    let mut names = names.into_iter();
    let Some((entry, only_in)) = names.next() else {
        return Ok(None);
    };
    let found = match only_in {
        Some(only_in) => Found::Presence { only_in },
        None => descend(&entry, left, right)?,
    };
    Ok(Some(Difference {
        entry,
        found,
        others: names.map(|(name, _)| name).collect(),
    }))
}

/// The names of all entries that differ, and for those that only one has, which one.
fn differing(left: &Artefact, right: &Artefact) -> Vec<(String, Option<Side>)> {
    let mut both: BTreeMap<&str, (Option<Digest>, Option<Digest>)> = BTreeMap::new();
    for (name, digest) in left.entries() {
        both.entry(name).or_default().0 = Some(digest);
    }
    for (name, digest) in right.entries() {
        both.entry(name).or_default().1 = Some(digest);
    }
    let differing = both.into_iter().filter(|(_, (one, two))| one != two);
    differing
        .map(|(name, digests)| {
            let only_in = match digests {
                (Some(_), None) => Some(Side::Left),
                (None, Some(_)) => Some(Side::Right),
                _ => None,
            };
            (name.to_owned(), only_in)
        })
        .collect()
}

/// Lower is looked at first.
fn rank(name: &str) -> u8 {
    match name {
        RECIPE => 0,
        LOCK => 1,
        name if name.starts_with(FILES) => 2,
        INITRAMFS => 3,
        MANIFEST => 5,
        _ => 4,
    }
}

fn descend(entry: &str, left: &Artefact, right: &Artefact) -> Result<Found, CompareError> {
    match entry {
        MANIFEST => Ok(json::compare(left.manifest(), right.manifest())),
        INITRAMFS => initramfs::compare(left, right),
        _ => Ok(Found::Content {
            bytes: raw(entry, left, right)?,
        }),
    }
}

/// The first byte of an entry that differs.
fn raw(entry: &str, left: &Artefact, right: &Artefact) -> Result<Bytes, CompareError> {
    bytes::first_difference(left.entry(entry)?, right.entry(entry)?)
        .map_err(read_error(entry))?
        .ok_or_else(|| CompareError::Contradiction {
            entry: entry.to_owned(),
        })
}

fn buffered<'a>(
    artefact: &'a Artefact,
    entry: &str,
) -> Result<BufReader<EntryReader<'a>>, CompareError> {
    Ok(BufReader::with_capacity(256 << 10, artefact.entry(entry)?))
}

fn read_error(entry: &str) -> impl FnOnce(io::Error) -> CompareError {
    move |source| CompareError::Read {
        entry: entry.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
