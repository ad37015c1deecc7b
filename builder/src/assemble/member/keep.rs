//! What becomes of the content of members.

use std::io::{self, Read};

use lunikernel_cache::{BlobStore, CacheError, Digest};

/// Up to this size content is read into memory, so that what the store already has
/// costs no file.
const IN_MEMORY: u64 = 256 << 10;

/// Why content could not be kept.
pub(crate) enum KeepError {
    Read(io::Error),
    Cache(CacheError),
}

/// Takes the content of one file, of the size given.
pub(crate) type Keep<'a> = dyn FnMut(&mut dyn Read, u64) -> Result<Digest, KeepError> + 'a;

/// Stores `size` bytes, hashed once, while they pass by.
pub(crate) fn store(
    blobs: &BlobStore,
    content: &mut dyn Read,
    size: u64,
) -> Result<Digest, KeepError> {
    let cache = |source| KeepError::Cache(CacheError::io("write a blob to the cache")(source));
    if size <= IN_MEMORY {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(KeepError::Read)?;
        return blobs.put(&bytes).map_err(KeepError::Cache);
    }
    let mut writer = blobs.writer().map_err(KeepError::Cache)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return writer.commit().map_err(KeepError::Cache),
            Ok(count) => {
                io::Write::write_all(&mut writer, &buffer[..count]).map_err(cache)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(KeepError::Read(error)),
        }
    }
}
