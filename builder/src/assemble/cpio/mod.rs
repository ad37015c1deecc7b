//! The cpio format "newc" (SVR4 without checksums), as the Linux kernel unpacks it.
//!
//! Each member is a header of 110 bytes (the magic `070701` and thirteen numbers of
//! eight hexadecimal digits), the name with its NUL, the content; name and content
//! are each filled up with zeros to a multiple of four bytes. A member named
//! `TRAILER!!!` ends an archive; further archives may follow, filled up with zeros in
//! between. The kernel documents this in
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

mod error;
mod member;
mod read;
mod write;

pub use error::ReadError;
pub use member::{Header, Member};
pub use read::{CpioReader, read_gzip};
pub(crate) use write::{Output, write_behind};
pub use write::{WriteError, write};

pub(crate) const MAGIC: &[u8; 6] = b"070701";
pub(crate) const HEADER_SIZE: usize = 110;
pub(crate) const TRAILER: &str = "TRAILER!!!";
/// PATH_MAX: the kernel skips members whose name, its NUL included, is longer.
pub(crate) const PATH_MAX: usize = 4096;

/// The file type bits of a mode (inode(7)).
pub(crate) mod file_type {
    pub(crate) const MASK: u32 = 0o170_000;
    pub(crate) const FIFO: u32 = 0o010_000;
    pub(crate) const CHAR: u32 = 0o020_000;
    pub(crate) const FOLDER: u32 = 0o040_000;
    pub(crate) const BLOCK: u32 = 0o060_000;
    pub(crate) const FILE: u32 = 0o100_000;
    pub(crate) const SYMLINK: u32 = 0o120_000;
}

/// How many zeros fill `length` up to a multiple of `to`.
pub(crate) fn padding(length: u64, to: u64) -> u64 {
    (to - length % to) % to
}

#[cfg(test)]
pub(crate) mod tests;
