//! cpio archives, as they come out of a decompressor: both are read side by side, once,
//! and only members that differ are copied.
//!
//! Ours are sorted, so members are matched as in a merge of two sorted lists. What that
//! leaves without a match because an archive is not sorted is matched at the end, by
//! digest; only where such a member differs as well is an archive read again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};

use lunikernel_cache::{Digest, HashingReader};

use super::content::{Content, MAX_COPIED, Pair, Sided, pair};
use super::walk::{Flaw, Open, Walk, reasons};
use super::{Format, Found, Place, Side, Whole};
use crate::assemble::cpio::{CpioReader, Header, ReadError};

/// As much is read. An initramfs lives in memory, so none that can be booted comes
/// near; it bounds the time that a bomb can take.
const MAX_READ: u64 = 16 << 30;

/// Notes what differs between two archives.
pub(super) fn compare(walk: &mut Walk, left: Open<'_>, right: Open<'_>) -> Result<(), Flaw> {
    let before = walk.count();
    let mut merge = Merge {
        left: Archive::new(left()?, Side::Left),
        right: Archive::new(right()?, Side::Right),
        common: Vec::new(),
        following: None,
    };
    merge.run(walk)?;
    let Merge {
        left: one,
        right: two,
        mut common,
        following,
    } = merge;
    let (one, two) = (one.alone, two.alone);
    rest(walk, (left, one), (right, two), &mut common)?;
    order(walk, common);
    if walk.count() == before
        && let Some((name, field, left, right)) = following
    {
        walk.within(member(&name), |walk| {
            walk.field(Format::Cpio, field, &left, &right);
        });
    }
    Ok(())
}

fn member(name: &str) -> Place {
    Place::Member {
        format: Format::Cpio,
        name: name.to_owned(),
    }
}

/// A member without a match, and its content's digest.
struct Alone {
    position: u64,
    header: Header,
    content: Digest,
}

/// One side's archive.
struct Archive<R> {
    reader: CpioReader<BufReader<R>>,
    side: Side,
    /// How many members are before the current one.
    position: u64,
    alone: Vec<Alone>,
}

impl<R: Read> Archive<R> {
    fn new(reader: R, side: Side) -> Self {
        Self {
            reader: CpioReader::new(BufReader::new(reader), MAX_READ),
            side,
            position: 0,
            alone: Vec::new(),
        }
    }

    fn next(&mut self) -> Result<Option<Header>, Flaw> {
        self.reader.next_header().map_err(|it| self.broken(&it))
    }

    fn broken(&self, error: &ReadError) -> Flaw {
        Flaw::Broken(Some(Format::Cpio), self.side, reasons(error))
    }

    /// Keeps a member for later, and goes to the next.
    fn pass(&mut self, header: Header) -> Result<Option<Header>, Flaw> {
        let mut content = HashingReader::new(Sided(&mut self.reader, self.side));
        io::copy(&mut content, &mut io::sink())?;
        let content = content.finish();
        let position = self.position;
        self.alone.push(Alone {
            position,
            header,
            content,
        });
        self.position += 1;
        self.next()
    }
}

