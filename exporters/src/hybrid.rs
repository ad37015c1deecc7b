//! The disk that boots everywhere: under BIOS by GRUB in the first sector and in a partition
//! of its own, under UEFI from the EFI system partition.
//!
//! | sectors | what |
//! |---|---|
//! | 0 | boot code of GRUB, protective MBR |
//! | 1 to 33 | GPT |
//! | 2048 to 4095 | `BIOS boot`: GRUB's core.img, where there is one |
//! | from 4096 on | `EFI system`: FAT32, with what both of them start |
//! | the last 33 | backup of the GPT |

use crate::content::Content;
use crate::disk::{Disk, DiskError};
use crate::fat::{self, FatError, FileTree, Volume};
use crate::gpt::{self, BACKUP_SECTORS, GptError, Kind, Partition, SECTOR};
use crate::grub::{self, GrubError};
use crate::identity::Identity;

/// Where the partition with GRUB's core.img begins: at 1 MiB, as everybody aligns.
pub const CORE_SECTOR: u64 = 2048;
/// Where the EFI system partition begins.
pub const ESP_SECTOR: u64 = 4096;
/// The largest core.img, in bytes.
pub const MAX_CORE: u64 = (ESP_SECTOR - CORE_SECTOR) * SECTOR;
/// The smallest EFI system partition, in bytes: one that is FAT32 (36 MiB), which is the one kind
/// that UEFI promises to read (UEFI 2.10, 13.3).
pub const MIN_ESP: u64 = 36 << 20;
/// Sizes of disks are whole numbers of this, in bytes.
const STEP: u64 = 1 << 20;

/// What is to boot.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// GRUB for BIOSes; without it, only UEFI firmware boots the disk.
    pub bios: Option<Bios>,
    /// The files of the EFI system partition: `EFI/BOOT/BOOTX64.EFI` for UEFI, and what
    /// GRUB loads.
    pub files: FileTree,
    /// The size of the disk in bytes; else the smallest that holds the files.
    pub size: Option<u64>,
}

/// GRUB's images for BIOSes, as its packages and `grub-mkimage` have them.
#[derive(Debug, Clone)]
pub struct Bios {
    /// `boot.img`.
    pub boot_img: Vec<u8>,
    /// `core.img`, which looks for its configuration in the second partition.
    pub core_img: Vec<u8>,
}

/// A disk cannot be laid out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The disk that was asked for is too small.
    #[error("could not lay out a disk of {size} bytes: its files need {needed}")]
    TooSmall {
        /// The size asked for, in bytes.
        size: u64,
        /// The smallest possible, in bytes.
        needed: u64,
    },
    /// GRUB's core.img does not fit its partition.
    #[error("could not put core.img of {0} bytes on a disk: its partition has {MAX_CORE}")]
    CoreTooLarge(u64),
    /// The file system cannot be made.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// The partition table cannot be made.
    #[error(transparent)]
    Gpt(#[from] GptError),
    /// GRUB's images are not what they should be.
    #[error(transparent)]
    Grub(#[from] GrubError),
    /// The disk cannot be.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl LayoutError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooSmall { needed, .. } => {
                let mib = needed.div_ceil(STEP);
                Some(format!("ask for `--size {mib}M` or more, or leave it out"))
            }
            Self::CoreTooLarge(_) => Some("make it with fewer of GRUB's modules".to_owned()),
            Self::Fat(error) => error.hint(),
            Self::Gpt(error) => error.hint(),
            Self::Grub(error) => error.hint(),
            Self::Disk(error) => error.hint(),
        }
    }
}

impl Layout {
    /// The smallest disk that holds it, in bytes: a whole number of MiB.
    ///
    /// # Errors
    /// [`LayoutError::Fat`] where no file system holds the files.
    pub fn smallest(&self) -> Result<u64, LayoutError> {
        let end = ESP_SECTOR * SECTOR + self.esp_size()? + BACKUP_SECTORS * SECTOR;
        Ok(end.next_multiple_of(STEP))
    }

