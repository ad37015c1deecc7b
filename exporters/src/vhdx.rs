//! Microsoft's VHDX (*MS-VHDX*, revision 8): a dynamic image.

use std::io::Write as _;

use crate::disk::Disk;
use crate::error::WriteError;
use crate::identity::{Guid, Identity};
use crate::sink::{Counted, Sink};

const FORMAT: &str = "VHDX image";
/// The largest disk, in bytes (MS-VHDX 2.6.2.2).
pub(crate) const MAX_SIZE: u64 = 64 << 40;
/// Everything large begins at a multiple of this, in bytes.
const UNIT: u64 = 1 << 20;
/// Where the log, the metadata and the table of blocks begin, in bytes.
const LOG_AT: u64 = UNIT;
const METADATA_AT: u64 = 2 * UNIT;
const TABLE_AT: u64 = 3 * UNIT;
/// The size of a table of regions, and of the table of metadata, in bytes.
const REGIONS: usize = 64 << 10;
/// A block that is there as a whole (MS-VHDX 2.5.1.1).
const PRESENT: u64 = 6;

/// Writes the image. Blocks that are all zero are left out. GUIDs come from `identity`,
/// labelled `vhdx file`, `vhdx data` and `vhdx disk`.
///
/// # Errors
/// [`WriteError::Size`] where the disk is empty, no multiple of 512 bytes or larger than
/// 64 TiB; else where the content cannot be read or the result not be written.
pub fn write(disk: &Disk, identity: &Identity, out: &mut impl Sink) -> Result<(), WriteError> {
    let size = disk.size();
    if size == 0 || size > MAX_SIZE || !size.is_multiple_of(512) {
        return Err(WriteError::Size {
            format: FORMAT,
            size,
            expected: "a multiple of 512, at most 64 TiB, and not 0",
        });
    }
    let failed = WriteError::write(FORMAT);
    let block = block_size(size);
    let used = disk.used_blocks(block as usize).map_err(WriteError::Read)?;
    let blocks = size.div_ceil(block);
    // For so many blocks there is one more entry, for what only differencing disks have.
    let ratio = (1 << 32) / block;
    let entries = blocks + (blocks - 1) / ratio;
    let data_at = TABLE_AT + (entries * 8).next_multiple_of(UNIT);
    let mut table = vec![0; entries as usize * 8];
    for (place, number) in (0..).zip(&used) {
        let at = (number + number / ratio) as usize * 8;
        if let Some(entry) = table.get_mut(at..at + 8) {
            // Multiples of 1 MiB, whose lower bits are free for the state.
            let value = (data_at + place * block) | PRESENT;
            entry.copy_from_slice(&value.to_le_bytes());
        }
    }
    let mut out = Counted::new(out);
    let mut start = b"vhdxfile".to_vec();
    start.extend("luni".encode_utf16().flat_map(u16::to_le_bytes));
    for part in [
        start,
        header(identity, 1),
        header(identity, 2),
        regions(data_at - TABLE_AT),
        regions(data_at - TABLE_AT),
    ] {
        out.write_all(&part).map_err(failed)?;
        out.align(REGIONS as u64).map_err(failed)?;
    }
    out.skip(METADATA_AT - out.at).map_err(failed)?;
    out.write_all(&metadata(size, block, identity))
        .map_err(failed)?;
    out.align(UNIT).map_err(failed)?;
    out.write_all(&table).map_err(failed)?;
    out.align(UNIT).map_err(failed)?;
    let mut buffer = vec![0; block as usize];
    for number in used {
        disk.read_at(&mut buffer, number * block)
            .map_err(WriteError::Read)?;
        out.write_sparse(&buffer).map_err(failed)?;
    }
    out.flush().map_err(failed)
}

/// The size of blocks: small ones waste little, and large ones keep the table small.
fn block_size(disk: u64) -> u64 {
    if disk <= 1 << 40 { 2 << 20 } else { 32 << 20 }
}

