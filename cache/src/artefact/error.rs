//! What can be wrong with a Lunikernel zip.

use std::io;

use super::layout::{MAX_ENTRIES, MAX_ZIP_SIZE};
use super::manifest::{MAX_MANIFEST_SIZE, ManifestError};
use super::name::NameFlaw;
use crate::digest::Sha256;

/// A Lunikernel zip could not be read, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// The operating system refused something; the source names the path.
    #[error("could not {attempted} the Lunikernel {artefact}")]
    Io {
        /// What was being done: a verb.
        attempted: &'static str,
        /// The file.
        artefact: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The zip as a whole is wrong.
    #[error("{artefact} is no Lunikernel: {flaw}")]
    Zip {
        /// The file.
        artefact: String,
        /// What is wrong.
        flaw: ZipFlaw,
    },
    /// One entry is wrong.
    #[error("{artefact} is no sound Lunikernel: its entry `{entry}` {flaw}")]
    Entry {
        /// The file.
        artefact: String,
        /// The entry's name; what is not printable in it is escaped.
        entry: String,
        /// What is wrong.
        flaw: EntryFlaw,
    },
    /// The manifest is wrong.
    #[error("{artefact} is no sound Lunikernel: its manifest {flaw}")]
    Manifest {
        /// The file.
        artefact: String,
        /// What is wrong.
        flaw: ManifestError,
    },
    /// It is no longer what it was when it was checked.
    #[error("{artefact} changed while it was read")]
    Changed {
        /// The file.
        artefact: String,
    },
    /// There is no such entry.
    #[error("{artefact} has no entry `{entry}`")]
    NoEntry {
        /// The file.
        artefact: String,
        /// The name that was asked for.
        entry: String,
    },
}

/// What is wrong with a zip as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZipFlaw {
    /// It is a folder or a device.
    #[error("it is no regular file")]
    NoFile,
    /// There is no end record.
    #[error("it does not end as a zip does")]
    NoEnd,
    /// It was written to while it was read.
    #[error("it changed at byte {0} while it was read")]
    Changed(u64),
    /// It is larger than [`MAX_ZIP_SIZE`].
    #[error("it has {0} bytes, and {MAX_ZIP_SIZE} is the limit")]
    TooLarge(u64),
    /// Bytes follow the end record.
    #[error("{0} bytes follow its end: trailing bytes or a comment")]
    Trailing(u64),
    /// The end record announces a comment.
    #[error("it announces a comment of {0} bytes that is not there")]
    Comment(u16),
    /// Sizes or counts are deferred to Zip64 records.
    #[error("it is a Zip64 file, which a Lunikernel never is")]
    Zip64,
    /// It is one of several volumes.
    #[error("it is one of several volumes")]
    Volumes,
    /// It has no entry.
    #[error("it has no entries")]
    Empty,
    /// It is a zip of something else.
    #[error("it is a zip, but has no `lunikernel.json`")]
    NoManifest,
    /// It has more entries than [`MAX_ENTRIES`].
    #[error("it has {0} entries, and {MAX_ENTRIES} is the limit")]
    TooMany(u16),
    /// The directory is not right before the end record.
    #[error(
        "its directory should end at byte {expected}, where its end record begins, but ends at byte {actual}"
    )]
    DirectoryPlace {
        /// Where the end record begins.
        expected: u64,
        /// Where the directory ends.
        actual: u64,
    },
    /// The directory is larger than so many records can be.
    #[error("its directory has {size} bytes, more than {entries} entries can need")]
    DirectorySize {
        /// How many entries are announced.
        entries: usize,
        /// How large the directory is, in bytes.
        size: usize,
    },
    /// The directory does not consist of as many records as announced.
    #[error("its directory is cut off or damaged after {0} records")]
    Directory(usize),
    /// The entries and the directory are not one after the other.
    #[error(
        "its entries should end at byte {expected}, where its directory begins, but end at byte {actual}"
    )]
    Gap {
        /// Where the directory begins.
        expected: u64,
        /// Where the last entry ends.
        actual: u64,
    },
}

