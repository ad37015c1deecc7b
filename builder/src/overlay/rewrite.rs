//! Taking members out of an initramfs.
//!
//! The kernel unpacks one archive after the other and has no member that deletes, so
//! what is to go must not be unpacked at all. (A member without a file type happens to
//! delete in today's kernels. It is nowhere promised, no other program reads it, and what
//! was removed could still be read from the zip.) So all archives are unpacked and
//! compressed again, their members as they were: this is the one case in which an overlay
//! costs what the base does.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Seek as _, Write};

use super::error::RewriteError;
use super::paths::Paths;
use crate::assemble::cpio::{Header, Output, file_type, read_gzip};

/// As much as is unpacked: no initramfs that fits into a memory comes near.
const MAX_UNPACKED: u64 = 16 << 30;

/// What all names of a file have in common, within one archive.
type Inode = (u32, (u32, u32), u32);

/// Several names of one file.
#[derive(Debug, Default)]
struct Names {
    /// Numbers of the members, in order.
    stay: Vec<u64>,
    go: u32,
    /// The number and size of a member that goes and has the content.
    lost: Option<(u64, u32)>,
    /// Whether one that stays has it.
    kept: bool,
}

/// What is done with a member that is not simply copied.
#[derive(Debug, Clone, Copy)]
enum Moved {
    /// It is left out.
    Gone,
    /// It is left out, and its content kept for a name that comes later.
    Spooled,
    /// It is left out, and a name that came before takes its place and content.
    Replaced,
    /// It is written where the content is.
    Later,
    /// It gets the content that was kept.
    Filled,
}

/// Reads the initramfs that `open` opens, twice, and writes it to `out`, not compressed,
/// without the members that are `gone`.
pub(super) fn rewrite<R: BufRead>(
    open: impl Fn() -> Result<R, RewriteError>,
    paths: &Paths,
    gone: impl Fn(&str) -> bool,
    out: &mut dyn Write,
) -> Result<(), RewriteError> {
    let (moved, links) = survey(open()?, paths, &gone)?;
    let mut reader = read_gzip(open()?, MAX_UNPACKED);
    let mut out = Output::new(out, 0);
    let (mut number, mut segment) = (0, 0);
    let mut waiting: BTreeMap<Inode, Header> = BTreeMap::new();
    let mut spooled = BTreeMap::new();
    while let Some(mut header) = reader.next_header()? {
        while segment < header.segment {
            out.trailer()?;
            segment += 1;
        }
        let inode = inode(&header);
        if let Some(less) = links.get(&inode) {
            header.links = header.links.saturating_sub(*less);
        }
        match moved.get(&number) {
            None => copy(&header, &mut reader, &mut out)?,
            Some(Moved::Gone) => {}
            Some(Moved::Later) => {
                waiting.insert(inode, header);
            }
            Some(Moved::Replaced) => {
                if let Some(mut other) = waiting.remove(&inode) {
                    other.size = header.size;
                    copy(&other, &mut reader, &mut out)?;
                }
            }
            Some(Moved::Spooled) => {
                let mut file = tempfile::tempfile().map_err(RewriteError::Spool)?;
                io::copy(&mut reader, &mut file).map_err(RewriteError::Spool)?;
                file.rewind().map_err(RewriteError::Spool)?;
                spooled.insert(inode, (header.size, file));
            }
            Some(Moved::Filled) => {
                if let Some((size, mut file)) = spooled.remove(&inode) {
                    header.size = size;
                    copy(&header, &mut file, &mut out)?;
                }
            }
        }
        number += 1;
    }
    out.trailer()?;
    Ok(())
}

fn inode(header: &Header) -> Inode {
    (header.segment, header.device, header.inode)
}

/// What is done with which member, and how many names fewer a file has.
#[allow(
    clippy::type_complexity,
    reason = "both are maps that one caller takes apart"
)]
fn survey(
    packed: impl BufRead,
    paths: &Paths,
    gone: impl Fn(&str) -> bool,
) -> Result<(BTreeMap<u64, Moved>, BTreeMap<Inode, u32>), RewriteError> {
    let mut moved = BTreeMap::new();
    let mut files: BTreeMap<Inode, Names> = BTreeMap::new();
    let mut reader = read_gzip(packed, MAX_UNPACKED);
    let mut number = 0;
    while let Some(header) = reader.next_header()? {
        // A member is unpacked where the links among its folders lead.
        let goes = match paths.find(&header.path) {
            Some((at, _)) => gone(&at),
            None => gone(&header.path),
        };
        if goes {
            moved.insert(number, Moved::Gone);
        }
        if header.links > 1 && header.mode & file_type::MASK == file_type::FILE {
            let names = files.entry(inode(&header)).or_default();
            match (goes, header.size) {
                (true, 0) => names.go += 1,
                (true, size) => {
                    names.go += 1;
                    names.lost.get_or_insert((number, size));
                }
                (false, size) => {
                    names.stay.push(number);
                    names.kept |= size > 0;
                }
            }
        }
        number += 1;
    }
    for names in files.values() {
        let Some((lost, _)) = names.lost.filter(|_| !names.kept) else {
            continue;
        };
        // A name moves back rather than forward: its folder is there by then.
        let before = names.stay.iter().rev().find(|number| **number < lost);
        if let Some(other) = before {
            moved.insert(*other, Moved::Later);
            moved.insert(lost, Moved::Replaced);
        } else if let Some(other) = names.stay.first() {
            moved.insert(lost, Moved::Spooled);
            moved.insert(*other, Moved::Filled);
        }
    }
    let links = (files.into_iter())
        .filter(|(_, names)| names.go > 0)
        .map(|(inode, names)| (inode, names.go))
        .collect();
    Ok((moved, links))
}

/// Writes a member with the content that `content` has, and what fills it up.
fn copy(header: &Header, content: &mut dyn Read, out: &mut Output<'_>) -> Result<(), RewriteError> {
    let path = match header.path.as_str() {
        "" => ".",
        path => path,
    };
    out.header(path, header.fields())?;
    let mut left = u64::from(header.size);
    let mut buffer = vec![0; 64 << 10];
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let part = buffer.get_mut(..most).unwrap_or_default();
        content.read_exact(part).map_err(RewriteError::Spool)?;
        out.put(path, part)?;
        left -= most as u64;
    }
    Ok(out.pad(path, 4)?)
}

#[cfg(test)]
mod tests;
