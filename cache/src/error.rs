//! What can go wrong in the cache.

use std::io;
use std::path::PathBuf;

use crate::digest::{Digest, Sha256};

/// An error of the local cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The operating system refused something; the source names the path.
    #[error("could not {attempted}")]
    Io {
        /// What was being done.
        attempted: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A blob that was asked for is not there.
    #[error("the cache has no blob {digest}")]
    Missing {
        /// The blob.
        digest: Digest,
    },
    /// Bytes do not have the digest that they should have.
    #[error("{what}: expected {expected}, got {actual}")]
    Mismatch {
        /// Whose bytes.
        what: String,
        /// The digest they should have.
        expected: Digest,
        /// The digest they have.
        actual: Digest,
    },
    /// A file that was to be stored is not of the size that it should have.
    #[error("could not store {} in the cache: expected {expected} bytes, found {actual}", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// How many bytes it should have.
        expected: u64,
        /// How many it has.
        actual: u64,
    },
    /// Another process uses the cache.
    #[error("could not have the cache {} alone: another luni is at work in it", root.display())]
    Busy {
        /// The cache's folder.
        root: PathBuf,
    },
    /// Anybody on the machine could put anything under any digest.
    #[error("refused the cache folder {}: expected a folder that not everybody may write to, found mode {mode:04o}", folder.display())]
    OpenToAll {
        /// The folder.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A name that no pin can have, or a pin that cannot be read.
    #[error("the pin `{name}` {why}")]
    BadPin {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A stored message cannot be read back.
    #[error("{what} {digest} in the cache cannot be read: {why}")]
    Damaged {
        /// What kind of message.
        what: &'static str,
        /// Its digest.
        digest: Sha256,
        /// What is wrong with it.
        why: String,
    },
}

impl CacheError {
    /// For `map_err`: an I/O error with what was attempted.
    pub fn io(attempted: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { attempted, source }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                    "free some space with `luni cache gc --max-size 1G`, or name a larger disk with `--cache DIR`"
                        .to_owned(),
                ),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("name a folder that you may write to with `--cache DIR`".to_owned())
                }
                io::ErrorKind::NotADirectory => {
                    Some("name a folder for the cache with `--cache DIR`".to_owned())
                }
                _ => None,
            },
            Self::WrongSize { .. } => Some("run the same command again".to_owned()),
            Self::Busy { .. } => Some("leave out `--no-wait` to wait until it is done".to_owned()),
            Self::OpenToAll { folder, .. } => Some(format!(
                "`chmod o-w {}`, or name a folder inside it with `--cache DIR`",
                folder.display()
            )),
            Self::BadPin { .. } => None,
            Self::Missing { .. } => Some("get it again with `luni fetch`".to_owned()),
            Self::Mismatch { .. } | Self::Damaged { .. } => {
                Some("find and remove what is damaged with `luni cache verify`".to_owned())
            }
        }
    }
}
