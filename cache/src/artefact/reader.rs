//! Reading a Lunikernel zip that may come from anywhere.
//!
//! Only one sequence of bytes is allowed around given contents, so the reader takes
//! names, CRC-32s and sizes from the directory, makes every header anew, and wants
//! to find exactly those. What a person needs to know about the common ways to be
//! wrong is looked at first, for a better message.

use std::io::{self, Read};
use std::path::Path;

use crate::regular::{Stamp, open_regular};

use super::error::{ArtefactError, EntryFlaw, ZipFlaw};
use super::layout::Placed;
use super::manifest::{Entry, MAX_MANIFEST_SIZE, Manifest};
use super::zip::{CHUNK, EntrySource};
use super::{INITRAMFS, MANIFEST};
use crate::digest::{Digest, Hasher, Sha256};
use crate::progress::Progress;
use crate::read_at::ReadAt;

mod directory;
mod verify;

pub use verify::{Checked, EntryReader, EntrySums};

/// A Lunikernel zip that was opened: its headers are sound, and its manifest is valid
/// and lists exactly its entries. The content of entries is checked as it is read.
#[derive(Debug)]
pub struct Artefact {
    source: Box<dyn ReadAt>,
    /// What errors call it: its path.
    label: String,
    size: u64,
    /// Of its file before anything was read.
    stamp: Option<Stamp>,
    /// In the order of the zip, which is sorted but for the manifest in front.
    placed: Vec<Placed>,
    manifest: Manifest,
    manifest_sha256: Sha256,
}

