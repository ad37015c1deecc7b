//! Archives whose members can be listed before any of them is read: ar, tar and zip.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

use super::content::{Content, Sided, difference};
use super::walk::{Flaw, Walk};
use super::{CompareError, Format, Found, Place, Side, Whole};

/// How much the lists of members may take that are in memory at one time, in bytes:
/// those of two archives with some ten thousand members each, and of what they are in.
const MAX_LISTS: usize = 96 << 20;

/// A member, as its header has it.
#[derive(Debug)]
pub(super) struct Member {
    /// Its name, escaped where it is not UTF-8.
    pub(super) name: String,
    /// What the header says, by the format's own names, those that explain others
    /// first.
    pub(super) fields: Vec<(String, String)>,
    /// Its content as it is in the archive.
    pub(super) content: Content,
    /// Whether that is deflated (RFC 1951).
    pub(super) deflated: bool,
}

/// The members of one archive.
#[derive(Debug)]
pub(super) struct Members {
    list: Vec<Member>,
    /// How much they take, and may take, in bytes.
    size: usize,
    room: usize,
}

impl Members {
    /// None yet, with room for so many bytes of them.
    pub(super) fn up_to(room: usize) -> Self {
        Self {
            list: Vec::new(),
            size: 0,
            room,
        }
    }

    /// Adds one.
    pub(super) fn push(&mut self, mut member: Member) -> Result<(), Broken> {
        member.fields.shrink_to_fit();
        let fields = member.fields.iter();
        let fields = fields.map(|field| size_of_val(field) + field.0.len() + field.1.len());
        self.size += size_of::<Member>() + member.name.len() + fields.sum::<usize>();
        if self.size > self.room {
            return Err(Broken::Room);
        }
        self.list.push(member);
        Ok(())
    }

    /// Puts those last for which `last` is true.
    pub(super) fn put_last(&mut self, last: impl Fn(&Member) -> bool) {
        self.list.sort_by_key(last);
    }
}

/// Why members could not be listed.
#[derive(Debug)]
pub(super) enum Broken {
    /// What is wrong with the archive.
    Flaw(String),
    /// They are too many.
    Room,
    /// It could not be read.
    Io(std::io::Error),
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Bytes as text: as they are where that is UTF-8, escaped otherwise.
pub(super) fn name_of(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

/// Lists the members of an archive.
pub(super) type List = fn(&Content, usize) -> Result<Members, Broken>;

/// Notes what differs between two archives.
pub(super) fn compare(
    walk: &mut Walk,
    format: Format,
    list: List,
    left: &Content,
    right: &Content,
) -> Result<(), Flaw> {
    let room = MAX_LISTS.saturating_sub(walk.lists) / 2;
    let members = |content, side| match list(content, room) {
        Ok(members) => Ok(members),
        Err(Broken::Flaw(why)) => Err(Flaw::Broken(None, side, why)),
        Err(Broken::Room) => Err(Flaw::Whole(Whole::TooLarge)),
        Err(Broken::Io(error)) => Err(Flaw::Stop(CompareError::Copy(error))),
    };
    let one = members(left, Side::Left)?;
    let two = members(right, Side::Right)?;
    let size = one.size + two.size;
    walk.lists += size;
    let compared = lists(walk, format, &one.list, &two.list);
    walk.lists -= size;
    compared
}

fn lists(walk: &mut Walk, format: Format, one: &[Member], two: &[Member]) -> Result<(), Flaw> {
    // Members of one name are matched in their order.
    let mut there: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, member) in two.iter().enumerate().rev() {
        there.entry(&member.name).or_default().push(position);
    }
    let place = |name: &str| Place::Member {
        format,
        name: name.to_owned(),
    };
    let mut common = Vec::new();
    let mut matched = vec![false; two.len()];
    for member in one {
        let found = there.get_mut(member.name.as_str()).and_then(Vec::pop);
        let other = found.and_then(|at| Some((at, two.get(at)?, matched.get_mut(at)?)));
        walk.within(place(&member.name), |walk| match other {
            None => {
                let only_in = Side::Left;
                walk.note(Found::Presence { only_in });
                Ok(())
            }
            Some((at, other, matched)) => {
                *matched = true;
                common.push((at, member.name.as_str()));
                members_of_one_name(walk, format, member, other)
            }
        })?;
    }
    for (member, _) in two.iter().zip(&matched).filter(|(_, matched)| !**matched) {
        let only_in = Side::Right;
        walk.within(place(&member.name), |walk| {
            walk.note(Found::Presence { only_in });
        });
    }
    let mut sorted = common.clone();
    sorted.sort_unstable();
    let mut pairs = common.iter().zip(&sorted).enumerate();
    if let Some((position, (one, two))) = pairs.find(|(_, (one, two))| one.0 != two.0) {
        walk.note(Found::Order {
            format,
            position: position as u64,
            left: one.1.to_owned(),
            right: two.1.to_owned(),
        });
    }
    Ok(())
}

fn members_of_one_name(
    walk: &mut Walk,
    format: Format,
    one: &Member,
    two: &Member,
) -> Result<(), Flaw> {
    let other = |name: &str| two.fields.iter().find(|(field, _)| field == name);
    for (field, left) in &one.fields {
        let right = other(field).map_or("", |(_, value)| value);
        if left != right {
            walk.field(format, field, left, right);
        }
    }
    for (field, right) in &two.fields {
        if !one.fields.iter().any(|(name, _)| name == field) {
            walk.field(format, field, "", right);
        }
    }
    let packed = one.deflated || two.deflated;
    if packed && one.deflated == two.deflated && same(&one.content, &two.content)? {
        return Ok(());
    }
    if !packed {
        walk.contents(&one.content, &two.content)?;
        return Ok(());
    }
    if walk.is_full() {
        walk.leave_out(1);
        return Ok(());
    }
    let one = unpacked(walk, one, Side::Left)?;
    let two = unpacked(walk, two, Side::Right)?;
    walk.contents(&one, &two)?;
    Ok(())
}

fn same(left: &Content, right: &Content) -> Result<bool, CompareError> {
    Ok(left.size() == right.size() && difference(left, right)?.is_none())
}

fn unpacked(walk: &mut Walk, member: &Member, side: Side) -> Result<Content, Flaw> {
    if !member.deflated {
        return Ok(member.content.clone());
    }
    let reader: Box<dyn Read> = Box::new(DeflateDecoder::new(member.content.reader()));
    walk.unpack(&mut Sided(reader, side))
}
