//! What the user's umask keeps from others.
//!
//! A program that makes files for others to compare works under a umask that is always the
//! same. What users asked for, and the cache's own folder, are theirs all the same, and keep
//! to the umask that they have.

#![allow(
    clippy::disallowed_types,
    reason = "the error is given the path that it is about"
)]

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// The permission bits that the user takes from everything.
static MASK: AtomicU32 = AtomicU32::new(0);

/// From now on, no file or folder that a user asked for has a permission of `umask`. It is a
/// property of the process, as its umask is.
pub fn keep_to(umask: u32) {
    MASK.store(umask & 0o777, Ordering::Relaxed);
}

/// What the user leaves of `mode`.
pub(crate) fn masked(mode: u32) -> u32 {
    mode & !MASK.load(Ordering::Relaxed)
}

/// Creates a folder that a user asked for, and those above it.
///
/// # Errors
/// What the operating system says, with the path.
pub fn create_folder(path: &Path) -> io::Result<()> {
    create(path, masked(0o777))
}

/// Creates a folder of this mode, less the process's umask, and those above it.
pub(crate) fn create(path: &Path, mode: u32) -> io::Result<()> {
    let created = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path);
    created.map_err(|error| io::Error::new(error.kind(), format!("{error}: `{}`", path.display())))
}
