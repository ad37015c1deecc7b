//! What can be wrong with an archive.

use std::io;

use crate::assemble::cpio::ReadError;
use crate::assemble::member::{DAMAGED, MemberError};
use crate::assemble::tarball::TarError;

/// An archive is broken, or holds what does not belong into one.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
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
    /// A member is stored in a way that is not read.
    #[error("`{member}` is {how}, which is not supported")]
    Unsupported {
        /// The member.
        member: String,
        /// How it is stored.
        how: &'static str,
    },
    /// One of its members is wrong, or cannot be kept.
    #[error(transparent)]
    Member(#[from] MemberError),
}

impl UnpackError {
    /// An I/O error at a part of the archive.
    pub(super) fn damaged(part: impl Into<String>) -> impl Fn(io::Error) -> Self {
        let part = part.into();
        move |source| Self::Damaged {
            part: part.clone(),
            source,
        }
    }

    /// Something in `whole` is not as the format has it.
    pub(super) fn layout(
        whole: &str,
        part: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Layout {
            part: format!("{} of {whole}", part.into()),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tar(error) => error.hint(),
            Self::Cpio(error) => error.hint(),
            Self::Member(error) => error.hint(),
            Self::Unsupported { .. } => Some(
                "make the archive anew with its files stored as they are; `mkisofs` compresses \
                 them with `-z`, and `xorriso` by its filters"
                    .to_owned(),
            ),
            Self::Damaged { .. } | Self::Layout { .. } => Some(DAMAGED.to_owned()),
        }
    }
}
