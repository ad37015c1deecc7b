//! The tables of owners, fragments and attributes.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::UnpackError;
use super::blocks::{Cursor, Image, METADATA, NONE, layout, number};
use super::inode::NOTHING;

/// The longest name of an attribute that Linux takes (XATTR_NAME_MAX), in bytes.
const MAX_NAME: usize = 255;
/// The most that all attributes of one file may take, in bytes: Linux takes names of
/// 64 KiB together (XATTR_LIST_MAX), and values of that size (XATTR_SIZE_MAX).
const MAX_ATTRIBUTES: usize = 64 << 10;
/// The sizes in front of each name and value, in bytes.
const HEADS: usize = 8;
/// In the type of an attribute: its value is elsewhere.
const ELSEWHERE: u16 = 1 << 8;

pub(super) struct Tables {
    owners: Vec<u32>,
    /// Where the metadata blocks of the table of fragments are.
    fragments: Vec<u64>,
    /// Where attributes are, and the metadata blocks of their index.
    attributes: Option<(u64, u32, Vec<u64>)>,
}

impl Tables {
    pub(super) fn read<R: Read + Seek>(image: &mut Image<R>) -> Result<Self, UnpackError> {
        let part = "the table of owners";
        let count = usize::from(image.owners);
        let places = places(image, image.owner_table, count, 4, part)?;
        let mut owners = Vec::new();
        for (place, left) in places.iter().zip((0..count).step_by(METADATA / 4)) {
            let size = (count - left).min(METADATA / 4) * 4;
            let bytes = Cursor::new(*place, 0).bytes(image, size, part)?;
            let numbers = bytes.as_chunks::<4>().0.iter();
            owners.extend(numbers.map(|bytes| u32::from_le_bytes(*bytes)));
        }
        let count = image.fragments as usize;
        let fragments = match image.fragment_table {
            NONE => Vec::new(),
            table => self::places(image, table, count, 16, "the table of fragments")?,
        };
        let attributes = match image.xattr_table {
            NONE => None,
            table => {
                let part = "the table of attributes";
                let head = image.raw(table, 16, part)?;
                let (start, count) = (number!(head, 0, u64), number!(head, 8, u32));
                let index = table.saturating_add(16);
                let places = self::places(image, index, count as usize, 16, part)?;
                Some((start, count, places))
            }
        };
        Ok(Self {
            owners,
            fragments,
            attributes,
        })
    }

    /// The owner's number at a position of the table.
    pub(super) fn owner(&self, position: u16) -> Result<u32, UnpackError> {
        let found = self.owners.get(usize::from(position)).copied();
        found.ok_or_else(|| {
            layout(
                "an inode",
                format!("one of {} owners", self.owners.len()),
                format!("number {position}"),
            )
        })
    }

    /// Where a fragment is, and its size.
    pub(super) fn fragment<R: Read + Seek>(
        &self,
        image: &mut Image<R>,
        number: u32,
    ) -> Result<(u64, u32), UnpackError> {
        if number >= image.fragments {
            return Err(layout(
                "an inode",
                format!("one of {} fragments", image.fragments),
                format!("number {number}"),
            ));
        }
        let bytes = record(image, &self.fragments, number, "the table of fragments")?;
        Ok((number!(bytes, 0, u64), number!(bytes, 8, u32)))
    }

    /// The extended attributes at a position of their index.
    pub(super) fn attributes<R: Read + Seek>(
        &self,
        image: &mut Image<R>,
        position: u32,
    ) -> Result<BTreeMap<String, Vec<u8>>, UnpackError> {
        let mut attributes = BTreeMap::new();
        if position == NOTHING {
            return Ok(attributes);
        }
        let part = "the table of attributes";
        let wrong = |expected: &str, found: String| layout(part, expected, found);
        let (start, _, places) = self
            .attributes
            .as_ref()
            .filter(|(_, count, _)| position < *count)
            .ok_or_else(|| wrong("an attribute that is there", format!("number {position}")))?;
        let bytes = record(image, places, position, part)?;
        let reference = number!(bytes, 0, u64);
        let (count, size) = (number!(bytes, 8, u32), number!(bytes, 12, u32));
        if size as usize > MAX_ATTRIBUTES || count > size {
            return Err(wrong(
                "at most 64 KiB for one file",
                format!("{size} bytes"),
            ));
        }
        let at = |reference: u64| {
            Cursor::new(
                start.saturating_add(reference >> 16),
                (reference & 0xffff) as u16,
            )
        };
        let mut cursor = at(reference);
        let mut total = 0usize;
        for _ in 0..count {
            let head: [u8; 4] = cursor.array(image, part)?;
            let (kind, size) = (number!(head, 0, u16), number!(head, 2, u16));
            let prefix = match kind & !ELSEWHERE {
                0 => "user.",
                1 => "trusted.",
                2 => "security.",
                other => return Err(wrong("a type from 0 to 2", format!("{other}"))),
            };
            let name_size = prefix.len() + usize::from(size);
            if name_size > MAX_NAME {
                return Err(wrong(
                    "a name of at most 255 bytes",
                    format!("{name_size} bytes"),
                ));
            }
            let name = cursor.bytes(image, size.into(), part)?;
            let name = String::from_utf8(name)
                .map_err(|error| wrong("a name in UTF-8", format!("{error}")))?;
            let head: [u8; 4] = cursor.array(image, part)?;
            let mut size = number!(head, 0, u32) as usize;
            let mut value = cursor;
            if kind & ELSEWHERE != 0 {
                let place: [u8; 8] = cursor.array(image, part)?;
                value = at(number!(place, 0, u64));
                let head: [u8; 4] = value.array(image, part)?;
                size = number!(head, 0, u32) as usize;
            }
            let own = HEADS.saturating_add(name_size).saturating_add(size);
            total = own.saturating_add(total);
            if total > MAX_ATTRIBUTES {
                return Err(wrong(
                    "at most 64 KiB for one file",
                    format!("{total} bytes"),
                ));
            }
            // Any number of inodes may share what is decompressed once.
            image.charge(own as u64, part)?;
            let bytes = value.bytes(image, size, part)?;
            if kind & ELSEWHERE == 0 {
                cursor = value;
            }
            attributes.insert(format!("{prefix}{name}"), bytes);
        }
        Ok(attributes)
    }
}

/// Where the metadata blocks of a table of `count` records are that is listed at `at`.
fn places<R: Read + Seek>(
    image: &mut Image<R>,
    at: u64,
    count: usize,
    record: usize,
    part: &str,
) -> Result<Vec<u64>, UnpackError> {
    let blocks = count.div_ceil(METADATA / record);
    let bytes = image.raw(at, blocks * 8, part)?;
    let places = bytes.as_chunks::<8>().0.iter();
    Ok(places.map(|bytes| u64::from_le_bytes(*bytes)).collect())
}

/// A record of 16 bytes.
fn record<R: Read + Seek>(
    image: &mut Image<R>,
    places: &[u64],
    number: u32,
    part: &str,
) -> Result<[u8; 16], UnpackError> {
    let each = (METADATA / 16) as u32;
    let place = places.get((number / each) as usize).copied();
    let place = place.ok_or_else(|| layout(part, "a table", "none"))?;
    let offset = number % each * 16;
    Cursor::new(place, offset as u16).array(image, part)
}
