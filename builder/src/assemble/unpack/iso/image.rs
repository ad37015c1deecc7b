//! Reading what an image says of its files, within bounds.

use std::io::{self, Read, Seek, SeekFrom};

use super::{SECTOR, UnpackError, layout};

/// How often each byte of an image may be read, besides the content of files. No two
/// folders overlap in an honest one; only the first sector of a folder that was moved
/// is read twice.
const TIMES: u64 = 2;
/// How much may be read of any image, in bytes: small ones have continuation areas
/// that several records share.
const FREE: u64 = 1 << 20;

pub(super) struct Image<R> {
    pub(super) file: R,
    /// How much may still be read, in bytes.
    left: u64,
}

impl<R: Read + Seek> Image<R> {
    pub(super) fn new(mut file: R) -> Result<Self, UnpackError> {
        let size = file
            .seek(SeekFrom::End(0))
            .map_err(UnpackError::damaged("the ISO 9660 image"))?;
        let left = size.saturating_mul(TIMES).saturating_add(FREE);
        Ok(Self { file, left })
    }

    /// The sector with this number.
    pub(super) fn sector(&mut self, number: u64, bytes: &mut [u8]) -> Result<(), UnpackError> {
        let at = number.saturating_mul(SECTOR as u64);
        self.fill(at, bytes, || format!("sector {number}"))
    }

    /// Fills `bytes` with what is at `at`.
    pub(super) fn fill(
        &mut self,
        at: u64,
        bytes: &mut [u8],
        part: impl Fn() -> String,
    ) -> Result<(), UnpackError> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            layout(
                part(),
                "folders that do not overlap",
                "what was read too often",
            )
        })?;
        self.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.read_exact(bytes))
            .map_err(|source: io::Error| UnpackError::Damaged {
                part: format!("{} of the ISO 9660 image", part()),
                source,
            })
    }
}
