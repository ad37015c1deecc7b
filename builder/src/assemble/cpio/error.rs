//! What can be wrong with newc archives.

use std::io;

/// An archive is broken, or holds what it should not.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read, ends too early, or is not compressed as it should be.
    #[error("could not read {what} at byte {offset} of the initramfs")]
    Read {
        /// What was being read.
        what: String,
        /// Where.
        offset: u64,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Something is not as the format has it.
    #[error("at byte {offset} of the initramfs: expected {expected}, found {found}")]
    Format {
        /// Where.
        offset: u64,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A member is refused.
    #[error("the member `{member}` at byte {offset} of the initramfs is refused: {why}")]
    Refused {
        /// The member's name.
        member: String,
        /// Where its header begins.
        offset: u64,
        /// Why.
        why: String,
    },
    /// It is larger than it may be.
    #[error("the initramfs has more than {limit} {unit}")]
    Bomb {
        /// How much is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
}

impl ReadError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("the file is damaged or incomplete; get it again".to_owned()),
            Self::Format { .. } => {
                Some("expected a cpio archive of the format `newc`, compressed by gzip".to_owned())
            }
            Self::Refused { .. } | Self::Bomb { .. } => None,
        }
    }
}
