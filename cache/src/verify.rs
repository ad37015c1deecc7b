//! Checking that everything in the cache is what its name says.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;
use fs_err::File;

use crate::action_cache::{decode_entry, named_by};
use crate::checkout::MOUNT_POINTS;
use crate::digest::{Digest, Hasher, Sha256};
use crate::error::CacheError;
use crate::gc::remove;
use crate::inventory::{Inventory, Item, Kind};
use crate::progress::{Progress, Task};
use crate::tree::{Entry, Tree};
use crate::upkeep::{Exclusive, Upkeep};

/// How much of a file is read at a time.
const PIECE: usize = 256 * 1024;
/// More threads than this only make a disk seek.
const MAX_THREADS: usize = 8;

/// Something in the cache that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with something in the cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// Its content is not what it is named by.
    #[error("expected {expected}, found {actual}")]
    Content {
        /// Its name.
        expected: Sha256,
        /// The digest of what is there: of the bytes, or of the folder.
        actual: Digest,
    },
    /// An action result that does not fit its own checksum or is no such message.
    #[error("expected an action result and its checksum, found something else")]
    Undecodable,
    /// An action result that names a blob that is missing or damaged.
    #[error("expected to find the blob {blob} that it names, which is missing or damaged")]
    Names {
        /// The blob.
        blob: Digest,
    },
    /// An action result whose outputs cannot all be told: a tree is missing or damaged.
    #[error(
        "expected to find the trees that it names, at least one of which is missing or damaged"
    )]
    NamesTree,
    /// Nothing of its name or kind belongs where it is.
    #[error("expected nothing of that name or kind there")]
    Stray,
    /// It cannot be read.
    #[error("could not be read: {why}")]
    Unreadable {
        /// What the operating system said.
        why: String,
    },
}

/// What [`check`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many things were looked at.
    pub checked: usize,
    /// How many bytes were hashed.
    pub bytes: u64,
    /// What is damaged, sorted by path.
    pub damage: Vec<Damage>,
}

/// Hashes every blob and every checkout, decodes every action result, and looks
/// whether what it names is there, on at most `threads` threads.
///
/// # Errors
/// [`CacheError::Io`] where a folder of the cache cannot be read. A file that cannot
/// be read is damage.
pub fn check(
    upkeep: &Upkeep,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Report, CacheError> {
    let inventory = Inventory::take(upkeep)?;
    let hashed: Vec<&Item> = inventory
        .items
        .iter()
        .filter(|item| matches!(item.kind, Kind::Blob | Kind::Checkout))
        .collect();
    let bytes = hashed.iter().map(|item| item.bytes).sum();
    let task = Mutex::new(progress.start("checking", "the cache", Some(bytes)));
    let mut damage = hash_all(&hashed, threads, &task);

    let bad_blobs: BTreeSet<PathBuf> = damage.iter().map(|found| found.path.clone()).collect();
    for item in inventory.of(Kind::Result) {
        if let Some(fault) = check_result(upkeep, item, &bad_blobs) {
            let path = item.path.clone();
            damage.push(Damage { path, fault });
        }
    }
    damage.extend(inventory.strays.iter().map(|path| Damage {
        path: path.clone(),
        fault: Fault::Stray,
    }));
    damage.sort();
    let outcome = if damage.is_empty() {
        "whole"
    } else {
        "damaged"
    };
    if let Ok(task) = task.into_inner() {
        task.finish(outcome);
    }
    Ok(Report {
        checked: hashed.len() + inventory.of(Kind::Result).count(),
        bytes,
        damage,
    })
}

/// Removes what `report` says is damaged; whoever needs it fetches or builds it
/// again. Results go first, as in [`crate::gc`].
///
/// # Errors
/// [`CacheError::Io`] where something cannot be removed.
pub fn repair(exclusive: &Exclusive, report: &Report) -> Result<(), CacheError> {
    let results = exclusive.root().join(Kind::Result.folder());
    let (first, then): (Vec<&Damage>, Vec<&Damage>) = report
        .damage
        .iter()
        .partition(|found| found.path.starts_with(&results));
    for found in first.into_iter().chain(then) {
        remove(exclusive.root(), &found.path)
            .map_err(CacheError::io("remove something damaged from the cache"))?;
    }
    Ok(())
}

fn hash_all(items: &[&Item], threads: usize, task: &Mutex<Box<dyn Task>>) -> Vec<Damage> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut damage = Vec::new();
        let advance = |bytes| {
            if let Ok(task) = task.lock() {
                task.advance(bytes);
            }
        };
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let checked = match item.kind {
                Kind::Checkout => check_checkout(item, &advance),
                _ => check_blob(item, &advance),
            };
            let fault = checked.unwrap_or_else(|error| {
                let why = error.to_string();
                Some(Fault::Unreadable { why })
            });
            let path = item.path.clone();
            damage.extend(fault.map(|fault| Damage { path, fault }));
        }
        damage
    };
    let count = threads.clamp(1, MAX_THREADS).min(items.len());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(damage) => damage,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn check_blob(item: &Item, advance: &dyn Fn(u64)) -> io::Result<Option<Fault>> {
    let actual = hash(&item.path, advance)?;
    Ok(compare(item.sha256, actual))
}

