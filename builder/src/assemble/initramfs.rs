//! From a root file system to the initramfs that the kernel unpacks.

use lunikernel_cache::{BlobStore, CacheError, Digest, Rootfs};

use super::cpio::{self, WriteError};
use super::gzip::GzipWriter;

/// Writes `root` as a gzip-compressed newc archive into the store, in one pass: its
/// content is read once, and every byte hashed once. `epoch` is the time stamp of
/// everything in it, in seconds since 1970.
///
/// A pure function: the same root and epoch give the same digest.
///
/// # Errors
/// [`WriteError`] where the format cannot hold something, or the store fails.
pub fn initramfs(root: &Rootfs, blobs: &BlobStore, epoch: u32) -> Result<Digest, WriteError> {
    let failed = || CacheError::io("write an initramfs to the cache");
    let mut gzip = GzipWriter::new(blobs.writer()?).map_err(failed())?;
    cpio::write(root, blobs, epoch, &mut gzip)?;
    Ok(gzip.finish().map_err(failed())?.commit()?)
}
