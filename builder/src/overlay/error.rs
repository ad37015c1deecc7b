//! What can be wrong with laying something over a Lunikernel.

use std::io;

use lunikernel_cache::artefact::{ArtefactError, DeriveError};
use lunikernel_cache::{CacheError, RootfsError};

use super::content::MAX_NAMES;
use super::folder::FolderError;
use super::zip::ZipError;
use crate::assemble::cpio::{PATH_MAX, ReadError, TRAILER, WriteError};
use crate::assemble::tarball::TarError;

/// A Lunikernel could not be overlaid.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// The base cannot be read, or is damaged.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// The base cannot be overlaid.
    #[error("{artefact} cannot be overlaid: it has neither an initramfs nor a disk")]
    NoOverlay {
        /// The base.
        artefact: String,
    },
    /// Something cannot be on a disk.
    #[error("the overlay {overlay} cannot be a disk: `{path}` is refused: {why}")]
    Disk {
        /// The overlay.
        overlay: String,
        /// The path.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// The base's disk cannot be unpacked.
    #[error("the disk of {artefact} cannot be unpacked")]
    DiskOf {
        /// The base.
        artefact: String,
        /// What is wrong.
        #[source]
        source: Box<TarError>,
    },
    /// The base's list of its overlays is wrong.
    #[error("{artefact} is no sound Lunikernel: its entry `overlays.json` is not as it should be")]
    History {
        /// The base.
        artefact: String,
    },
    /// The base's list of its paths is wrong.
    #[error(
        "{artefact} is no sound Lunikernel: its entry `initramfs.paths.json` is not as it should be"
    )]
    Paths {
        /// The base.
        artefact: String,
    },
    /// The base's list of its paths is longer than is read.
    #[error(
        "the entry `initramfs.paths.json` of {artefact} has {size} bytes, and {limit} is the limit"
    )]
    LongList {
        /// The base.
        artefact: String,
        /// How long it is.
        size: u64,
        /// How long it may be.
        limit: u64,
    },
    /// The result's list of its paths would be longer than is read.
    #[error(
        "{artefact} cannot be overlaid: the list of all paths of the result would have {size} bytes, and {limit} is the limit"
    )]
    TooLongList {
        /// The base.
        artefact: String,
        /// How long it would be.
        size: u64,
        /// How long it may be.
        limit: u64,
    },
    /// The paths of an overlay take more than is taken.
    #[error(
        "the overlay {overlay} is refused: its paths, with all folders on the way, take more than {MAX_NAMES} bytes"
    )]
    TooManyPaths {
        /// The overlay.
        overlay: String,
    },
    /// A file has the name that ends an archive.
    #[error(
        "the overlay {overlay} is refused: nothing at its top can be called `{TRAILER}`, which ends an initramfs"
    )]
    Trailer {
        /// The overlay.
        overlay: String,
    },
    /// The initramfs of the base is wrong.
    #[error("the initramfs of {artefact} cannot be unpacked")]
    Initramfs {
        /// The base.
        artefact: String,
        /// What is wrong.
        #[source]
        source: ReadError,
    },
    /// A zip is wrong.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// A folder is wrong.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An overlay has something below what is no folder in it.
    #[error("the overlay {overlay} is refused: it has `{path}`, and `{at}` is no folder in it")]
    BelowFile {
        /// The overlay.
        overlay: String,
        /// What is below.
        path: String,
        /// What should be a folder.
        at: String,
    },
    /// A whiteout is wrong.
    #[error("the overlay {overlay} is refused: `{path}` should remove something, but {why}")]
    Whiteout {
        /// The overlay.
        overlay: String,
        /// The whiteout.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// What should be removed is not there.
    #[error("the overlay {overlay} should remove `/{path}`, and there is no such file")]
    NothingToRemove {
        /// The overlay.
        overlay: String,
        /// The path.
        path: String,
    },
    /// A folder and something else want the same path.
    #[error(
        "the overlay {overlay} cannot be laid over the base: `{path}` is {by}, and `/{at}` is {found}"
    )]
    Clash {
        /// The overlay.
        overlay: String,
        /// The path in the overlay.
        path: String,
        /// What it is there.
        by: &'static str,
        /// The path in the base.
        at: String,
        /// What it is there.
        found: &'static str,
    },
    /// Two paths of an overlay are one in the base.
    #[error(
        "the overlay {overlay} cannot be laid over the base: `{one}` and `{two}` are the same file there, by a link among their folders"
    )]
    SamePlace {
        /// The overlay.
        overlay: String,
        /// One path.
        one: String,
        /// The other.
        two: String,
    },
    /// A path is longer than Linux takes, by the links that it leads through.
    #[error(
        "the overlay {overlay} cannot be laid over the base: links among the folders of `{path}` make its path one of {length} bytes, expected at most {}", PATH_MAX - 1
    )]
    LongPath {
        /// The overlay.
        overlay: String,
        /// The path in the overlay.
        path: String,
        /// The length of the path in the base, in bytes.
        length: usize,
    },
    /// Something cannot be where it should.
    #[error("the overlay {overlay} cannot be laid over the base")]
    Lay {
        /// The overlay.
        overlay: String,
        /// Why.
        #[source]
        source: RootfsError,
    },
    /// There is nothing in it.
    #[error("nothing would change: what is in the overlays are folders that the base has")]
    Nothing,
    /// An archive cannot hold something.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The base could not be rewritten without what is removed.
    #[error("could not take files out of the initramfs of {artefact}")]
    Rewrite {
        /// The base.
        artefact: String,
        /// Why not.
        #[source]
        source: RewriteError,
    },
    /// The result cannot be, or cannot be written.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// What is written beside the initramfs cannot be written down.
    #[error("could not write down what was laid over the base")]
    Json(#[source] serde_json::Error),
}

