//! Differences as a person reads them.

use std::fmt;

use super::{Difference, Format, Found, Other, Place, Role, Section, Side, Units, Whole};

mod rows;

use rows::Rows;

/// This many characters are shown of a value of the manifest.
const SHOWN: usize = 200;

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            Way(&self.entry, &self.path, &self.found),
            self.found
        )?;
        if self.others.is_empty() && self.unlisted == 0 {
            return Ok(());
        }
        write!(f, "\nalso different:")?;
        for other in &self.others {
            write!(f, "\n  {other}")?;
        }
        match self.unlisted {
            0 => Ok(()),
            count => write!(f, "\n  and {count} more"),
        }
    }
}

/// In one line.
impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            Way(&self.entry, &self.path, &self.found),
            Short(&self.found)
        )?;
        match &self.found {
            Found::Field { left, right, .. } => write!(f, ": {} → {}", cut(left), cut(right)),
            _ => Ok(()),
        }
    }
}

struct Way<'a>(&'a str, &'a [Place], &'a Found);

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.0.escape_debug())?;
        for (at, place) in self.1.iter().enumerate() {
            // A member of what was unpacked speaks for itself, and so do all together.
            let last = at + 1 == self.1.len() && !matches!(self.2, Found::Order { .. });
            if last || !matches!(place, Place::Unpacked { .. }) {
                write!(f, "{place}: ")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpacked { .. } => write!(f, "unpacked"),
            Self::Archive { number } => write!(f, "the {} archive", Ordinal(u64::from(*number))),
            Self::Member { name, .. } => write!(f, "member `{}`", name.escape_debug()),
            Self::Section(section) => section.fmt(f),
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "section `{}`", self.name.escape_debug())?;
        let mut notes = Vec::new();
        match self.role {
            Role::DebugInformation => notes.push("debug information".to_owned()),
            Role::BuildId => notes.push("the build ID, a digest of the rest".to_owned()),
            Role::Data | Role::Code | Role::Linking => {}
        }
        if let Some(address) = self.address {
            notes.push(format!("address {address:#x}"));
        }
        if let Some(symbol) = &self.symbol {
            let name = symbol.name.escape_debug();
            notes.push(match symbol.offset {
                0 => format!("`{name}`"),
                offset => format!("`{name}` + {offset:#x}"),
            });
        }
        if notes.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", notes.join(", "))
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Short(self))?;
        match self {
            Self::Presence { .. } => Ok(()),
            Self::Value { left, right, .. } => {
                let shown = |value: &Option<String>| match value {
                    None => "nothing".to_owned(),
                    Some(text) => cut(text),
                };
                sides(f, &shown(left), &shown(right))
            }
            Self::Field { left, right, .. } => sides(f, &cut(left), &cut(right)),
            Self::Order { left, right, .. } => {
                let shown = |name: &str| format!("`{}`", name.escape_debug());
                sides(f, &shown(left), &shown(right))
            }
            Self::Line { left, right, .. } => {
                let shown = |line: &Option<String>| match line {
                    None => "(ends)".to_owned(),
                    Some(line) => printable(line),
                };
                sides(f, &shown(left), &shown(right))
            }
            Self::Content { bytes, .. }
            | Self::Packing { bytes, .. }
            | Self::Unreadable { bytes, .. } => {
                for side in [Side::Left, Side::Right] {
                    write!(f, "\n{}", Rows(bytes, side))?;
                }
                Ok(())
            }
        }
    }
}

/// What is different, in one line, without what it is on either side.
struct Short<'a>(&'a Found);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Found::Presence { only_in } => write!(f, "only the {only_in} one has it"),
            Found::Value { pointer, .. } => write!(f, "{} differs", cut(pointer)),
            Found::Field { format, field, .. } => match format {
                Format::Gzip => write!(f, "{field} in its gzip header differs"),
                Format::Elf => write!(f, "{field} in its ELF header differs"),
                _ => write!(f, "{} differs", cut(field)),
            },
            Found::Order { position, .. } => write!(
                f,
                "the same members in another order, from the {} on",
                Ordinal(*position + 1)
            ),
            Found::Line {
                number, reordered, ..
            } => {
                write!(f, "line {number} differs")?;
                same(f, *reordered)
            }
            Found::Content {
                bytes,
                reordered,
                whole,
            } => {
                write!(f, "its content differs: {bytes}")?;
                same(f, *reordered)?;
                match whole {
                    None => Ok(()),
                    Some(Whole::TooLarge) => write!(f, "; it is too large to be taken apart"),
                    Some(Whole::TooDeep) => write!(f, "; it is too deep to be taken apart"),
                }
            }
            Found::Packing { format, bytes } if format.is_archive() => write!(
                f,
                "all members are the same, but they are packed differently: {bytes}"
            ),
            Found::Packing { format, bytes } => {
                write!(f, "the same, but packed differently by {format}: {bytes}")
            }
            Found::Unreadable {
                format,
                side,
                why,
                bytes,
            } => write!(
                f,
                "the {side} one cannot be read as {format} ({}): {bytes}",
                why.escape_debug()
            ),
        }
    }
}

fn same(f: &mut fmt::Formatter<'_>, units: Option<Units>) -> fmt::Result {
    match units {
        None => Ok(()),
        Some(units) => write!(f, "; the same {units} in another order"),
    }
}

fn sides(f: &mut fmt::Formatter<'_>, left: &str, right: &str) -> fmt::Result {
    write!(f, "\n  left:  {left}\n  right: {right}")
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return printable(text);
    }
    printable(&text.chars().take(SHOWN).chain(['…']).collect::<String>())
}

/// Text that may come from anyone, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, char| {
        match char {
            '"' | '\'' | '\\' => shown.push(char),
            _ => shown.extend(char.escape_debug()),
        }
        shown
    })
}

/// 1st, 2nd, 3rd, 4th.
struct Ordinal(u64);

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match (self.0 % 10, self.0 % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        write!(f, "{}{end}", self.0)
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Members => "members",
            Self::Lines => "lines",
            Self::Words => "words",
            Self::Strings => "strings",
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Cpio => "cpio",
            Self::Ar => "ar",
            Self::Tar => "tar",
            Self::Zip => "zip",
            Self::Elf => "ELF",
        })
    }
}
