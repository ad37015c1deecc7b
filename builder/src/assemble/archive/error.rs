//! What can be wrong with an archive.

use std::io;

use lunikernel_cache::{CacheError, RootfsError};

use crate::assemble::cpio::ReadError;
use crate::assemble::tarball::TarError;

/// An archive is broken, or holds what does not belong into one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A tar archive.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A cpio archive.
    #[error(transparent)]
    Cpio(#[from] ReadError),
    /// A part of it could not be read: it is broken or truncated.
    #[error("could not read {part}")]
    Damaged {
        /// Which part.
        part: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Something is not as the format has it.
    #[error("{part} is wrong: expected {expected}, found {found}")]
    Layout {
        /// Where.
        part: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The content of a member could not be read.
    #[error("could not read the content of `{member}`")]
    Content {
        /// The member.
        member: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A member is refused.
    #[error("`{member}` is refused: {why}")]
    Refused {
        /// The member.
        member: String,
        /// Why.
        why: String,
    },
    /// A member is stored in a way that is not read.
    #[error("`{member}` is {how}, which is not supported")]
    Unsupported {
        /// The member.
        member: String,
        /// How it is stored.
        how: &'static str,
    },
    /// A member contradicts one before it.
    #[error("`{member}` is refused")]
    Place {
        /// The member.
        member: String,
        /// What it contradicts.
        #[source]
        source: RootfsError,
    },
    /// It unpacks to more than it may.
    #[error("it unpacks to more than {limit} {unit} at `{member}`")]
    Bomb {
        /// The member that is too much.
        member: String,
        /// How much is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl ArchiveError {
    /// An I/O error at a part of the archive.
    pub(super) fn damaged(part: impl Into<String>) -> impl Fn(io::Error) -> Self {
        let part = part.into();
        move |source| Self::Damaged {
            part: part.clone(),
            source,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tar(error) => error.hint(),
            Self::Cpio(error) => error.hint(),
            Self::Cache(error) => error.hint(),
            Self::Damaged { .. } | Self::Layout { .. } | Self::Content { .. } => Some(
                "the archive is damaged or was packed by an unusual tool; compare its sha256 with \
                 the one its author publishes"
                    .to_owned(),
            ),
            Self::Refused { .. } | Self::Place { .. } => Some(
                "no honest tool packs such a member; find out where the archive comes from before \
                 using it"
                    .to_owned(),
            ),
            Self::Unsupported { .. } => Some(
                "make the archive anew with its files stored as they are; `mkisofs` compresses \
                 them with `-z`, and `xorriso` by its filters"
                    .to_owned(),
            ),
            Self::Bomb { .. } => None,
        }
    }
}