/// A field that follows from others: the member, the field, both values.
type Following = (String, &'static str, String, String);

struct Merge<R> {
    left: Archive<R>,
    right: Archive<R>,
    /// The members that both have, by their positions.
    common: Vec<(u64, u64, String)>,
    following: Option<Following>,
}

impl<R: Read> Merge<R> {
    fn run(&mut self, walk: &mut Walk) -> Result<(), Flaw> {
        let (mut one, mut two) = (self.left.next()?, self.right.next()?);
        loop {
            (one, two) = match (one, two) {
                (None, None) => return Ok(()),
                (Some(a), Some(b)) => {
                    let keys = ((a.segment, &a.path), (b.segment, &b.path));
                    match keys.0.cmp(&keys.1) {
                        std::cmp::Ordering::Less => (self.left.pass(a)?, Some(b)),
                        std::cmp::Ordering::Greater => (Some(a), self.right.pass(b)?),
                        std::cmp::Ordering::Equal => {
                            self.members(walk, a, &b)?;
                            (self.left.next()?, self.right.next()?)
                        }
                    }
                }
                (Some(a), None) => (self.left.pass(a)?, None),
                (None, Some(b)) => (None, self.right.pass(b)?),
            };
        }
    }

    /// Two members of one name.
    fn members(&mut self, walk: &mut Walk, one: Header, two: &Header) -> Result<(), Flaw> {
        walk.within(member(&one.path), |walk| {
            fields(walk, &one, two);
            let limit = if walk.is_full() { 0 } else { MAX_COPIED };
            let mut left = Sided(&mut self.left.reader, Side::Left);
            let mut right = Sided(&mut self.right.reader, Side::Right);
            match pair(&mut left, &mut right, limit)? {
                Pair::Same => {}
                Pair::Copied(left, right) => {
                    walk.contents(&left, &right)?;
                }
                Pair::Read(bytes) => walk.note(Found::Content {
                    bytes,
                    reordered: None,
                    whole: Some(Whole::TooLarge),
                }),
            }
            Ok::<_, Flaw>(())
        })?;
        if self.following.is_none() {
            let pairs = fields_of_the_archive(&one).into_iter();
            let mut pairs = pairs.zip(fields_of_the_archive(two));
            self.following = pairs
                .find(|(left, right)| left != right)
                .map(|((field, left), (_, right))| (one.path.clone(), field, left, right));
        }
        self.common
            .push((self.left.position, self.right.position, one.path));
        self.left.position += 1;
        self.right.position += 1;
        Ok(())
    }
}

/// The members that were not met side by side: each side's alone, or elsewhere in it.
fn rest(
    walk: &mut Walk,
    (left, one): (Open<'_>, Vec<Alone>),
    (right, two): (Open<'_>, Vec<Alone>),
    common: &mut Vec<(u64, u64, String)>,
) -> Result<(), Flaw> {
    let mut others: BTreeMap<String, Alone> = BTreeMap::new();
    let mut again = Vec::new();
    for alone in two {
        others.insert(alone.header.path.clone(), alone);
    }
    for alone in one {
        let name = &alone.header.path;
        let Some(other) = others.remove(name) else {
            presence(walk, name, Side::Left);
            continue;
        };
        common.push((alone.position, other.position, name.clone()));
        walk.within(member(name), |walk| {
            fields(walk, &alone.header, &other.header);
        });
        if alone.content != other.content {
            again.push((alone, other));
        }
    }
    for name in others.keys() {
        presence(walk, name, Side::Right);
    }
    let read = again.len().min(walk.room());
    walk.leave_out((again.len() - read) as u64);
    again.truncate(read);
    let mut one = copies(left, Side::Left, again.iter().map(|(it, _)| it.position))?;
    let mut two = copies(right, Side::Right, again.iter().map(|(_, it)| it.position))?;
    for (alone, other) in again {
        let pair = (one.remove(&alone.position), two.remove(&other.position));
        match pair {
            (Some(one), Some(two)) => {
                walk.within(member(&alone.header.path), |walk| walk.contents(&one, &two))?;
            }
            _ => walk.leave_out(1),
        }
    }
    Ok(())
}

fn presence(walk: &mut Walk, name: &str, only_in: Side) {
    walk.within(member(name), |walk| walk.note(Found::Presence { only_in }));
}

/// Copies of the members at some positions, of those that are not too large.
fn copies(
    open: Open<'_>,
    side: Side,
    positions: impl Iterator<Item = u64>,
) -> Result<BTreeMap<u64, Content>, Flaw> {
    let positions: BTreeSet<u64> = positions.collect();
    let mut copies = BTreeMap::new();
    let Some(last) = positions.last() else {
        return Ok(copies);
    };
    let mut archive = Archive::new(open()?, side);
    while archive.next()?.is_some() {
        let position = archive.position;
        archive.position += 1;
        if positions.contains(&position) {
            let mut content = Sided(&mut archive.reader, side);
            if let Some(content) = super::content::copy(&mut content, MAX_COPIED)? {
                copies.insert(position, content);
            }
        }
        if position == *last {
            break;
        }
    }
    Ok(copies)
}

/// Notes where the members that both have come in another order.
fn order(walk: &mut Walk, mut common: Vec<(u64, u64, String)>) {
    common.sort_unstable_by_key(|(left, ..)| *left);
    let mut right: Vec<&(u64, u64, String)> = common.iter().collect();
    right.sort_unstable_by_key(|(_, right, _)| *right);
    let mut pairs = common.iter().zip(right).enumerate();
    let elsewhere = pairs.find(|(_, (one, two))| one.0 != two.0);
    if let Some((position, (one, two))) = elsewhere {
        walk.note(Found::Order {
            format: Format::Cpio,
            position: position as u64,
            left: one.2.clone(),
            right: two.2.clone(),
        });
    }
}

/// Notes the first field of the file that differs.
fn fields(walk: &mut Walk, one: &Header, two: &Header) {
    let pairs = fields_of_the_file(one).into_iter();
    let mut pairs = pairs.zip(fields_of_the_file(two));
    if let Some(((field, left), (_, right))) = pairs.find(|(left, right)| left != right) {
        walk.field(Format::Cpio, field, &left, &right);
    }
}

type Field = (&'static str, String);

fn fields_of_the_file(header: &Header) -> [Field; 5] {
    let (major, minor) = header.own_device;
    [
        ("mode", format!("{:o}", header.mode)),
        ("uid", header.uid.to_string()),
        ("gid", header.gid.to_string()),
        ("mtime", header.mtime.to_string()),
        ("rdev", format!("{major}:{minor}")),
    ]
}

fn fields_of_the_archive(header: &Header) -> [Field; 4] {
    let (major, minor) = header.device;
    [
        ("nlink", header.links.to_string()),
        ("ino", header.inode.to_string()),
        ("dev", format!("{major}:{minor}")),
        ("archive", header.segment.to_string()),
    ]
}
