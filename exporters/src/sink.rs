//! What formats are written to.

use std::io::{self, Write};
use std::path::Path;

use fs_err::File;
use fs_err::os::unix::fs::FileExt as _;

use crate::zeros::runs_in;

/// Takes the bytes of a format from front to back. Zeros can be skipped, which on a file
/// leaves a hole.
pub trait Sink: Write {
    /// The next `count` bytes are zero.
    ///
    /// # Errors
    /// As writing them.
    fn skip(&mut self, count: u64) -> io::Result<()>;

    /// Writes `bytes`, skipping the longer runs of zeros in them.
    ///
    /// # Errors
    /// As writing them.
    fn write_sparse(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut done = 0;
        for run in runs_in(bytes) {
            self.skip((run.start - done) as u64)?;
            self.write_all(bytes.get(run.clone()).unwrap_or_default())?;
            done = run.end;
        }
        self.skip((bytes.len() - done) as u64)
    }
}

/// A [`Sink`] in which what was written or skipped can be written over, for formats whose
/// header says where things that come later are.
pub trait Patch: Sink {
    /// Puts `bytes` at byte `at` of what was written, and goes on where it was.
    ///
    /// # Errors
    /// As writing them; [`io::ErrorKind::InvalidInput`] where it would reach beyond what
    /// was written.
    fn patch(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let count = usize::try_from(count).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let len = self.len().checked_add(count);
        self.resize(len.ok_or(io::ErrorKind::OutOfMemory)?, 0);
        Ok(())
    }
}

impl Patch for Vec<u8> {
    fn patch(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get_mut(at..));
        let place = from.and_then(|from| from.get_mut(..bytes.len()));
        place
            .ok_or(io::ErrorKind::InvalidInput)?
            .copy_from_slice(bytes);
        Ok(())
    }
}

/// Makes a [`Sink`] of any writer, a pipe or a hash: what is skipped is written as zeros.
#[derive(Debug)]
pub struct Stream<W>(pub W);

impl<W: Write> Write for Stream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Sink for Stream<W> {
    fn skip(&mut self, mut count: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while count > 0 {
            let step = ZEROS
                .len()
                .min(usize::try_from(count).unwrap_or(usize::MAX));
            self.0.write_all(ZEROS.get(..step).unwrap_or(&ZEROS))?;
            count -= step as u64;
        }
        Ok(())
    }
}

/// A file that is written from its beginning; what is skipped is a hole in it. It has its
/// name from the start, and nothing makes sure that it outlives a machine that stops: where
/// that matters, there is [`Output`](crate::Output).
#[derive(Debug)]
pub struct SparseFile {
    file: File,
    /// How much was written and skipped, in bytes.
    at: u64,
}

impl SparseFile {
    /// Creates a file, or empties the one that is there.
    ///
    /// # Errors
    /// Where that cannot be done; the error names the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        Ok(Self { file, at: 0 })
    }

    /// Makes the file as long as what was written and skipped.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn finish(self) -> io::Result<()> {
        self.file.set_len(self.at)
    }
}

impl Write for SparseFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write_at(bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Sink for SparseFile {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        self.at = (self.at.checked_add(count)).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(())
    }
}

impl Patch for SparseFile {
    fn patch(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.at) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.file.write_all_at(bytes, at)
    }
}

/// Counts what goes through, for formats that must know where they are.
#[derive(Debug)]
pub(crate) struct Counted<'a, S: ?Sized> {
    inner: &'a mut S,
    pub(crate) at: u64,
}

impl<'a, S: Sink + ?Sized> Counted<'a, S> {
    pub(crate) fn new(inner: &'a mut S) -> Self {
        Self { inner, at: 0 }
    }

    /// Skips to the next multiple of `step` bytes.
    pub(crate) fn align(&mut self, step: u64) -> io::Result<()> {
        self.skip(self.at.next_multiple_of(step.max(1)) - self.at)
    }
}

impl<S: Sink + ?Sized> Write for Counted<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: Sink + ?Sized> Sink for Counted<'_, S> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        self.inner.skip(count)?;
        self.at += count;
        Ok(())
    }
}

impl<S: Patch + ?Sized> Patch for Counted<'_, S> {
    fn patch(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.patch(at, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_is_zero_in_every_sink() {
        let mut bytes = vec![0u8; 20_000];
        bytes[5000] = 1;
        bytes[19_999] = 2;
        let mut memory = Vec::new();
        memory.write_sparse(&bytes).unwrap();
        assert_eq!(memory, bytes);
        let mut stream = Stream(Vec::new());
        let mut counted = Counted::new(&mut stream);
        counted.write_sparse(&bytes).unwrap();
        counted.skip(100_000).unwrap();
        counted.align(4096).unwrap();
        assert_eq!(counted.at, 122_880);
        assert!(stream.0.starts_with(&bytes));
        assert_eq!(stream.0.len(), 122_880);
    }

    #[test]
    fn a_sparse_file_is_what_memory_is() {
        fn fill(sink: &mut impl Patch) {
            let mut bytes = vec![7u8; 300_000];
            bytes[5000..200_000].fill(0);
            sink.skip(10_000).unwrap();
            sink.write_sparse(&bytes).unwrap();
            sink.patch(3, b"patch").unwrap();
            sink.write_all(b"last").unwrap();
            sink.skip(1 << 20).unwrap();
            let end = 10_000 + bytes.len() as u64 + 4 + (1 << 20);
            assert!(sink.patch(end - 1, b"xx").is_err());
            sink.patch(end - 1, b"x").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let mut memory = Vec::new();
        fill(&mut memory);
        // What was there before is gone, though it was longer.
        fs_err::write(&path, vec![1; 2 << 20]).unwrap();
        let mut file = SparseFile::create(&path).unwrap();
        fill(&mut file);
        file.finish().unwrap();
        assert!(fs_err::read(&path).unwrap() == memory);
        let mut file = SparseFile::create(&path).unwrap();
        file.skip(99_999).unwrap();
        file.finish().unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), [0; 99_999]);
    }

    #[test]
    fn nothing_is_patched_that_was_not_written() {
        let mut memory = vec![0u8; 10];
        memory.patch(8, &[1, 2]).unwrap();
        assert_eq!(memory[7..], [0, 1, 2]);
        for at in [9, 11, u64::MAX] {
            let refused = memory.patch(at, &[1, 2]).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
