//! Archives of POSIX.1-1988 (ustar), put together without being made in memory.

use crate::content::Content;
use crate::disk::{Disk, DiskError};

/// The unit of an archive, in bytes.
const RECORD: u64 = 512;
/// The time stamp: 1980-01-01 00:00:00. GNU tar warns of 1970.
const TIME: u64 = 315_532_800;
/// The longest name that needs no prefix, in bytes.
const MAX_NAME: usize = 100;
/// The largest file: eleven octal digits.
const MAX_FILE: u64 = (1 << 33) - 1;

/// A file of an archive.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path: ASCII, 100 bytes at most.
    pub path: String,
    /// Its content: less than 8 GiB.
    pub content: Content,
    /// Whether it is a program.
    pub executable: bool,
}

/// Something cannot be in an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TarError {
    /// Its path is too long.
    #[error("could not put {0} into an archive: expected a path of {MAX_NAME} bytes at most")]
    Path(String),
    /// It is too large.
    #[error("could not put {path} of {size} bytes into an archive: {MAX_FILE} are the most")]
    File {
        /// Its path.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The archive is too large.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// The archive of `files`, in their order.
///
/// # Errors
/// [`TarError`] where one of them does not fit.
pub fn archive(files: &[File]) -> Result<Disk, TarError> {
    let whole = |size: u64| RECORD + size.next_multiple_of(RECORD);
    let mut size = 2 * RECORD;
    for file in files {
        let len = file.content.len();
        if file.path.is_empty() || file.path.len() > MAX_NAME || !file.path.is_ascii() {
            return Err(TarError::Path(file.path.clone()));
        }
        if len > MAX_FILE {
            let path = file.path.clone();
            return Err(TarError::File { path, size: len });
        }
        size += whole(len);
    }
    let mut archive = Disk::new(size)?;
    let mut at = 0;
    for file in files {
        archive.put(at, Content::bytes(header(file)))?;
        if !file.content.is_empty() {
            archive.put(at + RECORD, file.content.clone())?;
        }
        at += whole(file.content.len());
    }
    Ok(archive)
}

fn header(file: &File) -> Vec<u8> {
    let mode = if file.executable { 0o755 } else { 0o644 };
    let mut header = file.path.as_bytes().to_vec();
    header.resize(MAX_NAME, 0);
    let (size, owner) = (file.content.len(), "0000000\0");
    header.extend(format!("{mode:07o}\0{owner}{owner}{size:011o}\0{TIME:011o}\0").bytes());
    header.extend_from_slice(b"        0"); // The checksum is taken with spaces here.
    header.resize(257, 0);
    header.extend_from_slice(b"ustar\x0000");
    header.resize(RECORD as usize, 0);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header.splice(148..156, format!("{sum:07o}\0").into_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &[u8]) -> File {
        File {
            path: path.to_owned(),
            content: Content::bytes(content),
            executable: false,
        }
    }

    #[test]
    fn archives_are_whole_records() {
        let archive = archive(&[file("a/b", b"12345"), file("c", b"")]).unwrap();
        assert_eq!(archive.size(), 5 * RECORD);
        let mut bytes = vec![0; 5 * 512];
        archive.read_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes[..4], *b"a/b\0");
        assert_eq!(bytes[124..136], *b"00000000005\0");
        assert_eq!(bytes[512..518], *b"12345\0");
        assert_eq!(bytes[1024..1026], *b"c\0");
        assert!(bytes[1536..].iter().all(|it| *it == 0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for path in ["", "\u{e4}", &"a".repeat(101)] {
            let refused = archive(&[file(path, b"")]).unwrap_err();
            assert_eq!(refused, TarError::Path(path.to_owned()));
        }
        let huge = Disk::new(MAX_FILE + 1).unwrap().into();
        let huge = File {
            content: huge,
            ..file("huge", b"")
        };
        assert!(matches!(archive(&[huge]), Err(TarError::File { .. })));
    }
}
