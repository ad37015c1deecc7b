//! The cache's folder: layout, locks, and what a killed process leaves behind.
//!
//! ```text
//! ROOT/lock              held shared by every user of the cache, exclusively by gc
//! ROOT/cas-v1/ab/HEX     blobs, named by their SHA-256
//! ROOT/ac-v1/ab/HEX      action results, named by the action's SHA-256
//! ROOT/partial/HEX       downloads under way, resumable
//! ROOT/locks/HEX         one work at a time per key
//! ROOT/roots-v1/HEX/tree  root file systems that sandboxes share, named by their digest
//! ROOT/failed-v1/HEX     what a failed action left, named by the action's SHA-256
//! ROOT/pins/NAME         what is not to be collected
//! ROOT/tmp/NAME/         a process's scratch, locked while it lives
//! ```
//!
//! Nothing is ever written in place: a file is written under `tmp/`, then renamed.
//! A process may die at any moment; the next one to open the cache removes every
//! scratch folder whose lock is free.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use fs_err::File;
use rustix::fs::FlockOperation;

use crate::action_cache::ActionCache;
use crate::digest::Sha256;
use crate::error::CacheError;
use crate::locks::{create_folder, lock_file};
use crate::mask;
use crate::remove::remove_tree;
use crate::store::BlobStore;

/// What holds files that commands wrote. One of them may be a program that runs as its
/// owner (mode 4755), so that it is for those only who could have written it.
const WRITTEN_INSIDE: [&str; 3] = ["roots-v1", "failed-v1", "tmp"];

/// An open cache. Clones share one scratch folder and one lock.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    blobs: BlobStore,
    actions: ActionCache,
    session: Arc<Session>,
}

/// What lives as long as the process uses the cache.
#[derive(Debug)]
struct Session {
    scratch: tempfile::TempDir,
    _scratch_lock: File,
    _cache_lock: File,
}

impl Drop for Session {
    fn drop(&mut self) {
        // A build may have left folders without write permission behind; TempDir's
        // own removal would stop at those. What cannot be removed is left to the
        // next process.
        let _ = remove_tree(self.scratch.path());
    }
}

/// A folder for files under way. Removed when the last clone of the cache goes.
pub type Scratch = tempfile::TempDir;

/// The right to work on one key; other processes wait until it is dropped.
#[derive(Debug)]
pub struct KeyLock {
    _file: File,
}

