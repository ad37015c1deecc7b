//! What can be wrong with a package.

use std::io;

use lunikernel_cache::CacheError;

use super::super::tarball::TarError;

/// A package could not be unpacked, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ApkError {
    /// It could not be read: it is broken, truncated, or no package.
    #[error("could not read {part} of the package {package}")]
    Read {
        /// The package.
        package: String,
        /// Which part.
        part: &'static str,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// One of its archives is broken or hostile.
    #[error("could not unpack {part} of the package {package}")]
    Archive {
        /// The package.
        package: String,
        /// Which part.
        part: &'static str,
        /// What is wrong, with the member's name.
        #[source]
        source: Box<TarError>,
    },
    /// Something is not as it should be.
    #[error("the package {package} {why}")]
    Layout {
        /// The package.
        package: String,
        /// What is not.
        why: String,
    },
    /// It is not the package that the index speaks of.
    #[error("the package {package} has {what} {found}, and {by} says {expected}")]
    Differs {
        /// The package.
        package: String,
        /// In what.
        what: &'static str,
        /// Who speaks of another.
        by: &'static str,
        /// What was expected.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl ApkError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::Layout { .. } => Some(
                "this is no package that apk would install; check what `repositories` names"
                    .to_owned(),
            ),
            Self::Archive { source, .. } => source.hint(),
            Self::Differs { .. } => Some(
                "the repository may be in the middle of an update: lock again with \
                 `luni lock --update`; if it stays, do not trust what it serves"
                    .to_owned(),
            ),
            Self::Cache(error) => error.hint(),
        }
    }
}
