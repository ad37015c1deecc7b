//! VirtualBox's VDI, version 1.1: a header, a map of blocks, and the blocks that are not
//! all zero.

use std::io::Write as _;

use crate::disk::Disk;
use crate::error::WriteError;
use crate::identity::Identity;
use crate::sink::{Counted, Sink};

const FORMAT: &str = "VDI image";
/// The size of a block, which every program writes.
const BLOCK: usize = 1 << 20;
/// The largest disk that is made, in bytes. It bounds the map to 64 MiB.
pub(crate) const MAX_SIZE: u64 = 16 << 40;
/// Where the map begins, in bytes.
const MAP_AT: u64 = 512;
/// A block that is not there.
const ABSENT: u32 = u32::MAX;

/// Writes the image. Its ids come from `identity`, labelled `vdi` and `vdi snapshot`.
///
/// # Errors
/// [`WriteError::Size`] where the disk is no multiple of 512 bytes or larger than 16 TiB;
/// else where the content cannot be read or the result not be written.
pub fn write(disk: &Disk, identity: &Identity, out: &mut impl Sink) -> Result<(), WriteError> {
    let size = disk.size();
    if size > MAX_SIZE || !size.is_multiple_of(512) {
        return Err(WriteError::Size {
            format: FORMAT,
            size,
            expected: "a multiple of 512, at most 16 TiB",
        });
    }
    let failed = WriteError::write(FORMAT);
    let used = disk.used_blocks(BLOCK).map_err(WriteError::Read)?;
    let blocks = size.div_ceil(BLOCK as u64);
    let data_at = (MAP_AT + blocks * 4).next_multiple_of(BLOCK as u64);
    let mut map = ABSENT.to_le_bytes().repeat(blocks as usize);
    for (place, number) in (0u32..).zip(&used) {
        let at = *number as usize * 4;
        if let Some(entry) = map.get_mut(at..at + 4) {
            entry.copy_from_slice(&place.to_le_bytes());
        }
    }
    let mut out = Counted::new(out);
    let header = header(
        size,
        blocks as u32,
        used.len() as u32,
        data_at as u32,
        identity,
    );
    out.write_all(&header).map_err(failed)?;
    out.write_all(&map).map_err(failed)?;
    out.align(BLOCK as u64).map_err(failed)?;
    let mut buffer = vec![0; BLOCK];
    for number in used {
        disk.read_at(&mut buffer, number * BLOCK as u64)
            .map_err(WriteError::Read)?;
        out.write_sparse(&buffer).map_err(failed)?;
    }
    out.flush().map_err(failed)
}

fn header(size: u64, blocks: u32, used: u32, data_at: u32, identity: &Identity) -> Vec<u8> {
    let mut header = b"<<< Oracle VM VirtualBox Disk Image >>>\n".to_vec();
    header.resize(64, 0);
    // The signature, version 1.1, the size of what follows, dynamic, no flags.
    for number in [0xbeda_107f, 0x0001_0001, 400, 1, 0] {
        header.extend_from_slice(&u32::to_le_bytes(number));
    }
    header.resize(header.len() + 256, 0); // No comment.
    // Where map and data are; the geometry, which nobody needs; the size of a sector.
    for number in [MAP_AT as u32, data_at, 0, 0, 0, 512, 0] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&size.to_le_bytes());
    for number in [BLOCK as u32, 0, blocks, used] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    for label in ["vdi", "vdi snapshot"] {
        header.extend_from_slice(&identity.guid(label).to_mixed_endian());
    }
    // It has neither parent nor link.
    header.resize(MAP_AT as usize, 0);
    header
}
