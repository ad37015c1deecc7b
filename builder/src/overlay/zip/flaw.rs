//! What can be wrong with a zip that an overlay is in.

use std::io;

use lunikernel_cache::CacheError;

use super::directory::MAX_DIRECTORY;

/// A zip cannot be read as an overlay.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The operating system refused something.
    #[error("could not {attempted} the overlay {zip}")]
    Io {
        /// What was being done: a verb.
        attempted: &'static str,
        /// The zip.
        zip: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The zip as a whole is refused.
    #[error("the overlay {zip} is refused: {flaw}")]
    Zip {
        /// The zip.
        zip: String,
        /// What is wrong.
        flaw: ZipFlaw,
    },
    /// One entry is refused.
    #[error("the overlay {zip} is refused: its entry `{entry}` {flaw}")]
    Entry {
        /// The zip.
        zip: String,
        /// The entry's name; what is not printable in it is escaped.
        entry: String,
        /// What is wrong.
        flaw: EntryFlaw,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// What is wrong with a zip as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZipFlaw {
    /// It has no end record.
    #[error("it does not end as a zip does")]
    NoEnd,
    /// Bytes follow the end record, or more than one end record fits.
    #[error("it is not clear where it ends: bytes follow its end record that are no comment")]
    Trailing,
    /// It is one of several volumes.
    #[error("it is one of several volumes")]
    Volumes,
    /// It has Zip64 records.
    #[error("it is a Zip64 file, which only more than 65534 entries or 4 GiB need")]
    Zip64,
    /// It has no entries.
    #[error("it has no entries")]
    Empty,
    /// The directory is larger than is read.
    #[error("its directory has {0} bytes, and {MAX_DIRECTORY} is the limit")]
    DirectorySize(u64),
    /// The directory is not right before the end record.
    #[error(
        "its directory should end at byte {expected}, where its end record begins, but ends at byte {actual}"
    )]
    Directory {
        /// Where the end record begins.
        expected: u64,
        /// Where the directory ends.
        actual: u64,
    },
    /// The directory does not consist of as many records as announced.
    #[error("its directory is cut off or damaged after {0} records")]
    Records(usize),
    /// Bytes that belong to no entry.
    #[error("bytes {from} to {to} of it belong to no entry")]
    Gap {
        /// From where.
        from: u64,
        /// To where.
        to: u64,
    },
    /// It is what something is laid over.
    #[error("it is a Lunikernel, of which there is one in front, the base")]
    Lunikernel,
    /// All of it unpacks to far more than it is.
    #[error("its entries unpack {packed} bytes to {size}, more than {limit} times as many")]
    Bomb {
        /// Their size in the zip.
        packed: u64,
        /// Their size unpacked.
        size: u64,
        /// The highest ratio.
        limit: u64,
    },
    /// Its contents are more than is taken.
    #[error("its entries say that they have {size} bytes unpacked, and {limit} is the limit")]
    TooLarge {
        /// How much there is.
        size: u64,
        /// How much there may be.
        limit: u64,
    },
}

/// What is wrong with an entry. Each continues "its entry `x` …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFlaw {
    /// Its name is not UTF-8, or does not say so.
    #[error("has a name that is not marked as UTF-8 and not ASCII")]
    NotUtf8,
    /// Two fields give it two names.
    #[error("has another name in an extra field")]
    TwoNames,
    /// Its name leads out of the root, or nowhere.
    #[error("cannot have that name: {0}")]
    Name(String),
    /// The separators of its name are those of another system.
    #[error("has backslashes in its name, and was made on a system where these separate folders")]
    Backslash,
    /// Another entry has that name.
    #[error("is there twice")]
    Twice,
    /// It is encrypted.
    #[error("is encrypted")]
    Encrypted,
    /// It has flags that change what its bytes mean.
    #[error("has the flags {0:#06x}, of which some are unknown")]
    Flags(u16),
    /// It is compressed by a method that is not known.
    #[error("is compressed by method {0}, and only 0 (stored) and 8 (deflate) are read")]
    Method(u16),
    /// Its sizes are in Zip64 fields.
    #[error("has Zip64 sizes")]
    Zip64,
    /// It is on another volume.
    #[error("is on another volume")]
    Volume,
    /// Its local header and the directory say different things.
    #[error("has a local header that contradicts the directory: its {0}")]
    Contradiction(&'static str),
    /// It overlaps what is behind it.
    #[error("reaches into what is behind it")]
    Overlap,
    /// It is neither file nor folder nor symbolic link.
    #[error("has the Unix mode {0:o}, which is no file, folder or symbolic link")]
    Kind(u32),
    /// A folder with content, or a name that contradicts the mode.
    #[error("is said to be a folder and a file at once")]
    Ambiguous,
    /// It unpacks to far more than it is.
    #[error("unpacks {packed} bytes to {size}, more than {limit} times as many")]
    Bomb {
        /// Its size in the zip.
        packed: u64,
        /// Its size unpacked.
        size: u64,
        /// The highest ratio.
        limit: u64,
    },
    /// Its content is not as long as it says.
    #[error("lies about its size: it says {expected} bytes and has {actual}")]
    Size {
        /// As the directory says.
        expected: u64,
        /// What came; one more than expected where more would come.
        actual: u64,
    },
    /// Its compressed content is not as long as it says.
    #[error("lies about its compressed size: {left} bytes are behind its end")]
    PackedSize {
        /// How many are left.
        left: u64,
    },
    /// Its compressed content is damaged.
    #[error("cannot be unpacked: {0}")]
    Deflate(String),
    /// Its content does not have the checksum that the zip says.
    #[error("is damaged: its CRC-32 is {actual:08x}, and the zip says {expected:08x}")]
    Crc {
        /// As the zip says.
        expected: u32,
        /// Of its content.
        actual: u32,
    },
    /// The target of a symbolic link is none.
    #[error("is a symbolic link whose target is not 1 to 4095 bytes of UTF-8")]
    Target,
}

impl ZipError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "name a folder or a zip with what belongs at `/`"
            }
            Self::Io { .. } => return None,
            Self::Cache(error) => return error.hint(),
            Self::Zip { flaw, .. } => match flaw {
                ZipFlaw::TooLarge { .. } => {
                    "raise the limit with `--max-size SIZE` if you trust whoever made it"
                }
                ZipFlaw::Bomb { .. } => RATIO,
                ZipFlaw::Empty => "leave it out",
                ZipFlaw::Lunikernel => {
                    "the base comes first, then what is laid over it: a folder or a zip with what belongs at `/`"
                }
                ZipFlaw::NoEnd => {
                    "expected a zip or a folder; if it was downloaded, download it again"
                }
                _ => AGAIN,
            },
            Self::Entry { flaw, .. } => match flaw {
                EntryFlaw::Bomb { .. } => RATIO,
                EntryFlaw::NotUtf8 => {
                    "make the zip with names in UTF-8 (`7z a -mcu=on`), or give the folder itself instead of a zip"
                }
                EntryFlaw::Encrypted => "unpack it with its password, and give the folder instead",
                EntryFlaw::Kind(_) => {
                    "leave it out: devices, pipes and sockets are made when the machine boots"
                }
                EntryFlaw::Name(_) => {
                    "make the zip inside the folder whose content is to be laid over `/`"
                }
                _ => AGAIN,
            },
        };
        Some(text.to_owned())
    }
}

const RATIO: &str = "raise the limit with `--max-ratio N` if you trust whoever made it";
const AGAIN: &str =
    "unpack it and give the folder instead, or make the zip again: `zip -r overlay.zip .`";
