//! The members of an `ar` archive: a static library or a Debian package (ar(5)), with
//! the long names of GNU's and BSD's tools.

use super::content::Content;
use super::members::{Broken, Member, Members, name_of};

const MAGIC: u64 = 8;
const HEADER: usize = 60;
/// The longest table of names that is read, in bytes.
const MAX_NAMES: usize = 16 << 20;
/// The longest name of BSD's, in bytes.
const MAX_NAME: usize = 4096;

pub(super) fn members(content: &Content, room: usize) -> Result<Members, Broken> {
    let mut members = Members::up_to(room);
    let mut names = Vec::new();
    let mut at = MAGIC;
    while at < content.size() {
        let header = content.bytes(at, HEADER)?;
        let begin = at;
        let flaw = |what: &str| Broken::Flaw(format!("{what} at byte {begin}"));
        if header.len() < HEADER || !header.ends_with(b"`\n") {
            return Err(flaw("there is no member's header"));
        }
        let field = |from: usize, to: usize| {
            let bytes = header.get(from..to).unwrap_or_default();
            String::from_utf8_lossy(bytes).trim_end().to_owned()
        };
        let size: u64 = field(48, 58)
            .parse()
            .map_err(|_| flaw("the size of a member is no number"))?;
        let start = at + HEADER as u64;
        let mut whole = content
            .part(start, size)
            .ok_or_else(|| flaw("a member ends behind the archive"))?;
        at = (start + size).next_multiple_of(2);
        let short = field(0, 16);
        let name = if short == "//" {
            if names.is_empty() && size <= MAX_NAMES as u64 {
                names = whole.bytes(0, MAX_NAMES)?;
            }
            short
        } else if let Some(length) = short.strip_prefix("#1/") {
            let length = length.parse().ok().filter(|length| *length <= MAX_NAME);
            let length = length.ok_or_else(|| flaw("the length of a name is wrong"))?;
            let name = whole.bytes(0, length)?;
            let rest = size.checked_sub(length as u64);
            whole = rest
                .and_then(|rest| whole.part(length as u64, rest))
                .ok_or_else(|| flaw("a name is longer than its member"))?;
            name_of(name.split(|byte| *byte == 0).next().unwrap_or_default())
        } else {
            long_name(&short, &names).unwrap_or_else(|| match short.as_str() {
                "/" | "/SYM64/" => short.clone(),
                _ => short.strip_suffix('/').unwrap_or(&short).to_owned(),
            })
        };
        let fields = [
            ("mtime", 16, 28),
            ("uid", 28, 34),
            ("gid", 34, 40),
            ("mode", 40, 48),
        ];
        let fields = fields.map(|(name, from, to)| (name.to_owned(), field(from, to)));
        members.push(Member {
            name,
            fields: fields.to_vec(),
            content: whole,
            deflated: false,
        })?;
    }
    // The table of symbols follows from the members.
    members.put_last(|member| matches!(member.name.as_str(), "/" | "/SYM64/" | "__.SYMDEF"));
    Ok(members)
}

/// The name that `/NUMBER` stands for: from there to `/` and a newline.
fn long_name(short: &str, names: &[u8]) -> Option<String> {
    let at: usize = short.strip_prefix('/')?.parse().ok()?;
    let rest = names.get(at..)?;
    let name = rest.split(|byte| *byte == b'\n').next()?;
    let name = name.strip_suffix(b"/").unwrap_or(name);
    Some(name_of(name.get(..name.len().min(MAX_NAME))?))
}
