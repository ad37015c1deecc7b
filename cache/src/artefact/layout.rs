//! The bytes around an entry's content. Nothing in them is free: a name, a CRC-32,
//! a size and an offset decide them all, so the writer makes them, and the reader
//! makes them again to compare. The layout is that of PKWARE's APPNOTE 6.3.10,
//! sections 4.3.7 (local header), 4.3.12 (directory) and 4.3.16 (end record).

/// Signature of a local header.
pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// Signature of a record of the directory.
pub(super) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
/// Signature of the end record.
pub(super) const END: [u8; 4] = *b"PK\x05\x06";

/// Length of a local header without the name.
pub(super) const LOCAL_SIZE: u64 = 30;
/// Length of a directory record without the name.
pub(super) const CENTRAL_SIZE: usize = 46;
/// Length of the end record.
pub(super) const END_SIZE: usize = 22;

/// The most entries of a zip, `lunikernel.json` included. It bounds the memory that
/// reading a directory takes, and is far above what a recipe's own files need.
pub const MAX_ENTRIES: usize = 10_000;

/// The largest zip, in bytes: its sizes and offsets have 32 bits, and the highest
/// value is taken, as the mark of Zip64.
pub const MAX_ZIP_SIZE: u64 = 0xFFFF_FFFE;

/// Version 1.0 is what a stored entry needs to be extracted (APPNOTE 4.4.3.2).
const VERSION_NEEDED: u16 = 10;
/// Made on Unix (high byte 3), so that the external attributes hold a Unix mode,
/// by version 2.0 (low byte 20).
const VERSION_MADE_BY: u16 = 3 << 8 | 20;
/// Midnight.
const TIME: u16 = 0;
/// 1980-01-01, the first day that the format knows: years since 1980, month, day.
const DATE: u16 = (1 << 5) | 1;
/// A regular file with mode 0644, in the upper half.
pub(super) const ATTRIBUTES: u32 = 0o100_644 << 16;

/// An entry, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) crc32: u32,
    pub(super) size: u32,
    /// Where its local header begins.
    pub(super) offset: u32,
}

impl Placed {
    /// Where its content begins.
    pub(super) fn content_at(&self) -> u64 {
        u64::from(self.offset) + LOCAL_SIZE + self.name.len() as u64
    }

    /// Where its content ends, which is where the next entry begins.
    pub(super) fn end(&self) -> u64 {
        self.content_at() + u64::from(self.size)
    }

    pub(super) fn local_header(&self) -> Vec<u8> {
        let mut bytes = LOCAL.to_vec();
        self.push_common(&mut bytes);
        bytes.extend(self.name.as_bytes());
        bytes
    }

    pub(super) fn central_record(&self) -> Vec<u8> {
        let mut bytes = CENTRAL.to_vec();
        push16(&mut bytes, VERSION_MADE_BY);
        self.push_common(&mut bytes);
        push16(&mut bytes, 0); // comment's length
        push16(&mut bytes, 0); // disk
        push16(&mut bytes, 0); // internal attributes
        push32(&mut bytes, ATTRIBUTES);
        push32(&mut bytes, self.offset);
        bytes.extend(self.name.as_bytes());
        bytes
    }

    /// The fields that a local header and a directory record share.
    fn push_common(&self, bytes: &mut Vec<u8>) {
        push16(bytes, VERSION_NEEDED);
        push16(bytes, 0); // flags
        push16(bytes, 0); // method: stored
        push16(bytes, TIME);
        push16(bytes, DATE);
        push32(bytes, self.crc32);
        push32(bytes, self.size); // compressed
        push32(bytes, self.size); // uncompressed
        push16(bytes, self.name.len() as u16); // bounded by MAX_NAME_LENGTH
        push16(bytes, 0); // extra fields' length
    }
}

/// The end record.
pub(super) fn end_record(entries: u16, directory_size: u32, directory_at: u32) -> Vec<u8> {
    let mut bytes = END.to_vec();
    push16(&mut bytes, 0); // this disk
    push16(&mut bytes, 0); // the directory's disk
    push16(&mut bytes, entries); // on this disk
    push16(&mut bytes, entries); // in all
    push32(&mut bytes, directory_size);
    push32(&mut bytes, directory_at);
    push16(&mut bytes, 0); // comment's length
    bytes
}

fn push16(bytes: &mut Vec<u8>, number: u16) {
    bytes.extend(number.to_le_bytes());
}

fn push32(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend(number.to_le_bytes());
}

/// Reads numbers from a record whose length was checked; beyond its end all is 0.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn u16(self, at: usize) -> u16 {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        u16::from_le_bytes(*bytes.unwrap_or(&[0; 2]))
    }

    pub(super) fn u32(self, at: usize) -> u32 {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        u32::from_le_bytes(*bytes.unwrap_or(&[0; 4]))
    }
}
