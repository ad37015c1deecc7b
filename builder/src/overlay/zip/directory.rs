//! The directory of a foreign zip, and where its entries are (PKWARE's APPNOTE 6.3.10).
//!
//! Tools differ in how they read a zip that contradicts itself: one goes by the local
//! headers, another by the directory, and one finds another end record than the next. So
//! nothing is read that could be read in two ways: the entries lie one behind the other
//! from the first byte on, each local header agrees with its directory record, and there
//! is one place where the zip can end.

use lunikernel_cache::ReadAt;

use super::flaw::{EntryFlaw, ZipError, ZipFlaw};

/// The largest directory, in bytes. It bounds the memory that reading one takes; with
/// names of 100 bytes and the fields that usual tools add, it has 65534 records.
pub(super) const MAX_DIRECTORY: u64 = 16 << 20;

const END_SIZE: u64 = 22;
const MAX_COMMENT: u64 = 0xffff;
const RECORD_SIZE: usize = 46;
const LOCAL_SIZE: u64 = 30;
/// The signature of a data descriptor, which may be there or not (4.3.9.3).
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";

/// Flags (4.4.4): encrypted, strongly encrypted, and with a masked directory.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// The sizes follow the content.
const DESCRIBED: u16 = 1 << 3;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// Flags that are understood: the above, and how hard the compressor tried.
const KNOWN: u16 = DESCRIBED | UTF8 | 0b110;

/// The extra field with the name in UTF-8 (4.6.9).
const UNICODE_PATH: u16 = 0x7075;

/// Systems with Unix modes (4.4.2.2): Unix and macOS.
pub(super) fn is_unix(system: u8) -> bool {
    [3, 19].contains(&system)
}

/// An entry as the directory has it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) crc32: u32,
    pub(super) packed: u64,
    pub(super) size: u64,
    pub(super) deflated: bool,
    /// The system that made it (4.4.2.2), which says what the attributes mean.
    pub(super) system: u8,
    pub(super) attributes: u32,
    /// Where its content begins.
    pub(super) content_at: u64,
    flags: u16,
    offset: u64,
}

/// Reads the directory and proves every local header. `label` is what errors call it.
pub(super) fn read(bytes: &dyn ReadAt, size: u64, label: &str) -> Result<Vec<Record>, ZipError> {
    let reading = Reading { bytes, label };
    let (count, directory_at, directory) = reading.directory(size)?;
    let mut records = reading.records(&directory, count)?;
    records.sort_by_key(|record| record.offset);
    let mut at = 0;
    let ends: Vec<u64> = (records.iter().skip(1).map(|record| record.offset))
        .chain([directory_at])
        .collect();
    for (record, end) in records.iter_mut().zip(ends) {
        if record.offset > at {
            let to = record.offset - 1;
            return Err(reading.refused(ZipFlaw::Gap { from: at, to }));
        }
        at = reading.local(record, end)?;
    }
    if at < directory_at {
        let to = directory_at - 1;
        return Err(reading.refused(ZipFlaw::Gap { from: at, to }));
    }
    Ok(records)
}

struct Reading<'a> {
    bytes: &'a dyn ReadAt,
    label: &'a str,
}

