//! A file that has no name yet, so that nothing is left of it whatever ends the program.

#![allow(
    clippy::disallowed_types,
    reason = "it has no path that errors could name; those of outputs name the final one"
)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::Existing;

const PREFIX: &str = ".luni-export-";
/// Less the user's mask: the mode that any other program would give it.
const MODE: u32 = 0o666;

/// A file that is written before it gets its name.
#[derive(Debug)]
pub(super) enum Temporary {
    /// It has no name at all (open(2), `O_TMPFILE`).
    Unnamed(File),
    /// It has another one, on a file system that knows no files without.
    Named(NamedTempFile),
}

impl Temporary {
    pub(super) fn create_in(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match open(folder, flags, Mode::from_raw_mode(MODE)) {
            Ok(file) => Ok(Self::Unnamed(file.into())),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::named_in(folder),
            Err(error) => Err(error.into()),
        }
    }

    fn named_in(folder: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(PermissionsExt::from_mode(MODE))
            .tempfile_in(folder)?;
        Ok(Self::Named(file))
    }

    pub(super) fn as_file(&self) -> &File {
        match self {
            Self::Unnamed(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    /// Gives it its name, `path`, which is in `folder`.
    pub(super) fn place(self, folder: &Path, path: &Path, existing: Existing) -> io::Result<()> {
        let file = match self {
            Self::Unnamed(file) => file,
            Self::Named(file) => {
                let placed = match existing {
                    Existing::Refuse => file.persist_noclobber(path),
                    Existing::Replace => file.persist(path),
                };
                return placed.map(drop).map_err(|it| it.error);
            }
        };
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        let link = |to: &Path| linkat(CWD, &source, CWD, to, AtFlags::SYMLINK_FOLLOW);
        match (link(path), existing) {
            (Err(Errno::EXIST), Existing::Replace) => {
                // A link replaces nothing; only another name of it does.
                let beside = tempfile::Builder::new()
                    .prefix(PREFIX)
                    .make_in(folder, |beside| Ok(link(beside)?))?;
                beside.persist(path).map(drop).map_err(|it| it.error)
            }
            (linked, _) => Ok(linked?),
        }
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.as_file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_file().flush()
    }
}

impl io::Seek for Temporary {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.as_file().seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_placed_and_replaced_alike() {
        for create in [Temporary::create_in, Temporary::named_in] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let place = |text: &str, existing| {
                let mut file = create(folder.path()).unwrap();
                file.write_all(text.as_bytes()).unwrap();
                file.place(folder.path(), &path, existing)
            };
            place("one", Existing::Refuse).unwrap();
            place("two", Existing::Replace).unwrap();
            let error = place("three", Existing::Refuse).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs_err::read(&path).unwrap(), b"two");
            assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
