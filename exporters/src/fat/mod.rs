//! FAT file systems, made whole: FAT32, and FAT16 where that is too small for it
//! (Microsoft, *FAT: General Overview of On-Disk Format*, 1.03).
//!
//! Every file is in one piece, so the file system is the tables, which are small and made
//! in memory, and the files' own content in between, which is not read for it.

mod directory;
mod geometry;
mod names;
mod tree;
mod volume;

pub use tree::FileTree;
pub use volume::{Volume, build, smallest};

use crate::disk::DiskError;

/// The largest file, in bytes: its size is kept in 32 bits.
pub const MAX_FILE: u64 = u32::MAX as u64;

/// A FAT file system cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FatError {
    /// A name that FAT does not have.
    #[error("could not put `{path}` in a FAT file system: {flaw}")]
    Name {
        /// The path; what is not printable in it is escaped.
        path: String,
        /// What is wrong with it.
        flaw: NameFlaw,
    },
    /// A file is larger than [`MAX_FILE`].
    #[error(
        "could not put `{path}` in a FAT file system: it has {size} bytes, and {MAX_FILE} is the limit"
    )]
    FileTooLarge {
        /// Its path.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A folder has more entries than it can have.
    #[error(
        "could not make the folder `{path}` of a FAT file system: it takes {entries} entries, and {limit} is the limit"
    )]
    FolderTooLarge {
        /// Its path; empty for the root.
        path: String,
        /// How many entries it takes, of which a long name needs several.
        entries: usize,
        /// How many it may take.
        limit: usize,
    },
    /// The volume's label is none.
    #[error(
        "could not label a FAT file system `{0}`: expected 1 to 11 of A–Z, 0–9, space, _ and -"
    )]
    Label(String),
    /// The volume is smaller or larger than one can be.
    #[error(
        "could not make a FAT file system of {0} bytes: expected a multiple of 512, about 2 MiB to 2 TiB"
    )]
    Size(u64),
    /// The files do not fit.
    #[error(
        "could not put {needed} clusters of files in a FAT file system of {size} bytes: it has {clusters} of {cluster} bytes"
    )]
    Full {
        /// How many clusters the files and folders take.
        needed: u64,
        /// How many there are.
        clusters: u64,
        /// The size of one in bytes.
        cluster: u64,
        /// The size of the file system in bytes.
        size: u64,
    },
    /// It cannot be on a disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFlaw {
    /// A part of the path is empty, `.` or `..`.
    #[error("its path has a part that is empty, `.` or `..`")]
    Part,
    /// A part of the path has a character that FAT does not have.
    #[error("its path has a control character or one of \"*:<>?\\|")]
    Character,
    /// A part of the path ends with a dot or a space, which readers strip.
    #[error("a part of its path ends with a dot or a space")]
    End,
    /// A part of the path is longer than 255 UTF-16 code units.
    #[error("a part of its path is longer than 255 characters")]
    TooLong,
    /// It is in more folders than are allowed.
    #[error("it is more than 32 folders deep")]
    TooDeep,
    /// There is a file or folder whose name differs in case alone, or not at all.
    #[error("there is one of that name, or of one that differs in upper and lower case alone")]
    Twice,
}

impl FatError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Full { .. } | Self::Size(_) => {
                Some("ask for a larger disk with `--size`".to_owned())
            }
            Self::Disk(error) => error.hint(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
