//! A file system from its parts.

use super::FatError;
use super::directory::{ENTRY, Listing, MAX_ENTRIES};
use super::geometry::{Geometry, ROOT_ENTRIES, TABLES, Width};
use super::names::Short;
use super::tree::{FileTree, Folder, Kind};
use crate::content::Content;
use crate::disk::Disk;
use crate::gpt::SECTOR;

/// What a file system is like apart from its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its size in bytes, a multiple of 512.
    pub size: u64,
    /// Its label: 1 to 11 of A–Z, 0–9, space, `_` and `-`.
    pub label: String,
    /// Its serial number.
    pub id: u32,
    /// How many sectors are before it on its disk.
    pub hidden_sectors: u32,
}

/// Makes a file system with the files of `tree`.
///
/// # Errors
/// [`FatError`] where they do not fit, or the volume cannot be.
pub fn build(tree: &FileTree, volume: &Volume) -> Result<Disk, FatError> {
    let geometry = Geometry::of(volume.size).ok_or(FatError::Size(volume.size))?;
    let label = label(&volume.label)?;
    let mut layout = Layout::new(geometry);
    layout.root(&tree.root, &label)?;
    let used = layout.next - 2;
    if used > geometry.clusters {
        return Err(FatError::Full {
            needed: used,
            clusters: geometry.clusters,
            cluster: geometry.cluster(),
            size: volume.size,
        });
    }
    let mut disk = Disk::new(volume.size)?;
    disk.put(
        0,
        Content::bytes(boot_sectors(&geometry, volume, &label, used)),
    )?;
    let table = Content::bytes(layout.table);
    for copy in 0..TABLES {
        let at = geometry.reserved + copy * geometry.table_sectors;
        disk.put(at * SECTOR, table.clone())?;
    }
    for (at, content) in layout.placed {
        disk.put(at, content)?;
    }
    Ok(disk)
}

/// The smallest size in bytes, in whole MiB, of a file system that holds the files of
/// `tree`.
///
/// # Errors
/// [`FatError`] where no file system does.
pub fn smallest(tree: &FileTree) -> Result<u64, FatError> {
    let fits = |mib: u64| match Geometry::of(mib << 20) {
        Some(geometry) => {
            let mut layout = Layout::new(geometry);
            layout.root(&tree.root, &[b' '; 11])?;
            Ok(layout.next - 2 <= geometry.clusters)
        }
        None if mib < 4 => Ok(false),
        None => Err(FatError::Size(mib << 20)),
    };
    let mut most = 4;
    while !fits(most)? {
        most *= 2;
    }
    let mut least = most / 2;
    while least + 1 < most {
        let middle = least.midpoint(most);
        if fits(middle)? {
            most = middle
        } else {
            least = middle
        }
    }
    Ok(most << 20)
}

fn label(text: &str) -> Result<Short, FatError> {
    let allowed = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || b" _-".contains(&it);
    let mut label = [b' '; 11];
    let fits = (1..=label.len()).contains(&text.len()) && !text.starts_with(' ');
    if !fits || !text.bytes().all(allowed) {
        return Err(FatError::Label(text.escape_debug().to_string()));
    }
    (label.iter_mut().zip(text.bytes())).for_each(|(place, byte)| *place = byte);
    Ok(label)
}

/// Gives folders and files their clusters, one after the other.
struct Layout {
    geometry: Geometry,
    /// The next cluster that is free.
    next: u64,
    /// The allocation table as far as clusters are given away.
    table: Vec<u8>,
    /// Content and its place in bytes.
    placed: Vec<(u64, Content)>,
}

impl Layout {
    fn new(geometry: Geometry) -> Self {
        // The medium, a fixed disk, and "unmounted properly, no errors".
        let table = match geometry.width {
            Width::Fat16 => vec![0xf8, 0xff, 0xff, 0xff],
            Width::Fat32 => vec![0xf8, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f],
        };
        Self {
            geometry,
            next: 2,
            table,
            placed: Vec::new(),
        }
    }

    /// Takes clusters for `len` bytes; gives the first, or 0 where none is needed.
    fn take(&mut self, len: u64) -> u32 {
        let (first, count) = (self.next, len.div_ceil(self.geometry.cluster()));
        self.next += count;
        // More clusters than there are will be refused; no table is made for them.
        if count == 0 || self.next - 2 > self.geometry.clusters {
            return 0;
        }
        for number in first + 1..=self.next {
            let end = number == self.next;
            match self.geometry.width {
                Width::Fat16 => {
                    let value = if end { u16::MAX } else { number as u16 };
                    self.table.extend_from_slice(&value.to_le_bytes());
                }
                Width::Fat32 => {
                    let value = if end { 0x0fff_ffff } else { number as u32 };
                    self.table.extend_from_slice(&value.to_le_bytes());
                }
            }
        }
        first as u32
    }

    fn root(&mut self, folder: &Folder, label: &Short) -> Result<(), FatError> {
        let listing = list(folder, "", Some(label))?;
        match self.geometry.width {
            Width::Fat32 => {
                self.take((listing.bytes.len() as u64).max(1));
                self.fill(folder, listing, "", 2, 0)
            }
            Width::Fat16 => {
                let (entries, limit) = (listing.bytes.len() / ENTRY, ROOT_ENTRIES as usize);
                if entries > limit {
                    return Err(too_large("", entries, limit));
                }
                self.fill(folder, listing, "", 0, 0)
            }
        }
    }

