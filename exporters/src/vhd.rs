//! Microsoft's VHD (*Virtual Hard Disk Image Format Specification*, 1.0): fixed, which is the
//! disk and a footer, and dynamic, which leaves out blocks of zeros.

use std::io::{self, Write as _};

use crate::content::Content;
use crate::disk::{Disk, DiskError};
use crate::error::WriteError;
use crate::identity::{Guid, Identity};
use crate::raw;
use crate::sink::{Counted, Sink};

const FORMAT: &str = "VHD image";
const SECTOR: u64 = 512;
/// The size of a block, which every program writes.
const BLOCK: usize = 2 << 20;
/// The largest disk, in bytes.
pub(crate) const MAX_SIZE: u64 = 2040 << 30;
/// Where the table of blocks begins, in bytes: behind the footer's copy and the header.
const TABLE_AT: u64 = 1536;

/// The two kinds of image, by the numbers that the footer has for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fixed = 2,
    Dynamic = 3,
}

/// A fixed image: all of the disk, then a footer. Its unique id comes from `identity`,
/// labelled `vhd`, as that of a dynamic one does. Holes of the disk are holes of it.
///
/// # Errors
/// [`WriteError::Size`] where the disk is empty, no multiple of 512 bytes or larger than
/// 2040 GiB.
pub fn fixed(disk: &Disk, identity: &Identity) -> Result<Disk, WriteError> {
    check(disk)?;
    let footer = footer(disk.size(), Kind::Fixed, identity.guid("vhd"));
    let put = || -> Result<Disk, DiskError> {
        let mut image = Disk::new(disk.size() + SECTOR)?;
        image.put_disk(0, disk)?;
        image.put(disk.size(), Content::bytes(footer))?;
        Ok(image)
    };
    // The size was looked at.
    put().map_err(|error| WriteError::Read(io::Error::other(error)))
}

/// Writes a [`fixed`] image.
///
/// # Errors
/// As [`fixed`]; else where the content cannot be read or the result not be written.
pub fn write_fixed(
    disk: &Disk,
    identity: &Identity,
    out: &mut impl Sink,
) -> Result<(), WriteError> {
    raw::write(&fixed(disk, identity)?, out)
}

/// Writes a dynamic image: blocks of 2 MiB, those that are all zero left out.
///
/// # Errors
/// As [`write_fixed`].
pub fn write_dynamic(
    disk: &Disk,
    identity: &Identity,
    out: &mut impl Sink,
) -> Result<(), WriteError> {
    check(disk)?;
    let failed = WriteError::write(FORMAT);
    let used = disk.used_blocks(BLOCK).map_err(WriteError::Read)?;
    let footer = footer(disk.size(), Kind::Dynamic, identity.guid("vhd"));
    let blocks = disk.size().div_ceil(BLOCK as u64);
    let data_at = (TABLE_AT + blocks * 4).next_multiple_of(SECTOR);
    // Each block comes behind a sector that says which of its sectors are there: all.
    let with_bitmap = SECTOR + BLOCK as u64;
    let mut table = vec![0xff; (data_at - TABLE_AT) as usize];
    for (place, number) in (0..).zip(&used) {
        let sector = ((data_at + place * with_bitmap) / SECTOR) as u32;
        let at = *number as usize * 4;
        if let Some(entry) = table.get_mut(at..at + 4) {
            entry.copy_from_slice(&sector.to_be_bytes());
        }
    }
    let mut out = Counted::new(out);
    out.write_all(&footer).map_err(failed)?;
    out.write_all(&dynamic_header(blocks as u32))
        .map_err(failed)?;
    out.write_all(&table).map_err(failed)?;
    let mut buffer = vec![0; BLOCK];
    for number in used {
        disk.read_at(&mut buffer, number * BLOCK as u64)
            .map_err(WriteError::Read)?;
        out.write_all(&[0xff; SECTOR as usize]).map_err(failed)?;
        out.write_sparse(&buffer).map_err(failed)?;
    }
    out.write_all(&footer).map_err(failed)?;
    out.flush().map_err(failed)
}

fn check(disk: &Disk) -> Result<(), WriteError> {
    let size = disk.size();
    if size > 0 && size <= MAX_SIZE && size.is_multiple_of(SECTOR) {
        return Ok(());
    }
    Err(WriteError::Size {
        format: FORMAT,
        size,
        expected: "a multiple of 512, at most 2040 GiB, and not 0",
    })
}

