//! Opening files that people name: a pipe or a device among them must not hang or
//! exhaust whoever reads it.

use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::OFlags;

/// Opens a regular file for reading.
///
/// # Errors
/// What the operating system says, or [`io::ErrorKind::InvalidInput`] where it is
/// something else than a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Without waiting: opening a pipe would until somebody writes to it.
    let file = fs_err::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} is not a regular file", path.display()),
        ));
    }
    Ok(file)
}

/// What is another one as soon as somebody writes to a file, as finely as the file system
/// has times. It may be another one without that, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: (u64, u64),
    size: u64,
    /// When its content changed, and when that or what is known about it did.
    changed: [(i64, i64); 2],
}

impl Stamp {
    /// That of an open file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            inode: (meta.dev(), meta.ino()),
            size: meta.len(),
            changed: [
                (meta.mtime(), meta.mtime_nsec()),
                (meta.ctime(), meta.ctime_nsec()),
            ],
        })
    }
}

/// Reads a regular file of at most `limit` bytes; of a larger one, one byte more than
/// that.
///
/// # Errors
/// As [`open_regular`], or where reading fails.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode};

    use super::*;

    #[test]
    fn pipes_devices_and_folders_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
            let error = open_regular(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
    }

    #[test]
    fn what_is_written_to_has_another_stamp() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs_err::write(&path, "one").unwrap();
        let file = open_regular(&path).unwrap();
        let before = Stamp::of(&file).unwrap();
        assert_eq!(Stamp::of(&open_regular(&path).unwrap()).unwrap(), before);
        let mut writer = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
        writer.write_all(b"two").unwrap();
        assert_ne!(Stamp::of(&file).unwrap(), before);
    }

    #[test]
    fn no_more_is_read_than_shows_that_it_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs_err::write(&file, [7; 100]).unwrap();
        assert_eq!(read_bounded(&file, 10).unwrap().len(), 11);
        assert_eq!(read_bounded(&file, 100).unwrap().len(), 100);
    }
}
