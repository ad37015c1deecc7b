//! Locks on files, and folders that only their owner's friends may write to.

use std::io;
use std::path::Path;

use fs_err as fs;
use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{FlockOperation, OFlags};

use crate::mask;

/// Opens the file at `path`, creates it where it is missing, and locks it. The lock
/// goes with the returned file; a killed process lets go of it at once.
///
/// A symbolic link is refused: whoever may write to the folder could otherwise have
/// a file created anywhere.
pub(crate) fn lock_file(path: &Path, operation: FlockOperation) -> io::Result<File> {
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Creates a folder and those above it. Whatever the umask is, not everybody may
/// write to them.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    mask::create(path, 0o775)
}