    /// Places what is in the folder that begins at cluster `own` (0: FAT16's root), then
    /// its listing.
    fn fill(
        &mut self,
        folder: &Folder,
        mut listing: Listing,
        path: &str,
        own: u32,
        parent: u32,
    ) -> Result<(), FatError> {
        if !path.is_empty() {
            listing.set_cluster(0, own);
            listing.set_cluster(ENTRY, parent);
        }
        // The root is cluster 0 to the folders in it, whichever it is.
        let as_parent = if path.is_empty() { 0 } else { own };
        let places = std::mem::take(&mut listing.places);
        for (node, place) in folder.values().zip(places) {
            match &node.kind {
                Kind::File(content) => {
                    let first = self.take(content.len());
                    listing.set_cluster(place, first);
                    if first != 0 {
                        let at = self.geometry.cluster_at(first.into());
                        self.placed.push((at, content.clone()));
                    }
                }
                Kind::Folder(inner) => {
                    let path = format!("{path}/{}", node.name);
                    let listed = list(inner, &path, None)?;
                    let first = self.take(listed.bytes.len() as u64);
                    listing.set_cluster(place, first);
                    self.fill(inner, listed, &path, first, as_parent)?;
                }
            }
        }
        let at = match own {
            0 => self.geometry.after_tables(),
            own => self.geometry.cluster_at(own.into()),
        };
        self.placed.push((at, Content::bytes(listing.bytes)));
        Ok(())
    }
}

fn list(folder: &Folder, path: &str, label: Option<&Short>) -> Result<Listing, FatError> {
    let listing = Listing::of(folder, label);
    let entries = listing
        .as_ref()
        .map_or(usize::MAX, |it| it.bytes.len() / ENTRY);
    listing
        .filter(|_| entries <= MAX_ENTRIES)
        .ok_or_else(|| too_large(path, entries, MAX_ENTRIES))
}

fn too_large(path: &str, entries: usize, limit: usize) -> FatError {
    let path = path.trim_start_matches('/').escape_debug().to_string();
    FatError::FolderTooLarge {
        path,
        entries,
        limit,
    }
}

/// The first sectors: the boot sector, and, for FAT32, what is free and a backup of both
/// (FAT 1.03, sections 3 and 5).
fn boot_sectors(geometry: &Geometry, volume: &Volume, label: &Short, used: u64) -> Vec<u8> {
    let fat32 = geometry.width == Width::Fat32;
    let small = u16::try_from(geometry.sectors).ok().filter(|_| !fat32);
    let (jump, kind): (_, &[u8; 8]) = if fat32 {
        (0x58, b"FAT32   ")
    } else {
        (0x3c, b"FAT16   ")
    };
    let mut boot = vec![0xeb, jump, 0x90];
    // What Microsoft recommends, because some readers take no other.
    boot.extend_from_slice(b"MSWIN4.1");
    boot.extend_from_slice(&(SECTOR as u16).to_le_bytes());
    boot.push(geometry.cluster_sectors as u8);
    boot.extend_from_slice(&(geometry.reserved as u16).to_le_bytes());
    boot.push(TABLES as u8);
    let root_entries = if fat32 { 0 } else { ROOT_ENTRIES as u16 };
    boot.extend_from_slice(&root_entries.to_le_bytes());
    boot.extend_from_slice(&small.unwrap_or(0).to_le_bytes());
    boot.push(0xf8); // A fixed disk.
    let table16 = if fat32 {
        0
    } else {
        geometry.table_sectors as u16
    };
    boot.extend_from_slice(&table16.to_le_bytes());
    boot.extend_from_slice(&63u16.to_le_bytes()); // Sectors of a track, and heads:
    boot.extend_from_slice(&255u16.to_le_bytes()); // what a BIOS pretends.
    boot.extend_from_slice(&volume.hidden_sectors.to_le_bytes());
    let large = if small.is_some() { 0 } else { geometry.sectors };
    boot.extend_from_slice(&large.to_le_bytes());
    if fat32 {
        boot.extend_from_slice(&(geometry.table_sectors as u32).to_le_bytes());
        // Both tables in use, version 0.0, the root's cluster, the two special sectors.
        boot.extend_from_slice(&[0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 6, 0]);
        boot.extend_from_slice(&[0; 12]);
    }
    boot.extend_from_slice(&[0x80, 0, 0x29]);
    boot.extend_from_slice(&volume.id.to_le_bytes());
    boot.extend_from_slice(label);
    boot.extend_from_slice(kind);
    // A BIOS that starts it is sent to the next medium: int 0x18, then hlt for ever.
    boot.extend_from_slice(&[0xcd, 0x18, 0xf4, 0xeb, 0xfd]);
    boot.resize(510, 0);
    boot.extend_from_slice(&[0x55, 0xaa]);
    if fat32 {
        let mut info = b"RRaA".to_vec();
        info.resize(484, 0);
        info.extend_from_slice(b"rrAa");
        let free = geometry.clusters - used;
        info.extend_from_slice(&(free as u32).to_le_bytes());
        let next = if free == 0 { u32::MAX } else { used as u32 + 2 };
        info.extend_from_slice(&next.to_le_bytes());
        info.resize(508, 0);
        info.extend_from_slice(&[0, 0, 0x55, 0xaa]);
        boot.extend_from_slice(&info);
        let both = boot.clone();
        boot.resize(6 * SECTOR as usize, 0);
        boot.extend_from_slice(&both);
    }
    boot
}
