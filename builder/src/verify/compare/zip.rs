//! The members of a zip of any origin (PKWARE's APPNOTE.TXT), as jar files are too.
//! Those beyond four gigabytes or 65535 members are not taken apart.

use super::content::Content;
use super::members::{Broken, Member, Members, name_of};

/// The size of what ends a zip, without its comment.
const END: usize = 22;
/// The size of a member's header in the directory, without its name.
const HEADER: usize = 46;
/// The size of the header before a member's content, without the name.
const LOCAL: usize = 30;
/// The largest directory that is read, in bytes.
const MAX_DIRECTORY: u32 = 32 << 20;
/// As much of an extra field is shown, in bytes.
const SHOWN: usize = 64;

pub(super) fn members(content: &Content, room: usize) -> Result<Members, Broken> {
    let flaw = |what: &str| Broken::Flaw(what.to_owned());
    let most = END + usize::from(u16::MAX);
    let from = content.size().saturating_sub(most as u64);
    let tail = content.bytes(from, most)?;
    let end = (0..tail.len().saturating_sub(END - 1))
        .rev()
        .filter_map(|at| tail.get(at..))
        .find(|end| end.starts_with(b"PK\x05\x06"))
        .ok_or_else(|| flaw("it has no directory"))?;
    let (size, offset) = (u32_at(end, 12), u32_at(end, 16));
    if size > MAX_DIRECTORY {
        return Err(flaw("its directory is too large"));
    }
    let directory = content.bytes(offset.into(), size as usize)?;
    let mut members = Members::up_to(room);
    let mut rest = directory.as_slice();
    while !rest.is_empty() {
        let (member, length) = member(content, rest)?;
        members.push(member)?;
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(members)
}

/// The first member in a directory, and how long its header is.
fn member(content: &Content, header: &[u8]) -> Result<(Member, usize), Broken> {
    let flaw = |what: &str| Broken::Flaw(what.to_owned());
    if !header.starts_with(b"PK\x01\x02") || header.len() < HEADER {
        return Err(flaw("a header in its directory is damaged"));
    }
    let lengths = [28, 30, 32].map(|at| usize::from(u16_at(header, at)));
    let mut at = HEADER;
    let parts = lengths.map(|length| {
        let part = header.get(at..at + length);
        at += length;
        part
    });
    let [Some(name), Some(extra), Some(comment)] = parts else {
        return Err(flaw("a header in its directory is cut off"));
    };
    let name = name_of(name);
    let start = u64::from(u32_at(header, 42));
    let local = content.bytes(start, LOCAL)?;
    if !local.starts_with(b"PK\x03\x04") || local.len() < LOCAL {
        return Err(Broken::Flaw(format!("`{name}` is not where it should be")));
    }
    let skipped = LOCAL as u64 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
    let packed = content.part(start + skipped, u32_at(header, 20).into());
    let packed = packed.ok_or_else(|| Broken::Flaw(format!("`{name}` ends behind the zip")))?;
    let method = u16_at(header, 10);
    let fields = [
        ("time", time(u16_at(header, 14), u16_at(header, 12))),
        ("mode", format!("{:o}", u32_at(header, 38) >> 16)),
        (
            "attributes",
            format!("{:#06x}", u32_at(header, 38) & 0xffff),
        ),
        ("extra field", hex(extra)),
        ("comment", name_of(comment)),
        ("method", method.to_string()),
        ("made by", format!("{:#06x}", u16_at(header, 4))),
        ("version needed", u16_at(header, 6).to_string()),
        ("flags", format!("{:#06x}", u16_at(header, 8))),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    let member = Member {
        name,
        fields: fields.to_vec(),
        content: packed,
        // Encrypted content stays as it is.
        deflated: method == 8 && u16_at(header, 8) & 1 == 0,
    };
    Ok((member, at))
}

/// DOS's date and time, in the machine's own time zone.
fn time(date: u16, time: u16) -> String {
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        1980 + (date >> 9),
        date >> 5 & 15,
        date & 31,
        time >> 11,
        time >> 5 & 63,
        (time & 31) * 2
    )
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().take(SHOWN);
    digits.map(|byte| format!("{byte:02x}")).collect()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    u16::from_le_bytes(bytes.copied().unwrap_or_default())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    u32::from_le_bytes(bytes.copied().unwrap_or_default())
}
