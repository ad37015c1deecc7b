//! Folders as they are on disk (FAT 1.03, section 6).

use super::names::{Short, ShortNames, long_entries};
use super::tree::{Folder, Kind};

/// The size of an entry in bytes.
pub(super) const ENTRY: usize = 32;
/// The most entries that a folder may take: 2 MiB of them (FAT 1.03, section 6.1).
pub(super) const MAX_ENTRIES: usize = 65536;

const DIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const VOLUME: u8 = 0x08;
/// 1980-01-01, the first day that FAT has; the time of day is 0.
const DATE: u16 = 1 << 5 | 1;

/// A folder's entries, without where the files begin: that is known later.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) bytes: Vec<u8>,
    /// For each of the folder's nodes, in order, where its entry is in `bytes`.
    pub(super) places: Vec<usize>,
}

impl Listing {
    /// Lists `folder`: behind the label if it is the root's, else behind itself and its
    /// parent. `None` where a short name cannot be found for each.
    pub(super) fn of(folder: &Folder, label: Option<&Short>) -> Option<Self> {
        let mut shorts = ShortNames::default();
        shorts.reserve(folder.values().map(|node| node.name.as_str()));
        let mut bytes = Vec::new();
        match label {
            Some(label) => bytes.extend_from_slice(&entry(label, VOLUME, 0)),
            None => {
                bytes.extend_from_slice(&entry(b".          ", DIRECTORY, 0));
                bytes.extend_from_slice(&entry(b"..         ", DIRECTORY, 0));
            }
        }
        let mut places = Vec::with_capacity(folder.len());
        for node in folder.values() {
            let short = shorts.get(&node.name)?;
            let long = long_entries(&node.name, &short);
            bytes.extend(long.into_iter().flatten());
            places.push(bytes.len());
            let (attribute, size) = match &node.kind {
                Kind::Folder(_) => (DIRECTORY, 0),
                // Checked when it was added to the tree.
                Kind::File(content) => (ARCHIVE, content.len() as u32),
            };
            bytes.extend_from_slice(&entry(&short, attribute, size));
        }
        Some(Self { bytes, places })
    }

    /// Writes down where what the entry at `place` stands for begins.
    pub(super) fn set_cluster(&mut self, place: usize, cluster: u32) {
        let [a, b, c, d] = cluster.to_le_bytes();
        for (at, byte) in [(26, a), (27, b), (20, c), (21, d)] {
            if let Some(field) = self.bytes.get_mut(place + at) {
                *field = byte;
            }
        }
    }
}

fn entry(short: &Short, attribute: u8, size: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let (name, rest) = entry.split_at_mut(11);
    name.copy_from_slice(short);
    rest[0] = attribute;
    // The days of creation, last access and last change.
    for at in [5, 7, 13] {
        [rest[at], rest[at + 1]] = DATE.to_le_bytes();
    }
    rest[17..21].copy_from_slice(&size.to_le_bytes());
    entry
}
