//! The cache's folder: layout, locks, and what a killed process leaves behind.
//!
//! ```text
//! ROOT/lock              held shared by every user of the cache, exclusively by gc
//! ROOT/cas-v1/ab/HEX     blobs, named by their SHA-256
//! ROOT/ac-v1/ab/HEX      action results, named by the action's SHA-256
//! ROOT/partial/HEX       downloads under way, resumable
//! ROOT/roots-v1/HEX/tree  root file systems that sandboxes share, named by their digest
//! ROOT/failed-v1/HEX      what a failed action left, named by the action's SHA-256
//! ROOT/locks/HEX         one work at a time per key
//! ROOT/tmp/NAME/         a process's scratch, locked while it lives
//! ```
//!
//! Nothing is ever written in place: a file is written under `tmp/`, then renamed.
//! A process may die at any moment; the next one to open the cache removes every
//! scratch folder whose lock is free.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use fs_err::File;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::action_cache::ActionCache;
use crate::digest::Sha256;
use crate::error::CacheError;
use crate::store::BlobStore;

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
        // own removal would stop at those.
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
    /// [`CacheError::Io`] where the folder cannot be created, locked or written.
    pub fn open(root: &Path) -> Result<Self, CacheError> {
        let io = CacheError::io;
        fs::create_dir_all(root).map_err(io("create the cache folder"))?;
        let root = fs::canonicalize(root).map_err(io("find the cache folder"))?;
        for name in ["cas-v1", "ac-v1", "partial", "locks", "tmp"] {
            fs::create_dir_all(root.join(name)).map_err(io("create the cache folder"))?;
        }
        let cache_lock = lock_file(&root.join("lock"), FlockOperation::LockShared)
            .map_err(io("lock the cache"))?;

        // Creating a scratch folder and locking it is one step to other processes,
        // so that none of them takes a new folder for a dead one's.
        let sweep = lock_file(&root.join("locks/sweep"), FlockOperation::LockExclusive)
            .map_err(io("lock the cache"))?;
        let tmp = root.join("tmp");
        sweep_scratch(&tmp).map_err(io("remove what an interrupted process left"))?;
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

fn lock_file(path: &Path, operation: FlockOperation) -> std::io::Result<File> {
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn sweep_scratch(tmp: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(tmp)? {
        let path = entry?.path();
        let lock = lock_file(
            &path.join(".lock"),
            FlockOperation::NonBlockingLockExclusive,
        );
        if lock.is_ok() {
            remove_tree(&path)?;
        }
    }
    Ok(())
}

/// Deepest nesting that is followed down before folders are moved up instead: a
/// command can nest them without end, and each level holds a descriptor and stack.
const MAX_NESTING: usize = 64;

/// Removes a folder and all below it, even where a build took the permissions from
/// parts of it or nested them deeper than a path can say. No link is followed.
///
/// # Errors
/// What the operating system says where even that does not help; the message names
/// the folder.
pub fn remove_tree(path: &Path) -> std::io::Result<()> {
    let top = match open_folder(CWD, path) {
        Err(Errno::NOENT) => return Ok(()),
        // No folder but a file or a link; anything else is met again here.
        Err(_) => return fs::remove_file(path),
        Ok(top) => top,
    };
    let named = |errno: Errno| std::io::Error::other(format!("{}: {errno}", path.display()));
    let mut moved = 0;
    // Each pass brings what was too deep one stretch nearer.
    loop {
        let before = moved;
        empty(&top, &top, 0, &mut moved).map_err(named)?;
        if moved == before {
            break;
        }
    }
    fs::remove_dir(path)
}

fn empty(top: &OwnedFd, folder: &OwnedFd, depth: usize, moved: &mut u64) -> Result<(), Errno> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {}
            other => {
                other?;
                continue;
            }
        }
        let inner = open_folder(folder, name)?;
        if depth < MAX_NESTING {
            empty(top, &inner, depth + 1, moved)?;
            match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
                // What was moved up from deeper down may have come here.
                Err(Errno::NOTEMPTY) => {}
                other => other?,
            }
        } else {
            let place = format!("luni-too-deep-{moved}");
            *moved += 1;
            rustix::fs::renameat(folder, name, top, place)?;
        }
    }
    Ok(())
}

/// Opens a folder without following a link, and gives its owner all permissions.
fn open_folder(at: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(&at, name, flags | OFlags::RDONLY, Mode::empty());
    let folder = match open() {
        Err(Errno::ACCESS) => {
            // It is a folder: nothing else is refused for its permissions when it is
            // opened only to be named.
            drop(rustix::fs::openat(
                &at,
                name,
                flags | OFlags::PATH,
                Mode::empty(),
            )?);
            rustix::fs::chmodat(&at, name, Mode::RWXU, AtFlags::empty())?;
            open()?
        }
        other => other?,
    };
    match rustix::fs::fchmod(&folder, Mode::RWXU) {
        // Another user's: whether it can be emptied, removing shows.
        Err(Errno::PERM) | Ok(()) => Ok(folder),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn closed_folders_and_links_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let (top, outside) = (place.path().join("top"), place.path().join("outside"));
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        fs::write(top.join("a/b/f"), "").unwrap();
        fs::os::unix::fs::symlink(&outside, top.join("a/b/link")).unwrap();
        fs::os::unix::fs::symlink("nowhere", top.join("dangling")).unwrap();
        for path in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(top.join(path), PermissionsExt::from_mode(0o000)).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists() && outside.join("kept").exists());
        remove_tree(&top).unwrap();

        fs::os::unix::fs::symlink(&outside, &top).unwrap();
        remove_tree(&top).unwrap();
        assert!(!top.is_symlink() && outside.join("kept").exists());
    }

    #[test]
    fn nesting_without_end_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("top");
        fs::create_dir(&top).unwrap();
        let mut at = open_folder(CWD, top.as_path()).unwrap();
        for level in 0..500 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&at, "e", Mode::RWXU).unwrap();
            let next = open_folder(&at, "d").unwrap();
            if level % 50 == 0 {
                rustix::fs::fchmod(&at, Mode::empty()).unwrap();
            }
            at = next;
        }
        drop(at);
        remove_tree(&top).unwrap();
        assert!(!top.exists());
    }
}
