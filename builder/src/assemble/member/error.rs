//! What can be wrong with a member of an archive, whatever its format.

use std::io;

use lunikernel_cache::{CacheError, RootfsError};

/// A member is broken, or does not belong into an archive.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
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
        /// The member, as it is named in the archive.
        member: String,
        /// Why.
        why: String,
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
    /// The archive unpacks to more than it may.
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

/// What to do about an archive that cannot be read.
pub(crate) const DAMAGED: &str = "the archive is damaged or was packed by an unusual tool; \
                                  compare its sha256 with the one its author publishes";

impl MemberError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::Content { .. } => Some(DAMAGED.to_owned()),
            Self::Refused { .. } | Self::Place { .. } => Some(
                "archives do not usually have such a member: find out where this one comes from, or \
                 pack its content anew"
                    .to_owned(),
            ),
            Self::Bomb { .. } => None,
        }
    }
}

pub(crate) fn refused(member: impl AsRef<[u8]>, why: impl Into<String>) -> MemberError {
    MemberError::Refused {
        member: shown(member),
        why: why.into(),
    }
}

/// A name as it can be shown, whatever is in it.
pub(crate) fn shown(name: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(name.as_ref())
        .chars()
        .take(200)
        .collect::<String>()
        .escape_debug()
        .to_string()
}
