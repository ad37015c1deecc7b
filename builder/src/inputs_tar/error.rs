//! What can go wrong with an archive.

use std::io;
use std::path::PathBuf;

use lunikernel_cache::{CacheError, Digest};

/// An archive could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum InputsTarError {
    /// A file could not be read or written.
    #[error("could not {attempted} the archive {}", path.display())]
    Io {
        /// What was being done.
        attempted: &'static str,
        /// The archive.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is not such an archive, or it was changed.
    #[error("{} is no archive of inputs: at byte {at} {why}", path.display())]
    Format {
        /// The archive.
        path: PathBuf,
        /// Where, in bytes from its beginning.
        at: u64,
        /// What is wrong there.
        why: String,
    },
    /// An entry has other bytes than its name says.
    #[error("`{name}` in {} has other bytes than its name says: got {actual}", path.display())]
    WrongBytes {
        /// The archive.
        path: PathBuf,
        /// The entry.
        name: String,
        /// What its bytes are.
        actual: Digest,
    },
    /// The lock in it names something that is not in it.
    #[error("the lock in {} names {}{missing}, which is not in it", path.display(), of(what.as_deref()))]
    Incomplete {
        /// The archive.
        path: PathBuf,
        /// Which input that belongs to, where it can be told.
        what: Option<String>,
        /// What is missing.
        missing: Digest,
    },
    /// There is something in it that its lock does not name.
    #[error("{} has {extra}, which the lock in it does not name", path.display())]
    Superfluous {
        /// The archive.
        path: PathBuf,
        /// What nothing needs.
        extra: Digest,
    },
    /// Something cannot be in an archive.
    #[error("{what} cannot be in an archive: {why}")]
    Unfit {
        /// What.
        what: String,
        /// Why not.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// What is missing, in front of its digest.
fn of(what: Option<&str>) -> String {
    what.map_or_else(String::new, |what| format!("{what}, "))
}

impl InputsTarError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Format { .. }
            | Self::WrongBytes { .. }
            | Self::Incomplete { .. }
            | Self::Superfluous { .. } => Some(
                "take another copy of it, or make it again with `luni fetch --archive FILE RECIPE`"
                    .to_owned(),
            ),
            Self::Cache(error) => error.hint(),
            Self::Io { .. } | Self::Unfit { .. } => None,
        }
    }
}
