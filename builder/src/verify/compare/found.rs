//! What a difference is: where it is, and what is different there.
//!
//! Names of variants and fields are what `--json` prints, so they are kept.

use std::fmt;

use serde::Serialize;

use super::Bytes;

/// The first difference between two Lunikernels, in the order of what explains
/// what: first what went in, then what came out, and the manifest, which differs
/// whenever anything does, at last. Within an archive it is the first member's, within
/// an ELF file that of the section that says most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The entry of the zip that it is in; the left file's name where two plain files
    /// are compared.
    pub entry: String,
    /// The way down from there, outermost first; empty where the difference is in the
    /// entry itself.
    pub path: Vec<Place>,
    /// What is different at the end of the way.
    pub found: Found,
    /// What else differs, in the same order, at most [`Difference::MOST_OTHERS`].
    pub others: Vec<Other>,
    /// How many more differences were met that `others` has no room for.
    pub unlisted: u64,
}

/// One of the further differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Other {
    /// As [`Difference::entry`].
    pub entry: String,
    /// As [`Difference::path`].
    pub path: Vec<Place>,
    /// As [`Difference::found`].
    pub found: Found,
}

/// A step on the way from an entry of the zip down to a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Place {
    /// In what compressed content unpacks to.
    Unpacked {
        /// How it is compressed.
        format: Format,
    },
    /// In one of several archives that follow each other, where it is not the first.
    Archive {
        /// Which one, counted from 1.
        number: u32,
    },
    /// In a member of an archive.
    Member {
        /// The kind of archive.
        format: Format,
        /// The member's name, without a leading `/` or `./`; the left one's where they
        /// differ. Bytes that are not UTF-8 are escaped.
        name: String,
    },
    /// In a section of an ELF file. The offsets of what was found there count from the
    /// section's beginning.
    Section(Section),
}

/// A section of an ELF file, and what the first byte that differs belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Its name, such as `.rodata`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Where it begins in the left file.
    pub offset: u64,
    /// The virtual address of the first byte that differs, in the left file, if the
    /// section is loaded.
    pub address: Option<u64>,
    /// The left file's symbol that this byte belongs to.
    pub symbol: Option<Symbol>,
}

/// A symbol, and how far behind its beginning something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Symbol {
    /// Its name, as it is in the file.
    pub name: String,
    /// How many bytes behind its address.
    pub offset: u64,
}

/// What a section of an ELF file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Constants, variables, and whatever has no role of its own.
    Data,
    /// Instructions.
    Code,
    /// Tables of addresses, symbols and relocations: they follow from the others.
    Linking,
    /// DWARF.
    DebugInformation,
    /// `.note.gnu.build-id`: a digest of the others, so it never is the cause.
    BuildId,
}

/// What is known of the inside of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
    /// bzip2.
    Bzip2,
    /// cpio, "newc".
    Cpio,
    /// ar, as libraries and Debian packages are.
    Ar,
    /// tar: old, GNU's or POSIX's.
    Tar,
    /// zip, as jar files are.
    Zip,
    /// ELF.
    Elf,
}

/// What is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Found {
    /// Only one of the two has it.
    Presence {
        /// Which one.
        only_in: Side,
    },
    /// A value of the manifest.
    Value {
        /// Where, as a JSON pointer (RFC 6901).
        pointer: String,
        /// What the left one has there, as JSON, if it has anything.
        left: Option<String>,
        /// What the right one has there.
        right: Option<String>,
    },
    /// A field of a header.
    Field {
        /// The format that the header belongs to.
        format: Format,
        /// The field, by its name in the format where it has one: `mode`, `mtime`.
        field: String,
        /// What the left one has there.
        left: String,
        /// What the right one has there.
        right: String,
    },
    /// An archive has the same members in another order.
    Order {
        /// The kind of archive.
        format: Format,
        /// How many members are before the first one that is elsewhere.
        position: u64,
        /// What the left one has there.
        left: String,
        /// What the right one has there.
        right: String,
    },
    /// A line of text.
    Line {
        /// Which one, counted from 1.
        number: u64,
        /// The left one's, or what is around the difference of a long one; none where
        /// the text ends before it.
        left: Option<String>,
        /// The right one's.
        right: Option<String>,
        /// What both have in common, if they are the same in another order.
        reordered: Option<Units>,
        /// The first byte that differs.
        bytes: Bytes,
    },
    /// A byte.
    Content {
        /// The first one that differs.
        bytes: Bytes,
        /// What both have in common, if they are the same in another order.
        reordered: Option<Units>,
        /// Why it was not taken apart, where it could have been.
        whole: Option<Whole>,
    },
    /// What it unpacks to is the same, or all members are; only how they are packed
    /// differs.
    Packing {
        /// How.
        format: Format,
        /// The first byte of the packed form that differs.
        bytes: Bytes,
    },
    /// One of the two cannot be taken apart, although it begins as if it could.
    Unreadable {
        /// How it begins.
        format: Format,
        /// Which one.
        side: Side,
        /// Why.
        why: String,
        /// The first byte that differs.
        bytes: Bytes,
    },
}

/// Why a content was not taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Whole {
    /// It is too large.
    TooLarge,
    /// It is in too many others, or too much was unpacked before.
    TooDeep,
}

/// What two contents have in common that differ in nothing but its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// The members of an archive.
    Members,
    /// Lines.
    Lines,
    /// Words, between blanks, commas and semicolons.
    Words,
    /// Strings, each with a NUL at its end.
    Strings,
}

/// One of the two that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first one.
    Left,
    /// The second one.
    Right,
}

impl Difference {
    /// How many further differences are told.
    pub const MOST_OTHERS: usize = 20;

    /// The outermost member that it is in: for an initramfs, the path in the root file
    /// system.
    #[must_use]
    pub fn member(&self) -> Option<&str> {
        self.path.iter().find_map(|place| match place {
            Place::Member { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }
}

impl Found {
    /// The bytes around it, where it has any.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Line { bytes, .. }
            | Self::Content { bytes, .. }
            | Self::Packing { bytes, .. }
            | Self::Unreadable { bytes, .. } => Some(bytes),
            Self::Presence { .. }
            | Self::Value { .. }
            | Self::Field { .. }
            | Self::Order { .. } => None,
        }
    }

    /// What is the same in another order, if that is all that is different.
    #[must_use]
    pub fn reordered(&self) -> Option<Units> {
        match self {
            Self::Order { .. } => Some(Units::Members),
            Self::Line { reordered, .. } | Self::Content { reordered, .. } => *reordered,
            _ => None,
        }
    }

    /// What the two have, as text, where it is text: a value, a field or a line.
    #[must_use]
    pub fn texts(&self) -> Option<(&str, &str)> {
        match self {
            Self::Value { left, right, .. } | Self::Line { left, right, .. } => {
                Some((left.as_deref()?, right.as_deref()?))
            }
            Self::Field { left, right, .. } => Some((left, right)),
            _ => None,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Right => "right",
        })
    }
}

impl Format {
    /// Whether it has members.
    #[must_use]
    pub fn is_archive(self) -> bool {
        matches!(self, Self::Cpio | Self::Ar | Self::Tar | Self::Zip)
    }
}
