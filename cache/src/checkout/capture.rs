//! Taking files that a command made into the store.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use fs_err::File;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{MAX_DEPTH, OutputBounds, names_of, open_file, open_folder};
use crate::digest::Digest;
use crate::error::CacheError;
use crate::store::BlobStore;
use crate::tree::{Entry, Tree, is_name};

/// Why something on disk cannot be taken into the store.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The disk or the store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// What is there is nothing that a tree can hold.
    #[error("`{path}` cannot be kept: {why}")]
    Refused {
        /// Its path below the folder.
        path: String,
        /// Why not.
        why: String,
    },
}

/// Takes what is at `path` (parts joined by `/`) below `folder` into the store;
/// `None` where nothing is there. No link is followed: one on the way is refused,
/// one at the end or below is kept as a link.
///
/// Nothing else may be changing the folder meanwhile. What is taken is off `bounds`, which
/// is for all outputs of one command.
///
/// # Errors
/// [`CaptureError::Refused`] for a device, a pipe, a socket, a name or link that is not
/// UTF-8, a path through something that is no folder, and a tree too deep or too
/// large to be read back; [`CaptureError::Cache`] where the disk fails.
pub fn capture(
    blobs: &BlobStore,
    folder: BorrowedFd<'_>,
    path: &str,
    bounds: &mut OutputBounds,
) -> Result<Option<Entry>, CaptureError> {
    take(Some(blobs), folder, path, bounds)
}

/// As [`capture`], without reading any file: says whether there is something that can
/// be taken. In what it returns every file has the digest of no bytes.
///
/// # Errors
/// As [`capture`].
pub fn survey(
    folder: BorrowedFd<'_>,
    path: &str,
    bounds: &mut OutputBounds,
) -> Result<Option<Entry>, CaptureError> {
    take(None, folder, path, bounds)
}

fn take(
    blobs: Option<&BlobStore>,
    folder: BorrowedFd<'_>,
    path: &str,
    bounds: &mut OutputBounds,
) -> Result<Option<Entry>, CaptureError> {
    let mut taking = Taking {
        blobs,
        bounds,
        path: Vec::new(),
    };
    let mut here: Option<OwnedFd> = None;
    let (folders, last) = path.rsplit_once('/').unwrap_or(("", path));
    for part in folders.split('/').filter(|part| !part.is_empty()) {
        let name = taking.enter(part)?;
        let at = here.as_ref().map_or(folder, AsFd::as_fd);
        here = match rustix::fs::openat(
            at,
            &name,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(next) => Some(next),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(taking.refuse("it is a link or a file where a folder is needed"));
            }
            Err(errno) => return Err(taking.failed(errno.into())),
        };
    }
    let name = taking.enter(last)?;
    let at = here.as_ref().map_or(folder, AsFd::as_fd);
    match rustix::fs::statat(at, &name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(taking.failed(errno.into())),
        Ok(_) => taking.entry(at, &name, MAX_DEPTH).map(Some),
    }
}

struct Taking<'a> {
    /// `None` where only the shape is asked for.
    blobs: Option<&'a BlobStore>,
    bounds: &'a mut OutputBounds,
    path: Vec<String>,
}

impl Taking<'_> {
    fn enter(&mut self, name: &str) -> Result<CString, CaptureError> {
        self.path.push(name.to_owned());
        if !is_name(name) {
            return Err(self.refuse("it is no path below a folder"));
        }
        CString::new(name).map_err(|_| self.refuse("it is no path below a folder"))
    }

    fn entry(
        &mut self,
        at: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
    ) -> Result<Entry, CaptureError> {
        let meta = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.failed(errno.into()))?;
        let path = self.path.join("/");
        self.bounds.entry(&path).map_err(|why| self.refuse(why))?;
        match FileType::from_raw_mode(meta.st_mode) {
            FileType::RegularFile => {
                // The owner's bit: the umask, which is not part of the action, may
                // have taken the others.
                let executable = meta.st_mode & 0o100 != 0;
                let size = u64::try_from(meta.st_size).unwrap_or(u64::MAX);
                self.bounds.file(size).map_err(|why| self.refuse(why))?;
                let Some(blobs) = self.blobs else {
                    let digest = Digest::of(b"");
                    return Ok(Entry::File { digest, executable });
                };
                let file = open_file(at, name).map_err(|error| self.failed(error))?;
                let mut file = File::from_parts(file.into(), self.path.join("/"));
                let mut writer = blobs.writer()?;
                io::copy(&mut file, &mut writer).map_err(|error| self.failed(error))?;
                let digest = writer.commit()?;
                Ok(Entry::File { digest, executable })
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(at, name, Vec::new())
                    .map_err(|errno| self.failed(errno.into()))?;
                let target = target
                    .into_string()
                    .map_err(|_| self.refuse("it is a link whose target is not UTF-8"))?;
                self.bounds
                    .target(&target)
                    .map_err(|why| self.refuse(why))?;
                Ok(Entry::Symlink { target })
            }
            FileType::Directory => self.folder(at, name, depth),
            FileType::CharacterDevice | FileType::BlockDevice => Err(self.refuse("it is a device")),
            FileType::Fifo => Err(self.refuse("it is a named pipe")),
            FileType::Socket => Err(self.refuse("it is a socket")),
            FileType::Unknown => Err(self.refuse("it is of a kind that is not known")),
        }
    }

    fn folder(
        &mut self,
        at: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
    ) -> Result<Entry, CaptureError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.refuse("it is nested too deeply"));
        };
        let folder = open_folder(at, name).map_err(|error| self.failed(error))?;
        let mut tree = Tree::new();
        for name in names_of(folder.as_fd()).map_err(|error| self.failed(error))? {
            self.path.push(name.to_string_lossy().into_owned());
            let Ok(text) = name.to_str() else {
                return Err(self.refuse("its name is not UTF-8"));
            };
            let entry = self.entry(folder.as_fd(), &name, depth)?;
            tree.insert(text, entry)
                .map_err(|error| self.refuse(&error.to_string()))?;
            self.path.pop();
        }
        Ok(Entry::Folder(tree))
    }

    fn refuse(&self, why: &str) -> CaptureError {
        CaptureError::Refused {
            path: self.path.join("/"),
            why: why.to_owned(),
        }
    }

    fn failed(&self, error: io::Error) -> CaptureError {
        CacheError::io("take a command's output into the cache")(io::Error::new(
            error.kind(),
            format!("{}: {error}", self.path.join("/")),
        ))
        .into()
    }
}
