//! Unpacking packages, several at once, or recalling what was in them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use lunikernel_cache::{BlobStore, Digest, NodeKind, Rootfs};
use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BuildError, Builder};
use crate::assemble::deb::{Expected, Package, unpack_deb};
use crate::lock::{LockedRecipe, LockedSource};
use crate::plan::{EncodedAction, Invocation, UNPACKED, unpack_action};
use crate::source::deb::LockedDeb;

/// How many packages are unpacked at once, at most: xz takes up to 64 MiB for each.
const AT_ONCE: usize = 4;

/// How many packages are locked at once, at most: each lock is an open file.
const LOCKED_AT_ONCE: usize = 256;

/// A package of a lock that can be unpacked, and what was in it recalled.
pub(super) trait Packed: Sync {
    /// What is in it.
    type Package: Serialize + DeserializeOwned + Send;

    /// What the package is.
    fn digest(&self) -> Digest;

    /// What its file is called, for messages.
    fn file_name(&self) -> String;

    /// What unpacking it is remembered by: everything that the result depends on.
    fn action(&self) -> Invocation;

    /// Unpacks it into the store.
    fn unpack(&self, blobs: &BlobStore) -> Result<Self::Package, BuildError>;

    /// What has to be in the store for a package to be there.
    fn contents(package: &Self::Package) -> impl Iterator<Item = Digest>;
}

impl Packed for LockedDeb {
    type Package = Package;

    fn digest(&self) -> Digest {
        LockedDeb::digest(self)
    }

    fn file_name(&self) -> String {
        LockedDeb::file_name(self).to_owned()
    }

    fn action(&self) -> Invocation {
        unpack_action(&self.digest())
    }

    fn unpack(&self, blobs: &BlobStore) -> Result<Package, BuildError> {
        let expected = Expected {
            package: self.name.clone(),
            version: self.version.clone(),
            architecture: self.arch.clone(),
        };
        Ok(unpack_deb(blobs, &self.digest(), Some(&expected))?)
    }

    fn contents(package: &Package) -> impl Iterator<Item = Digest> {
        contents(&package.root)
    }
}

/// A package, and what has to be recorded about it, unless it is known already.
struct Unpacked<T> {
    package: T,
    record: Option<(EncodedAction, Digest)>,
}

impl Builder {
    /// Unpacks the Debian packages of all sources, each of them once.
    pub(super) fn unpack_packages(
        &self,
        locked: &LockedRecipe,
    ) -> Result<BTreeMap<Digest, Package>, BuildError> {
        let mut wanted: Vec<&LockedDeb> = Vec::new();
        let mut sources = Vec::new();
        for (name, source) in &locked.lock().sources {
            if let LockedSource::Deb(debs) = source {
                sources.push(name.as_str());
                wanted.extend(&debs.packages);
            }
        }
        self.unpack_all(&sources.join(", "), &wanted)
    }

    /// Unpacks packages, each of them once.
    ///
    /// Their bytes were hashed when they were fetched and are not hashed again, only
    /// what comes out of them is. Damage in between is noticed by the compression's own
    /// checks, by `luni cache verify`, and by each round of `luni verify-reproducibility`.
    pub(super) fn unpack_all<P: Packed>(
        &self,
        sources: &str,
        in_lock: &[&P],
    ) -> Result<BTreeMap<Digest, P::Package>, BuildError> {
        let wanted: BTreeMap<Digest, &P> = in_lock.iter().map(|one| (one.digest(), *one)).collect();
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let total = wanted.len();
        let noun = if total == 1 { "package" } else { "packages" };
        let label = |count: &str| format!("{count} {noun} of {sources}");
        let task = self
            .progress
            .start("unpacking", &label(&total.to_string()), None);
        let done = AtomicUsize::new(0);
        let count = || {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            task.rename(&label(&format!("{done} of {total}")));
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.min(AT_ONCE))
            .build()
            .map_err(|error| BuildError::Threads(error.to_string()))?;
        let known = pool.install(|| {
            let each = wanted.par_iter().map(|(digest, one)| {
                let known = self.known_package(*one)?;
                known.iter().for_each(|_| count());
                Ok((*digest, known))
            });
            each.collect::<Result<BTreeMap<_, _>, BuildError>>()
        })?;
        let mut packages = BTreeMap::new();
        let mut unknown = Vec::new();
        for (digest, known) in known {
            match known {
                Some(package) => drop(packages.insert(digest, package)),
                None => unknown.extend(wanted.get(&digest).copied()),
            }
        }
        let mut cached = true;
        for batch in unknown.chunks(LOCKED_AT_ONCE) {
            // Another recipe may have the same packages. Everyone takes the locks in the
            // order of the packages' digests, so that no two wait for each other.
            let turns = batch.iter().map(|one| {
                let action = one.action().encode();
                self.turn(&action.digest, &format!("unpacking {}", one.file_name()))
            });
            let turns = turns.collect::<Result<Vec<_>, _>>()?;
            // The largest first: the last one to be done keeps nobody waiting.
            let mut order = batch.to_vec();
            order.sort_by_key(|one| Reverse(one.digest().size));
            let mut results: BTreeMap<Digest, Result<Unpacked<P::Package>, BuildError>> = pool
                .install(|| {
                    let each = order.into_iter().par_bridge().map(|one| {
                        let result = self.unpack_package(one);
                        count();
                        (one.digest(), result)
                    });
                    each.collect()
                });
            // Errors are told in the order of the lock, whichever came first.
            let mut records = Vec::new();
            for one in in_lock {
                let digest = one.digest();
                if let Some(result) = results.remove(&digest) {
                    let unpacked = result?;
                    records.extend(unpacked.record);
                    packages.insert(digest, unpacked.package);
                }
            }
            cached &= records.is_empty();
            self.record_all(records, UNPACKED)?;
            drop(turns);
        }
        task.rename(&label(&total.to_string()));
        task.finish(if cached { "cached" } else { "" });
        Ok(packages)
    }

    /// What was in a package, if it was unpacked before and all of it is still there.
    fn known_package<P: Packed>(&self, locked: &P) -> Result<Option<P::Package>, BuildError> {
        let blobs = self.cache.blobs();
        let action = locked.action().encode();
        if let Some(json) = self.recall(&action, UNPACKED)?
            && let Ok(package) = serde_json::from_slice::<P::Package>(&blobs.read(&json)?)
            && P::contents(&package).all(|content| blobs.contains(&content))
        {
            return Ok(Some(package));
        }
        Ok(None)
    }

    /// Unpacks a package, unless someone else did while its lock was waited for.
    fn unpack_package<P: Packed>(&self, locked: &P) -> Result<Unpacked<P::Package>, BuildError> {
        if let Some(package) = self.known_package(locked)? {
            return Ok(Unpacked {
                package,
                record: None,
            });
        }
        let blobs = self.cache.blobs();
        let package = match locked.unpack(blobs) {
            Ok(package) => package,
            Err(error) => {
                // Before its maker is blamed: are these still the bytes that were fetched?
                blobs.verify(&locked.digest(), &locked.file_name())?;
                return Err(error);
            }
        };
        let json = serde_json::to_vec(&package).map_err(BuildError::Json)?;
        let json = blobs.put(&json)?;
        Ok(Unpacked {
            package,
            record: Some((locked.action().encode(), json)),
        })
    }
}

pub(super) fn contents(root: &Rootfs) -> impl Iterator<Item = Digest> {
    root.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::File { content, .. } => Some(*content),
        _ => None,
    })
}
