//! Using up numbers that the kernel hands out one after the other, so that a command
//! meets others than usual.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use fs_err as fs;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::mount::FsOpenFlags;
use rustix::process::WaitOptions;

use super::inside::{exit, fork};

/// Most device numbers that are taken: each is a file system, and a descriptor while
/// it is held.
const MAX_DEVICES: u32 = 64;
/// Most inodes that are used up, and most process numbers.
const MAX_NUMBERS: u32 = 20_000;

/// Takes up to `count` device numbers by making that many memory file systems, which
/// are mounted nowhere and end with their descriptors. The kernel hands out the lowest
/// number that is free.
pub(super) fn take_devices(count: u32) -> io::Result<Vec<OwnedFd>> {
    (0..count.min(MAX_DEVICES))
        .map(|_| {
            let made = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
            rustix::mount::fsconfig_create(&made)?;
            Ok(made)
        })
        .collect()
}

/// Uses up `count` inodes of the empty memory file system `folder`, which numbers them
/// one after the other and never gives a number twice.
pub(super) fn use_inodes(folder: BorrowedFd<'_>, count: u32) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    for _ in 0..count.min(MAX_NUMBERS) {
        rustix::fs::openat(folder, "used", flags, Mode::RUSR)?;
        rustix::fs::unlinkat(folder, "used", AtFlags::empty())?;
    }
    Ok(())
}

/// Takes `count` inodes of the disk that the new folder `at` is on. File systems of
/// disks give the free ones that lie nearest, so they are to be held until whatever is
/// to get others was made.
pub(super) fn take_inodes(at: &Path, count: u32) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    fs::create_dir(at)?;
    for number in 0..count.min(MAX_NUMBERS) {
        fs::File::create_new(at.join(number.to_string()))?;
    }
    Ok(())
}

/// Uses up process numbers so that the next is at least the one after `last`.
pub(super) fn use_process_ids_to(last: i32) -> io::Result<()> {
    loop {
        let Some(child) = fork()? else { exit(0) };
        rustix::process::waitpid(Some(child), WaitOptions::empty())?;
        if child.as_raw_pid() >= last {
            return Ok(());
        }
    }
}

/// Uses up `count` process numbers.
pub(super) fn use_process_ids(count: u32) -> io::Result<()> {
    for _ in 0..count.min(MAX_NUMBERS) {
        match fork()? {
            Some(child) => {
                rustix::process::waitpid(Some(child), WaitOptions::empty())?;
            }
            None => exit(0),
        }
    }
    Ok(())
}
