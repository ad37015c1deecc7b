//! Partition tables: GPT with a protective MBR, whose boot code a BIOS can start
//! (UEFI specification 2.10, chapter 5).

use std::ops::Range;

use crate::content::Content;
use crate::disk::{Disk, DiskError};
use crate::identity::{Guid, Identity};

/// The size of a sector in bytes. The clouds' disks have it, whatever lies below.
pub const SECTOR: u64 = 512;
/// How much boot code a BIOS loads from the first sector, in bytes; behind it are the disk's
/// signature and the MBR's own table.
pub const BOOT_CODE: usize = 440;
/// The first sector that a partition may have: the table takes those before.
pub const FIRST_USABLE: u64 = 2 + ENTRIES_SECTORS;
/// How many sectors at the end of the disk the backup takes.
pub const BACKUP_SECTORS: u64 = 1 + ENTRIES_SECTORS;

/// As many entries as everyone has; UEFI asks for room of 16 KiB at least (5.3.1).
const ENTRIES: usize = 128;
const ENTRY: usize = 128;
const ENTRIES_SECTORS: u64 = (ENTRIES * ENTRY) as u64 / SECTOR;
const HEADER: usize = 92;
/// The longest name of a partition, in UTF-16 code units.
const MAX_NAME: usize = 36;

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Holds the part of GRUB that does not fit the MBR; nothing mounts it.
    BiosBoot,
    /// The file system that UEFI firmware starts programs from (UEFI 2.10, 13.3).
    EfiSystem,
    /// A file system of a Linux, of no particular use.
    LinuxData,
}

impl Kind {
    /// Its partition type GUID.
    #[must_use]
    pub const fn guid(self) -> Guid {
        let number: u128 = match self {
            Self::BiosBoot => 0x21686148_6449_6E6F_744E_656564454649,
            Self::EfiSystem => 0xC12A7328_F81F_11D2_BA4B_00A0C93EC93B,
            Self::LinuxData => 0x0FC63DAF_8483_4772_8E79_3D69D8477DE4,
        };
        Guid::from_bytes(number.to_be_bytes())
    }
}

/// A partition to be.
#[derive(Debug, Clone)]
pub struct Partition {
    /// What it is for.
    pub kind: Kind,
    /// Its name in the table: at most 36 UTF-16 code units.
    pub name: String,
    /// Its first sector.
    pub first: u64,
    /// What is in it. Its size is the partition's, rounded up to whole sectors.
    pub content: Disk,
}

impl Partition {
    fn sectors(&self) -> Range<u64> {
        let len = self.content.size().div_ceil(SECTOR);
        self.first..self.first.saturating_add(len)
    }
}

/// Partitions cannot be laid out on a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GptError {
    /// The disk is no whole number of sectors.
    #[error("could not partition a disk of {0} bytes: expected a multiple of {SECTOR}")]
    Sectors(u64),
    /// A partition is in the way of the table or of its backup, or empty.
    #[error(
        "could not put the partition `{name}` at sectors {} to {}: expected at least one of {} to {}",
        wanted.start, wanted.end, usable.start, usable.end
    )]
    Outside {
        /// Its name.
        name: String,
        /// The sectors that it was to have, the last one excluded.
        wanted: Range<u64>,
        /// The sectors that partitions may have.
        usable: Range<u64>,
    },
    /// Two partitions share sectors.
    #[error("could not partition a disk: `{0}` and `{1}` overlap")]
    Overlap(String, String),
    /// There are more partitions than entries.
    #[error("could not partition a disk: {0} partitions, and {ENTRIES} is the limit")]
    TooMany(usize),
    /// A name does not fit.
    #[error(
        "could not name a partition `{0}`: expected at most {MAX_NAME} characters, none of them zero"
    )]
    Name(String),
    /// The boot code is not of the size that it has to be.
    #[error("could not put {0} bytes of boot code on a disk: expected at most {BOOT_CODE}")]
    BootCode(usize),
    /// The disk has content where the table should be.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl GptError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Outside { wanted, .. } => {
                let mib = wanted.end.saturating_add(BACKUP_SECTORS).div_ceil(2048);
                Some(format!(
                    "ask for a disk of at least {mib} MiB with `--size`"
                ))
            }
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}

