//! What can go wrong in an export.

use std::path::{Path, PathBuf};

use lunikernel_cache::artefact::ArtefactError;

use crate::boot::BootError;
use crate::bundle::BundleError;
use crate::disc::DiscError;
use crate::disk::DiskError;
use crate::error::{WriteError, hint_for};
use crate::hybrid::LayoutError;
use crate::kvm::NameError;
use crate::manifest::ManifestError;
use crate::output::OutputError;

/// A Lunikernel could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Its files cannot be called after it.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It cannot be made to boot from a disk.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// There is nothing to start it with.
    #[error("could not make an image that boots: it has no boot loaders")]
    NoLoaders,
    /// What needs no disk cannot be made of it.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The disk cannot be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The disc cannot be laid out.
    #[error(transparent)]
    Disc(#[from] DiscError),
    /// The disk cannot be.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A format does not take disks of that size.
    #[error(
        "could not make a disk of {size} bytes for {format}: expected a whole number of {unit}"
    )]
    Size {
        /// The format.
        format: &'static str,
        /// What it has to be a whole number of.
        unit: &'static str,
        /// The size in bytes.
        size: u64,
    },
    /// A format does not take disks as large as that.
    #[error(
        "could not make a disk of {size} bytes for {format}: the largest has {} GiB", largest >> 30
    )]
    TooLarge {
        /// The format.
        format: &'static str,
        /// The size in bytes.
        size: u64,
        /// The largest size, in bytes.
        largest: u64,
    },
    /// The content of the Lunikernel could not be read.
    #[error("could not read what is to be on the disk")]
    Read(#[source] std::io::Error),
    /// A file could not be written.
    #[error("could not write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: WriteError,
    },
    /// A file could not be begun or put in place.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The manifest cannot be written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl ExportError {
    /// For `map_err`: the file at `path` could not be written.
    pub(super) fn write(path: &Path) -> impl Fn(WriteError) -> Self {
        move |source| Self::Write {
            path: path.to_owned(),
            source,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoLoaders => None,
            Self::Name(error) => error.hint(),
            Self::Boot(error) => error.hint(),
            Self::Bundle(error) => error.hint(),
            Self::Layout(error) => error.hint(),
            Self::Disc(error) => error.hint(),
            Self::Disk(error) => error.hint(),
            Self::Size { size, .. } => {
                let gib = size.div_ceil(1 << 30);
                Some(format!("ask for `--size {gib}G`, or leave it out"))
            }
            Self::TooLarge { largest, .. } => {
                let gib = largest >> 30;
                Some(format!("ask for `--size {gib}G` or less, or leave it out"))
            }
            Self::Read(source) => hint_for(source),
            Self::Write { source, .. } => source.hint(),
            Self::Output(error) => error.hint(),
            Self::Manifest(error) => error.hint(),
        }
    }

    /// Whether what was asked for is wrong, and not what it met with.
    #[must_use]
    pub fn is_of_the_request(&self) -> bool {
        match self {
            Self::Output(error) => matches!(error, OutputError::NotAFile { .. }),
            Self::Write { source, .. } => matches!(source, WriteError::Size { .. }),
            Self::Bundle(error) => error.is_of_the_request(),
            Self::Boot(BootError::Artefact(ArtefactError::Changed { .. })) => false,
            Self::Read(_) => false,
            _ => true,
        }
    }
}
