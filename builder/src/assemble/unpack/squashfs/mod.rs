//! squashfs 4.0, as the Linux kernel mounts it (Documentation/filesystems/squashfs.rst):
//! what `mksquashfs` writes, and what the extensions of TinyCore are.
//!
//! A superblock of 96 bytes names the tables. Inodes, folders, and the lists of owners,
//! fragments and attributes are in metadata blocks of 8 KiB, compressed one by one
//! ([`blocks`]); content is in blocks of up to 1 MiB, with the ends of several files
//! together in fragments ([`content`]). All numbers are little-endian.

mod blocks;
mod content;
mod inode;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use lunikernel_cache::{Node, NodeKind, Rootfs};

use super::UnpackError;
use crate::assemble::member::{Collector, join, refused};
use blocks::{Cursor, Image, layout};
use content::Content;
use inode::{Inode, Kind};
use tables::Tables;

/// How much is read from blocks, at most, for each byte that an image may unpack to. An
/// honest one has each block read about once.
const WORK: u64 = 4;

/// What an image begins with.
pub(super) const MAGIC: &[u8] = b"hsqs";

/// Reads the image, from its beginning.
pub(super) fn read<R: Read + Seek>(
    file: R,
    mut into: Collector<'_, '_>,
) -> Result<Rootfs, UnpackError> {
    let mut image = Image::open(file, into.left().saturating_mul(WORK))?;
    let tables = Tables::read(&mut image)?;
    let mut walk = Walk {
        tables,
        seen: BTreeSet::new(),
        links: BTreeMap::new(),
    };
    let reference = image.root;
    let root = Inode::read(&mut image, reference)?;
    let mut folders = vec![(String::new(), reference, root)];
    while let Some((path, reference, inode)) = folders.pop() {
        walk.folder(
            &mut image,
            &path,
            reference,
            &inode,
            &mut folders,
            &mut into,
        )?;
    }
    Ok(into.finish())
}

struct Walk {
    tables: Tables,
    /// Folders that were read: none is in two places, let alone in itself.
    seen: BTreeSet<u64>,
    /// The first name of each file that has several, by its inode.
    links: BTreeMap<u64, (String, Node)>,
}

impl Walk {
    /// Reads the folder at `path`; the folders in it go onto `folders`.
    fn folder<R: Read + Seek>(
        &mut self,
        image: &mut Image<R>,
        path: &str,
        reference: u64,
        inode: &Inode,
        folders: &mut Vec<(String, u64, Inode)>,
        into: &mut Collector<'_, '_>,
    ) -> Result<(), UnpackError> {
        let Kind::Folder {
            block,
            offset,
            size,
        } = inode.kind
        else {
            return Err(layout("the root", "a folder", "something else"));
        };
        if !self.seen.insert(reference) {
            return Err(refused(path, "it is a folder that is in two places").into());
        }
        let mut cursor = Cursor::new(image.directories.saturating_add(block.into()), offset);
        // The size counts `.` and `..`, which are not there, as three bytes.
        let mut left = u64::from(size).saturating_sub(3);
        while left > 0 {
            let header: [u8; 12] = cursor.array(image, "a folder")?;
            let [count, start, _] = words(&header);
            left = left.saturating_sub(12);
            if count >= 256 {
                return Err(layout(
                    "a folder",
                    "at most 256 names in a row",
                    format!("{}", u64::from(count) + 1),
                ));
            }
            for _ in 0..=count {
                let entry: [u8; 8] = cursor.array(image, "a folder")?;
                let [at, _, _, name_size] = halves(&entry);
                let name = cursor.bytes(image, usize::from(name_size) + 1, "a name")?;
                left = left.saturating_sub(9 + u64::from(name_size));
                let path = join(path, &name)?;
                into.announce(&path)?;
                let reference = u64::from(start) << 16 | u64::from(at);
                let inode = Inode::read(image, reference)?;
                self.member(image, path, reference, inode, folders, into)?;
            }
        }
        Ok(())
    }

    fn member<R: Read + Seek>(
        &mut self,
        image: &mut Image<R>,
        path: String,
        reference: u64,
        inode: Inode,
        folders: &mut Vec<(String, u64, Inode)>,
        into: &mut Collector<'_, '_>,
    ) -> Result<(), UnpackError> {
        if let Some((first, node)) = self.links.get(&reference) {
            let mut node = node.clone();
            if let NodeKind::File { link, .. } = &mut node.kind {
                *link = Some(first.clone());
            }
            into.insert(first, node.clone())?;
            return Ok(into.add(&path, node)?);
        }
        let kind = match &inode.kind {
            Kind::Folder { .. } => NodeKind::Folder,
            Kind::File { size, .. } => {
                let mut content = Content::new(image, &self.tables, &inode)?;
                let content = into.content(&path, &mut content, *size)?;
                NodeKind::File {
                    content,
                    link: None,
                }
            }
            Kind::Symlink { target } => {
                let target = String::from_utf8(target.clone())
                    .ok()
                    .filter(|target| !target.is_empty() && !target.contains('\0'))
                    .ok_or_else(|| refused(&path, "its target is empty or not UTF-8"))?;
                NodeKind::Symlink { target }
            }
            Kind::Char { major, minor } => NodeKind::CharDevice {
                major: *major,
                minor: *minor,
            },
            Kind::Block { major, minor } => NodeKind::BlockDevice {
                major: *major,
                minor: *minor,
            },
            Kind::Fifo => NodeKind::Fifo,
        };
        let node = Node {
            mode: match kind {
                NodeKind::Symlink { .. } => 0o777,
                _ => inode.mode,
            },
            uid: self.tables.owner(inode.uid)?,
            gid: self.tables.owner(inode.gid)?,
            xattrs: self.tables.attributes(image, inode.xattr)?,
            kind,
        };
        match inode.kind {
            Kind::Folder { .. } => folders.push((path.clone(), reference, inode)),
            Kind::File { links, .. } if links > 1 => {
                self.links.insert(reference, (path.clone(), node.clone()));
            }
            _ => {}
        }
        Ok(into.add(&path, node)?)
    }
}

/// Three numbers of 32 bits.
fn words(bytes: &[u8; 12]) -> [u32; 3] {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// Four numbers of 16 bits.
fn halves(bytes: &[u8; 8]) -> [u16; 4] {
    let mut halves = [0; 4];
    for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *half = u16::from_le_bytes(*bytes);
    }
    halves
}

#[cfg(test)]
mod tests;