impl Reading<'_> {
    /// How many records the directory has, where it begins, and its bytes.
    fn directory(&self, size: u64) -> Result<(usize, u64, Vec<u8>), ZipError> {
        let most = size.min(END_SIZE + MAX_COMMENT);
        let tail = self.at(size - most, most)?;
        let ends: Vec<usize> = (tail.windows(4).enumerate())
            .filter(|(_, bytes)| *bytes == b"PK\x05\x06")
            .map(|(at, _)| at)
            .collect();
        let closes = |at: &&usize| {
            let comment = Fields(&tail).u16(**at + 20);
            **at + END_SIZE as usize + usize::from(comment) == tail.len()
        };
        let mut fitting = ends.iter().filter(closes);
        let at = match (fitting.next(), fitting.next()) {
            (Some(at), None) => *at,
            (None, _) if ends.is_empty() => return Err(self.refused(ZipFlaw::NoEnd)),
            _ => return Err(self.refused(ZipFlaw::Trailing)),
        };
        let end_at = size - most + at as u64;
        let fields = Fields(tail.get(at..).unwrap_or_default());
        let (disk, start, here, count) =
            (fields.u16(4), fields.u16(6), fields.u16(8), fields.u16(10));
        let (directory_size, directory_at) = (fields.u32(12), fields.u32(16));
        let locator = at.checked_sub(20).and_then(|at| tail.get(at..at + 4));
        let deferred = count == u16::MAX || [directory_size, directory_at].contains(&u32::MAX);
        if deferred || locator == Some(b"PK\x06\x07") {
            return Err(self.refused(ZipFlaw::Zip64));
        }
        if (disk, start, here) != (0, 0, count) {
            return Err(self.refused(ZipFlaw::Volumes));
        }
        if count == 0 {
            return Err(self.refused(ZipFlaw::Empty));
        }
        let (size, from) = (u64::from(directory_size), u64::from(directory_at));
        if size > MAX_DIRECTORY {
            return Err(self.refused(ZipFlaw::DirectorySize(size)));
        }
        let (expected, actual) = (end_at, from + size);
        if expected != actual {
            return Err(self.refused(ZipFlaw::Directory { expected, actual }));
        }
        Ok((count.into(), from, self.at(from, size)?))
    }

    fn records(&self, directory: &[u8], count: usize) -> Result<Vec<Record>, ZipError> {
        let mut records = Vec::new();
        let mut rest = directory;
        for index in 0..count {
            let cut_off = || self.refused(ZipFlaw::Records(index));
            let (head, after) = rest.split_at_checked(RECORD_SIZE).ok_or_else(cut_off)?;
            if !head.starts_with(b"PK\x01\x02") {
                return Err(cut_off());
            }
            let fields = Fields(head);
            let lengths = [28, 30, 32].map(|at| usize::from(fields.u16(at)));
            let [name, extra, comment] = lengths;
            let (name, after) = after.split_at_checked(name).ok_or_else(cut_off)?;
            let (extra, after) = after.split_at_checked(extra).ok_or_else(cut_off)?;
            let (_, after) = after.split_at_checked(comment).ok_or_else(cut_off)?;
            records.push(self.record(fields, name, extra)?);
            rest = after;
        }
        if rest.is_empty() {
            Ok(records)
        } else {
            Err(self.refused(ZipFlaw::Records(count)))
        }
    }

    fn record(&self, fields: Fields<'_>, raw: &[u8], extra: &[u8]) -> Result<Record, ZipError> {
        let flawed = |flaw| self.entry(raw, flaw);
        let (flags, method) = (fields.u16(8), fields.u16(10));
        let [system, _] = fields.u16(4).to_be_bytes();
        let (packed, size, offset) = (fields.u32(20), fields.u32(24), fields.u32(42));
        if flags & ENCRYPTED != 0 || method == 99 {
            return Err(flawed(EntryFlaw::Encrypted));
        }
        if flags & !KNOWN != 0 {
            return Err(flawed(EntryFlaw::Flags(flags)));
        }
        if ![0, 8].contains(&method) {
            return Err(flawed(EntryFlaw::Method(method)));
        }
        if [packed, size, offset].contains(&u32::MAX) {
            return Err(flawed(EntryFlaw::Zip64));
        }
        if fields.u16(34) != 0 {
            return Err(flawed(EntryFlaw::Volume));
        }
        if method == 0 && packed != size {
            let (expected, actual) = (size.into(), packed.into());
            return Err(flawed(EntryFlaw::Size { expected, actual }));
        }
        Ok(Record {
            name: self.name(raw, flags & UTF8 != 0 || is_unix(system), extra)?,
            crc32: fields.u32(16),
            packed: packed.into(),
            size: size.into(),
            deflated: method == 8,
            system,
            attributes: fields.u32(38),
            content_at: 0,
            flags,
            offset: offset.into(),
        })
    }

    /// The name, if there is no doubt about it. On Unix names are bytes, and Info-ZIP does
    /// not mark them as UTF-8; elsewhere what is not marked is in a code page.
    fn name(&self, raw: &[u8], marked: bool, extra: &[u8]) -> Result<String, ZipError> {
        let flawed = |flaw| self.entry(raw, flaw);
        let name = str::from_utf8(raw).map_err(|_| flawed(EntryFlaw::NotUtf8))?;
        let mut is_utf8 = marked || name.is_ascii();
        let mut rest = extra;
        while let Some((head, after)) = rest.split_at_checked(4) {
            let (kind, length) = (Fields(head).u16(0), usize::from(Fields(head).u16(2)));
            let Some((value, after)) = after.split_at_checked(length) else {
                return Err(flawed(EntryFlaw::Contradiction("extra fields")));
            };
            if kind == UNICODE_PATH {
                // One byte of version, four of the CRC-32 of the other name.
                if value.get(5..) != Some(raw) {
                    return Err(flawed(EntryFlaw::TwoNames));
                }
                is_utf8 = true;
            }
            rest = after;
        }
        if is_utf8 {
            Ok(name.to_owned())
        } else {
            Err(flawed(EntryFlaw::NotUtf8))
        }
    }

    /// Proves the local header of `record` and finds its content; returns where the
    /// entry ends, which is at `end` if all is right.
    fn local(&self, record: &mut Record, end: u64) -> Result<u64, ZipError> {
        let name = record.name.as_bytes();
        let flawed = |flaw| self.entry(name, flaw);
        let contradicts = |what| flawed(EntryFlaw::Contradiction(what));
        let room = end.saturating_sub(record.offset);
        if room < LOCAL_SIZE + name.len() as u64 {
            return Err(flawed(EntryFlaw::Overlap));
        }
        let head = self.at(record.offset, LOCAL_SIZE + name.len() as u64)?;
        let fields = Fields(&head);
        if !head.starts_with(b"PK\x03\x04") {
            return Err(contradicts("beginning"));
        }
        let described = record.flags & DESCRIBED != 0;
        let sums = [fields.u32(14), fields.u32(18), fields.u32(22)];
        let expected = [record.crc32, record.packed as u32, record.size as u32];
        if fields.u16(6) != record.flags {
            return Err(contradicts("flags"));
        }
        if fields.u16(8) != if record.deflated { 8 } else { 0 } {
            return Err(contradicts("method of compression"));
        }
        if sums[1..].contains(&u32::MAX) {
            return Err(flawed(EntryFlaw::Zip64));
        }
        // With a descriptor behind the content, what was not known before it is 0.
        let fits = |(sum, expected)| sum == expected || described && sum == 0;
        if !sums.into_iter().zip(expected).all(fits) {
            return Err(contradicts("checksum or sizes"));
        }
        if usize::from(fields.u16(26)) != name.len() || head.get(30..) != Some(name) {
            return Err(contradicts("name"));
        }
        let header = LOCAL_SIZE + name.len() as u64 + u64::from(fields.u16(28));
        let content_at = record.offset + header;
        let ends = content_at + record.packed;
        if ends > end {
            return Err(flawed(EntryFlaw::Overlap));
        }
        record.content_at = content_at;
        if !described {
            return Ok(ends);
        }
        let mut canonical: Vec<u8> = expected.into_iter().flat_map(u32::to_le_bytes).collect();
        if end - ends == 16 {
            canonical.splice(0..0, DESCRIPTOR);
        }
        if end - ends != canonical.len() as u64 || self.at(ends, end - ends)? != canonical {
            return Err(contradicts("data descriptor"));
        }
        Ok(end)
    }

    fn at(&self, at: u64, count: u64) -> Result<Vec<u8>, ZipError> {
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
        let read = self.bytes.read_exact_at(&mut bytes, at);
        read.map_err(|source| ZipError::Io {
            attempted: "read",
            zip: self.label.to_owned(),
            source,
        })?;
        Ok(bytes)
    }

    fn refused(&self, flaw: ZipFlaw) -> ZipError {
        ZipError::Zip {
            zip: self.label.to_owned(),
            flaw,
        }
    }

    fn entry(&self, name: &[u8], flaw: EntryFlaw) -> ZipError {
        entry_error(self.label, name, flaw)
    }
}

/// The error that `flaw` is, for the entry `name`.
pub(super) fn entry_error(label: &str, name: &[u8], flaw: EntryFlaw) -> ZipError {
    let start = name.get(..255).unwrap_or(name);
    let shown = match str::from_utf8(start) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => start.escape_ascii().to_string(),
    };
    ZipError::Entry {
        zip: label.to_owned(),
        entry: shown,
        flaw,
    }
}

/// Numbers of a record whose length was checked; beyond its end all is 0.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u16(self, at: usize) -> u16 {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        u16::from_le_bytes(*bytes.unwrap_or(&[0; 2]))
    }

    fn u32(self, at: usize) -> u32 {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        u32::from_le_bytes(*bytes.unwrap_or(&[0; 4]))
    }
}