fn check_checkout(item: &Item, advance: &dyn Fn(u64)) -> io::Result<Option<Fault>> {
    let parts = ["tree", "other"].map(|part| item.path.join(part));
    let mut there = parts.iter().filter(|part| part.exists()).peekable();
    if there.peek().is_none() {
        return check_part(item, &item.path.join("tree"), advance);
    }
    for part in there {
        let fault = check_part(item, part, advance)?;
        if fault.is_some() {
            return Ok(fault);
        }
    }
    Ok(None)
}

/// Checks one of the checkouts that a tree has for the users as whom commands run.
fn check_part(item: &Item, part: &Path, advance: &dyn Fn(u64)) -> io::Result<Option<Fault>> {
    let mut tree = Tree::new();
    lay_in(&mut tree, part, advance)?;
    let fault = compare(item.sha256, tree.digest());
    let fits = fault.is_none()
        || without_mount_points(&tree).any(|digest| Some(digest.sha256) == item.sha256);
    Ok(fault.filter(|_| !fits))
}

/// The digests that a checkout's folder can have had before mount points were added:
/// nobody knows by now which of the empty ones were.
fn without_mount_points(tree: &Tree) -> impl Iterator<Item = Digest> {
    let added: Vec<&str> = MOUNT_POINTS
        .into_iter()
        .filter(|name| matches!(tree.get(name), Some(Entry::Folder(below)) if below.is_empty()))
        .collect();
    (1..1u32 << added.len()).map(move |chosen| {
        let mut tree = tree.clone();
        for (bit, name) in added.iter().enumerate() {
            if chosen & (1 << bit) != 0 {
                tree.remove(name);
            }
        }
        tree.digest()
    })
}

fn compare(expected: Option<Sha256>, actual: Digest) -> Option<Fault> {
    match expected {
        None => Some(Fault::Stray),
        Some(expected) if expected == actual.sha256 => None,
        Some(expected) => Some(Fault::Content { expected, actual }),
    }
}

fn check_result(upkeep: &Upkeep, item: &Item, bad_blobs: &BTreeSet<PathBuf>) -> Option<Fault> {
    let bytes = match fs::read(&item.path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let why = error.to_string();
            return Some(Fault::Unreadable { why });
        }
    };
    let Some(result) = decode_entry(&bytes) else {
        return Some(Fault::Undecodable);
    };
    let Some(named) = named_by(&result, upkeep.blobs()) else {
        return Some(Fault::NamesTree);
    };
    let missing = named.into_iter().find(|blob| {
        !upkeep.blobs().contains(blob) || bad_blobs.contains(&upkeep.blobs().path(&blob.sha256))
    });
    missing.map(|blob| Fault::Names { blob })
}

/// Puts what the host's folder holds into `tree`, with every file hashed.
fn lay_in(tree: &mut Tree, folder: &Path, advance: &dyn Fn(u64)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let odd = |why: &str| io::Error::other(format!("{}: {why}", path.display()));
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| odd("its name is not UTF-8"))?;
        let meta = fs::symlink_metadata(&path)?;
        let found = if meta.is_dir() {
            let mut below = Tree::new();
            lay_in(&mut below, &path, advance)?;
            Entry::Folder(below)
        } else if meta.is_symlink() {
            let target = fs::read_link(&path)?;
            let target = target
                .to_str()
                .ok_or_else(|| odd("its target is not UTF-8"))?;
            Entry::Symlink {
                target: target.to_owned(),
            }
        } else if meta.is_file() {
            Entry::File {
                digest: hash(&path, advance)?,
                executable: meta.permissions().mode() & 0o100 != 0,
            }
        } else {
            return Err(odd("it is no file, folder or link"));
        };
        tree.insert(name, found)
            .map_err(|error| odd(&error.to_string()))?;
    }
    Ok(())
}

fn hash(path: &Path, advance: &dyn Fn(u64)) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        let count = match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&piece[..count]);
        advance(count as u64);
    }
}

#[cfg(test)]
mod tests;
