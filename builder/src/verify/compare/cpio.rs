//! cpio archives, as they come out of a decompressor: both are read side by side, once,
//! and only members that differ are copied.
//!
//! Ours are sorted, so members are matched as in a merge of two sorted lists. What that
//! leaves without a match because an archive is not sorted is matched at the end, by
//! digest; only where such a member differs as well is an archive read again.
//!
//! Where archives follow each other, what counts is what they give together
//! ([`unpacked`]). How they are made up is told only where that is the same.

mod unpacked;

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

/// Notes what differs between two archives, or two rows of them.
pub(super) fn compare(walk: &mut Walk, left: Open<'_>, right: Open<'_>) -> Result<(), Flaw> {
    let before = walk.mark();
    if !members(walk, left, right)? {
        return Ok(());
    }
    let packed = walk.take_back(&before);
    unpacked::compare(walk, left, right)?;
    if walk.mark() == before {
        walk.note_again(packed);
    }
    Ok(())
}

/// Notes what differs between the members, each compared with the one of the same name in
/// the same archive of the row; true where one side has several archives.
fn members(walk: &mut Walk, left: Open<'_>, right: Open<'_>) -> Result<bool, Flaw> {
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
    let are_several = one.segment.max(two.segment) > 0;
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
    Ok(are_several)
}

/// Does something within the place that a member is.
fn within<T>(walk: &mut Walk, header: &Header, go: impl FnOnce(&mut Walk) -> T) -> T {
    match header.segment {
        0 => walk.within(member(&header.path), go),
        before => {
            let number = before.saturating_add(1);
            walk.within(Place::Archive { number }, |walk| {
                walk.within(member(&header.path), go)
            })
        }
    }
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
    /// How many archives are before the current one.
    segment: u32,
    alone: Vec<Alone>,
}

impl<R: Read> Archive<R> {
    fn new(reader: R, side: Side) -> Self {
        Self {
            reader: CpioReader::new(BufReader::new(reader), MAX_READ),
            side,
            position: 0,
            segment: 0,
            alone: Vec::new(),
        }
    }

    fn next(&mut self) -> Result<Option<Header>, Flaw> {
        let header = self.reader.next_header();
        let header = header.map_err(|it| self.broken(&it))?;
        self.segment = header.as_ref().map_or(self.segment, |it| it.segment);
        Ok(header)
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
        within(walk, &one, |walk| {
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
    // Several archives may have members of one name: these are matched in their order.
    let mut others: BTreeMap<String, Vec<Alone>> = BTreeMap::new();
    let mut again = Vec::new();
    for alone in two.into_iter().rev() {
        let name = alone.header.path.clone();
        others.entry(name).or_default().push(alone);
    }
    for alone in one {
        let name = &alone.header.path;
        let Some(other) = others.get_mut(name).and_then(Vec::pop) else {
            presence(walk, &alone.header, Side::Left);
            continue;
        };
        common.push((alone.position, other.position, name.clone()));
        within(walk, &alone.header, |walk| {
            fields(walk, &alone.header, &other.header);
        });
        if alone.content != other.content {
            again.push((alone, other));
        }
    }
    for alone in others.values().flat_map(|alone| alone.iter().rev()) {
        presence(walk, &alone.header, Side::Right);
    }
    let read = again.len().min(walk.room());
    walk.leave_out((again.len() - read) as u64);
    again.truncate(read);
    let mut one = copies(left, Side::Left, again.iter().map(|(it, _)| it.position))?;
    let mut two = copies(right, Side::Right, again.iter().map(|(_, it)| it.position))?;
    for (alone, other) in again {
        let pair = one.remove(&alone.position).zip(two.remove(&other.position));
        within(walk, &alone.header, |walk| {
            contents(walk, pair, alone.content, other.content)
        })?;
    }
    Ok(())
}

/// Notes what differs between two contents that are known to differ, of which there are no
/// copies where they are too large.
fn contents(
    walk: &mut Walk,
    copies: Option<(Content, Content)>,
    left: Digest,
    right: Digest,
) -> Result<(), Flaw> {
    match copies {
        Some((one, two)) => {
            walk.contents(&one, &two)?;
        }
        None => {
            let digest = |it: Digest| format!("{}, {} bytes", it.sha256.hex(), it.size);
            walk.field(Format::Cpio, "sha256", &digest(left), &digest(right));
        }
    }
    Ok(())
}

fn presence(walk: &mut Walk, header: &Header, only_in: Side) {
    within(walk, header, |walk| {
        walk.note(Found::Presence { only_in });
    });
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
