//! The disc that boots everywhere, from a drive for discs and, written to a disk or stick as
//! it is, from there too.
//!
//! It is an ISO 9660 file system with a partition table in the part that is free at its
//! beginning. A BIOS starts GRUB's image for discs from a disc and the same by GRUB's boot
//! code from a disk; UEFI finds its file system by El Torito or as a partition.

use crate::content::Content;
use crate::disk::{Disk, DiskError};
use crate::fat::{self, FatError, FileTree, Volume};
use crate::gpt::{self, BACKUP_SECTORS, GptError, Kind, Partition, SECTOR};
use crate::grub::{self, GrubError};
use crate::identity::Identity;
use crate::iso::{self, BIOS_BLOCK, BLOCK, IsoError};

/// The file that a BIOS starts.
const BIOS_IMAGE: &str = "boot/grub/eltorito.img";
/// The file that is the file system from which UEFI starts.
pub const EFI_IMAGE: &str = "efi.img";

/// What is to boot.
#[derive(Debug, Clone, Default)]
pub struct Disc {
    /// The label of the disc.
    pub label: String,
    /// GRUB for BIOSes; without it, only UEFI firmware boots the disc.
    pub bios: Option<Bios>,
    /// The files of the file system from which UEFI starts; without it, only a BIOS
    /// boots the disc.
    pub efi: Option<FileTree>,
    /// The files of the disc itself, by their paths.
    pub files: Vec<(String, Content)>,
}

/// GRUB's images for BIOSes.
#[derive(Debug, Clone)]
pub struct Bios {
    /// `boot.img`, which starts it from a disk.
    pub boot_img: Vec<u8>,
    /// What `grub-mkimage` makes for `i386-pc-eltorito`.
    pub eltorito_img: Vec<u8>,
}

/// A disc cannot be laid out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscError {
    /// The file system of the disc cannot be made.
    #[error(transparent)]
    Iso(#[from] IsoError),
    /// The file system for UEFI cannot be made.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// The partition table cannot be made.
    #[error(transparent)]
    Gpt(#[from] GptError),
    /// GRUB's images are not what they should be.
    #[error(transparent)]
    Grub(#[from] GrubError),
    /// The disc cannot be.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl DiscError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Iso(error) => error.hint(),
            Self::Fat(error) => error.hint(),
            Self::Gpt(error) => error.hint(),
            Self::Grub(error) => error.hint(),
            Self::Disk(error) => error.hint(),
        }
    }
}

impl Disc {
    /// Lays it out. GUIDs and the number of the file system for UEFI come from `identity`,
    /// with the labels of those of a disk.
    ///
    /// # Errors
    /// [`DiscError`] where something cannot be on it.
    pub fn compose(&self, identity: &Identity) -> Result<Disk, DiscError> {
        let efi = self.efi.as_ref().map(|files| file_system(files, identity));
        let efi = efi.transpose()?;
        let mut volume = iso::Volume {
            label: self.label.clone(),
            files: self.files.clone(),
            bios: None,
            efi: (efi.as_ref()).map(|image| (EFI_IMAGE.to_owned(), image.size())),
            free_at_end: BACKUP_SECTORS * SECTOR,
        };
        let mut boot_code = Vec::new();
        if let Some(bios) = &self.bios {
            let image = grub::disc_image(&bios.eltorito_img, BIOS_BLOCK)?;
            volume.bios = Some((BIOS_IMAGE.to_owned(), Content::bytes(image)));
            let core = grub::core_of_disc_image(BIOS_BLOCK);
            boot_code = grub::boot_code(&bios.boot_img, core)?;
        }
        let written = volume.write()?;
        let partitions: Vec<Partition> = (written.efi.zip(efi).into_iter())
            .map(|(at, content)| Partition {
                kind: Kind::EfiSystem,
                name: "EFI system".to_owned(),
                first: at / SECTOR,
                content,
            })
            .collect();
        let mut disk = written.disk;
        gpt::place(&mut disk, identity, &partitions, &boot_code)?;
        Ok(disk)
    }
}

/// Of the smallest size: on what can be taken out UEFI reads FAT16 too (UEFI 2.10, 13.3).
fn file_system(files: &FileTree, identity: &Identity) -> Result<Disk, FatError> {
    let volume = Volume {
        size: fat::smallest(files)?.next_multiple_of(BLOCK),
        label: "ESP".to_owned(),
        id: identity.number("fat volume"),
        hidden_sectors: 0,
    };
    fat::build(files, &volume)
}
