//! ISO 9660 (ECMA-119) with Rock Ridge (IEEE P1282), as releases are published and
//! Linux mounts them.
//!
//! Without Rock Ridge names are those of Joliet, and where there is no Joliet either as
//! Linux shows them: in lower case, without their versions.

mod image;
mod record;
mod rock_ridge;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};

use lunikernel_cache::{Node, NodeKind, Rootfs};

use super::UnpackError;
use crate::assemble::cpio::file_type;
use crate::assemble::member::{Collector, MemberError, join, refused, shown};
use image::Image;
use record::Record;
use rock_ridge::{Posix, RockRidge};
use volume::{Names, Place};

/// The size of a sector, and of the blocks of every image that is made, in bytes.
pub(super) const SECTOR: usize = 2048;
/// Where the first volume descriptor is.
pub(super) const FIRST: u64 = 16 * SECTOR as u64;
/// What every volume descriptor has behind its type.
pub(super) const MAGIC: &[u8] = b"CD001";

/// Reads the image, from its beginning.
pub(super) fn read<R: Read + Seek>(
    file: R,
    into: Collector<'_, '_>,
) -> Result<Rootfs, UnpackError> {
    let mut image = Image::new(file)?;
    let (root, names) = volume::tree(&mut image)?;
    let mut walk = Walk {
        image,
        names,
        seen: BTreeSet::new(),
        links: BTreeMap::new(),
        into,
    };
    let mut folders = vec![(String::new(), root.extent, root.size)];
    while let Some((path, extent, size)) = folders.pop() {
        walk.folder(&path, extent, size, &mut folders)?;
    }
    Ok(walk.into.finish())
}