impl Artefact {
    /// Opens the zip at `path`.
    ///
    /// # Errors
    /// [`ArtefactError`] where it cannot be read or is not what it should be.
    pub fn open(path: &Path) -> Result<Self, ArtefactError> {
        let label = path.display().to_string();
        let io = |source| ArtefactError::Io {
            attempted: "open",
            artefact: label.clone(),
            source,
        };
        let file = match open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(ArtefactError::Zip {
                    artefact: label,
                    flaw: ZipFlaw::NoFile,
                });
            }
            other => other.map_err(io)?,
        };
        let size = file.metadata().map_err(io)?.len();
        Self::read(Box::new(file), size, label)
    }

    /// Opens a zip that is in memory; `label` is what errors call it.
    ///
    /// # Errors
    /// [`ArtefactError`] where it is not what it should be.
    pub fn from_bytes(bytes: Vec<u8>, label: &str) -> Result<Self, ArtefactError> {
        let size = bytes.len() as u64;
        Self::read(Box::new(bytes), size, label.to_owned())
    }

    /// What it says about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What errors call it: its path.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its entries in the order of the zip: `lunikernel.json`, then the others sorted.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Digest)> {
        let manifest = (self.placed.first()).map(|first| (MANIFEST, self.digest_of(first)));
        let others = (self.manifest.entries.iter()).map(|(name, it)| (name.as_str(), it.digest()));
        manifest.into_iter().chain(others)
    }

    /// Opens an entry for reading. The reader fails at the end of the content where
    /// that does not have the CRC-32 and the digest that it should have.
    ///
    /// # Errors
    /// [`ArtefactError::NoEntry`] where there is none of that name.
    pub fn entry(&self, name: &str) -> Result<EntryReader<'_>, ArtefactError> {
        Ok(EntryReader::new(self, self.find(name)?))
    }

    /// Fills `buffer` with the content of an entry from byte `at` on. Nothing of it is
    /// checked but that it is there: whoever must rely on it calls [`Artefact::check`]
    /// before.
    ///
    /// # Errors
    /// [`ArtefactError::NoEntry`] where there is none of that name,
    /// [`ArtefactError::Io`] where it ends before or cannot be read.
    pub fn read_entry_at(
        &self,
        name: &str,
        buffer: &mut [u8],
        at: u64,
    ) -> Result<(), ArtefactError> {
        let placed = self.find(name)?;
        let end = at.checked_add(buffer.len() as u64);
        let read = if end.is_some_and(|end| end <= u64::from(placed.size)) {
            self.source.read_exact_at(buffer, placed.content_at() + at)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        };
        read.map_err(|source| ArtefactError::Io {
            attempted: "read",
            artefact: self.label.clone(),
            source,
        })
    }

    /// Reads the whole zip once, from front to back, and checks every byte of it.
    ///
    /// # Errors
    /// [`ArtefactError`] with the first entry that is not what it should be.
    pub fn check(&self, progress: &dyn Progress) -> Result<Checked, ArtefactError> {
        verify::check(self, &mut None, progress)
    }

    /// As [`Artefact::check`]; of the entry `name` it keeps the state in which the sums
    /// are behind its content, so that they can go on over bytes behind it.
    ///
    /// # Errors
    /// As [`Artefact::check`], and [`ArtefactError::NoEntry`].
    pub fn check_keeping(
        &self,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<(Checked, EntrySums), ArtefactError> {
        let mut keep = Some((name, None));
        let checked = verify::check(self, &mut keep, progress)?;
        match keep {
            Some((_, Some(sums))) => Ok((checked, sums)),
            _ => Err(self.no_entry(name)),
        }
    }

    /// Reads the content of every entry and checks its CRC-32: finds what a failing disk
    /// does in a small part of the time of [`Artefact::check`], but not what somebody
    /// changed on purpose.
    ///
    /// # Errors
    /// [`ArtefactError`] with the first entry that is not what it should be.
    pub fn skim(&self) -> Result<(), ArtefactError> {
        verify::skim(self)
    }

    /// That it is what [`Artefact::check`] found, `digest`, still: whoever read entries
    /// piece by piece calls it at the end. Where nothing was done to its file since it was
    /// opened, this takes no time; else every byte is read again.
    ///
    /// # Errors
    /// [`ArtefactError::Changed`] where it is not, and [`ArtefactError::Io`].
    pub fn check_again(
        &self,
        digest: &Digest,
        progress: &dyn Progress,
    ) -> Result<(), ArtefactError> {
        let now = self.source.stamp().map_err(|source| ArtefactError::Io {
            attempted: "look at",
            artefact: self.label.clone(),
            source,
        })?;
        if now == self.stamp {
            return Ok(());
        }
        match self.check(progress) {
            Ok(checked) if checked.digest == *digest => Ok(()),
            Err(error @ ArtefactError::Io { .. }) => Err(error),
            _ => Err(ArtefactError::Changed {
                artefact: self.label.clone(),
            }),
        }
    }

    /// Every entry but the manifest and those that `without` names, as it is.
    pub(super) fn kept_entries(
        &self,
        without: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = EntrySource> {
        let kept = self.placed.iter().skip(1);
        kept.filter(move |placed| !without(&placed.name))
            .map(|placed| {
                let entry =
                    EntrySource::new(placed.name.as_str(), self.digest_of(placed), placed.crc32);
                match self.manifest.entries.get(&placed.name) {
                    Some(listed) if listed.executable => entry.executable(),
                    _ => entry,
                }
            })
    }

    /// The content of an entry as it is, unproven, and what errors call this zip.
    pub(super) fn content(&self, name: &str) -> Result<(Content<'_>, &str), ArtefactError> {
        let placed = self.entry(name)?.placed();
        let content = Content {
            source: self.source.as_ref(),
            at: placed.content_at(),
            end: placed.end(),
            crc32: placed.crc32,
        };
        Ok((content, &self.label))
    }

    fn read(source: Box<dyn ReadAt>, size: u64, label: String) -> Result<Self, ArtefactError> {
        let stamp = source.stamp().map_err(|source| ArtefactError::Io {
            attempted: "look at",
            artefact: label.clone(),
            source,
        })?;
        let placed = directory::read(source.as_ref(), size, &label)?;
        let (manifest, manifest_sha256) = read_manifest(source.as_ref(), &placed, &label)?;
        let artefact = Self {
            source,
            label,
            size,
            stamp,
            placed,
            manifest,
            manifest_sha256,
        };
        artefact.compare_lists()?;
        Ok(artefact)
    }

    /// The manifest must list exactly what is in the zip.
    fn compare_lists(&self) -> Result<(), ArtefactError> {
        let mut listed = self.manifest.entries.iter().peekable();
        for placed in self.placed.iter().skip(1) {
            let name = &placed.name;
            match listed.next_if(|(listed, _)| *listed <= name) {
                Some((listed, entry)) if listed == name => {
                    let (expected, actual) = (entry.size, u64::from(placed.size));
                    if expected != actual {
                        return Err(self.flawed(name, EntryFlaw::Size { expected, actual }));
                    }
                }
                Some((listed, _)) => return Err(self.flawed(listed, EntryFlaw::Missing)),
                None => return Err(self.flawed(name, EntryFlaw::Unlisted)),
            }
        }
        match listed.next() {
            Some((name, _)) => Err(self.flawed(name, EntryFlaw::Missing)),
            None => Ok(()),
        }
    }

    fn find(&self, name: &str) -> Result<&Placed, ArtefactError> {
        let (first, sorted) = self.placed.split_at(self.placed.len().min(1));
        let placed = match sorted.binary_search_by(|placed| placed.name.as_str().cmp(name)) {
            Ok(at) => sorted.get(at),
            Err(_) => first.first().filter(|first| first.name == name),
        };
        placed.ok_or_else(|| self.no_entry(name))
    }

    fn digest_of(&self, placed: &Placed) -> Digest {
        let manifest = Digest {
            sha256: self.manifest_sha256,
            size: u64::from(placed.size),
        };
        let listed = self.manifest.entries.get(&placed.name);
        listed.map_or(manifest, Entry::digest)
    }

    fn no_entry(&self, name: &str) -> ArtefactError {
        ArtefactError::NoEntry {
            artefact: self.label.clone(),
            entry: name.escape_debug().to_string(),
        }
    }

    fn flawed(&self, entry: &str, flaw: EntryFlaw) -> ArtefactError {
        ArtefactError::Entry {
            artefact: self.label.clone(),
            entry: entry.to_owned(),
            flaw,
        }
    }
}

/// Reads a part of a zip.
pub(super) struct Content<'a> {
    source: &'a dyn ReadAt,
    at: u64,
    end: u64,
    /// What it should have.
    pub(super) crc32: u32,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let part = buffer.get_mut(..count).unwrap_or_default();
        self.source.read_exact_at(part, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

fn read_manifest(
    source: &dyn ReadAt,
    placed: &[Placed],
    label: &str,
) -> Result<(Manifest, Sha256), ArtefactError> {
    let Some(first) = placed.first() else {
        return Err(ArtefactError::Zip {
            artefact: label.to_owned(),
            flaw: ZipFlaw::Empty,
        });
    };
    let flawed = |flaw| ArtefactError::Entry {
        artefact: label.to_owned(),
        entry: MANIFEST.to_owned(),
        flaw,
    };
    if u64::from(first.size) > MAX_MANIFEST_SIZE {
        return Err(flawed(EntryFlaw::ManifestTooLarge(first.size.into())));
    }
    let mut bytes = vec![0; first.size as usize];
    source
        .read_exact_at(&mut bytes, first.content_at())
        .map_err(|source| ArtefactError::Io {
            attempted: "read the manifest of",
            artefact: label.to_owned(),
            source,
        })?;
    let (expected, actual) = (first.crc32, crc32fast::hash(&bytes));
    if expected != actual {
        return Err(flawed(EntryFlaw::Crc { expected, actual }));
    }
    let manifest = Manifest::parse(&bytes).map_err(|flaw| ArtefactError::Manifest {
        artefact: label.to_owned(),
        flaw,
    })?;
    Ok((manifest, Sha256::of(&bytes)))
}

#[cfg(test)]
mod tests;
