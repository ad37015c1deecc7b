//! Differences as a person reads them.

use std::fmt;

use super::bytes::hex;
use super::{Bytes, Difference, Found, GzipField, MemberChange, Side};

/// Text of this many characters is shown of a value of the manifest.
const SHOWN: usize = 200;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.entry, self.found)?;
        if !self.others.is_empty() {
            write!(f, "\nalso different: {}", self.others.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presence { only_in } => write!(f, "only the {only_in} one has it"),
            Self::Value {
                pointer,
                left,
                right,
            } => {
                let shown = |value: &Option<String>| match value {
                    None => "nothing".to_owned(),
                    Some(text) if text.chars().count() > SHOWN => {
                        text.chars().take(SHOWN).chain(['…']).collect()
                    }
                    Some(text) => text.clone(),
                };
                write!(f, "{pointer} differs")?;
                sides(f, &shown(left), &shown(right))
            }
            Self::Gzip { field, left, right } => {
                write!(f, "{field} in its gzip header differs")?;
                sides(f, left, right)
            }
            Self::Member { path, change } => {
                write!(f, "member `{}`: {change}", path.escape_debug())
            }
            Self::Packing { bytes } => write!(
                f,
                "all members are the same, but they are packed differently: {bytes}"
            ),
            Self::Unreadable { side, why, bytes } => {
                write!(f, "the {side} one cannot be unpacked ({why}): {bytes}")
            }
            Self::Content { bytes } => bytes.fmt(f),
        }
    }
}

impl fmt::Display for MemberChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Presence { only_in } => write!(f, "only the {only_in} one has it"),
            Self::Order { position, instead } => write!(
                f,
                "the order differs: after {position} members, the right one has `{}` instead",
                instead.escape_debug()
            ),
            Self::Field { field, left, right } => {
                write!(f, "{field} differs")?;
                sides(f, left, right)
            }
            Self::Content { bytes } => write!(f, "its content differs: {bytes}"),
        }
    }
}

impl fmt::Display for GzipField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "the method (CM)",
            Self::Flags => "the flags (FLG)",
            Self::Mtime => "the time stamp (MTIME)",
            Self::ExtraFlags => "the effort (XFL)",
            Self::System => "the operating system (OS)",
            Self::Name => "the file name (FNAME)",
        })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "first different byte at {0} ({0:#x})", self.offset)?;
        sides(f, &self.row(Side::Left), &self.row(Side::Right))
    }
}

impl Bytes {
    /// A row of a hex dump, with `|` before the first byte that differs.
    fn row(&self, side: Side) -> String {
        let from = match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        };
        let end = if from.is_empty() { "(ends)" } else { "" };
        let text: String = [self.before.as_slice(), from.as_slice()]
            .concat()
            .into_iter()
            .map(|byte| {
                if (0x20..0x7f).contains(&byte) {
                    char::from(byte)
                } else {
                    '.'
                }
            })
            .collect();
        format!("{} | {}{end}  {text}", hex(&self.before), hex(from))
    }
}

fn sides(f: &mut fmt::Formatter<'_>, left: &str, right: &str) -> fmt::Result {
    write!(f, "\n  left:  {left}\n  right: {right}")
}
