//! Bytes that are read from any place.

use std::fmt::Debug;
use std::io;

use fs_err::File;

use crate::regular::Stamp;

/// Something that is read from any place in it. Its bytes must not change while it is
/// used: much is read in two passes.
pub trait ReadAt: Send + Sync + Debug {
    /// Fills `buffer` with the bytes from `at` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where it ends before, and whatever reading gives.
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;

    /// What shows that the bytes changed after all; `None` where nobody can change them.
    ///
    /// # Errors
    /// What the operating system says.
    fn stamp(&self) -> io::Result<Option<Stamp>> {
        Ok(None)
    }
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        fs_err::os::unix::fs::FileExt::read_exact_at(self, buffer, at)
    }

    fn stamp(&self) -> io::Result<Option<Stamp>> {
        Stamp::of(self).map(Some)
    }
}

impl ReadAt for &[u8] {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..));
        let bytes = from.and_then(|from| from.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buffer, at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_not_all_there_is_not_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789").unwrap();
        let file = File::open(file.path()).unwrap();
        let bytes = b"0123456789".to_vec();
        let sources: [&dyn ReadAt; 3] = [&file, &bytes, &bytes.as_slice()];
        for source in sources {
            let mut four = [0; 4];
            source.read_exact_at(&mut four, 6).unwrap();
            assert_eq!(&four, b"6789");
            let beyond = |at| source.read_exact_at(&mut [0; 4], at).unwrap_err().kind();
            assert_eq!(beyond(7), io::ErrorKind::UnexpectedEof);
            assert_eq!(beyond(11), io::ErrorKind::UnexpectedEof);
        }
        let beyond = bytes.read_exact_at(&mut [0], u64::MAX).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
    }
}
