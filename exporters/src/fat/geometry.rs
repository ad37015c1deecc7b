//! How large the parts of a file system are.

use crate::gpt::SECTOR;

/// How many entries the root folder of FAT16 has: its size is fixed, and this is what
/// everyone gives it.
pub(super) const ROOT_ENTRIES: u64 = 512;
/// Readers tell the kinds apart by the number of clusters alone (FAT 1.03, section 3.5).
const FAT16_MIN: u64 = 4085;
const FAT32_MIN: u64 = 65525;
/// Not all of them count right, so we keep away from the borders.
const MARGIN: u64 = 16;
/// Copies of the table.
pub(super) const TABLES: u64 = 2;
/// What the first cluster is aligned to, in sectors: 4 KiB.
const ALIGN: u64 = 8;

/// The two kinds of FAT that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Fat16,
    Fat32,
}

/// The sizes of the parts of a file system, in sectors where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) width: Width,
    pub(super) sectors: u32,
    pub(super) cluster_sectors: u64,
    pub(super) reserved: u64,
    pub(super) table_sectors: u64,
    /// How many clusters there are. They are numbered from 2.
    pub(super) clusters: u64,
}

impl Geometry {
    /// For a volume of `size` bytes; `None` where there is none of that size.
    pub(super) fn of(size: u64) -> Option<Self> {
        if !size.is_multiple_of(SECTOR) {
            return None;
        }
        let sectors = u32::try_from(size / SECTOR).ok()?;
        // As Microsoft's table has it for FAT32 (FAT 1.03, section 3.5).
        let usual = match size >> 20 {
            0..=260 => 1,
            261..=8192 => 8,
            8193..=16384 => 16,
            16385..=32768 => 32,
            _ => 64,
        };
        let fat32 = Self::with(sectors, Width::Fat32, usual);
        let fat16 = [1, 2, 4].map(|cluster| Self::with(sectors, Width::Fat16, cluster));
        let all = [fat32].into_iter().chain(fat16).flatten();
        all.into_iter().find(|it| it.is_told_apart())
    }

    fn with(sectors: u32, width: Width, cluster_sectors: u64) -> Option<Self> {
        let total = u64::from(sectors);
        let (reserved, root, entry) = match width {
            Width::Fat16 => (1, ROOT_ENTRIES * 32 / SECTOR, 2),
            Width::Fat32 => (32, 0, 4),
        };
        let rest = total.checked_sub(reserved + root)?;
        // Each sector of the tables is for so many clusters; two entries are for none.
        let per_sector = SECTOR / entry;
        let table_sectors =
            (rest + 2 * cluster_sectors).div_ceil(per_sector * cluster_sectors + TABLES);
        let before = reserved + TABLES * table_sectors + root;
        let reserved = reserved + before.next_multiple_of(ALIGN) - before;
        let left = total.checked_sub(before.next_multiple_of(ALIGN))?;
        Some(Self {
            width,
            sectors,
            cluster_sectors,
            reserved,
            table_sectors,
            clusters: left / cluster_sectors,
        })
    }

    /// Whether every reader takes it for what it is.
    fn is_told_apart(&self) -> bool {
        let range = match self.width {
            Width::Fat16 => FAT16_MIN + MARGIN..FAT32_MIN - MARGIN,
            Width::Fat32 => FAT32_MIN + MARGIN..0x0fff_fff0,
        };
        range.contains(&self.clusters)
    }

    /// The size of a cluster in bytes.
    pub(super) fn cluster(&self) -> u64 {
        self.cluster_sectors * SECTOR
    }

    /// Where the root folder of FAT16 begins, and the clusters of FAT32, in bytes.
    pub(super) fn after_tables(&self) -> u64 {
        (self.reserved + TABLES * self.table_sectors) * SECTOR
    }

    /// Where a cluster is, in bytes; `number` is at least 2.
    pub(super) fn cluster_at(&self, number: u64) -> u64 {
        let root = match self.width {
            Width::Fat16 => ROOT_ENTRIES * 32,
            Width::Fat32 => 0,
        };
        self.after_tables() + root + number.saturating_sub(2) * self.cluster()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_told_apart_and_its_tables_have_room() {
        let mib = (3u64..4000).chain([1 << 14, 20_000, 40_000, (1 << 21) - 1]);
        let odd = mib.flat_map(|mib| [mib << 20, (mib << 20) + 512, (mib << 20) - 2048]);
        for size in odd {
            let it = Geometry::of(size).unwrap_or_else(|| panic!("{size}"));
            let entry = if it.width == Width::Fat32 { 4 } else { 2 };
            let room = it.table_sectors * SECTOR / entry;
            assert!(room >= it.clusters + 2, "{size}: {it:?}");
            // No sector of the tables is there for nothing, but for the alignment.
            assert!(room < it.clusters + 2 + 3 * SECTOR, "{size}: {it:?}");
            assert!(it.cluster_at(it.clusters + 2) <= size, "{size}: {it:?}");
            assert!(it.cluster_at(it.clusters + 3) > size, "{size}: {it:?}");
            assert!(it.cluster_at(2).is_multiple_of(4096));
            assert_eq!(
                it.width == Width::Fat32,
                size > 34_000_000,
                "{size}: {it:?}"
            );
        }
        for bad in [0, 512, 1 << 20, (64 << 20) + 1, 1 << 41, u64::MAX] {
            assert_eq!(Geometry::of(bad), None, "{bad}");
        }
    }
}
