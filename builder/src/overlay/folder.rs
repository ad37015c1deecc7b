//! Reading an overlay from a folder.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use lunikernel_cache::regular::Stamp;
use lunikernel_cache::{BlobStore, CacheError, Task};
use rustix::fs::OFlags;
use walkdir::WalkDir;

use super::Limits;
use super::content::{Collector, Item, Kind, receive};
use crate::assemble::member::check_path;

/// A folder cannot be read as an overlay.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system refused something; the source names the path.
    #[error("could not read the overlay {folder}")]
    Io {
        /// The folder.
        folder: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Something in it is refused.
    #[error("the overlay {folder} is refused: `{path}` {why}")]
    Refused {
        /// The folder.
        folder: String,
        /// What is refused.
        path: String,
        /// Why. Continues "`x` …".
        why: String,
        /// What can be done about it.
        hint: &'static str,
    },
    /// It is larger than is taken.
    #[error("the overlay {folder} is refused: its files have more than {limit} bytes")]
    TooLarge {
        /// The folder.
        folder: String,
        /// How much there may be.
        limit: u64,
    },
    /// Somebody writes to it.
    #[error("the overlay {folder} is refused: `{path}` changed while it was read")]
    Changed {
        /// The folder.
        folder: String,
        /// What changed.
        path: String,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl FolderError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some("raise the limit with `--max-size SIZE`".to_owned()),
            Self::Cache(error) => error.hint(),
            Self::Refused { hint, .. } => Some((*hint).to_owned()),
            Self::Changed { .. } => {
                Some("try again when nothing writes to it, or with a copy of it".to_owned())
            }
            Self::Io { .. } => None,
        }
    }
}

const RENAME: &str =
    "give it another name: parts of at most 255 bytes, 4095 in all, in UTF-8 (`mv`, or `convmv`)";
const RELINK: &str = "make the link again, to a path in UTF-8: `ln -sfn TARGET LINK`";
const LEAVE_OUT: &str = "leave it out: devices, pipes and sockets are made when the machine boots";

/// The largest file that an initramfs can hold, and a zip without its extensions too.
const MAX_FILE: u64 = u32::MAX as u64;
const TOO_LARGE: &str = "is too large for an initramfs: expected less than 4 GiB";
const BRING_OTHERWISE: &str = "leave it out, and bring it on a disk, or in parts";

/// Collects what is in the folder at `top`, itself left out.
pub(super) fn read(
    top: &Path,
    limits: &Limits,
    blobs: &BlobStore,
    into: &mut Collector,
    task: &dyn Task,
) -> Result<(), FolderError> {
    let label = top.display().to_string();
    let failed = |source| FolderError::Io {
        folder: label.clone(),
        source,
    };
    let mut left = limits.size;
    let mut links: BTreeMap<(u64, u64), (String, Stamp)> = BTreeMap::new();
    // Sorted, so that the first name of a file does not depend on the file system.
    let walk = WalkDir::new(top).min_depth(1).sort_by_file_name();
    for found in walk {
        let found = found.map_err(|error| failed(error.into()))?;
        let shown = found.path().display().to_string();
        let refused = |why: &str, hint| FolderError::Refused {
            folder: label.clone(),
            path: shown.clone(),
            why: why.to_owned(),
            hint,
        };
        let path = found.path().strip_prefix(top).unwrap_or(found.path());
        let path = path
            .to_str()
            .ok_or_else(|| refused("has a name that is not UTF-8", RENAME))?;
        let metadata = fs::symlink_metadata(found.path()).map_err(failed)?;
        let kind = metadata.file_type();
        let path = check_path(path, kind.is_dir()).map_err(|why| refused(&why, RENAME))?;
        let mut link = None;
        let mut mode = Some(metadata.permissions().mode() & 0o7777);
        let kind = if kind.is_dir() {
            Kind::Folder
        } else if kind.is_symlink() {
            mode = None;
            let target = fs::read_link(found.path()).map_err(failed)?;
            let target = target.into_os_string().into_string();
            let target = target.map_err(|_| refused("has a target that is not UTF-8", RELINK))?;
            Kind::Symlink(target)
        } else if kind.is_file() {
            let file = fs::OpenOptions::new()
                .read(true)
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
                .open(found.path());
            let file = file.map_err(failed)?;
            let changed = || FolderError::Changed {
                folder: label.clone(),
                path: shown.clone(),
            };
            let metadata = file.metadata().map_err(failed)?;
            if !metadata.is_file() {
                return Err(changed());
            }
            mode = Some(metadata.permissions().mode() & 0o7777);
            let too_large = || FolderError::TooLarge {
                folder: label.clone(),
                limit: limits.size,
            };
            // Of what is sparse, much would be read before it is too much.
            if metadata.len() > left {
                return Err(too_large());
            }
            if metadata.len() > MAX_FILE {
                return Err(refused(TOO_LARGE, BRING_OTHERWISE));
            }
            // It may grow. One byte more than may be shows that it is too much.
            let most = left.min(MAX_FILE) + 1;
            let received = steady(&file, |file| Ok(receive(blobs, &mut file.take(most))));
            let (received, stamp) = received.map_err(failed)?.ok_or_else(changed)?;
            let received = received?;
            left = left.checked_sub(received.size()).ok_or_else(too_large)?;
            let stored = received.keep()?;
            task.advance(stored.digest.size);
            if metadata.nlink() > 1 {
                let inode = (metadata.dev(), metadata.ino());
                let (first, then) = links.entry(inode).or_insert_with(|| (path.clone(), stamp));
                // Else the names of one file would have several contents.
                if *then != stamp {
                    return Err(changed());
                }
                link = Some(first.clone());
            }
            Kind::File(stored)
        } else {
            return Err(refused("is no file, folder or symbolic link", LEAVE_OUT));
        };
        into.add(path, Item { mode, kind, link });
    }
    Ok(())
}

/// What `read` makes of an open file, and its stamp then; `None` where somebody wrote to it
/// meanwhile.
pub(super) fn steady<T>(
    file: &fs::File,
    read: impl FnOnce(&fs::File) -> io::Result<T>,
) -> io::Result<Option<(T, Stamp)>> {
    let before = Stamp::of(file)?;
    let it = read(file)?;
    Ok((Stamp::of(file)? == before).then_some((it, before)))
}
