//! Removing what was not used for long.
//!
//! Planning is a pure function of the inventory and the clock's time as given;
//! [`collect`] carries a plan out. Results go before the blobs that they name, so
//! that a process killed in between leaves a cache in which every result is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fs_err as fs;

use crate::action_cache::{decode_entry, named_by};
use crate::digest::Sha256;
use crate::error::CacheError;
use crate::inventory::{Inventory, Item, Kind};
use crate::pins::Pins;
use crate::progress::Progress;
use crate::remove::remove_tree;
use crate::upkeep::{Exclusive, Upkeep};

/// What may stay. With neither limit, everything may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Most bytes that everything may have together; pinned things stay even so.
    pub max_size: Option<u64>,
    /// What was not used for longer than this goes.
    pub older_than: Option<Duration>,
}

/// What is to be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The things, in the order in which they are removed.
    pub remove: Vec<Item>,
    /// How many bytes stay.
    pub keep_bytes: u64,
    /// How many of these are pinned.
    pub pinned_bytes: u64,
}

impl Plan {
    /// How many bytes are freed.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        self.remove.iter().map(|item| item.bytes).sum()
    }

    /// What `policy` wants removed at the time `now`, least recently used first.
    ///
    /// A blob counts as used when a result that names it was. A time stamp in the
    /// future counts as now, so that a clock that was wrong once cannot keep
    /// anything for ever.
    ///
    /// # Errors
    /// [`CacheError::Io`] or [`CacheError::BadPin`] where pins or results cannot be read.
    pub fn new(
        upkeep: &Upkeep,
        inventory: &Inventory,
        policy: &Policy,
        now: SystemTime,
    ) -> Result<Self, CacheError> {
        let links = Links::read(upkeep, inventory)?;
        let age_of = |item| {
            let last_used = links.last_used(item);
            now.duration_since(last_used).unwrap_or_default()
        };
        let mut by_age: Vec<(Duration, &Item)> = inventory
            .items
            .iter()
            .map(|item| (age_of(item), item))
            .collect();
        // Of equal age, the large go first: fewer things are lost.
        by_age.sort_by(|(age_a, a), (age_b, b)| {
            (age_b, b.bytes, &a.path).cmp(&(age_a, a.bytes, &b.path))
        });

        let mut total = inventory.bytes();
        let mut gone = BTreeSet::new();
        for (age, item) in by_age {
            let too_old = policy.older_than.is_some_and(|limit| age > limit);
            let too_much = policy.max_size.is_some_and(|limit| total > limit);
            if (too_old || too_much) && !links.is_pinned(item) {
                total -= item.bytes;
                gone.insert(item.path.as_path());
            }
        }
        let goes = |item: &&Item| {
            let names_what_goes = links.blobs_of(item).iter().any(|blob| {
                let path = upkeep.blobs().path(blob);
                gone.contains(path.as_path())
            });
            gone.contains(item.path.as_path()) || names_what_goes
        };
        let mut remove: Vec<Item> = inventory.items.iter().filter(goes).cloned().collect();
        remove.sort_by_key(|item| (item.kind != Kind::Result, item.kind, item.path.clone()));

        let freed: u64 = remove.iter().map(|item| item.bytes).sum();
        let pinned = inventory.items.iter().filter(|item| links.is_pinned(item));
        Ok(Self {
            remove,
            keep_bytes: inventory.bytes() - freed,
            pinned_bytes: pinned.map(|item| item.bytes).sum(),
        })
    }
}

/// Removes what `plan` says, pins whose owner is gone, and the lock files that nobody
/// can hold any more.
///
/// # Errors
/// [`CacheError::Io`] where something cannot be removed; the rest of the plan is
/// carried out nevertheless.
pub fn collect(
    exclusive: &Exclusive,
    plan: &Plan,
    progress: &dyn Progress,
) -> Result<(), CacheError> {
    let task = progress.start("removing", "what was not used", Some(plan.freed_bytes()));
    let mut failed = None;
    for item in &plan.remove {
        match remove(exclusive.root(), &item.path) {
            Ok(()) => task.advance(item.bytes),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    for pin in Pins::read(exclusive.root())?.ownerless {
        if let Err(error) = remove(exclusive.root(), &pin) {
            failed = failed.or(Some(error));
        }
    }
    for entry in fs::read_dir(exclusive.root().join("locks"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let _ = fs::remove_file(entry.path());
    }
    match failed {
        None => {
            task.finish("");
            Ok(())
        }
        Some(error) => Err(CacheError::io("remove something from the cache")(error)),
    }
}

/// Removes a file or a folder of the cache. A folder loses its name first, so that
/// half of one is never taken for the whole.
pub(crate) fn remove(root: &Path, path: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !meta.is_dir() {
        return fs::remove_file(path);
    }
    // Renaming a folder to another one needs the right to write to it.
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    let name = path.file_name().unwrap_or_default();
    let nameless = root.join("tmp").join(name);
    remove_tree(&nameless)?;
    fs::rename(path, &nameless)?;
    remove_tree(&nameless)
}

/// Who names whom.
struct Links {
    /// What pins name, and what pinned results name.
    pinned: BTreeSet<Sha256>,
    /// The blobs that each action's result names.
    blobs_of: BTreeMap<Sha256, Vec<Sha256>>,
    /// For each blob that results name, when one of these was last used.
    used_by_result: BTreeMap<Sha256, SystemTime>,
}

impl Links {
    fn read(upkeep: &Upkeep, inventory: &Inventory) -> Result<Self, CacheError> {
        let mut links = Self {
            pinned: Pins::read(upkeep.root())?.pinned,
            blobs_of: BTreeMap::new(),
            used_by_result: BTreeMap::new(),
        };
        for item in inventory.of(Kind::Result) {
            let Some(action) = item.sha256 else { continue };
            let bytes = fs::read(&item.path).map_err(CacheError::io("read an action result"))?;
            let named = decode_entry(&bytes).and_then(|result| named_by(&result, upkeep.blobs()));
            let blobs: Vec<Sha256> = named.iter().flatten().map(|digest| digest.sha256).collect();
            if links.pinned.contains(&action) {
                links.pinned.extend(&blobs);
            }
            for blob in &blobs {
                let used = links.used_by_result.entry(*blob).or_insert(item.last_used);
                *used = item.last_used.max(*used);
            }
            links.blobs_of.insert(action, blobs);
        }
        Ok(links)
    }

    fn last_used(&self, item: &Item) -> SystemTime {
        let by_result = match (item.kind, item.sha256) {
            (Kind::Blob, Some(sha256)) => self.used_by_result.get(&sha256),
            _ => None,
        };
        by_result.map_or(item.last_used, |used| item.last_used.max(*used))
    }

    fn is_pinned(&self, item: &Item) -> bool {
        item.sha256
            .is_some_and(|sha256| self.pinned.contains(&sha256))
    }

    fn blobs_of(&self, item: &Item) -> &[Sha256] {
        match (item.kind, item.sha256) {
            (Kind::Result, Some(sha256)) => self.blobs_of.get(&sha256).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests;
