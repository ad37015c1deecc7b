//! What is different between two Lunikernels, as deep down as it can be told: the
//! entry, the member of its initramfs, the field or the byte.

use std::collections::BTreeMap;
use std::io::{self, BufReader};

use lunikernel_cache::Digest;
use lunikernel_cache::artefact::{
    Artefact, ArtefactError, EntryReader, FILES, INITRAMFS, LOCK, MANIFEST, RECIPE,
};
mod bytes;
mod found;
mod initramfs;
mod json;
mod show;

pub use bytes::{Bytes, Extent, Window};
pub use found::{
    Difference, Format, Found, Other, Place, Role, Section, Side, Symbol, Units, Whole,
};

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
    let (path, found) = match only_in {
        Some(only_in) => (Vec::new(), Found::Presence { only_in }),
        None => descend(&entry, left, right)?,
    };
    let mut others = Vec::new();
    for (entry, only_in) in names {
        let (path, found) = match only_in {
            Some(only_in) => (Vec::new(), Found::Presence { only_in }),
            None => descend(&entry, left, right)?,
        };
        others.push(Other { entry, path, found });
    }
    let unlisted = others.len().saturating_sub(Difference::MOST_OTHERS) as u64;
    others.truncate(Difference::MOST_OTHERS);
    Ok(Some(Difference {
        entry,
        path,
        found,
        others,
        unlisted,
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

fn descend(
    entry: &str,
    left: &Artefact,
    right: &Artefact,
) -> Result<(Vec<Place>, Found), CompareError> {
    match entry {
        MANIFEST => Ok((Vec::new(), json::compare(left.manifest(), right.manifest()))),
        INITRAMFS => initramfs::compare(left, right),
        _ => {
            let found = Found::Content {
                bytes: raw(entry, left, right)?,
                reordered: None,
                whole: None,
            };
            Ok((Vec::new(), found))
        }
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
