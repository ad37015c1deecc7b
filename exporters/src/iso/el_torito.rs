//! What firmware starts a disc by (El Torito 1.0; UEFI 2.10, 13.3.2.1).

use super::descriptors::{head, whole};

/// What starts it.
const X86: u8 = 0;
const EFI: u8 = 0xef;
/// How much a BIOS loads, in sectors of 512 bytes: one block, which loads the rest.
const BIOS_SECTORS: u16 = 4;
/// What is left of the disc: sizes have 16 bits, which for most are too few.
const EFI_SECTORS: u16 = 0;

/// The boot record: the volume descriptor that says where the catalogue is.
pub(super) fn boot_record(catalogue: u32) -> Vec<u8> {
    let mut record = head(0);
    record.extend_from_slice(b"EL TORITO SPECIFICATION");
    record.resize(0x47, 0);
    record.extend_from_slice(&catalogue.to_le_bytes());
    whole(record)
}

/// The catalogue: what a BIOS starts and what UEFI starts from, by their first blocks. There
/// is none without an entry.
pub(super) fn catalogue(bios: Option<u32>, efi: Option<u32>) -> Option<Vec<u8>> {
    let entries = [(X86, BIOS_SECTORS, bios), (EFI, EFI_SECTORS, efi)];
    let entries = entries.map(|(platform, sectors, block)| Some((platform, sectors, block?)));
    let mut catalogue = Vec::new();
    for (platform, sectors, block) in entries.into_iter().flatten() {
        match catalogue.is_empty() {
            true => catalogue.extend(validation(platform)),
            // The only section behind the first entry, and its number of entries.
            false => catalogue.extend(entry(&[0x91, platform, 1, 0])),
        }
        // It boots, without emulation of another drive, at the usual segment.
        let mut bytes = vec![0x88, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(&sectors.to_le_bytes());
        bytes.extend_from_slice(&block.to_le_bytes());
        catalogue.extend(entry(&bytes));
    }
    (!catalogue.is_empty()).then(|| whole(catalogue))
}

/// What the catalogue begins with: the sum of its words is 0.
fn validation(platform: u8) -> [u8; 32] {
    let mut bytes = entry(&[1, platform]);
    bytes[30..].copy_from_slice(&[0x55, 0xaa]);
    let words = bytes
        .chunks_exact(2)
        .map(|it| u16::from_le_bytes([it[0], it[1]]));
    let sum = words.fold(0, u16::wrapping_add);
    bytes[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    bytes
}

fn entry(begin: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    (bytes.iter_mut().zip(begin)).for_each(|(place, byte)| *place = *byte);
    bytes
}