fn footer(size: u64, kind: Kind, id: Guid) -> Vec<u8> {
    let mut footer = b"conectix".to_vec();
    footer.extend_from_slice(&2u32.to_be_bytes()); // No features.
    footer.extend_from_slice(&0x1_0000u32.to_be_bytes()); // Version 1.0.
    let header_at = match kind {
        Kind::Fixed => u64::MAX,
        Kind::Dynamic => SECTOR,
    };
    footer.extend_from_slice(&header_at.to_be_bytes());
    footer.extend_from_slice(&0u32.to_be_bytes()); // 2000-01-01 00:00:00.
    // Hyper-V's. Others count for the size of the disk with some readers only what whole
    // cylinders hold, and would cut it off.
    footer.extend_from_slice(b"win \0\x0a\0\0Wi2k");
    footer.extend_from_slice(&size.to_be_bytes());
    footer.extend_from_slice(&size.to_be_bytes());
    footer.extend_from_slice(&geometry(size / SECTOR));
    footer.extend_from_slice(&(kind as u32).to_be_bytes());
    footer.extend_from_slice(&[0; 4]);
    footer.extend_from_slice(id.as_bytes());
    footer.resize(SECTOR as usize, 0);
    seal(&mut footer, 64);
    footer
}

fn dynamic_header(blocks: u32) -> Vec<u8> {
    let mut header = b"cxsparse".to_vec();
    header.extend_from_slice(&u64::MAX.to_be_bytes());
    header.extend_from_slice(&TABLE_AT.to_be_bytes());
    header.extend_from_slice(&0x1_0000u32.to_be_bytes()); // Version 1.0.
    header.extend_from_slice(&blocks.to_be_bytes());
    header.extend_from_slice(&(BLOCK as u32).to_be_bytes());
    header.resize(1024, 0);
    seal(&mut header, 36);
    header
}

/// Puts in the checksum: the complement of the sum of the other bytes.
fn seal(bytes: &mut Vec<u8>, at: usize) {
    let sum = bytes
        .iter()
        .fold(0u32, |sum, byte| sum.wrapping_add((*byte).into()));
    bytes.splice(at..at + 4, (!sum).to_be_bytes());
}

/// Cylinders, heads and sectors that old programs are told (the specification's appendix).
fn geometry(sectors: u64) -> [u8; 4] {
    let total = sectors.min(65535 * 16 * 255) as u32;
    let (heads, per_track) = if total >= 65535 * 16 * 63 {
        (16, 255)
    } else {
        let cylinders_by_heads = total / 17;
        let heads = cylinders_by_heads.div_ceil(1024).max(4);
        if cylinders_by_heads < heads * 1024 && heads <= 16 {
            (heads, 17)
        } else if total / 31 < 16 * 1024 {
            (16, 31)
        } else {
            (16, 63)
        }
    };
    let cylinders = (total / per_track / heads).min(65535) as u16;
    let [high, low] = cylinders.to_be_bytes();
    [high, low, heads as u8, per_track as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that QEMU's implementation of the same appendix gives.
    #[test]
    fn geometry_is_that_of_the_appendix() {
        let of = |mib: u64| {
            let [high, low, heads, per_track] = geometry((mib << 20) / SECTOR);
            (u16::from_be_bytes([high, low]), heads, per_track)
        };
        assert_eq!(of(64), (963, 8, 17));
        // As many cylinders as 17 sectors a track allow are one too many.
        assert_eq!(of(68), (280, 16, 31));
        assert_eq!(of(200), (825, 16, 31));
        // The last with 63 sectors a track, and the first with more.
        assert_eq!(of(32255), (65533, 16, 63));
        assert_eq!(of(32256), (16191, 16, 255));
        assert_eq!(of(1024), (2080, 16, 63));
        assert_eq!(of(10 << 10), (20805, 16, 63));
        assert_eq!(of(2 << 20), (65535, 16, 255));
        assert_eq!(of(0), (0, 4, 17));
    }

    #[test]
    fn a_fixed_image_is_the_disk_and_a_footer_that_says_so() {
        let identity = Identity::of(lunikernel_cache::Sha256::of(b"test"));
        let disk = Disk::new(3 << 20).unwrap();
        let image = fixed(&disk, &identity).unwrap();
        assert_eq!(image.size(), disk.size() + SECTOR);
        let mut footer = [0; SECTOR as usize];
        image.read_at(&mut footer, disk.size()).unwrap();
        let (id, rest) = footer[68..].split_at(16);
        assert_eq!(id, identity.guid("vhd").as_bytes());
        assert!(rest.iter().all(|byte| *byte == 0));
        // No other header, the size, and the kind.
        assert_eq!(footer[..8], *b"conectix");
        assert_eq!(footer[16..24], [0xff; 8]);
        assert_eq!(footer[48..56], (3u64 << 20).to_be_bytes());
        assert_eq!(footer[60..64], 2u32.to_be_bytes());
        let sum = (footer.iter().enumerate())
            .filter(|(at, _)| !(64..68).contains(at))
            .map(|(_, byte)| u32::from(*byte));
        assert_eq!(footer[64..68], (!sum.sum::<u32>()).to_be_bytes());
    }
}
