//! The cache's folder, held to look after it.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::File;
use rustix::fs::FlockOperation;

use crate::action_cache::ActionCache;
use crate::disk::sweep_scratch;
use crate::error::CacheError;
use crate::locks::lock_file;
use crate::progress::Progress;
use crate::store::BlobStore;

/// The cache's folder, held to look at what is in it, while others may use it.
///
/// Unlike [`crate::Cache`] it creates no folder, so that it also works on a full
/// disk. A folder that does not exist is an empty cache.
#[derive(Debug)]
pub struct Upkeep {
    root: PathBuf,
    blobs: BlobStore,
    actions: ActionCache,
    _lock: Option<File>,
}

/// The cache's folder, held so that no other process uses it and things may be removed.
#[derive(Debug)]
pub struct Exclusive(Upkeep);

/// What to do while another process uses the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBusy {
    /// Say so, and wait until it is done.
    Wait,
    /// Give up with [`CacheError::Busy`].
    GiveUp,
}

impl Upkeep {
    /// Holds the cache at `root` so that nothing is removed from it meanwhile.
    ///
    /// # Errors
    /// [`CacheError::Io`] where it cannot be locked.
    pub fn open(root: &Path) -> Result<Self, CacheError> {
        Self::with_lock(root, |path| lock_file(path, FlockOperation::LockShared))
    }

    /// Holds the cache at `root` alone. A process must not have the same cache open
    /// as a [`crate::Cache`]: it would wait for itself.
    ///
    /// # Errors
    /// [`CacheError::Busy`] where another process uses it and `when_busy` is to give
    /// up, [`CacheError::Io`] where it cannot be locked.
    pub fn open_exclusive(
        root: &Path,
        when_busy: WhenBusy,
        progress: &dyn Progress,
    ) -> Result<Exclusive, CacheError> {
        let busy = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        let mut gave_up = false;
        let opened = Self::with_lock(root, |path| {
            match lock_file(path, FlockOperation::NonBlockingLockExclusive) {
                Err(error) if busy(&error) && when_busy == WhenBusy::Wait => {
                    progress.note("another luni is at work in this cache; waiting for it to end");
                    lock_file(path, FlockOperation::LockExclusive)
                }
                other => {
                    gave_up = other.as_ref().is_err_and(busy);
                    other
                }
            }
        });
        match opened {
            Err(_) if gave_up => Err(CacheError::Busy {
                root: root.to_owned(),
            }),
            Err(error) => Err(error),
            Ok(upkeep) => {
                // Nobody else is there, so every scratch folder is a dead process's.
                sweep_scratch(&upkeep.root.join("tmp"));
                Ok(Exclusive(upkeep))
            }
        }
    }

    fn with_lock(
        root: &Path,
        lock: impl FnOnce(&Path) -> std::io::Result<File>,
    ) -> Result<Self, CacheError> {
        let (root, held) = match fs::canonicalize(root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (root.to_owned(), None),
            Err(error) => return Err(CacheError::io("find the cache folder")(error)),
            Ok(root) if !root.join("cas-v1").is_dir() => (root, None),
            Ok(root) => {
                let held = lock(&root.join("lock")).map_err(CacheError::io("lock the cache"))?;
                (root, Some(held))
            }
        };
        let scratch = root.join("tmp");
        Ok(Self {
            blobs: BlobStore::new(root.join("cas-v1"), scratch.clone()),
            actions: ActionCache::new(root.join("ac-v1"), scratch),
            root,
            _lock: held,
        })
    }

    /// The cache's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The content-addressed store.
    #[must_use]
    pub fn blobs(&self) -> &BlobStore {
        &self.blobs
    }

    /// The action cache.
    #[must_use]
    pub fn actions(&self) -> &ActionCache {
        &self.actions
    }
}

impl Deref for Exclusive {
    type Target = Upkeep;
    fn deref(&self) -> &Upkeep {
        &self.0
    }
}
