//! Directory records (ECMA-119, 9.1), with the fields of Rock Ridge (IEEE P1282, 4.1) in
//! the frame of the System Use Sharing Protocol (IEEE P1281).

use super::BLOCK;
use super::descriptors::{both16, both32};
use super::folders::Place;

/// 1980-01-01 00:00:00 UTC (ECMA-119, 9.1.5).
const TIME: [u8; 7] = [80, 1, 1, 0, 0, 0, 0];
/// That there is Rock Ridge (IEEE P1281, 5.5), without the texts that say where it is
/// described.
const EXTENSION: &[u8] = b"RRIP_1991A";
const FOLDER: u32 = 0o040_555;
const FILE: u32 = 0o100_444;

/// Whose record of its own it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// The root's, of itself.
    Root,
    /// A folder's, of itself.
    Folder,
    /// Any folder's, of the one that it is in.
    Parent,
}

/// A file or folder in a folder.
pub(super) struct Entry<'a> {
    pub(super) identifier: &'a str,
    pub(super) name: &'a str,
    pub(super) place: Place,
    /// How often it is linked, where it is a folder.
    pub(super) folder_links: Option<u32>,
}

/// The record of the folder itself, or of the one that it is in.
pub(super) fn own(whose: Own, place: Place, links: u32) -> Vec<u8> {
    let mut system_use = Vec::new();
    if whose == Own::Root {
        system_use.extend_from_slice(&[b'S', b'P', 7, 1, 0xbe, 0xef, 0]);
    }
    system_use.extend(posix(FOLDER, links));
    if whose == Own::Root {
        let len = 8 + EXTENSION.len() as u8;
        system_use.extend_from_slice(&[b'E', b'R', len, 1, EXTENSION.len() as u8, 0, 0, 1]);
        system_use.extend_from_slice(EXTENSION);
    }
    let identifier = u8::from(whose == Own::Parent);
    record(&[identifier], place, true, &system_use)
}

/// The record of a file or folder.
pub(super) fn entry(entry: &Entry<'_>) -> Vec<u8> {
    let mut system_use = match entry.folder_links {
        Some(links) => posix(FOLDER, links),
        None => posix(FILE, 1),
    };
    // Names are short enough that all of it fits a record.
    system_use.extend_from_slice(&[b'N', b'M', 5 + entry.name.len() as u8, 1, 0]);
    system_use.extend_from_slice(entry.name.as_bytes());
    let folder = entry.folder_links.is_some();
    record(
        entry.identifier.as_bytes(),
        entry.place,
        folder,
        &system_use,
    )
}

/// The record of the root in a volume descriptor.
pub(super) fn root(place: Place) -> Vec<u8> {
    record(&[0], place, true, &[])
}

/// Mode, links, owner and group (IEEE P1282, 4.1.1), as in its version of 1991.
fn posix(mode: u32, links: u32) -> Vec<u8> {
    let mut field = vec![b'P', b'X', 36, 1];
    for number in [mode, links, 0, 0] {
        field.extend_from_slice(&both32(number));
    }
    field
}

fn record(identifier: &[u8], place: Place, folder: bool, system_use: &[u8]) -> Vec<u8> {
    // A folder has whole blocks.
    let len = match folder {
        true => place.blocks() * BLOCK as u32,
        false => place.len,
    };
    let mut record = vec![0, 0];
    record.extend_from_slice(&both32(place.block));
    record.extend_from_slice(&both32(len));
    record.extend_from_slice(&TIME);
    record.extend_from_slice(&[if folder { 2 } else { 0 }, 0, 0]);
    record.extend_from_slice(&both16(1));
    record.push(identifier.len() as u8);
    record.extend_from_slice(identifier);
    for part in [&[][..], system_use] {
        record.extend_from_slice(part);
        if record.len() % 2 == 1 {
            record.push(0);
        }
    }
    let total = record.len() as u8;
    if let Some(first) = record.first_mut() {
        *first = total;
    }
    record
}

/// Records one after the other, none of them over the end of a block.
pub(super) fn pack(records: &[Vec<u8>]) -> Vec<u8> {
    let mut listing: Vec<u8> = Vec::new();
    for record in records {
        let end = listing.len().next_multiple_of(BLOCK as usize);
        if listing.len() + record.len() > end && end > 0 {
            listing.resize(end, 0);
        }
        listing.extend_from_slice(record);
    }
    listing.resize(listing.len().next_multiple_of(BLOCK as usize), 0);
    listing
}
