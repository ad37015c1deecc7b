//! What the bytes around a difference say about its cause.

use super::cause::{Class, Side};
use super::compare::{Difference, Found};
use super::{Variation, moment};
use crate::sandbox::Facet;

/// Something that speaks for a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    /// The cause.
    pub(super) class: Class,
    /// The variation that would show the same, where it is only one of its class.
    pub(super) variation: Option<Variation>,
    /// Whether it is more than a likeness: it stands in both, in each as its own build
    /// had it.
    pub(super) strong: bool,
    /// For a person.
    pub(super) text: String,
}

impl Sign {
    fn new(class: Class, strong: bool, text: String) -> Self {
        Self {
            class,
            variation: None,
            strong,
            text,
        }
    }
}

/// What is looked at on one side: bytes or a text, and where in it the first difference is.
struct Look<'a> {
    left: &'a [u8],
    right: &'a [u8],
    near: usize,
}

/// Everything that speaks for a cause, in no order of weight.
pub(super) fn signs(difference: &Difference, left: Side<'_>, right: Side<'_>) -> Vec<Sign> {
    let found = &difference.found;
    let mut signs = Vec::new();
    signs.extend(of_field(found));
    if let Some(units) = found.reordered() {
        let text = format!("both have the same {units}, in another order");
        signs.push(Sign::new(Class::Ordering, true, text));
    }
    for look in looks(found) {
        for sign in [
            values(&look, left, right),
            times(&look, left, right),
            ids(&look).into_iter().collect(),
            addresses(&look).into_iter().collect(),
        ]
        .into_iter()
        .flatten()
        {
            if !signs.contains(&sign) {
                signs.push(sign);
            }
        }
    }
    signs
}

/// Texts where there are some, and the bytes.
fn looks(found: &Found) -> Vec<Look<'_>> {
    let mut looks = Vec::new();
    if let Some((left, right)) = found.texts() {
        let (left, right) = (left.as_bytes(), right.as_bytes());
        let near = left.iter().zip(right).take_while(|(a, b)| a == b).count();
        looks.push(Look { left, right, near });
    }
    if let Found::Order { left, right, .. } = found {
        let (left, right) = (left.as_bytes(), right.as_bytes());
        let near = 0;
        looks.push(Look { left, right, near });
    }
    if let Some(bytes) = found.bytes() {
        looks.push(Look {
            left: &bytes.left.bytes,
            right: &bytes.right.bytes,
            near: bytes.before().len(),
        });
    }
    looks
}

/// Some fields mean the same whatever is in them.
fn of_field(found: &Found) -> Option<Sign> {
    let Found::Field { format, field, .. } = found else {
        return None;
    };
    let name = field.to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let class = if is(&["time", "date", "modified"]) {
        Class::Timestamp
    } else if is(&["mode", "permission"]) {
        Class::Umask
    } else if is(&["uid", "gid", "owner", "group", "uname", "gname", "user"]) {
        Class::User
    } else if is(&["inode", "ino", "device number"]) {
        Class::Inode
    } else {
        return None;
    };
    let text = format!("`{field}` is a field of {format} for just that");
    Some(Sign::new(class, false, text))
}

/// The values themselves: those of the left one's surroundings there, and those of the
/// right one's here.
fn values(look: &Look<'_>, left: Side<'_>, right: Side<'_>) -> Vec<Sign> {
    let mut signs = Vec::new();
    for (facet, class) in [
        (Facet::HostName, Class::HostName),
        (Facet::DomainName, Class::HostName),
        (Facet::UserName, Class::User),
        (Facet::Home, Class::Home),
        (Facet::KernelRelease, Class::Kernel),
        (Facet::TimeZone, Class::TimeZone),
        (Facet::Locale, Class::Locale),
    ] {
        let variation = Variation::Around(facet);
        let value = |side: Side<'_>| match facet {
            Facet::KernelRelease => side
                .conditions
                .surroundings
                .kernel_release
                .clone()
                .unwrap_or_else(machine_release),
            Facet::UserName => side
                .conditions
                .surroundings
                .user_name
                .clone()
                .unwrap_or_default(),
            _ => side.conditions.value(variation),
        };
        let (one, two) = (value(left), value(right));
        if one == two {
            continue;
        }
        let here = has(look.left, &one, look.near);
        let there = has(look.right, &two, look.near);
        let text = match (here, there) {
            (true, true) => format!("`{one}` stands in the left one and `{two}` in the right one"),
            (true, false) => format!("`{one}` stands in the left one"),
            (false, true) => format!("`{two}` stands in the right one"),
            (false, false) => continue,
        };
        signs.push(Sign {
            variation: Some(variation),
            ..Sign::new(class, here && there, text)
        });
    }
    signs
}