/// One of the two headers; the one with the higher number counts (MS-VHDX 2.2.2).
fn header(identity: &Identity, number: u64) -> Vec<u8> {
    let mut header = b"head\0\0\0\0".to_vec();
    header.extend_from_slice(&number.to_le_bytes());
    header.extend_from_slice(&identity.guid("vhdx file").to_mixed_endian());
    header.extend_from_slice(&identity.guid("vhdx data").to_mixed_endian());
    header.extend_from_slice(&[0; 16]); // Nothing is in the log.
    header.extend_from_slice(&[0, 0, 1, 0]); // Versions of the log and of the format.
    header.extend_from_slice(&(UNIT as u32).to_le_bytes());
    header.extend_from_slice(&LOG_AT.to_le_bytes());
    header.resize(4096, 0);
    seal(&mut header);
    header
}

/// Where metadata and the table of blocks are (MS-VHDX 2.2.3).
fn regions(table_len: u64) -> Vec<u8> {
    let mut regions = b"regi\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
    for (kind, at, len) in [
        (0x2DC27766_F623_4200_9D64_115E9BFD4A08, TABLE_AT, table_len),
        (0x8B7CA206_4790_4B9A_B8FE_575F050F886E, METADATA_AT, UNIT),
    ] {
        regions.extend_from_slice(&guid(kind));
        regions.extend_from_slice(&at.to_le_bytes());
        regions.extend_from_slice(&(len as u32).to_le_bytes());
        regions.extend_from_slice(&1u32.to_le_bytes()); // It must be understood.
    }
    regions.resize(REGIONS, 0);
    seal(&mut regions);
    regions
}

/// What the disk is like (MS-VHDX 2.6).
fn metadata(size: u64, block: u64, identity: &Identity) -> Vec<u8> {
    // Of the file; of the virtual disk; both must be understood.
    let (file, disk) = (4u32, 6u32);
    let items: [(u128, u32, Vec<u8>); 5] = [
        (
            0xCAA16737_FA36_4D43_B3B6_33F0AA44E76B,
            file,
            block.to_le_bytes().to_vec(), // And no flags.
        ),
        (
            0x2FA54224_CD1B_4876_B211_5DBED83BF4B8,
            disk,
            size.to_le_bytes().to_vec(),
        ),
        (
            0xBECA12AB_B2E6_4523_93EF_C309E000C746,
            disk,
            identity.guid("vhdx disk").to_mixed_endian().to_vec(),
        ),
        // Logical and physical sectors.
        (
            0x8141BF1D_A96F_4709_BA47_F233A8FAAB5F,
            disk,
            512u32.to_le_bytes().to_vec(),
        ),
        (
            0xCDA348C7_445D_4471_9CC9_E9885251C556,
            disk,
            4096u32.to_le_bytes().to_vec(),
        ),
    ];
    let mut table = b"metadata\0\0".to_vec();
    table.extend_from_slice(&(items.len() as u16).to_le_bytes());
    table.resize(32, 0);
    let mut values = Vec::new();
    for (kind, flags, value) in items {
        table.extend_from_slice(&guid(kind));
        for number in [
            (REGIONS + values.len()) as u32,
            value.len() as u32,
            flags,
            0,
        ] {
            table.extend_from_slice(&number.to_le_bytes());
        }
        values.extend(value);
    }
    table.resize(REGIONS, 0);
    table.extend(values);
    table
}

fn guid(number: u128) -> [u8; 16] {
    Guid::from_bytes(number.to_be_bytes()).to_mixed_endian()
}

/// Puts in the checksum, at byte 4 of everything that has one.
fn seal(bytes: &mut Vec<u8>) {
    let sum = crc32c(bytes);
    bytes.splice(4..8, sum.to_le_bytes());
}

/// CRC-32C (RFC 3720, appendix B.4). Bit by bit, as it is for 128 KiB.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !(bytes.iter()).fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value, and an example of RFC 3720, appendix B.4.
    #[test]
    fn crc32c_has_its_known_values() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn blocks_are_large_on_large_disks_alone() {
        assert_eq!(block_size(512), 2 << 20);
        assert_eq!(block_size(1 << 40), 2 << 20);
        assert_eq!(block_size((1 << 40) + 512), 32 << 20);
    }
}