impl Cache {
    /// Opens the cache at `root`, creates it where it is missing, and removes what
    /// dead processes left.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the folder cannot be created, locked or written,
    /// [`CacheError::OpenToAll`] where everybody may write to it: blobs are not hashed
    /// again each time that they are read.
    pub fn open(root: &Path) -> Result<Self, CacheError> {
        let io = CacheError::io;
        // Nobody whom the user keeps out of it gets at what is in it.
        mask::create(root, mask::masked(0o775)).map_err(io("create the cache folder"))?;
        let root = fs::canonicalize(root).map_err(io("find the cache folder"))?;
        refuse_open_to_all(&root)?;
        for name in [
            "cas-v1",
            "ac-v1",
            "roots-v1",
            "failed-v1",
            "partial",
            "locks",
            "pins",
            "tmp",
        ] {
            let folder = root.join(name);
            create_folder(&folder).map_err(io("create the cache folder"))?;
            refuse_open_to_all(&folder)?;
            if WRITTEN_INSIDE.contains(&name) {
                close_to_others(&folder).map_err(io("close a part of the cache to others"))?;
            }
        }
        let cache_lock = lock_file(&root.join("lock"), FlockOperation::LockShared)
            .map_err(io("lock the cache"))?;

        // Creating a scratch folder and locking it is one step to other processes,
        // so that none of them takes a new folder for a dead one's.
        let sweep = lock_file(&root.join("locks/sweep"), FlockOperation::LockExclusive)
            .map_err(io("lock the cache"))?;
        let tmp = root.join("tmp");
        sweep_scratch(&tmp);
        let scratch = tempfile::Builder::new()
            .prefix("")
            .rand_bytes(12)
            .tempdir_in(&tmp)
            .map_err(io("create a scratch folder in the cache"))?;
        let scratch_lock = lock_file(
            &scratch.path().join(".lock"),
            FlockOperation::NonBlockingLockExclusive,
        )
        .map_err(io("lock a scratch folder in the cache"))?;
        drop(sweep);

        Ok(Self {
            blobs: BlobStore::new(root.join("cas-v1"), scratch.path().to_owned()),
            actions: ActionCache::new(root.join("ac-v1"), scratch.path().to_owned()),
            session: Arc::new(Session {
                scratch,
                _scratch_lock: scratch_lock,
                _cache_lock: cache_lock,
            }),
            root,
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

    /// A new folder on the cache's file system, so that files in it can be renamed
    /// into place. It is removed when dropped, or by the next process should this
    /// one be killed.
    ///
    /// # Errors
    /// [`CacheError::Io`] where it cannot be created.
    pub fn scratch(&self) -> Result<Scratch, CacheError> {
        tempfile::tempdir_in(self.session.scratch.path())
            .map_err(CacheError::io("create a scratch folder in the cache"))
    }

    /// Waits until no other process works on `key`, and keeps others from it.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the lock cannot be had.
    pub fn lock(&self, key: &Sha256) -> Result<KeyLock, CacheError> {
        let path = self.root.join("locks").join(key.hex());
        let file = lock_file(&path, FlockOperation::LockExclusive)
            .map_err(CacheError::io("wait for another process on the same work"))?;
        Ok(KeyLock { _file: file })
    }

    /// As [`Cache::lock`], but does not wait: `None` where another process works on `key`.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the lock cannot be had for another reason.
    pub fn try_lock(&self, key: &Sha256) -> Result<Option<KeyLock>, CacheError> {
        let path = self.root.join("locks").join(key.hex());
        match lock_file(&path, FlockOperation::NonBlockingLockExclusive) {
            Ok(file) => Ok(Some(KeyLock { _file: file })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(CacheError::io("lock a piece of work")(error)),
        }
    }

    /// Makes everything stored so far survive a power cut. Called once before an
    /// action result is recorded, instead of once for each of its blobs.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the file system cannot write it out.
    pub fn sync(&self) -> Result<(), CacheError> {
        let folder = File::open(&self.root).map_err(CacheError::io("open the cache folder"))?;
        rustix::fs::syncfs(&folder).map_err(|errno| CacheError::Io {
            attempted: "write the cache out to disk",
            source: errno.into(),
        })
    }
}

fn refuse_open_to_all(folder: &Path) -> Result<(), CacheError> {
    let meta = fs::symlink_metadata(folder).map_err(CacheError::io("find the cache folder"))?;
    let mode = meta.permissions().mode() & 0o7777;
    if meta.is_dir() && mode & 0o002 == 0 {
        return Ok(());
    }
    Err(CacheError::OpenToAll {
        folder: folder.to_owned(),
        mode,
    })
}

/// Keeps all but those who may write to a folder out of it. Its owner sees to that:
/// nobody else can.
fn close_to_others(folder: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(folder)?;
    let mode = meta.permissions().mode() & 0o7777;
    let closed = if mode & 0o020 == 0 {
        mode & !0o077
    } else {
        mode & !0o007
    };
    if mode == closed || meta.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(closed))
}

/// Removes every scratch folder whose process is dead. What cannot be removed (it
/// belongs to another user, say) is no reason not to work.
pub(crate) fn sweep_scratch(tmp: &Path) {
    let Ok(entries) = fs::read_dir(tmp) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if !path.is_dir() || path.is_symlink() {
            let _ = fs::remove_file(&path);
            continue;
        }
        let lock = path.join(".lock");
        match lock_file(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(_held) => drop(remove_tree(&path)),
            // Its process lives.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Without a lock file, no living process made it: that is created first.
            Err(_) if !lock.exists() => drop(remove_tree(&path)),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