    /// Lays it out. The disk's GUIDs and the file system's number come from `identity`; the
    /// latter is labelled `fat volume`.
    ///
    /// # Errors
    /// [`LayoutError`] where something does not fit.
    pub fn compose(&self, identity: &Identity) -> Result<Disk, LayoutError> {
        let needed = self.smallest()?;
        let size = self.size.unwrap_or(needed);
        if size < needed {
            return Err(LayoutError::TooSmall { size, needed });
        }
        let mut partitions = Vec::new();
        let mut boot_code = Vec::new();
        if let Some(bios) = &self.bios {
            boot_code = grub::boot_code(&bios.boot_img, CORE_SECTOR)?;
            partitions.push(Partition {
                kind: Kind::BiosBoot,
                name: "BIOS boot".to_owned(),
                first: CORE_SECTOR,
                content: core_partition(&bios.core_img)?,
            });
        }
        let volume = Volume {
            size: self.esp_size()?,
            label: "ESP".to_owned(),
            id: identity.number("fat volume"),
            hidden_sectors: ESP_SECTOR as u32,
        };
        partitions.push(Partition {
            kind: Kind::EfiSystem,
            name: "EFI system".to_owned(),
            first: ESP_SECTOR,
            content: fat::build(&self.files, &volume)?,
        });
        let mut disk = Disk::new(size)?;
        gpt::place(&mut disk, identity, &partitions, &boot_code)?;
        Ok(disk)
    }

    fn esp_size(&self) -> Result<u64, LayoutError> {
        Ok(fat::smallest(&self.files)?.max(MIN_ESP))
    }
}

fn core_partition(core_img: &[u8]) -> Result<Disk, LayoutError> {
    let core = grub::core(core_img, CORE_SECTOR)?;
    let mut partition = Disk::new(MAX_CORE)?;
    let len = core.len() as u64;
    let put = partition.put(0, Content::bytes(core));
    put.map_err(|_| LayoutError::CoreTooLarge(len))?;
    Ok(partition)
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::Sha256;

    use super::*;

    fn layout(mib: usize, size: Option<u64>) -> Layout {
        let mut files = FileTree::new();
        files
            .add("vmlinuz", Content::bytes(vec![1; mib << 20]))
            .unwrap();
        Layout {
            files,
            size,
            bios: None,
        }
    }

    #[test]
    fn the_smallest_disk_is_one_and_a_smaller_one_is_not() {
        let identity = Identity::of(Sha256::of(b"test"));
        for mib in [1, 50] {
            let needed = layout(mib, None).smallest().unwrap();
            let made = layout(mib, Some(needed)).compose(&identity).unwrap();
            assert_eq!(made.size(), needed);
            let refused = layout(mib, Some(needed - 1))
                .compose(&identity)
                .unwrap_err();
            assert!(matches!(refused, LayoutError::TooSmall { .. }));
            assert!(
                refused
                    .hint()
                    .unwrap()
                    .contains(&format!("{}M", needed >> 20))
            );
        }
    }

    #[test]
    fn a_core_that_does_not_fit_is_refused() {
        let identity = Identity::of(Sha256::of(b"test"));
        let mut boot_img = vec![0; 512];
        boot_img[0x5c] = 1;
        boot_img[0x66..0x68].copy_from_slice(&[0xeb, 5]);
        boot_img[510..].copy_from_slice(&[0x55, 0xaa]);
        let mut core_img = vec![0; (1 << 20) + 1];
        core_img[0x1fe..0x200].copy_from_slice(&[0x20, 8]);
        let with = |core_img| Layout {
            bios: Some(Bios {
                boot_img: boot_img.clone(),
                core_img,
            }),
            ..layout(1, None)
        };
        let refused = with(core_img.clone()).compose(&identity).unwrap_err();
        assert_eq!(refused, LayoutError::CoreTooLarge((1 << 20) + 1));
        core_img.pop();
        let disk = with(core_img).compose(&identity).unwrap();
        let mut sector = [0; 512];
        disk.read_at(&mut sector, 0).unwrap();
        assert_eq!(sector[0x5c..0x64], 2048u64.to_le_bytes());
    }
}
