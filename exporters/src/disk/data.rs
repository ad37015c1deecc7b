//! Where a file has data, and where holes (lseek(2), `SEEK_DATA` and `SEEK_HOLE`).

use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// The shortest hole that is left out, in bytes. Reading a shorter one takes no longer than
/// asking for it, and a file that is full of them has no end of extents.
const HOLE: u64 = 64 << 10;

/// Where a file of `size` bytes has data, sorted and apart from each other. All of it, where
/// the file system does not tell.
pub(super) fn extents(file: &impl AsFd, size: u64) -> Vec<Range<u64>> {
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // There is none behind.
            Err(Errno::NXIO) => break,
            Err(_) => at,
        };
        let end = seek(file, SeekFrom::Hole(start)).unwrap_or(size);
        // Somebody may write to it, or cut it off, meanwhile.
        let (start, end) = (start.max(at).min(size), end.min(size));
        if start >= end {
            break;
        }
        match found.last_mut().filter(|last| start - last.end < HOLE) {
            Some(last) => last.end = end,
            None => found.push(start..end),
        }
        at = end;
    }
    found
}