/// Puts `partitions` on `disk`, in the order of the list, with the table and its backup,
/// and `boot_code` in the first sector. GUIDs come from `identity`: that of the disk is
/// labelled `gpt disk`, that of the first partition `gpt partition 1`.
///
/// # Errors
/// [`GptError`] where they do not fit. The disk may have some of them by then.
pub fn place(
    disk: &mut Disk,
    identity: &Identity,
    partitions: &[Partition],
    boot_code: &[u8],
) -> Result<(), GptError> {
    let sectors = disk.size() / SECTOR;
    if !disk.size().is_multiple_of(SECTOR) {
        return Err(GptError::Sectors(disk.size()));
    }
    check(partitions, sectors)?;
    let entries = entries(partitions, identity)?;
    let last = sectors - 1;
    let header = |at, other, table| {
        let usable = FIRST_USABLE..=sectors - BACKUP_SECTORS - 1;
        header(
            at,
            other,
            table,
            usable,
            identity,
            crc32fast::hash(&entries),
        )
    };
    let mut start = protective_mbr(sectors, boot_code)?;
    start.extend(header(1, last, 2));
    start.extend_from_slice(&entries);
    let mut end = entries.clone();
    end.extend(header(last, 1, last - ENTRIES_SECTORS));
    disk.put(0, Content::bytes(start))?;
    for partition in partitions {
        disk.put_disk(partition.first * SECTOR, &partition.content)?;
    }
    disk.put((last - ENTRIES_SECTORS) * SECTOR, Content::bytes(end))?;
    Ok(())
}

fn check(partitions: &[Partition], sectors: u64) -> Result<(), GptError> {
    if partitions.len() > ENTRIES {
        return Err(GptError::TooMany(partitions.len()));
    }
    let usable = FIRST_USABLE..sectors.saturating_sub(BACKUP_SECTORS);
    for (number, partition) in partitions.iter().enumerate() {
        let wanted = partition.sectors();
        if wanted.start < usable.start || wanted.end > usable.end || wanted.is_empty() {
            let name = partition.name.clone();
            return Err(GptError::Outside {
                name,
                wanted,
                usable,
            });
        }
        let before = partitions.iter().take(number);
        let shares = |other: &&Partition| {
            let other = other.sectors();
            other.start < wanted.end && wanted.start < other.end
        };
        if let Some(other) = before.into_iter().find(shares) {
            let (one, two) = (other.name.clone(), partition.name.clone());
            return Err(GptError::Overlap(one, two));
        }
    }
    // A disk without partitions needs room for both tables all the same.
    if usable.is_empty() {
        return Err(GptError::Outside {
            name: String::new(),
            wanted: FIRST_USABLE..FIRST_USABLE + 1,
            usable,
        });
    }
    Ok(())
}

/// The first sector: boot code, and one partition over the whole disk for programs that
/// know no GPT (UEFI 2.10, 5.2.3).
fn protective_mbr(sectors: u64, boot_code: &[u8]) -> Result<Vec<u8>, GptError> {
    if boot_code.len() > BOOT_CODE {
        return Err(GptError::BootCode(boot_code.len()));
    }
    let mut sector = boot_code.to_vec();
    sector.resize(446, 0);
    let covered = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    // Not active; from cylinder 0, head 0, sector 2 to the last address that there is.
    sector.extend_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
    sector.extend_from_slice(&covered.to_le_bytes());
    sector.resize(510, 0);
    sector.extend_from_slice(&[0x55, 0xaa]);
    Ok(sector)
}

/// The array of entries (UEFI 2.10, table 5.6).
fn entries(partitions: &[Partition], identity: &Identity) -> Result<Vec<u8>, GptError> {
    let mut entries = Vec::with_capacity(ENTRIES * ENTRY);
    for (number, partition) in (1..).zip(partitions) {
        let name: Vec<u16> = partition.name.encode_utf16().collect();
        if name.len() > MAX_NAME || name.contains(&0) {
            return Err(GptError::Name(partition.name.escape_debug().to_string()));
        }
        let guid = identity.guid(&format!("gpt partition {number}"));
        let sectors = partition.sectors();
        entries.extend_from_slice(&partition.kind.guid().to_mixed_endian());
        entries.extend_from_slice(&guid.to_mixed_endian());
        entries.extend_from_slice(&sectors.start.to_le_bytes());
        entries.extend_from_slice(&(sectors.end - 1).to_le_bytes());
        entries.extend_from_slice(&[0; 8]);
        entries.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
        entries.resize(number * ENTRY, 0);
    }
    entries.resize(ENTRIES * ENTRY, 0);
    Ok(entries)
}