/// Members could not be taken out of an initramfs.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// It cannot be unpacked.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It cannot be opened.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// Content that has to move to another member could not be kept.
    #[error("could not move the content of a file to another of its names")]
    Spool(#[source] io::Error),
}

impl OverlayError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Artefact(error) => return error.hint(),
            Self::NoOverlay { .. } => {
                "give the application its files when it is built, or as a disk when it is run"
            }
            Self::Disk { .. } => "leave it out of the overlay, or give it another name",
            Self::DiskOf { source, .. } => return source.hint(),
            Self::History { .. } | Self::Paths { .. } => {
                "it was changed after it was sealed; get or build it again"
            }
            Self::LongList { .. } | Self::TooLongList { .. } => {
                "let the recipe of the base leave files out that are not needed"
            }
            Self::TooManyPaths { .. } => {
                "bring so many files, or such deep folders, as one file that is unpacked when the machine boots"
            }
            Self::Trailer { .. } => "give it another name, or put it into a folder",
            Self::Initramfs { source, .. } => return source.hint(),
            Self::Zip(error) => return error.hint(),
            Self::Folder(error) => return error.hint(),
            Self::BelowFile { .. } => "let each path be one thing in the overlay",
            Self::Whiteout { .. } => {
                "an empty file `.wh.NAME` removes what is called NAME in the same folder"
            }
            Self::NothingToRemove { .. } => "leave the `.wh.` file for it out",
            Self::Clash { by: "a folder", .. } | Self::Lay { .. } => {
                "look at the base with `luni inspect`; remove what is in the way with an empty file `.wh.NAME`"
            }
            Self::Clash { .. } => {
                "remove the folder with an empty file `.wh.NAME` beside it, if that is meant"
            }
            Self::LongPath { .. } => "put it into a folder that is not so deep",
            Self::SamePlace { .. } => "leave one of them out",
            Self::Nothing => {
                "look into the overlay; the files that should be laid over `/` belong at its top"
            }
            Self::Write(error) => return error.hint(),
            Self::Rewrite { .. } | Self::Json(_) => return None,
            Self::Derive(error) => return error.hint(),
            Self::Cache(error) => return error.hint(),
        };
        Some(text.to_owned())
    }

    /// Whether something given is at fault, not the machine.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        if let Self::Zip(ZipError::Io { source, .. }) = self
            && source.kind() == io::ErrorKind::NotFound
        {
            return true;
        }
        !matches!(
            self,
            Self::Artefact(ArtefactError::Io { .. } | ArtefactError::Changed { .. })
                | Self::Zip(ZipError::Io { .. } | ZipError::Cache(_))
                | Self::Folder(
                    FolderError::Io { .. } | FolderError::Changed { .. } | FolderError::Cache(_)
                )
                | Self::Write(WriteError::Cache(_) | WriteError::Io { .. })
                | Self::Derive(_)
                | Self::Cache(_)
                | Self::Rewrite { .. }
                | Self::Json(_)
        )
    }
}