/// The shortest value that says something by standing somewhere.
const TELLING: usize = 3;

fn has(bytes: &[u8], value: &str, near: usize) -> bool {
    value.len() >= TELLING
        && bytes
            .windows(value.len())
            .enumerate()
            .any(|(at, window)| at + value.len() > near && window == value.as_bytes())
}

fn machine_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// The times at which the two were built.
fn times(look: &Look<'_>, left: Side<'_>, right: Side<'_>) -> Vec<Sign> {
    let clock = |side: Side<'_>| moment::Clock::new(side.span, side.conditions);
    let here = moment::find(look.left, look.near, &clock(left));
    let there = moment::find(look.right, look.near, &clock(right));
    let text = match (&here, &there) {
        (Some(one), Some(two)) => format!(
            "each holds the time at which it was made: `{}` and `{}` ({})",
            one.text, two.text, one.form
        ),
        (Some(one), None) => format!(
            "the left one holds the time at which it was made: `{}` ({})",
            one.text, one.form
        ),
        (None, Some(two)) => format!(
            "the right one holds the time at which it was made: `{}` ({})",
            two.text, two.form
        ),
        (None, None) => return Vec::new(),
    };
    let strong = here.is_some() && there.is_some();
    vec![Sign::new(Class::Timestamp, strong, text)]
}

/// Names that are made up: UUIDs (RFC 9562, 4) and long hexadecimal numbers.
fn ids(look: &Look<'_>) -> Option<Sign> {
    let word = |bytes, wanted| word_at(bytes, look.near, wanted);
    let uuid = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    let (one, two) = (word(look.left, uuid), word(look.right, uuid));
    if let (Some(one), Some(two)) = (one, two)
        && is_uuid(one)
        && is_uuid(two)
    {
        let text = format!("`{one}` and `{two}` are UUIDs");
        return Some(Sign::new(Class::RandomId, true, text));
    }
    let hex = |byte: &u8| byte.is_ascii_hexdigit();
    let (one, two) = (word(look.left, hex)?, word(look.right, hex)?);
    let digits = |word: &str| word.bytes().any(|byte| byte.is_ascii_alphabetic());
    if one.len() == two.len() && one.len() >= 16 && digits(one) && digits(two) {
        let text = format!("`{one}` and `{two}` look like digests or random numbers");
        return Some(Sign::new(Class::RandomId, false, text));
    }
    None
}

fn is_uuid(word: &str) -> bool {
    let lengths: Vec<usize> = word.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
}

/// The run of `wanted` bytes that `near` is in.
fn word_at(bytes: &[u8], near: usize, wanted: fn(&u8) -> bool) -> Option<&str> {
    let (before, after) = bytes.split_at_checked(near)?;
    let begin = before.len() - before.iter().rev().take_while(|byte| wanted(byte)).count();
    let end = near + after.iter().take_while(|byte| wanted(byte)).count();
    let word = std::str::from_utf8(bytes.get(begin..end)?).ok()?;
    (!word.is_empty()).then_some(word)
}

/// How many of an address' lowest bits are the same wherever a program is loaded, as
/// pages begin at multiples of 4096.
const IN_PAGE: u64 = 0xfff;

/// Addresses of programs, libraries and stacks of 64-bit Linux, as text or in binary.
fn addresses(look: &Look<'_>) -> Option<Sign> {
    let hex = |byte: &u8| byte.is_ascii_hexdigit();
    let written = |bytes| {
        let word = word_at(bytes, look.near, hex)?;
        (9..=16).contains(&word.len()).then_some(())?;
        u64::from_str_radix(word, 16).ok()
    };
    let pair = match (written(look.left), written(look.right)) {
        (Some(one), Some(two)) if is_address(one) && is_address(two) => Some((one, two)),
        _ => (0..8).find_map(|back| {
            let at = look.near.checked_sub(back)?;
            let eight = |bytes: &[u8]| -> Option<u64> {
                Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
            };
            let (one, two) = (eight(look.left)?, eight(look.right)?);
            (is_address(one) && is_address(two)).then_some((one, two))
        }),
    };
    let (one, two) = pair?;
    let strong = one & IN_PAGE == two & IN_PAGE;
    let text = format!("{one:#x} and {two:#x} look like addresses in memory");
    Some(Sign::new(Class::Addresses, strong, text))
}

/// Whether programs with addresses of their own are loaded there, or have their heap,
/// libraries and stack there.
fn is_address(number: u64) -> bool {
    (0x5500_0000_0000..0x5700_0000_0000).contains(&number)
        || (0x7e00_0000_0000..0x8000_0000_0000).contains(&number)
}
