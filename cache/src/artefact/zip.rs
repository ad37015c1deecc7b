//! Writing a Lunikernel zip.
//!
//! A local header comes before the content and holds its CRC-32, and seeking back
//! to fill it in would mean reading the whole zip again for its digest. So the
//! CRC-32 is known before: whoever writes a blob takes it on the way with a
//! [`Crc32Writer`], and for a blob that was there already [`EntrySource::of_blob`]
//! reads it once, which at the same time proves that it still has its digest. The
//! zip is then one stream from front to back, and each byte of it is hashed once.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use super::MANIFEST;
use super::error::EntryFlaw;
use super::layout::{MAX_ENTRIES, MAX_ZIP_SIZE, Placed, end_record};
use super::manifest::{Entry, MAX_MANIFEST_SIZE, Manifest, ManifestError};
use super::name::{NameFlaw, check_name};
use crate::digest::{Digest, Hasher};
use crate::error::CacheError;
use crate::progress::{Progress, Task};
use crate::store::BlobStore;

/// How much is read at once: enough that calls do not count, and fits the caches.
pub(super) const CHUNK: usize = 256 << 10;

/// An entry to be: a blob of the store and a name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySource {
    /// The name in the zip.
    pub name: String,
    /// The blob.
    pub digest: Digest,
    /// CRC-32 of the blob (ISO-HDLC, as zip and gzip have it).
    pub crc32: u32,
    /// Whether it is an executable file of the recipe's own.
    pub executable: bool,
}

impl EntrySource {
    /// An entry whose CRC-32 was taken when its blob was written.
    #[must_use]
    pub fn new(name: impl Into<String>, digest: Digest, crc32: u32) -> Self {
        Self {
            name: name.into(),
            digest,
            crc32,
            executable: false,
        }
    }

    /// An entry from a blob that was there already. Reads the blob for its CRC-32
    /// and refuses it if it no longer has its digest.
    ///
    /// # Errors
    /// [`CacheError`] where it is not there, cannot be read, or is damaged.
    pub fn of_blob(
        blobs: &BlobStore,
        name: impl Into<String>,
        digest: Digest,
    ) -> Result<Self, CacheError> {
        let name = name.into();
        let mut file = blobs.open(&digest)?;
        let (mut crc32, mut hasher) = (crc32fast::Hasher::new(), Hasher::new());
        for_each_chunk(&mut file, |chunk| {
            crc32.update(chunk);
            hasher.update(chunk);
            Ok(())
        })
        .map_err(CacheError::io("read a blob of the cache"))?;
        let actual = hasher.finish();
        if actual != digest {
            return Err(CacheError::Mismatch {
                what: format!("the blob for `{name}`"),
                expected: digest,
                actual,
            });
        }
        Ok(Self::new(name, digest, crc32.finalize()))
    }

    /// The same entry, marked as an executable file of the recipe's own.
    #[must_use]
    pub fn executable(mut self) -> Self {
        self.executable = true;
        self
    }
}

/// Passes writes through and takes the CRC-32 of what was taken.
#[derive(Debug)]
pub struct Crc32Writer<W> {
    inner: W,
    state: crc32fast::Hasher,
}

impl<W: Write> Crc32Writer<W> {
    /// Takes the CRC-32 of what is written to `inner` from now on.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            state: crc32fast::Hasher::new(),
        }
    }

    /// The inner writer and the CRC-32 of what was written.
    pub fn finish(self) -> (W, u32) {
        (self.inner, self.state.finalize())
    }
}

impl<W: Write> Write for Crc32Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.state.update(bytes.get(..count).unwrap_or(bytes));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A Lunikernel that was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The digest of the zip, which is its name; the zip is in the store.
    pub digest: Digest,
    /// Its manifest, with all entries.
    pub manifest: Manifest,
}

/// A Lunikernel could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// An entry cannot be.
    #[error("could not seal the Lunikernel: `{name}` cannot be the name of an entry: {flaw}")]
    Name {
        /// The name; what is not printable in it is escaped.
        name: String,
        /// Why not.
        flaw: NameFlaw,
    },
    /// Two entries have the same name.
    #[error("could not seal the Lunikernel: its entry `{name}` is there twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// The manifest is wrong.
    #[error("could not seal the Lunikernel: its manifest {0}")]
    Manifest(#[from] ManifestError),
    /// The zip would be larger than its 32-bit sizes can say.
    #[error(
        "could not seal the Lunikernel: with `{name}` it would have {size} bytes, and {MAX_ZIP_SIZE} is the limit"
    )]
    TooLarge {
        /// The entry that is too much.
        name: String,
        /// How large the zip would be with it.
        size: u64,
    },
    /// There are more entries than [`MAX_ENTRIES`].
    #[error(
        "could not seal the Lunikernel: it would have {0} entries, and {MAX_ENTRIES} is the limit"
    )]
    TooMany(usize),
    /// The manifest would be larger than [`MAX_MANIFEST_SIZE`].
    #[error(
        "could not seal the Lunikernel: its manifest would have {0} bytes, and {MAX_MANIFEST_SIZE} is the limit"
    )]
    ManifestTooLarge(u64),
    /// A blob changed after its CRC-32 was taken.
    #[error("could not seal the Lunikernel: its entry `{name}` {flaw}")]
    Content {
        /// The entry.
        name: String,
        /// What is wrong.
        flaw: EntryFlaw,
    },
}

