//! What is in the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;

use crate::action_cache::decode_entry;
use crate::digest::{Digest, Sha256};
use crate::error::CacheError;
use crate::upkeep::Upkeep;

/// What kind of thing something in the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A blob: bytes named by their SHA-256.
    Blob,
    /// The result of an action, named by the action.
    Result,
    /// A folder laid out for sandboxes, named by its REAPI `Directory`.
    Checkout,
    /// What a failed action left, kept for `luni shell`, named by the action.
    Failed,
    /// A download under way.
    Partial,
    /// What was found out about this machine until it is started anew.
    Probe,
}

impl Kind {
    /// Every kind, in the order in which they are listed.
    pub const ALL: [Self; 6] = [
        Self::Blob,
        Self::Result,
        Self::Checkout,
        Self::Failed,
        Self::Partial,
        Self::Probe,
    ];

    /// The folder of the cache in which things of this kind are.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Blob => "cas-v1",
            Self::Result => "ac-v1",
            Self::Checkout => "roots-v1",
            Self::Failed => "failed-v1",
            Self::Partial => "partial",
            Self::Probe => "kvm-probe-v1",
        }
    }

    /// What people call it, in the plural.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Blob => "blobs",
            Self::Result => "action results",
            Self::Checkout => "checkouts",
            Self::Failed => "failed states",
            Self::Partial => "partial downloads",
            Self::Probe => "probes of the machine",
        }
    }

    fn is_sharded(self) -> bool {
        matches!(self, Self::Blob | Self::Result)
    }
}

/// One thing in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What kind of thing.
    pub kind: Kind,
    /// What it is named by; `None` where its file name is no SHA-256.
    pub sha256: Option<Sha256>,
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes its files have. A file under several names counts once.
    pub bytes: u64,
    /// When it was last used, as far as its time stamp tells.
    pub last_used: SystemTime,
}

/// What a recorded action result says that its action made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Output paths and what they hold: a file's content, or a folder's tree.
    pub outputs: BTreeMap<String, Digest>,
    /// Exit code of the action.
    pub exit_code: i32,
}

/// Everything in a cache, sorted by kind and path.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The things.
    pub items: Vec<Item>,
    /// What action results say, by action; damaged ones are not among them.
    pub results: BTreeMap<Sha256, Recorded>,
    /// Files that no version of this program would have put where they are.
    pub strays: Vec<PathBuf>,
}

impl Inventory {
    /// Looks at everything in the cache, without reading blobs.
    ///
    /// # Errors
    /// [`CacheError::Io`] where a folder cannot be read.
    pub fn take(upkeep: &Upkeep) -> Result<Self, CacheError> {
        let mut inventory = Self::default();
        let mut linked = BTreeSet::new();
        for kind in Kind::ALL {
            let folder = upkeep.root().join(kind.folder());
            inventory
                .take_kind(kind, &folder, &mut linked)
                .map_err(CacheError::io("look at what is in the cache"))?;
        }
        inventory
            .items
            .sort_by(|a, b| (a.kind, &a.path).cmp(&(b.kind, &b.path)));
        inventory.strays.sort();
        Ok(inventory)
    }

