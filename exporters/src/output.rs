//! A file that is there whole, or not at all.

use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use lunikernel_cache::{Digest, Hasher, NewFile};

use crate::error::hint_for;
use crate::sink::{Patch, Sink};

/// How much is gathered before it is written, in bytes; larger pieces go straight through.
const BUFFER: usize = 256 << 10;

pub use lunikernel_cache::Existing;

/// A file being written. It has no name until [`Output::commit`], and is gone where that
/// is not reached, as [`NewFile`] has it.
#[derive(Debug)]
pub struct Output {
    file: BufWriter<NewFile>,
    /// How much was written and skipped, in bytes.
    at: u64,
    path: PathBuf,
    existing: Existing,
    executable: bool,
}

/// A file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// There is one, and it was not to be replaced.
    #[error("could not write {}: it exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is something that is no file. Replacing it would destroy a device, and turn
    /// a link into a file.
    #[error("could not write {}: it is there and is not a regular file", path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// The operating system refused something.
    #[error("could not {attempted} {}", path.display())]
    Io {
        /// What was being done.
        attempted: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl OutputError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } | Self::NotAFile { .. } => {
                Some("remove it, or write to another folder with `-o DIR`".to_owned())
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("create the folder first".to_owned())
            }
            Self::Io { source, .. } => hint_for(source),
        }
    }
}

impl Output {
    /// Begins a file that will be at `path`, in whose folder it is written. A file that is
    /// there already is refused before any work, where it is not to be replaced.
    ///
    /// # Errors
    /// [`OutputError`] where there is one, or none can be created.
    pub fn create(path: &Path, existing: Existing) -> Result<Self, OutputError> {
        let path = path.to_owned();
        if existing == Existing::Refuse && path.symlink_metadata().is_ok() {
            return Err(OutputError::Exists { path });
        }
        replaceable(&path)?;
        match NewFile::create(&path) {
            Ok(file) => Ok(Self {
                file: BufWriter::with_capacity(BUFFER, file),
                at: 0,
                path,
                existing,
                executable: false,
            }),
            Err(source) => Err(OutputError::Io {
                attempted: "create",
                path,
                source,
            }),
        }
    }

    /// That writing it failed.
    fn failed(&self, source: io::Error) -> OutputError {
        OutputError::Io {
            attempted: "write",
            path: self.path.clone(),
            source,
        }
    }

