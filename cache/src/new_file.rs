//! A file that is there whole, or not at all: for what a user asked for.
//!
//! It has no name while it is written, so that nothing is left of it whatever ends the
//! program.

#![allow(
    clippy::disallowed_types,
    reason = "it has no path yet that errors could name; callers name the final one"
)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::mask;

const PREFIX: &str = ".luni-";
/// Less the user's mask ([`mask`]): the mode that any other program would give it.
const MODE: u32 = 0o666;

/// What to do where there is a file of that name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone and fail.
    Refuse,
    /// Put the new one in its place.
    Replace,
}

/// A file that is written before it gets its name, and is gone where it never does. File
/// systems that know no files without names have it under another one so far, which
/// stays behind where a signal ends the program.
#[derive(Debug)]
pub struct NewFile {
    file: Unplaced,
    path: PathBuf,
}

#[derive(Debug)]
enum Unplaced {
    /// It has no name at all (open(2), `O_TMPFILE`).
    Unnamed(File),
    /// It has another one, on a file system that knows no files without.
    Named(NamedTempFile),
}

impl NewFile {
    /// Begins the file that will be at `path`, in whose folder it is written.
    ///
    /// # Errors
    /// Where no file can be made there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match open(
            folder_of(path),
            flags,
            Mode::from_raw_mode(mask::masked(MODE)),
        ) {
            Ok(file) => Ok(Self {
                file: Unplaced::Unnamed(file.into()),
                path: path.to_owned(),
            }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::create_named(path),
            Err(error) => Err(error.into()),
        }
    }

    fn create_named(path: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(PermissionsExt::from_mode(mask::masked(MODE)))
            .tempfile_in(folder_of(path))?;
        Ok(Self {
            file: Unplaced::Named(file),
            path: path.to_owned(),
        })
    }

    /// The file, which can be read too.
    #[must_use]
    pub fn as_file(&self) -> &File {
        match &self.file {
            Unplaced::Unnamed(file) => file,
            Unplaced::Named(file) => file.as_file(),
        }
    }

    /// Gives it its name, once all of it is on the disk: a machine that stops must not
    /// come back with the name and half of the file.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where there is one that is not to be replaced, and
    /// what writing out the rest gives. It is removed then.
    pub fn place(self, existing: Existing) -> io::Result<()> {
        self.as_file().sync_all()?;
        let path = self.path.as_path();
        let file = match self.file {
            Unplaced::Unnamed(file) => file,
            Unplaced::Named(file) => {
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
                    .make_in(folder_of(path), |beside| Ok(link(beside)?))?;
                beside.persist(path).map(drop).map_err(|it| it.error)
            }
            (linked, _) => Ok(linked?),
        }
    }
}

/// The folder that the file at `path` is in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.as_file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_file().flush()
    }
}

impl io::Seek for NewFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.as_file().seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_placed_and_replaced_alike() {
        for create in [NewFile::create, NewFile::create_named] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let place = |text: &str, existing| {
                let mut file = create(&path).unwrap();
                file.write_all(text.as_bytes()).unwrap();
                file.place(existing)
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
