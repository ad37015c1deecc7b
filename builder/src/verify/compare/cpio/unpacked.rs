//! What archives that follow each other give when they are unpacked one over the other, as
//! Linux does it (`init/initramfs.c`): the last member of a path stands there, and what is
//! written to one name of a file is in all of its names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};

use lunikernel_cache::{Digest, HashingReader};

use super::super::content::Sided;
use super::super::walk::{Flaw, Open, Walk};
use super::super::{Found, Side};
use super::{Archive, contents, copies, fields, member};
use crate::assemble::cpio::{Header, file_type};
use crate::overlay::Paths;

/// Notes what differs between what both give, by path.
pub(super) fn compare(walk: &mut Walk, left: Open<'_>, right: Open<'_>) -> Result<(), Flaw> {
    let one = Unpacked::read(left, Side::Left)?;
    let two = Unpacked::read(right, Side::Right)?;
    let both = || {
        let pairs = one.there.keys();
        pairs.filter_map(|path| Some((path, one.at(path)?, two.at(path)?)))
    };
    let again: Vec<(u64, u64)> = both()
        .filter(|(_, one, two)| one.differs_inside(two))
        .map(|(_, one, two)| (one.position, two.position))
        .take(walk.room())
        .collect();
    let left = copies(left, Side::Left, again.iter().map(|(left, _)| *left))?;
    let right = copies(right, Side::Right, again.iter().map(|(_, right)| *right))?;
    let paths: BTreeSet<&String> = one.there.keys().chain(two.there.keys()).collect();
    for path in paths {
        walk.within(member(path), |walk| {
            let (one, two) = match (one.at(path), two.at(path)) {
                (Some(one), Some(two)) => (one, two),
                (one, _) => {
                    let only_in = one.map_or(Side::Right, |_| Side::Left);
                    walk.note(Found::Presence { only_in });
                    return Ok(());
                }
            };
            fields(walk, &one.header, &two.header);
            if !one.differs_inside(two) {
                return Ok(());
            }
            if walk.is_full() {
                walk.leave_out(1);
                return Ok(());
            }
            // Several names of one file are told several times.
            let copy = |it: &BTreeMap<u64, _>, position| it.get(position).cloned();
            let pair = copy(&left, &one.position).zip(copy(&right, &two.position));
            contents(walk, pair, one.content, two.content)
        })?;
    }
    Ok(())
}

/// What stands there after all was unpacked.
#[derive(Default)]
struct Unpacked {
    /// The paths, with links among their folders followed, and what is there.
    there: BTreeMap<String, usize>,
    inodes: Vec<Inode>,
}

struct Inode {
    /// The header that was unpacked last.
    header: Header,
    /// Which member has the content.
    position: u64,
    content: Digest,
}

impl Inode {
    fn kind(&self) -> u32 {
        self.header.mode & file_type::MASK
    }

    fn differs_inside(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.content != other.content
    }
}

impl Unpacked {
    fn at(&self, path: &str) -> Option<&Inode> {
        self.inodes.get(*self.there.get(path)?)
    }

    fn read(open: Open<'_>, side: Side) -> Result<Self, Flaw> {
        let mut archive = Archive::new(open()?, side);
        let (mut unpacked, mut paths) = (Self::default(), Paths::default());
        // The files of several names that the current archive has.
        let (mut named, mut segment) = (BTreeMap::new(), 0);
        while let Some(header) = archive.next()? {
            if segment != header.segment {
                (segment, named) = (header.segment, BTreeMap::new());
            }
            let mut target = Vec::new();
            let mut content = HashingReader::new(Sided(&mut archive.reader, side));
            match header.mode & file_type::MASK {
                file_type::SYMLINK => content.read_to_end(&mut target).map(drop)?,
                _ => io::copy(&mut content, &mut io::sink()).map(drop)?,
            }
            let content = content.finish();
            let position = archive.position;
            archive.position += 1;
            let put = paths.take(&header, &mut target.as_slice());
            let Some(path) = put.map_err(|it| archive.broken(&it))? else {
                continue;
            };
            let key = (header.links > 1).then_some((header.device, header.inode));
            let inode = Inode {
                header,
                position,
                content,
            };
            let at = unpacked.put(path, inode, key.and_then(|key| named.get(&key).copied()));
            if let Some(key) = key {
                named.insert(key, at);
            }
        }
        Ok(unpacked)
    }

    /// Unpacks a member; `known` is the file that it is another name of.
    fn put(&mut self, path: String, new: Inode, known: Option<usize>) -> usize {
        let is_file = new.kind() == file_type::FILE;
        let written = self.there.get(&path).copied();
        let written = written.filter(|at| {
            let old = self.inodes.get(*at);
            is_file && old.is_some_and(|old| old.kind() == file_type::FILE)
        });
        let at = known.filter(|_| is_file).or(written);
        let at = match at.and_then(|at| Some((at, self.inodes.get_mut(at)?))) {
            // Of several names, the one with the content may come first or last.
            Some((at, old)) if known.is_some() && new.content.size == 0 => {
                old.header = new.header;
                at
            }
            Some((at, old)) => {
                *old = new;
                at
            }
            None => {
                self.inodes.push(new);
                self.inodes.len() - 1
            }
        };
        self.there.insert(path, at);
        at
    }
}