pub(super) fn layout(
    part: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> UnpackError {
    UnpackError::layout("the ISO 9660 image", part, expected, found)
}

struct Walk<'k, 'f, R> {
    image: Image<R>,
    names: Names,
    /// Folders that were read: none is in two places, let alone in itself.
    seen: BTreeSet<u32>,
    /// The first name of each file that has several, by its number and place.
    links: BTreeMap<(u32, u32, u64), (String, Node)>,
    into: Collector<'k, 'f>,
}

/// Whether `sector` begins as a folder there does: with records of itself and of the one
/// above (6.8.2.2), which the root is too. What does not is none, or another one.
fn is_folder_at(sector: &[u8], extent: u32, size: u32, is_root: bool) -> bool {
    let own = Record::parse(sector).ok().flatten();
    let Some(own) = own.filter(Record::is_own) else {
        return false;
    };
    let above = Record::parse(sector.get(own.length..).unwrap_or_default());
    let above = above.ok().flatten().filter(Record::is_own);
    (own.extent, own.size) == (extent, size)
        && (!is_root || above.is_some_and(|above| above.extent == extent))
}

/// Parts of a file that is in several extents.
#[derive(Default)]
struct Parts {
    extents: Vec<(u32, u32)>,
}

impl<R: Read + Seek> Walk<'_, '_, R> {
    /// Reads the folder at `path`; the folders in it go onto `folders`.
    fn folder(
        &mut self,
        path: &str,
        extent: u32,
        size: u32,
        folders: &mut Vec<(String, u32, u32)>,
    ) -> Result<(), UnpackError> {
        if !self.seen.insert(extent) {
            return Err(refused(path, "it is a folder that is in two places").into());
        }
        if size == 0 {
            return Err(refused(path, "it is a folder without even a record of itself").into());
        }
        let mut sector = vec![0; SECTOR];
        let mut parts = Parts::default();
        for number in 0..u64::from(size).div_ceil(SECTOR as u64) {
            let number = u64::from(extent) + number;
            self.image.sector(number, &mut sector)?;
            if number == u64::from(extent) && !is_folder_at(&sector, extent, size, path.is_empty())
            {
                return Err(layout(
                    format!("a folder (`{path}`)"),
                    format!("a record of itself, {size} bytes in sector {extent}"),
                    "another",
                ));
            }
            let mut rest = sector.as_slice();
            // Records do not go over the end of a sector; zeros are behind the last.
            loop {
                let record = Record::parse(rest)
                    .map_err(|why| layout(format!("a folder (`{path}`)"), "a record", why))?;
                let Some(record) = record else { break };
                if !record.is_own() {
                    self.member(path, &record, &mut parts, folders)?;
                }
                rest = rest.get(record.length..).unwrap_or_default();
            }
        }
        match parts.extents.is_empty() {
            true => Ok(()),
            false => Err(refused(path, "the last part of a file in it is missing").into()),
        }
    }

    fn member(
        &mut self,
        folder: &str,
        record: &Record<'_>,
        parts: &mut Parts,
        folders: &mut Vec<(String, u32, u32)>,
    ) -> Result<(), UnpackError> {
        if record.is_associated() {
            self.into.announce(folder)?;
            return Ok(());
        }
        parts.extents.push((record.extent, record.size));
        if record.has_more() {
            self.into.announce(folder)?;
            return Ok(());
        }
        let extents = std::mem::take(parts).extents;
        let rock_ridge = match self.names {
            Names::RockRidge(skip) => rock_ridge::read(&mut self.image, record.system_use, skip)?,
            Names::Joliet | Names::Plain => RockRidge::default(),
        };
        if rock_ridge.relocated {
            // It has its own place elsewhere.
            self.into.announce(folder)?;
            return Ok(());
        }
        let name = match (&rock_ridge.name, self.names) {
            (Some(name), _) => name.clone(),
            (None, Names::Joliet) => record
                .joliet_name()
                .ok_or_else(|| refused(folder, "a name in it is not UTF-16"))?,
            (None, _) => record.plain_name(),
        };
        let path = join(folder, &name)?;
        self.into.announce(&path)?;
        let unsupported = rock_ridge.packed;
        if let Some(how) = unsupported.or(record.is_interleaved().then_some("interleaved")) {
            let member = shown(&path);
            return Err(UnpackError::Unsupported { member, how });
        }
        let place = match rock_ridge.child {
            Some(extent) => {
                let mut sector = vec![0; SECTOR];
                self.image.sector(extent.into(), &mut sector)?;
                let own = Record::parse(&sector)
                    .ok()
                    .flatten()
                    .filter(Record::is_own)
                    .ok_or_else(|| refused(&path, "it leads to a folder that is none"))?;
                let size = own.size;
                Some(Place { extent, size })
            }
            None if record.is_folder() => Some(Place {
                extent: record.extent,
                size: record.size,
            }),
            None => None,
        };
        let posix = rock_ridge.posix.unwrap_or(Posix {
            mode: match place {
                Some(_) => file_type::FOLDER | 0o755,
                None => file_type::FILE | 0o644,
            },
            ..Posix::default()
        });
        if let Some(place) = place {
            folders.push((path.clone(), place.extent, place.size));
            return Ok(self.put(&path, &posix, NodeKind::Folder)?);
        }
        let (major, minor) = rock_ridge.device;
        let kind = match posix.mode & file_type::MASK {
            file_type::FILE => return Ok(self.file(&path, &posix, extents)?),
            file_type::SYMLINK => NodeKind::Symlink {
                target: rock_ridge
                    .target
                    .and_then(|target| String::from_utf8(target).ok())
                    .filter(|target| !target.is_empty() && !target.contains('\0'))
                    .ok_or_else(|| refused(&path, "its target is empty or not UTF-8"))?,
            },
            file_type::CHAR => NodeKind::CharDevice { major, minor },
            file_type::BLOCK => NodeKind::BlockDevice { major, minor },
            file_type::FIFO => NodeKind::Fifo,
            other => {
                let why = format!("its type {other:o} does not fit");
                return Err(refused(&path, why).into());
            }
        };
        Ok(self.put(&path, &posix, kind)?)
    }

    fn file(
        &mut self,
        path: &str,
        posix: &Posix,
        extents: Vec<(u32, u32)>,
    ) -> Result<(), MemberError> {
        let size = extents.iter().map(|(_, size)| u64::from(*size)).sum();
        let first = extents.first().map_or(0, |(extent, _)| *extent);
        let key = posix
            .serial
            .filter(|_| posix.links > 1)
            .map(|serial| (serial, first, size));
        if let Some((other, node)) = key.and_then(|key| self.links.get(&key)) {
            let mut node = node.clone();
            if let NodeKind::File { link, .. } = &mut node.kind {
                *link = Some(other.clone());
            }
            self.into.insert(other, node.clone())?;
            return self.into.add(path, node);
        }
        let mut content = Content {
            file: &mut self.image.file,
            extents: extents.into_iter(),
            left: 0,
        };
        let content = self.into.content(path, &mut content, size)?;
        let kind = NodeKind::File {
            content,
            link: None,
        };
        if let Some(key) = key {
            self.links
                .insert(key, (path.to_owned(), node(posix, kind.clone())));
        }
        self.put(path, posix, kind)
    }

    fn put(&mut self, path: &str, posix: &Posix, kind: NodeKind) -> Result<(), MemberError> {
        self.into.add(path, node(posix, kind))
    }
}

fn node(posix: &Posix, kind: NodeKind) -> Node {
    let mode = match kind {
        NodeKind::Symlink { .. } => 0o777,
        _ => posix.mode & 0o7777,
    };
    Node {
        uid: posix.uid,
        gid: posix.gid,
        ..Node::of(mode, kind)
    }
}

/// A file, extent by extent.
struct Content<'a, R> {
    file: &'a mut R,
    extents: std::vec::IntoIter<(u32, u32)>,
    /// What is left of the current extent.
    left: usize,
}

impl<R: Read + Seek> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some((extent, size)) = self.extents.next() else {
                return Ok(0);
            };
            self.file
                .seek(SeekFrom::Start(u64::from(extent) * SECTOR as u64))?;
            self.left = size as usize;
        }
        let most = self.left.min(buffer.len());
        let count = self.file.read(buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