    /// How many bytes were written and skipped so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.at
    }

    /// Whether nothing was written or skipped so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Lets everybody run it who may read it.
    pub fn make_executable(&mut self) {
        self.executable = true;
    }

    /// Reads what was written so far, and hashes it.
    ///
    /// # Errors
    /// [`OutputError::Io`] where the rest cannot be written out, or all of it not be read.
    pub fn digest(&mut self) -> Result<Digest, OutputError> {
        let (at, path) = (self.at, self.path.clone());
        let hash = |file: &mut BufWriter<NewFile>| -> io::Result<Digest> {
            file.flush()?;
            let file = file.get_ref().as_file();
            file.set_len(at)?;
            let (mut hasher, mut buffer, mut done) = (Hasher::new(), vec![0; BUFFER], 0);
            loop {
                match file.read_at(&mut buffer, done)? {
                    0 => return Ok(hasher.finish()),
                    count => {
                        hasher.update(buffer.get(..count).unwrap_or_default());
                        done += count as u64;
                    }
                }
            }
        };
        hash(&mut self.file).map_err(|source| OutputError::Io {
            attempted: "read",
            path,
            source,
        })
    }

    /// Writes out all of it, to the disk itself: what takes time of [`Output::commit`].
    ///
    /// # Errors
    /// [`OutputError::Io`] where that fails.
    pub fn settle(&mut self) -> Result<(), OutputError> {
        let (at, executable) = (self.at, self.executable);
        let settle = |file: &mut BufWriter<NewFile>| -> io::Result<()> {
            file.flush()?;
            let file = file.get_ref().as_file();
            // What was skipped at the end is there only now.
            file.set_len(at)?;
            if executable {
                let mode = file.metadata()?.permissions().mode();
                file.set_permissions(PermissionsExt::from_mode(mode | (mode & 0o444) >> 2))?;
            }
            file.sync_all()
        };
        settle(&mut self.file).map_err(|source| self.failed(source))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`OutputError::Exists`] where a file came to be there meanwhile that is not to be
    /// replaced, [`OutputError::Io`] where writing out the rest fails. It is removed then.
    pub fn commit(mut self) -> Result<(), OutputError> {
        self.settle()?;
        let path = self.path;
        let failed = |source| OutputError::Io {
            attempted: "write",
            path: path.clone(),
            source,
        };
        let file = self.file.into_inner();
        let file = file.map_err(|error| failed(error.into_error()))?;
        match file.place(self.existing) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(OutputError::Exists { path })
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// That there is nothing at `path`, or a file.
///
/// # Errors
/// [`OutputError::NotAFile`] where there is something else.
pub(crate) fn replaceable(path: &Path) -> Result<(), OutputError> {
    match path.symlink_metadata() {
        Ok(there) if !there.is_file() => Err(OutputError::NotAFile {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Sink for Output {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        if count > 0 {
            self.at = (self.at.checked_add(count)).ok_or(io::ErrorKind::FileTooLarge)?;
            // What is beyond all files of a file system, it calls no place at all.
            let sought = self.file.seek(SeekFrom::Start(self.at));
            sought.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput => io::ErrorKind::FileTooLarge.into(),
                _ => error,
            })?;
        }
        Ok(())
    }
}

impl Patch for Output {
    fn patch(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.at) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.file.flush()?;
        self.file.get_ref().as_file().write_all_at(bytes, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs_err::read_dir(folder).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn nothing_has_the_name_before_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        let mut output = Output::create(&path, Existing::Refuse).unwrap();
        output.write_all(b"begin").unwrap();
        assert!(!path.exists());
        drop(output);
        assert_eq!(names(folder.path()), [] as [&str; 0]);
    }

    #[test]
    fn holes_and_patches_are_where_they_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        let mut output = Output::create(&path, Existing::Refuse).unwrap();
        output.write_all(b"12345").unwrap();
        output.skip(5).unwrap();
        output.write_all(b"x").unwrap();
        output.patch(1, b"ab").unwrap();
        output.skip(3).unwrap();
        output.patch(12, b"z").unwrap();
        assert!(output.patch(13, b"zz").is_err());
        assert_eq!(output.len(), 14);
        output.commit().unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"1ab45\0\0\0\0\0x\0z\0");
        assert_eq!(names(folder.path()), ["disk.raw"]);
    }

    #[test]
    fn a_file_that_exists_is_left_alone_unless_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        let late = Output::create(&path, Existing::Refuse).unwrap();
        fs_err::write(&path, b"precious").unwrap();
        let refused = Output::create(&path, Existing::Refuse).unwrap_err();
        assert!(matches!(refused, OutputError::Exists { .. }));
        assert!(refused.hint().is_some());
        assert!(matches!(late.commit(), Err(OutputError::Exists { .. })));
        assert_eq!(fs_err::read(&path).unwrap(), b"precious");
        let mut output = Output::create(&path, Existing::Replace).unwrap();
        output.write_all(b"new").unwrap();
        output.commit().unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["disk.raw"]);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs_err::create_dir(path("folder")).unwrap();
        fs_err::os::unix::fs::symlink("elsewhere", path("link")).unwrap();
        for name in ["folder", "link"] {
            let refused = Output::create(&path(name), Existing::Replace).unwrap_err();
            assert!(matches!(refused, OutputError::NotAFile { .. }), "{refused}");
            assert!(refused.hint().is_some());
        }
        assert!(path("folder").is_dir() && path("link").is_symlink());
    }

    /// A file that is larger than any file system takes stands for a full disk.
    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.raw");
        let mut output = Output::create(&path, Existing::Refuse).unwrap();
        output.write_all(b"begin").unwrap();
        let failed = output.skip(i64::MAX as u64 - 5).map(|()| output.commit());
        if let Err(error) = &failed {
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            assert!(crate::error::hint_for(error).is_some());
        }
        assert!(!matches!(failed, Ok(Ok(()))));
        assert_eq!(names(folder.path()), [] as [&str; 0]);
        let nowhere = folder.path().join("missing/disk.raw");
        let error = Output::create(&nowhere, Existing::Refuse).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("create the folder first"));
    }
}
