//! What is different between two Lunikernels, as deep down as it can be told: the
//! entry, the member of its initramfs, the field or the byte.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lunikernel_cache::Digest;
use lunikernel_cache::artefact::{
    Artefact, ArtefactError, FILES, INITRAMFS, LOCK, MANIFEST, RECIPE,
};
use lunikernel_cache::regular::open_regular;

use crate::lock::LINKS;

mod ar;
mod bytes;
mod content;
mod cpio;
mod elf;
mod found;
mod json;
mod members;
mod packed;
mod show;
mod tar;
mod text;
mod walk;
mod zip;

use bytes::first_difference;
use content::{Content, MAX_COPIED, Pair, Sided, pair, side_of};
use walk::Walk;

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
    /// A file that is compared could not be read.
    #[error("could not open {} to compare it", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A part could not be copied to be taken apart, or its copy not be read.
    #[error("could not copy a part to compare it")]
    Copy(#[from] io::Error),
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
            Self::Copy(_) => Some(
                "there must be room in the folder for temporary files; `TMPDIR` names another"
                    .to_owned(),
            ),
            Self::File { .. } => None,
            Self::Read { .. } | Self::Contradiction { .. } => {
                Some("check each of them with `luni inspect`".to_owned())
            }
        }
    }
}

/// Compares two Lunikernels; `None` where they are the same. Which entries differ is
/// taken from their manifests, so nothing of an entry that is the same is read.
///
/// What differs is taken apart as far as its formats are known, in memory that does not
/// grow with it; larger parts are copied into the folder for temporary files.
///
/// # Errors
/// [`CompareError`] where an entry cannot be read or is damaged.
pub fn compare(left: &Artefact, right: &Artefact) -> Result<Option<Difference>, CompareError> {
    let mut names = differing(left, right);
    names.sort_by_key(|(name, _)| rank(name));
    let mut walk = Walk::default();
    for (entry, only_in) in names {
        walk.enter(&entry);
        match only_in {
            Some(only_in) => walk.note(Found::Presence { only_in }),
            None => entries(&mut walk, &entry, left, right)?,
        }
    }
    Ok(walk.finish())
}

/// Compares two files of any kind, as [`compare`] does entries; `None` where they are
/// the same.
///
/// # Errors
/// [`CompareError`] where one of them cannot be read.
pub fn compare_files(left: &Path, right: &Path) -> Result<Option<Difference>, CompareError> {
    let open = |path: &Path| {
        let opened = open_regular(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) = opened.map_err(|source| CompareError::File {
            path: path.to_owned(),
            source,
        })?;
        Ok::<_, CompareError>(Content::of_file(file, size))
    };
    let mut walk = Walk::default();
    let name = left.file_name().unwrap_or(left.as_os_str());
    walk.enter(&name.to_string_lossy());
    walk.contents(&open(left)?, &open(right)?)?;
    Ok(walk.finish())
}

/// Compares two contents that are in memory, as [`compare`] does entries; `None` where
/// they are the same. `name` is what the difference calls them.
///
/// # Errors
/// [`CompareError`] where what they unpack to could not be copied.
pub fn compare_bytes(
    name: &str,
    left: Vec<u8>,
    right: Vec<u8>,
) -> Result<Option<Difference>, CompareError> {
    let mut walk = Walk::default();
    walk.enter(name);
    walk.contents(&Content::of_bytes(left), &Content::of_bytes(right))?;
    Ok(walk.finish())
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
        name if name.starts_with(FILES) || name == LINKS => 2,
        INITRAMFS => 3,
        MANIFEST => 5,
        _ => 4,
    }
}

/// Notes what differs between two entries of one name.
fn entries(
    walk: &mut Walk,
    entry: &str,
    left: &Artefact,
    right: &Artefact,
) -> Result<(), CompareError> {
    if entry == MANIFEST {
        walk.note(json::compare(left.manifest(), right.manifest()));
        return Ok(());
    }
    let bytes = || {
        let bytes = first_difference(left.entry(entry)?, right.entry(entry)?);
        bytes
            .map_err(read_error(entry))?
            .ok_or_else(|| CompareError::Contradiction {
                entry: entry.to_owned(),
            })
    };
    if entry == INITRAMFS {
        // Read as it is unpacked: it is the largest, and seldom is much of it different.
        let one = || Ok(Box::new(left.entry(entry)?) as Box<dyn Read>);
        let two = || Ok(Box::new(right.entry(entry)?) as Box<dyn Read>);
        return walk.take_apart(Format::Gzip, bytes, |walk| {
            packed::compare(walk, Format::Gzip, &one, &two)
        });
    }
    let mut one = Sided(left.entry(entry)?, Side::Left);
    let mut two = Sided(right.entry(entry)?, Side::Right);
    match pair(&mut one, &mut two, MAX_COPIED) {
        Ok(Pair::Copied(one, two)) => walk.contents(&one, &two).map(drop),
        Ok(Pair::Read(bytes)) => {
            walk.note(Found::Content {
                bytes,
                reordered: None,
                whole: Some(Whole::TooLarge),
            });
            Ok(())
        }
        Ok(Pair::Same) => Err(CompareError::Contradiction {
            entry: entry.to_owned(),
        }),
        Err(error) if side_of(&error).is_none() => Err(CompareError::Copy(error)),
        Err(error) => Err(read_error(entry)(error)),
    }
}

fn read_error(entry: &str) -> impl FnOnce(io::Error) -> CompareError {
    move |source| CompareError::Read {
        entry: entry.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_with_tools;
