//! Bytes that are read when they are needed, wherever they lie.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use fs_err::File;
use lunikernel_cache::artefact::{Artefact, ArtefactError};

use crate::disk::Disk;

pub use lunikernel_cache::ReadAt;

/// So that what is put together from pieces can be content itself.
impl ReadAt for Disk {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.read_at(buffer, at)
    }
}

impl From<Disk> for Content {
    fn from(disk: Disk) -> Self {
        let len = disk.size();
        Self::new(Arc::new(disk), 0, len)
    }
}

/// An entry of a Lunikernel zip.
#[derive(Debug)]
struct Entry {
    artefact: Arc<Artefact>,
    name: String,
}

impl ReadAt for Entry {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        (self.artefact.read_entry_at(&self.name, buffer, at)).map_err(io::Error::other)
    }
}

/// Some bytes: a range of something that can be read at any place. Cheap to clone.
#[derive(Clone)]
pub struct Content {
    source: Arc<dyn ReadAt>,
    at: u64,
    len: u64,
}

impl Content {
    /// `len` bytes of `source` from `at` on. That they are there shows when they are read.
    pub fn new(source: Arc<dyn ReadAt>, at: u64, len: u64) -> Self {
        Self { source, at, len }
    }

    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Self::new(Arc::new(bytes), 0, len)
    }

    /// A whole file, as large as it is now.
    ///
    /// # Errors
    /// Where it cannot be opened; the error names it.
    pub fn file(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self::new(Arc::new(file), 0, len))
    }

    /// An entry of a Lunikernel. Only where it lies is known to be sound: whether its
    /// bytes are what the manifest says is for [`Artefact::check`] to say, before.
    ///
    /// # Errors
    /// [`ArtefactError::NoEntry`] where there is none of that name.
    pub fn entry(artefact: &Arc<Artefact>, name: &str) -> Result<Self, ArtefactError> {
        artefact.read_entry_at(name, &mut [], 0)?;
        let mut entries = artefact.entries();
        let len = entries.find(|(found, _)| *found == name);
        let entry = Entry {
            artefact: Arc::clone(artefact),
            name: name.to_owned(),
        };
        let len = len.map_or(0, |(_, digest)| digest.size);
        Ok(Self::new(Arc::new(entry), 0, len))
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A part of it, cut off where it ends.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Self {
        let start = range.start.min(self.len);
        Self {
            source: Arc::clone(&self.source),
            at: self.at + start,
            len: range.end.clamp(start, self.len) - start,
        }
    }

    /// Fills `buffer` with the bytes from `at` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where it ends before, and whatever reading gives.
    pub fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let end = at.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.source.read_exact_at(buffer, self.at + at)
    }

    /// All of it, in memory.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] above `most` bytes, and whatever reading gives.
    pub fn to_vec(&self, most: usize) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.len).ok().filter(|len| *len <= most);
        let mut bytes = vec![0; len.ok_or(io::ErrorKind::FileTooLarge)?];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, len, .. } = self;
        write!(f, "Content({len} bytes from {at})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_ends_where_its_content_does() {
        let content = Content::bytes(*b"0123456789");
        let slice = content.slice(2..6).slice(1..99);
        assert_eq!(slice.to_vec(100).unwrap(), b"345");
        assert!(content.slice(10..20).is_empty());
        assert!(content.slice(20..30).is_empty());
        let mut four = [0; 4];
        let error = slice.read_exact_at(&mut four, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(slice.read_exact_at(&mut four, u64::MAX).is_err());
        assert!(content.to_vec(9).is_err());
    }

    #[test]
    fn an_entry_of_a_lunikernel_is_its_content() {
        let zip = include_bytes!("../../tests/format/good.zip").to_vec();
        let artefact = Arc::new(Artefact::from_bytes(zip, "good.zip").unwrap());
        for (name, digest) in artefact.entries() {
            let content = Content::entry(&artefact, name).unwrap();
            let bytes = content.to_vec(1 << 20).unwrap();
            assert_eq!(lunikernel_cache::Digest::of(&bytes), digest, "{name}");
            assert!(content.read_exact_at(&mut [0], digest.size).is_err());
        }
        let missing = Content::entry(&artefact, "missing").unwrap_err();
        assert!(matches!(missing, ArtefactError::NoEntry { .. }));
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernel");
        fs_err::write(&path, b"0123456789").unwrap();
        let content = Content::file(&path).unwrap();
        assert_eq!(content.len(), 10);
        fs_err::write(&path, b"0123").unwrap();
        let error = content.to_vec(10).unwrap_err();
        assert!(error.to_string().contains("kernel"), "{error}");
    }
}
