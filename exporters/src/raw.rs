//! The disk as it is.

use crate::disk::Disk;
use crate::error::WriteError;
use crate::sink::Sink;
use crate::zeros::CHUNK;

const FORMAT: &str = "raw disk";

/// Writes the disk as it is. Zeros are skipped, in steps of 4096 bytes, so that a file has
/// holes there: time and room are those of the content.
///
/// # Errors
/// [`WriteError`] where the content cannot be read or the result not be written.
pub fn write(disk: &Disk, out: &mut impl Sink) -> Result<(), WriteError> {
    let failed = WriteError::write(FORMAT);
    let mut at = 0;
    let mut chunks = disk.blocks(CHUNK);
    while let Some((number, bytes)) = chunks.next_block().map_err(WriteError::Read)? {
        let start = number * CHUNK as u64;
        // The last one reaches beyond the disk.
        let len = usize::try_from(disk.size() - start).unwrap_or(usize::MAX);
        let bytes = bytes.get(..len).unwrap_or(bytes);
        out.skip(start - at).map_err(failed)?;
        out.write_sparse(bytes).map_err(failed)?;
        at = start + bytes.len() as u64;
    }
    out.skip(disk.size() - at).map_err(failed)?;
    out.flush().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;

    #[test]
    fn odd_sizes_are_kept() {
        for size in [
            0,
            1,
            511,
            4096,
            CHUNK as u64 - 1,
            CHUNK as u64,
            3 * CHUNK as u64 + 7,
        ] {
            let mut disk = Disk::new(size).unwrap();
            if size > 0 {
                disk.put(size - 1, Content::bytes([9])).unwrap();
            }
            let mut out = Vec::new();
            write(&disk, &mut out).unwrap();
            assert_eq!(out.len() as u64, size);
            assert_eq!(out.last().copied(), (size > 0).then_some(9));
            assert_eq!(
                out.iter().filter(|byte| **byte != 0).count(),
                usize::from(size > 0)
            );
        }
    }

    #[test]
    fn content_that_is_cut_short_is_an_error_of_reading() {
        let source = std::sync::Arc::new(vec![1u8; 10]);
        let mut disk = Disk::new(100).unwrap();
        disk.put(0, Content::new(source, 0, 20)).unwrap();
        let error = write(&disk, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, WriteError::Read(_)), "{error}");
    }
}