/// A header, filled up to a sector (UEFI 2.10, table 5.5).
fn header(
    at: u64,
    other: u64,
    table: u64,
    usable: std::ops::RangeInclusive<u64>,
    identity: &Identity,
    entries_crc32: u32,
) -> Vec<u8> {
    let mut header = b"EFI PART\0\0\x01\0".to_vec();
    header.extend_from_slice(&(HEADER as u32).to_le_bytes());
    header.extend_from_slice(&[0; 8]);
    for sector in [at, other, *usable.start(), *usable.end()] {
        header.extend_from_slice(&sector.to_le_bytes());
    }
    header.extend_from_slice(&identity.guid("gpt disk").to_mixed_endian());
    header.extend_from_slice(&table.to_le_bytes());
    for number in [ENTRIES as u32, ENTRY as u32, entries_crc32] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    // Taken while its own place is zero.
    let crc32 = crc32fast::hash(&header);
    header.splice(16..20, crc32.to_le_bytes());
    header.resize(SECTOR as usize, 0);
    header
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::Sha256;

    use super::*;

    fn partition(name: &str, first: u64, sectors: u64) -> Partition {
        Partition {
            kind: Kind::EfiSystem,
            name: name.to_owned(),
            first,
            content: Disk::new(sectors * SECTOR).unwrap(),
        }
    }

    fn placed(sectors: u64, partitions: &[Partition]) -> Result<Disk, GptError> {
        let mut disk = Disk::new(sectors * SECTOR).unwrap();
        let identity = Identity::of(Sha256::of(b"test"));
        place(&mut disk, &identity, partitions, &[0xeb])?;
        Ok(disk)
    }

    #[test]
    fn partitions_may_have_all_between_the_tables_and_no_more() {
        placed(100, &[partition("all", 34, 33)]).unwrap();
        for (first, sectors) in [(33, 1), (34, 34), (67, 1), (40, 0), (u64::MAX - 3, 9)] {
            let refused = placed(100, &[partition("it", first, sectors)]).unwrap_err();
            assert!(matches!(refused, GptError::Outside { .. }), "{refused}");
            assert!(refused.hint().is_some());
        }
        assert!(placed(68, &[]).is_ok());
        for sectors in [0, 1, 3, 67] {
            assert!(matches!(
                placed(sectors, &[]),
                Err(GptError::Outside { .. })
            ));
        }
        let mut odd = Disk::new(100_001).unwrap();
        let identity = Identity::of(Sha256::of(b"test"));
        assert_eq!(
            place(&mut odd, &identity, &[], &[])
                .unwrap_err()
                .to_string(),
            "could not partition a disk of 100001 bytes: expected a multiple of 512"
        );
    }

    #[test]
    fn overlaps_names_and_boot_code_that_do_not_fit_are_refused() {
        let two = [partition("one", 40, 5), partition("two", 44, 5)];
        assert_eq!(
            placed(100, &two).unwrap_err().to_string(),
            "could not partition a disk: `one` and `two` overlap"
        );
        let name = "ä".repeat(36);
        assert!(placed(100, &[partition(&name, 40, 1)]).is_ok());
        let name = "ä".repeat(37);
        assert!(matches!(
            placed(100, &[partition(&name, 40, 1)]),
            Err(GptError::Name(_))
        ));
        let mut disk = Disk::new(1 << 20).unwrap();
        let identity = Identity::of(Sha256::of(b"test"));
        let refused = place(&mut disk, &identity, &[], &[0; 441]);
        assert_eq!(refused, Err(GptError::BootCode(441)));
        let many: Vec<_> = (0..129).map(|n| partition("p", 40 + n, 1)).collect();
        assert_eq!(placed(1000, &many).unwrap_err(), GptError::TooMany(129));
    }

    #[test]
    fn the_protective_partition_covers_what_it_can() {
        let sector = |sectors| {
            let mut sector = [0; 512];
            placed(sectors, &[])
                .unwrap()
                .read_at(&mut sector, 0)
                .unwrap();
            sector
        };
        assert_eq!(sector(100)[458..462], 99u32.to_le_bytes());
        assert_eq!(sector(1 << 33)[458..462], [0xff; 4]);
        assert_eq!((sector(100)[0], sector(100)[510]), (0xeb, 0x55));
    }
}