    /// How many things of a kind there are, and how many bytes they have together.
    #[must_use]
    pub fn sum(&self, kind: Kind) -> (usize, u64) {
        let bytes = self.of(kind).map(|item| item.bytes);
        bytes.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes))
    }

    /// How many bytes everything has together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes).sum()
    }

    /// The things of one kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.kind == kind)
    }

    fn take_kind(
        &mut self,
        kind: Kind,
        folder: &Path,
        linked: &mut BTreeSet<(u64, u64)>,
    ) -> io::Result<()> {
        if !kind.is_sharded() {
            for path in list(folder)? {
                self.add(kind, path, linked)?;
            }
            return Ok(());
        }
        for shard in list(folder)? {
            let prefix = shard.file_name().and_then(|name| name.to_str());
            let is_shard = prefix.is_some_and(|name| name.len() == 2);
            if !is_shard || !fs::symlink_metadata(&shard)?.is_dir() {
                self.strays.push(shard);
                continue;
            }
            for path in list(&shard)? {
                let hex = path.file_name().and_then(|name| name.to_str());
                let belongs = hex.is_some_and(|hex| {
                    let sha256 = hex.parse::<Sha256>();
                    sha256.is_ok_and(|sha256| sha256.hex() == hex)
                        && prefix.is_some_and(|prefix| hex.starts_with(prefix))
                });
                if belongs && fs::symlink_metadata(&path)?.is_file() {
                    self.add(kind, path, linked)?;
                } else {
                    self.strays.push(path);
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        kind: Kind,
        path: PathBuf,
        linked: &mut BTreeSet<(u64, u64)>,
    ) -> io::Result<()> {
        // A download that ends while we look takes its partial file away.
        let meta = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let sha256 = name.and_then(|name| name.parse().ok());
        if let (Kind::Result, Some(sha256)) = (kind, sha256)
            && let Some(result) = decode_entry(&fs::read(&path)?)
        {
            let files = result.output_files.iter().map(|f| (&f.path, &f.digest));
            let folders = result
                .output_directories
                .iter()
                .map(|f| (&f.path, &f.tree_digest));
            let outputs = files.chain(folders).filter_map(|(path, digest)| {
                Some((path.clone(), Digest::from_reapi(digest.as_ref()?)?))
            });
            let recorded = Recorded {
                outputs: outputs.collect(),
                exit_code: result.exit_code,
            };
            self.results.insert(sha256, recorded);
        }
        self.items.push(Item {
            kind,
            sha256,
            bytes: bytes_below(&path, linked)?,
            last_used: meta.modified()?,
            path,
        });
        Ok(())
    }
}

/// What is in a folder; nothing where there is none.
fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn bytes_below(path: &Path, linked: &mut BTreeSet<(u64, u64)>) -> io::Result<u64> {
    let mut sum = 0;
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        // What cannot be looked at (a build may have left such folders) or is gone by
        // now has no size that matters.
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        if meta.is_dir() {
            waiting.extend(list(&path).unwrap_or_default());
        } else if meta.is_file() && (meta.nlink() == 1 || linked.insert((meta.dev(), meta.ino()))) {
            sum += meta.len();
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cache, reapi};

    #[test]
    fn everything_is_counted_and_results_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let zip = cache.blobs().put(b"a zip").unwrap();
        let action = Digest::of(b"action");
        let result = reapi::ActionResult {
            output_files: vec![reapi::OutputFile {
                path: "hello.luni.zip".to_owned(),
                digest: Some(zip.to_reapi()),
                ..Default::default()
            }],
            ..Default::default()
        };
        cache.actions().put(&action, &result).unwrap();
        let checkout = cache.root().join("roots-v1").join(zip.sha256.hex());
        fs::create_dir_all(checkout.join("bin")).unwrap();
        fs::write(checkout.join("bin/sh"), "12345678").unwrap();
        fs::hard_link(checkout.join("bin/sh"), checkout.join("bin/dash")).unwrap();
        fs::write(cache.root().join("partial/x"), "123").unwrap();
        fs::write(cache.root().join("cas-v1/notes.txt"), "").unwrap();

        let inventory = Inventory::take(&Upkeep::open(folder.path()).unwrap()).unwrap();
        assert_eq!(inventory.sum(Kind::Blob), (1, 5));
        assert_eq!(inventory.sum(Kind::Result).0, 1);
        assert_eq!(inventory.sum(Kind::Checkout), (1, 8));
        assert_eq!(inventory.sum(Kind::Partial), (1, 3));
        assert_eq!(inventory.strays.len(), 1);
        assert_eq!(
            inventory.results[&action.sha256].outputs,
            BTreeMap::from([("hello.luni.zip".to_owned(), zip)])
        );
    }

    #[test]
    fn no_cache_is_an_empty_one_and_stays_none() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("none");
        let upkeep = Upkeep::open(&root).unwrap();
        assert!(Inventory::take(&upkeep).unwrap().items.is_empty());
        assert!(!root.exists());
    }
}
