//! What can go wrong while a format is written.

use std::io;

/// A disk could not be written in some format.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk's content could not be read.
    #[error("could not read the content of the disk")]
    Read(#[source] io::Error),
    /// The result could not be written.
    #[error("could not write the {format}")]
    Write {
        /// What was being written: `qcow2 image`, for example.
        format: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The format cannot hold a disk of that size.
    #[error("could not write a disk of {size} bytes as {format}: expected {expected}")]
    Size {
        /// The format.
        format: &'static str,
        /// The disk's size in bytes.
        size: u64,
        /// What sizes the format has.
        expected: &'static str,
    },
}

impl WriteError {
    /// For `map_err`: the result could not be written.
    pub(crate) fn write(format: &'static str) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Write { format, source }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Write { source, .. } => hint_for(source),
            Self::Size { .. } => Some("ask for a disk of another size with `--size`".to_owned()),
            Self::Read(_) => None,
        }
    }
}

/// What helps where a file could not be written.
pub(crate) fn hint_for(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space, or write to another folder with `-o DIR`".to_owned())
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("name a folder that you may write to with `-o DIR`".to_owned())
        }
        io::ErrorKind::FileTooLarge => {
            Some("write to a file system that takes larger files, with `-o DIR`".to_owned())
        }
        _ => None,
    }
}
