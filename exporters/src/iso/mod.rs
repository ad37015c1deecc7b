//! ISO 9660 file systems with Rock Ridge (ECMA-119, IEEE P1282), made whole, that boot by
//! El Torito (*Bootable CD-ROM Format Specification*, 1.0).
//!
//! | blocks of 2048 bytes | what |
//! |---|---|
//! | 0 to 15 | free: a partition table, for example |
//! | 16 to 18 | volume descriptors: the primary, the boot record, the end |
//! | 19 | boot catalogue |
//! | from 20 on | the file that a BIOS starts |
//! | then | path tables, folders, files |
//! | at last | the file that UEFI starts from |
//!
//! What a BIOS starts has to know where it is, so its place depends on nothing. What UEFI
//! starts from has to be last: few sizes fit the boot catalogue, and without one it is
//! what is left of the disc (UEFI 2.10, 13.3.2.1).

mod descriptors;
mod el_torito;
mod folders;
mod record;

use crate::content::Content;
use crate::disk::{Disk, DiskError};
use folders::{Folders, Place};

/// The size of a block, in bytes.
pub const BLOCK: u64 = 2048;
/// The block where what a BIOS starts begins.
pub const BIOS_BLOCK: u32 = 20;
/// How large the part at the beginning is that is free, in bytes.
pub const FREE: u64 = DESCRIPTORS * BLOCK;
/// The longest name of a file or folder.
const MAX_NAME: usize = 30;
/// How many folders may be in each other, the root among them (ECMA-119, 6.8.2.1).
const MAX_DEPTH: usize = 8;
/// Where the volume descriptors are, and the boot catalogue.
const DESCRIPTORS: u64 = 16;
const CATALOGUE: u32 = 19;

/// What is to be on a disc.
#[derive(Debug, Clone, Default)]
pub struct Volume {
    /// Its label: what is not A–Z, 0–9 or `_` becomes `_`, and lower case upper case.
    pub label: String,
    /// Files by their paths. Their content is on the disc in this order.
    pub files: Vec<(String, Content)>,
    /// The file, by its path, that a BIOS starts.
    pub bios: Option<(String, Content)>,
    /// The file, by its path, that is the file system from which UEFI starts, and its size
    /// in bytes.
    pub efi: Option<(String, u64)>,
    /// How many bytes are to be free at the end.
    pub free_at_end: u64,
}

/// A disc, as far as it is written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The disc. Its beginning and its end are free, and where UEFI starts from.
    pub disk: Disk,
    /// Where the file system from which UEFI starts goes, in bytes.
    pub efi: Option<u64>,
}

/// An ISO 9660 file system cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsoError {
    /// A path that cannot be on a disc.
    #[error(
        "could not put `{path}` on a disc: expected up to 8 names of 1 to {MAX_NAME} of A–Z, a–z, 0–9, `.`, `_` and `-`"
    )]
    Path {
        /// The path; what is not printable in it is escaped.
        path: String,
    },
    /// Two paths are the same to readers that know no Rock Ridge.
    #[error("could not put `{path}` on a disc: there is a file or folder of such a name")]
    Twice {
        /// The path.
        path: String,
    },
    /// A file is too large.
    #[error(
        "could not put `{path}` on a disc: it has {size} bytes, and {} is the limit",
        u32::MAX
    )]
    FileTooLarge {
        /// Its path.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// All of it is too large.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl IsoError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::FileTooLarge { .. } => Some("make the initramfs smaller".to_owned()),
            Self::Disk(error) => error.hint(),
            Self::Path { .. } | Self::Twice { .. } => None,
        }
    }
}

impl Volume {
    /// Writes everything but what UEFI starts from, for which it leaves room.
    ///
    /// # Errors
    /// [`IsoError`] where something cannot be on a disc.
    pub fn write(&self) -> Result<Written, IsoError> {
        let (mut folders, mut places) = (Folders::new(), Vec::new());
        let contents: Vec<_> = self.bios.iter().chain(&self.files).collect();
        for (path, content) in &contents {
            folders.add(path, content.len())?;
        }
        if let Some((path, size)) = &self.efi {
            folders.add(path, *size)?;
        }
        let mut next = Blocks(u64::from(BIOS_BLOCK));
        if let Some((_, image)) = &self.bios {
            places.push(next.take(image.len())?);
        }
        let table_len = folders.path_table_len();
        let tables = [next.take(table_len)?, next.take(table_len)?];
        for len in folders.listing_lens() {
            folders.place_next(next.take(len)?);
        }
        for (_, content) in &self.files {
            places.push(next.take(content.len())?);
        }
        let efi = (self.efi.as_ref()).map(|(_, size)| next.take(*size));
        let efi = efi.transpose()?;
        places.extend(efi);
        let end = next.take(self.free_at_end)?;
        let blocks = end.block + end.blocks();

        let mut disk = Disk::new(u64::from(blocks) * BLOCK)?;
        let mut put = |block: u32, content: Content| disk.put(u64::from(block) * BLOCK, content);
        let root = folders.root();
        let mut start = descriptors::primary(&self.label, blocks, table_len, tables, root);
        let bios_at = self.bios.as_ref().map(|_| BIOS_BLOCK);
        let efi_at = efi.map(|place| place.block);
        if let Some(catalogue) = el_torito::catalogue(bios_at, efi_at) {
            start.extend(el_torito::boot_record(CATALOGUE));
            put(CATALOGUE, Content::bytes(catalogue))?;
        }
        start.extend(descriptors::end());
        put(DESCRIPTORS as u32, Content::bytes(start))?;
        let little_endian = folders.path_table(u16::to_le_bytes, u32::to_le_bytes);
        let big_endian = folders.path_table(u16::to_be_bytes, u32::to_be_bytes);
        for (place, table) in tables.into_iter().zip([little_endian, big_endian]) {
            put(place.block, Content::bytes(table))?;
        }
        for (place, listing) in folders.listings(&places) {
            put(place.block, Content::bytes(listing))?;
        }
        for ((_, content), place) in contents.into_iter().zip(places) {
            put(place.block, content.clone())?;
        }
        Ok(Written {
            disk,
            efi: efi.map(|place| u64::from(place.block) * BLOCK),
        })
    }
}

/// The next block that is free.
struct Blocks(u64);

impl Blocks {
    /// Takes blocks for `len` bytes. Numbers of blocks and sizes have 32 bits.
    fn take(&mut self, len: u64) -> Result<Place, DiskError> {
        let block = self.0;
        self.0 = block.saturating_add(len.div_ceil(BLOCK));
        let too_large = DiskError::TooLarge(self.0.saturating_mul(BLOCK));
        match (
            u32::try_from(self.0),
            u32::try_from(block),
            u32::try_from(len),
        ) {
            (Ok(_), Ok(block), Ok(len)) => Ok(Place { block, len }),
            _ => Err(too_large),
        }
    }
}
#[cfg(test)]
mod tests;
