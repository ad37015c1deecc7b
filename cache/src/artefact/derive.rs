//! Making a Lunikernel from another one: some entries are new or longer, all others are
//! copied as they are.
//!
//! Nothing goes through the store but what is new, and the zip is one stream from front
//! to back: each byte of the base is read once, hashed for the new zip's digest, and
//! written from the same buffer. A block-wise clone in the file system would save
//! nothing: entries have no alignment, and the bytes have to be read for the digest.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use super::error::{ArtefactError, EntryFlaw};
use super::layout::Placed;
use super::manifest::Manifest;
use super::reader::Artefact;
use super::zip::{EntrySource, SealError, by_name, directory, for_each_chunk, listed, place};
use crate::digest::{Digest, HashingWriter};
use crate::error::CacheError;
use crate::progress::{Progress, Task};
use crate::store::BlobStore;

/// An entry that is not as it is in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// Its name, and the sums of its whole content.
    pub entry: EntrySource,
    /// Where that is.
    pub content: Content,
}

/// Where the content of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The blob of the store that has its digest.
    Blob,
    /// The base's entry of the same name, and behind it this blob of the store.
    Behind(Digest),
}

/// A Lunikernel could not be made from another one.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// What it is made from cannot be read any more, or has changed.
    #[error(transparent)]
    Base(#[from] ArtefactError),
    /// It cannot be.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It could not be written.
    #[error("could not write the Lunikernel")]
    Write(#[source] io::Error),
}

impl DeriveError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Base(error) => error.hint(),
            Self::Seal(error) => error.hint(),
            Self::Write(_) => None,
        }
    }
}

impl From<CacheError> for DeriveError {
    fn from(error: CacheError) -> Self {
        Self::Seal(SealError::Cache(error))
    }
}

/// Writes the zip of `manifest` to `out`: the entries of `base`, but for those of
/// `changed`. Whatever `manifest` has for entries is replaced. Nothing of `base` is
/// proven here but its CRC-32s: whoever does not trust it calls [`Artefact::check`]
/// before.
///
/// # Errors
/// [`DeriveError`]; what was written until then is to be thrown away.
pub fn derive(
    base: &Artefact,
    mut manifest: Manifest,
    changed: &[Derived],
    blobs: &BlobStore,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<Digest, DeriveError> {
    let changed: BTreeMap<&str, &Derived> = changed
        .iter()
        .map(|derived| (derived.entry.name.as_str(), derived))
        .collect();
    let kept = base.kept_entries(|name| changed.contains_key(name));
    let all: Vec<EntrySource> = (changed.values().map(|derived| derived.entry.clone()))
        .chain(kept)
        .collect();
    let sources = by_name(&all)?;
    manifest.entries = listed(&sources);
    let text = manifest.to_canonical().map_err(SealError::Manifest)?;
    let placed = place(&text, &sources)?;
    let total = placed.last().map_or(0, Placed::end);
    let task = progress.start("writing", &manifest.name, Some(total));

    let mut out = HashingWriter::new(out);
    for entry in &placed {
        put(&mut out, &entry.local_header())?;
        let name = entry.name.as_str();
        if !sources.contains_key(name) {
            put(&mut out, &text)?;
            continue;
        }
        let mut copy = Copy {
            entry,
            crc32: crc32fast::Hasher::new(),
            size: 0,
            task: task.as_ref(),
        };
        match changed.get(name).map(|derived| derived.content) {
            Some(Content::Blob) => {
                let digest = sources.get(name).map(|source| source.digest);
                copy.blob(blobs, digest.as_ref(), &mut out)?;
            }
            Some(Content::Behind(digest)) => {
                copy.base(base, &mut out)?;
                copy.blob(blobs, Some(&digest), &mut out)?;
            }
            None => copy.base(base, &mut out)?,
        }
        copy.finish()?;
    }
    put(&mut out, &directory(&placed))?;
    task.finish("");
    Ok(out.finish().1)
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<(), DeriveError> {
    out.write_all(bytes).map_err(DeriveError::Write)
}

/// One entry on its way.
struct Copy<'a> {
    entry: &'a Placed,
    crc32: crc32fast::Hasher,
    size: u64,
    task: &'a dyn Task,
}

impl Copy<'_> {
    fn base(&mut self, base: &Artefact, out: &mut dyn Write) -> Result<(), DeriveError> {
        let (mut content, label) = base.content(&self.entry.name)?;
        let expected = content.crc32;
        let unreadable = |source| {
            DeriveError::Base(ArtefactError::Io {
                attempted: "read",
                artefact: label.to_owned(),
                source,
            })
        };
        self.pass(&mut content, out, unreadable)?;
        // Nothing of another source is in it so far.
        let actual = self.crc32.clone().finalize();
        if expected == actual {
            return Ok(());
        }
        Err(DeriveError::Base(ArtefactError::Entry {
            artefact: label.to_owned(),
            entry: self.entry.name.clone(),
            flaw: EntryFlaw::Crc { expected, actual },
        }))
    }

    fn blob(
        &mut self,
        blobs: &BlobStore,
        digest: Option<&Digest>,
        out: &mut dyn Write,
    ) -> Result<(), DeriveError> {
        let Some(digest) = digest else {
            return Ok(());
        };
        let mut file = blobs.open(digest)?;
        let unreadable = |source| CacheError::io("read a blob of the cache")(source).into();
        self.pass(&mut file, out, unreadable)
    }

    fn pass(
        &mut self,
        from: &mut dyn Read,
        out: &mut dyn Write,
        unreadable: impl FnOnce(io::Error) -> DeriveError,
    ) -> Result<(), DeriveError> {
        let mut failed = None;
        let passed = for_each_chunk(from, |chunk| {
            self.crc32.update(chunk);
            self.size += chunk.len() as u64;
            self.task.advance(chunk.len() as u64);
            out.write_all(chunk).map_err(|error| {
                failed = Some(error);
                io::ErrorKind::Other.into()
            })
        });
        match (passed, failed) {
            (_, Some(error)) => Err(DeriveError::Write(error)),
            (Err(error), None) => Err(unreadable(error)),
            (Ok(()), None) => Ok(()),
        }
    }

    /// Whether what passed is what the header in front of it says.
    fn finish(self) -> Result<(), DeriveError> {
        let (expected, actual) = (u64::from(self.entry.size), self.size);
        let flaw = if expected != actual {
            EntryFlaw::Size { expected, actual }
        } else {
            let (expected, actual) = (self.entry.crc32, self.crc32.finalize());
            if expected == actual {
                return Ok(());
            }
            EntryFlaw::Crc { expected, actual }
        };
        Err(DeriveError::Seal(SealError::Content {
            name: self.entry.name.clone(),
            flaw,
        }))
    }
}

#[cfg(test)]
mod tests;
