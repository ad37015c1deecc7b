//! From a root file system to the initramfs that the kernel unpacks.

use lunikernel_cache::artefact::Crc32Writer;
use lunikernel_cache::{BlobStore, CacheError, Digest, Rootfs};

use super::cpio::{self, WriteError};
use lunikernel_deflate::GzipWriter;

/// An initramfs in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Initramfs {
    /// Its digest.
    pub digest: Digest,
    /// Its CRC-32, which a zip needs before the bytes.
    pub crc32: u32,
}

/// Writes `root` as a gzip-compressed newc archive into the store, in one pass: its
/// content is read once, and every byte hashed once. `epoch` is the time stamp of
/// everything in it, in seconds since 1970.
///
/// A pure function: the same root and epoch give the same digest.
///
/// # Errors
/// [`WriteError`] where the format cannot hold something, or the store fails.
pub fn initramfs(root: &Rootfs, blobs: &BlobStore, epoch: u32) -> Result<Initramfs, WriteError> {
    let failed = || CacheError::io("write an initramfs to the cache");
    let writer = Crc32Writer::new(blobs.writer()?);
    let mut gzip = GzipWriter::new(writer).map_err(failed())?;
    cpio::write(root, blobs, epoch, &mut gzip)?;
    let (blob, crc32) = gzip.finish().map_err(failed())?.finish();
    Ok(Initramfs {
        digest: blob.commit()?,
        crc32,
    })
}