impl SealError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::Name { .. } => Some("rename the file, and what names it in the recipe".to_owned()),
            Self::TooLarge { .. } | Self::TooMany(_) | Self::ManifestTooLarge(_) => Some(
                "a Lunikernel runs from memory: leave out what it does not need with `rootfs.remove`"
                    .to_owned(),
            ),
            Self::Content { .. } => {
                Some("find and remove what is damaged with `luni cache verify`".to_owned())
            }
            Self::Twice { .. } | Self::Manifest(_) => None,
        }
    }
}

/// Seals `sources` and `manifest` into a Lunikernel zip in the store.
///
/// The order of `sources` does not matter, and whatever `manifest` has for entries
/// is replaced by them.
///
/// # Errors
/// [`SealError`]; nothing is stored then.
pub fn seal(
    blobs: &BlobStore,
    mut manifest: Manifest,
    sources: &[EntrySource],
    progress: &dyn Progress,
) -> Result<Sealed, SealError> {
    let sources = by_name(sources)?;
    manifest.entries = listed(&sources);
    let text = manifest.to_canonical()?;
    let placed = place(&text, &sources)?;
    let total = placed.last().map_or(0, Placed::end);
    let task = progress.start("sealing", &manifest.name, Some(total));

    let write = || CacheError::io("write a Lunikernel to the cache");
    let mut out = blobs.writer()?;
    for entry in &placed {
        out.write_all(&entry.local_header()).map_err(write())?;
        match sources.get(entry.name.as_str()) {
            Some(source) => copy(blobs, source, &mut out, task.as_ref())?,
            None => out.write_all(&text).map_err(write())?,
        }
    }
    out.write_all(&directory(&placed)).map_err(write())?;
    let digest = out.commit()?;
    task.finish("");
    Ok(Sealed { digest, manifest })
}

/// What a manifest says of the sources.
pub(super) fn listed(sources: &BTreeMap<&str, &EntrySource>) -> BTreeMap<String, Entry> {
    let entry = |source: &EntrySource| Entry {
        sha256: source.digest.sha256,
        size: source.digest.size,
        executable: source.executable,
    };
    let sources = sources.iter();
    sources
        .map(|(name, source)| ((*name).to_owned(), entry(source)))
        .collect()
}

/// The sources by name, which is their order in the zip.
pub(super) fn by_name(sources: &[EntrySource]) -> Result<BTreeMap<&str, &EntrySource>, SealError> {
    let mut sorted = BTreeMap::new();
    for source in sources {
        let name = || source.name.escape_debug().to_string();
        check_name(source.name.as_bytes())
            .map_err(|flaw| SealError::Name { name: name(), flaw })?;
        if source.name == MANIFEST || sorted.insert(source.name.as_str(), source).is_some() {
            return Err(SealError::Twice { name: name() });
        }
    }
    if sorted.len() >= MAX_ENTRIES {
        return Err(SealError::TooMany(sorted.len() + 1));
    }
    Ok(sorted)
}

/// Where each entry goes.
pub(super) fn place(
    manifest: &[u8],
    sources: &BTreeMap<&str, &EntrySource>,
) -> Result<Vec<Placed>, SealError> {
    let size = manifest.len() as u64;
    if size > MAX_MANIFEST_SIZE {
        return Err(SealError::ManifestTooLarge(size));
    }
    let first = (MANIFEST, crc32fast::hash(manifest), size);
    let others = sources
        .iter()
        .map(|(name, source)| (*name, source.crc32, source.digest.size));
    let mut placed: Vec<Placed> = Vec::with_capacity(sources.len() + 1);
    let mut directory = super::layout::END_SIZE as u64;
    for (name, crc32, size) in std::iter::once(first).chain(others) {
        let offset = placed.last().map_or(0, Placed::end);
        let too_large = |size| SealError::TooLarge {
            name: name.to_owned(),
            size,
        };
        let entry = Placed {
            name: name.to_owned(),
            crc32,
            size: u32::try_from(size).map_err(|_| too_large(offset.saturating_add(size)))?,
            offset: u32::try_from(offset).map_err(|_| too_large(offset))?,
        };
        directory += (super::layout::CENTRAL_SIZE + name.len()) as u64;
        let whole = entry.end() + directory;
        if whole > MAX_ZIP_SIZE {
            return Err(too_large(whole));
        }
        placed.push(entry);
    }
    Ok(placed)
}

/// The directory and the end record. `placed` was bounded by [`place`] or by a reader.
pub(super) fn directory(placed: &[Placed]) -> Vec<u8> {
    let mut bytes: Vec<u8> = placed.iter().flat_map(Placed::central_record).collect();
    let at = placed.last().map_or(0, Placed::end);
    let end = end_record(placed.len() as u16, bytes.len() as u32, at as u32);
    bytes.extend(end);
    bytes
}

fn copy(
    blobs: &BlobStore,
    source: &EntrySource,
    out: &mut impl Write,
    task: &dyn Task,
) -> Result<(), SealError> {
    let mut file = blobs.open(&source.digest)?;
    let (mut crc32, mut size) = (crc32fast::Hasher::new(), 0);
    for_each_chunk(&mut file, |chunk| {
        crc32.update(chunk);
        size += chunk.len() as u64;
        task.advance(chunk.len() as u64);
        out.write_all(chunk)
    })
    .map_err(CacheError::io("copy a blob into a Lunikernel"))?;
    let (expected, actual) = (source.crc32, crc32.finalize());
    let flaw = if size != source.digest.size {
        EntryFlaw::Size {
            expected: source.digest.size,
            actual: size,
        }
    } else if expected != actual {
        EntryFlaw::Crc { expected, actual }
    } else {
        return Ok(());
    };
    Err(SealError::Content {
        name: source.name.clone(),
        flaw,
    })
}

pub(super) fn for_each_chunk(
    reader: &mut dyn Read,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(buffer.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
