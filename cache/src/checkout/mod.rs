//! Trees as folders on disk: writing one out, copying one, and taking one back.
//!
//! What is written looks the same whoever writes it: modes 0644 and 0755 whatever
//! the umask, every time stamp 1980-01-01. What is taken back was made by commands
//! that nobody vouches for: no link is followed, and whatever REAPI has no notion
//! of is refused.

mod bounds;
mod capture;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};

pub use bounds::{EACH, MAX_BYTES, MAX_ENTRIES, MAX_NAMES, MAX_PATH, OutputBounds};
pub use capture::{CaptureError, capture, survey};

use crate::error::CacheError;
use crate::store::{BlobStore, mark_used};
use crate::tree::{Entry, Tree};

/// 1980-01-01 00:00:00 UTC, in seconds since 1970: the earliest time that a zip can
/// hold, and so the one time stamp of everything that Lunikernel writes.
pub const EPOCH: i64 = 315_532_800;

/// Deepest nesting that is copied and taken; a little less than can be read back.
pub const MAX_DEPTH: usize = 120;
/// Where sandboxes mount something in a root. A root that lacks them gets them as
/// empty folders when it is checked out, so its checkout may have these more than its
/// digest says.
pub const MOUNT_POINTS: [&str; 4] = ["dev", "proc", "root", "tmp"];

/// In which order the entries of a folder are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Sorted by name.
    Forward,
    /// Sorted by name, last first.
    Reverse,
}

/// Writes `tree` to the folder `at`, which must not exist. With `owner`, everything
/// is given to that user and the group of the same number; that needs root.
///
/// Files are copies (sharing their blocks with the store where the file system can),
/// so that nothing that writes to them reaches the store.
///
/// # Errors
/// [`CacheError::Missing`] where a file's content is not in the store,
/// [`CacheError::Io`], a full disk included.
pub fn check_out(
    blobs: &BlobStore,
    tree: &Tree,
    at: &Path,
    owner: Option<u32>,
) -> Result<(), CacheError> {
    let io = || CacheError::io("write out a folder of files");
    fs::create_dir(at).map_err(io())?;
    for (name, entry) in tree.entries() {
        let path = at.join(name);
        match entry {
            Entry::Folder(tree) => check_out(blobs, tree, &path, owner)?,
            Entry::Symlink { target } => {
                fs::os::unix::fs::symlink(target, &path).map_err(io())?;
                seal(&path, None, owner).map_err(io())?;
            }
            Entry::File { digest, executable } => {
                let from = blobs.open(digest)?;
                let to = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(io())?;
                copy_content(from.file().as_fd(), to.file().as_fd())
                    .map_err(|error| io()(named(&error, path.display())))?;
                let mode = if *executable { 0o755 } else { 0o644 };
                seal(&path, Some(mode), owner).map_err(io())?;
            }
        }
    }
    seal(at, Some(0o755), owner).map_err(io())
}

/// Marks a folder as used now, for garbage collection.
pub fn touch(path: &Path) {
    mark_used(path);
}

/// The time stamps of everything that is laid out, for utimensat(2).
#[must_use]
pub fn times() -> Timestamps {
    both(Timespec {
        tv_sec: EPOCH,
        tv_nsec: 0,
    })
}

/// Gives a path its owner, mode and time stamp, in the order in which the next does
/// not undo the one before.
fn seal(path: &Path, mode: Option<u32>, owner: Option<u32>) -> io::Result<()> {
    if let Some(id) = owner {
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if let Some(mode) = mode {
        rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())?;
    }
    let times = times();
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn both(time: Timespec) -> Timestamps {
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Shares the blocks where the file system can, and copies the bytes otherwise.
fn copy_content(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let mut from = file_of(from)?;
    let mut to = file_of(to)?;
    io::copy(&mut from, &mut to).map(drop)
}

/// The same error with the name of what it is about.
fn named(error: &io::Error, name: impl std::fmt::Display) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

#[expect(
    clippy::disallowed_types,
    reason = "io::copy lets the kernel copy only between std's own files"
)]
fn file_of(fd: BorrowedFd<'_>) -> io::Result<std::fs::File> {
    Ok(fd.try_clone_to_owned()?.into())
}

/// Copies the content of the folder `from` into the empty folder `to`, creating the
/// entries of every folder in `order`. Modes and modification times are kept; what is
/// neither a file, a folder nor a link is left out, and so is what lies deeper than
/// a tree can be.
///
/// # Errors
/// What the operating system says; the message names the entry.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, order: Order) -> io::Result<()> {
    copy_folder(from, to, order, MAX_DEPTH)
}

fn copy_folder(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    order: Order,
    depth: usize,
) -> io::Result<()> {
    let mut names = names_of(from)?;
    if order == Order::Reverse {
        names.reverse();
    }
    for name in names {
        copy_entry(from, to, &name, order, depth)
            .map_err(|error| named(&error, name.to_string_lossy()))?;
    }
    let meta = rustix::fs::fstat(from)?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(meta.st_mode & 0o7777))?;
    rustix::fs::futimens(to, &times_of(&meta))?;
    Ok(())
}

fn copy_entry(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    order: Order,
    depth: usize,
) -> io::Result<()> {
    let meta = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(meta.st_mode) {
        FileType::Directory => {
            let Some(depth) = depth.checked_sub(1) else {
                return Ok(());
            };
            rustix::fs::mkdirat(to, name, Mode::RWXU)?;
            let source = open_folder(from, name)?;
            let target = open_folder(to, name)?;
            copy_folder(source.as_fd(), target.as_fd(), order, depth)?;
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(target, to, name)?;
            rustix::fs::utimensat(to, name, &times_of(&meta), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        FileType::RegularFile => {
            let source = open_file(from, name)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let target = rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
            copy_content(source.as_fd(), target.as_fd())?;
            rustix::fs::fchmod(&target, Mode::from_raw_mode(meta.st_mode & 0o7777))?;
            rustix::fs::futimens(&target, &times_of(&meta))?;
        }
        _ => {}
    }
    Ok(())
}

fn times_of(meta: &rustix::fs::Stat) -> Timestamps {
    both(Timespec {
        tv_sec: meta.st_mtime as _,
        tv_nsec: meta.st_mtime_nsec as _,
    })
}

/// The names in a folder, sorted by their bytes.
fn names_of(folder: BorrowedFd<'_>) -> io::Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Opens a folder without following links, and even where its maker took the read
/// permission from itself.
fn open_folder(at: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    open_own(at, name, OFlags::DIRECTORY, Mode::RWXU)
}

/// As [`open_folder`], for a regular file. It does not wait, should it be a pipe.
fn open_file(at: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    open_own(at, name, OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR)
}

fn open_own(
    at: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    flags: OFlags,
    permission: Mode,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(at, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::ACCESS) => {
            rustix::fs::chmodat(at, name, permission, AtFlags::empty())?;
            Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
        }
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests;