/// What is wrong with an entry. Each continues "its entry `x` …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFlaw {
    /// Its name cannot be an entry's.
    #[error("cannot have that name: {0}")]
    Name(NameFlaw),
    /// Another entry has that name.
    #[error("is there twice")]
    Twice,
    /// Another entry has the name of a folder that it is in.
    #[error("is in the folder `{0}`, which is an entry too")]
    InsideEntry(String),
    /// `lunikernel.json` is not first.
    #[error("is first, and `lunikernel.json` should be")]
    NotManifest,
    /// It comes after an entry that should be after it.
    #[error("should come before `{0}`: entries are sorted by name")]
    Order(String),
    /// It is encrypted.
    #[error("is encrypted")]
    Encrypted,
    /// Its sizes follow its content.
    #[error("has a data descriptor, which a Lunikernel never has")]
    Descriptor,
    /// It is compressed.
    #[error("is compressed with method {0}, and only stored entries are allowed")]
    Compressed(u16),
    /// It has extra fields.
    #[error("has extra fields, which a Lunikernel never has")]
    Extra,
    /// It has a comment.
    #[error("has a comment, which a Lunikernel never has")]
    Comment,
    /// Its size or offset is deferred to Zip64 fields.
    #[error("has Zip64 sizes, which a Lunikernel never has")]
    Zip64,
    /// It is a symbolic link.
    #[error("is a symbolic link")]
    Symlink,
    /// It is no regular file, or has another mode than 0644.
    #[error("has the Unix mode {0:o}, expected 100644")]
    Mode(u32),
    /// It has another time than the one that all entries have.
    #[error("has a time other than 1980-01-01 00:00:00")]
    Time,
    /// Its two sizes differ.
    #[error(
        "has two sizes, {compressed} compressed and {uncompressed} uncompressed bytes, though it is stored"
    )]
    Sizes {
        /// As stored.
        compressed: u32,
        /// As extracted.
        uncompressed: u32,
    },
    /// It does not begin where the one before it ends.
    #[error("should begin at byte {expected}, and its directory record says {actual}")]
    Place {
        /// Where the entry before it ends.
        expected: u64,
        /// Where the directory says that it begins.
        actual: u64,
    },
    /// Its content would reach into the directory.
    #[error("lies about its size: {0} bytes would reach beyond all entries")]
    Beyond(u32),
    /// A field of its directory record has another value than it must have.
    #[error("has a directory record that is not canonical: byte {0} of it differs")]
    Record(usize),
    /// Its local header is not what its directory record entails.
    #[error("has a local header that contradicts its directory record: byte {0} of it differs")]
    Local(usize),
    /// The manifest lists it, the zip has none.
    #[error("is in the manifest but not in the zip")]
    Missing,
    /// The zip has it, the manifest does not list it.
    #[error("is in the zip but not in the manifest")]
    Unlisted,
    /// It has another size than the manifest says.
    #[error("has {actual} bytes, and the manifest says {expected}")]
    Size {
        /// As the manifest says.
        expected: u64,
        /// As the zip says.
        actual: u64,
    },
    /// The manifest itself is larger than [`MAX_MANIFEST_SIZE`].
    #[error("has {0} bytes, and {MAX_MANIFEST_SIZE} is the limit")]
    ManifestTooLarge(u64),
    /// Its content does not have the CRC-32 that the zip says.
    #[error("is damaged: its CRC-32 is {actual:08x}, and the zip says {expected:08x}")]
    Crc {
        /// As the zip says.
        expected: u32,
        /// Of its content.
        actual: u32,
    },
    /// Its content does not have the digest that the manifest says.
    #[error("is not what the manifest says: expected {expected}, got {actual}")]
    Digest {
        /// As the manifest says.
        expected: Sha256,
        /// Of its content.
        actual: Sha256,
    },
    /// `initramfs.gz` is no gzip.
    #[error("is no gzip: it does not begin with 1f 8b 08")]
    NoGzip,
}

impl ArtefactError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("build one with `luni build RECIPE`".to_owned())
            }
            Self::Io { .. } => None,
            Self::Zip { flaw, .. } => match flaw {
                ZipFlaw::NoFile => Some("name the zip that `luni build` wrote".to_owned()),
                ZipFlaw::Changed(_) => Some(UNCHANGED.to_owned()),
                ZipFlaw::NoManifest => Some(
                    "name a zip that `luni build` wrote; what belongs at `/` is laid over one with `luni overlay`".to_owned(),
                ),
                ZipFlaw::Trailing(_) | ZipFlaw::NoEnd => Some(
                    "name a zip that `luni build` wrote; if it was downloaded, download it again and compare its sha256".to_owned(),
                ),
                _ => Some(PLAIN_ZIP.to_owned()),
            },
            Self::Entry { flaw, .. } => match flaw {
                EntryFlaw::Crc { .. } | EntryFlaw::Digest { .. } => {
                    Some("it was changed after it was sealed; get or build it again".to_owned())
                }
                _ => Some(PLAIN_ZIP.to_owned()),
            },
            Self::Manifest { flaw, .. } => flaw.hint(),
            Self::Changed { .. } => Some(UNCHANGED.to_owned()),
            Self::NoEntry { .. } => None,
        }
    }
}

const UNCHANGED: &str = "try again when nothing writes to it, or with a copy of it";
const PLAIN_ZIP: &str =
    "a Lunikernel is never packed or changed with a zip program: make one with `luni build`";
