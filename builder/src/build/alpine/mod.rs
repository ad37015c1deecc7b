//! The root file system that Alpine packages make, over their base: unpacked, with their
//! scripts run and apk's database written.

mod database;
mod difference;
mod kept;
mod metadata;
mod owners;
mod scripts;
mod shadow;
mod triggers;

use lunikernel_cache::{BlobStore, Digest, Node, NodeKind, Rootfs};

use owners::Owners;

use super::materials::{Material, Materials};
use super::unpack::{Packed, contents};
use super::{BuildError, Builder};
use crate::assemble::apk::{self, Expected, Package, unpack_apk};
use crate::lock::{LockedApks, LockedRecipe, LockedSource};
use crate::plan::{Invocation, unpack_apk_action};
use crate::recipe::ApkScripts;
use crate::source::apk::LockedApk;

/// The root that an `apk` source makes could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AlpineError {
    /// A package cannot be unpacked.
    #[error(transparent)]
    Package(#[from] apk::ApkError),
    /// Packages do not go together.
    #[error(transparent)]
    Layers(#[from] apk::LayerError),
    /// What apk wrote in the base cannot be read.
    #[error("could not read {path} of the base: {why}")]
    Database {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The scripts cannot run.
    #[error("the scripts of {} cannot run: there is no /bin/sh", packages.join(", "))]
    NoShell {
        /// The packages that have scripts.
        packages: Vec<String>,
    },
    /// A trigger of the base is to run and cannot be found.
    #[error(
        "the trigger of the base's package with the checksum {checksum} should be told of {}, and \
         lib/apk/db/scripts.tar of the base does not have it",
        folders.join(", ")
    )]
    NoTrigger {
        /// The package, as `lib/apk/db/triggers` names it.
        checksum: String,
        /// What changed.
        folders: Vec<String>,
    },
    /// A script failed.
    #[error("{what} failed: {failure}")]
    Script {
        /// Which script of which package.
        what: String,
        /// How.
        failure: String,
        /// The last lines that it printed.
        tail: Vec<String>,
    },
    /// A script left something that cannot be kept.
    #[error("the scripts of source `{source_name}` left what cannot be kept: {why}")]
    Left {
        /// The source.
        source_name: String,
        /// What.
        why: String,
    },
}

impl AlpineError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Package(error) => error.hint(),
            Self::Layers(error) => error.hint(),
            Self::Database { .. } => Some(
                "a base is a root file system with apk's database, such as Alpine's minirootfs"
                    .to_owned(),
            ),
            Self::NoShell { .. } => Some(
                "add `busybox-binsh` to `packages`, name a `base`, or leave the scripts out with \
                 `scripts: skip`"
                    .to_owned(),
            ),
            Self::NoTrigger { .. } => Some(
                "take a base whose apk database is whole, or leave all scripts out with \
                 `scripts: skip`"
                    .to_owned(),
            ),
            Self::Script { .. } | Self::Left { .. } => Some(
                "scripts run without network and devices, and as no other user than root; `scripts: skip` leaves all of them out"
                    .to_owned(),
            ),
        }
    }
}

impl Builder {
    /// Makes the roots of all `apk` sources.
    pub(super) fn install_apks(
        &self,
        locked: &LockedRecipe,
        materials: &mut Materials<'_>,
    ) -> Result<(), BuildError> {
        for (name, source) in &locked.lock().sources {
            if let LockedSource::Apk(apks) = source {
                let root = self.install(locked, name, apks, materials)?;
                materials.insert(name, Material::Rootfs(root));
            }
        }
        Ok(())
    }

    fn install(
        &self,
        locked: &LockedRecipe,
        name: &str,
        apks: &LockedApks,
        materials: &mut Materials<'_>,
    ) -> Result<Rootfs, BuildError> {
        let blobs = self.cache.blobs();
        let base = match &apks.request.base {
            Some(base) => materials.root(std::slice::from_ref(base))?,
            None => Rootfs::new(),
        };
        let before = database::read(&base, blobs)?;
        let wanted: Vec<&LockedApk> = apks.packages.iter().collect();
        let packages = self.unpack_all(name, &wanted)?;
        for (digest, package) in &packages {
            materials.add_licence(*digest, &package.info.licence);
        }
        let mut in_lock: Vec<(&Package, u64)> = Vec::new();
        for locked in &apks.packages {
            let package = packages.get(&locked.digest());
            in_lock.extend(package.map(|package| (package, locked.size)));
        }
        let world = database::world(&before, apks);
        let layers = apk::merge(base, before.installed.clone(), &in_lock, &world);
        let mut layers = layers.map_err(AlpineError::Layers)?;
        let mut root = layers.root.clone();
        let plan = match apks.request.scripts {
            ApkScripts::Run => scripts::plan(&layers, &before, blobs)?,
            ApkScripts::Skip => Vec::new(),
        };
        if plan.is_empty() {
            let there = Owners::of(&root, blobs)?;
            let given = layers.give(&mut root, &|names| there.numbers(names));
            given.map_err(|source| BuildError::Layer {
                name: name.to_owned(),
                source,
            })?;
        } else {
            let report = self.run_scripts(locked, name, &plan, &layers, &mut root)?;
            materials.scripts.push(report);
        }
        let there = Owners::of(&root, blobs)?;
        layers.record_owners(&|names| there.numbers(names));
        database::write(
            &mut root,
            &before,
            &layers,
            apks,
            locked.recipe().arch,
            blobs,
        )?;
        Ok(root)
    }
}

impl Packed for LockedApk {
    type Package = Package;

    fn digest(&self) -> Digest {
        LockedApk::digest(self)
    }

    fn file_name(&self) -> String {
        LockedApk::file_name(self)
    }

    fn action(&self) -> Invocation {
        let checksum = self.checksum.to_string();
        let expected = [self.name.clone(), self.version.clone(), checksum];
        unpack_apk_action(&self.digest(), expected)
    }

    fn unpack(&self, blobs: &BlobStore) -> Result<Package, BuildError> {
        let expected = Expected {
            name: self.name.clone(),
            version: self.version.clone(),
            checksum: self.checksum,
        };
        let package = unpack_apk(blobs, &self.digest(), &expected);
        Ok(package.map_err(AlpineError::Package)?)
    }

    fn contents(package: &Package) -> impl Iterator<Item = Digest> {
        contents(&package.root).chain(package.scripts.values().copied())
    }
}

/// The digest of the file at `path`, over the links among its folders.
fn file_at(root: &Rootfs, path: &str) -> Option<Digest> {
    match &root.get(&root.locate(path)?)?.kind {
        NodeKind::File { content, .. } => Some(*content),
        _ => None,
    }
}

/// Puts a file of root's there, or new content into the one that is there.
fn put(root: &mut Rootfs, path: &str, mode: u32, content: Digest) -> Result<(), BuildError> {
    let there = root.locate(path).and_then(|real| root.get(&real).cloned());
    let node = match there {
        Some(node) if matches!(node.kind, NodeKind::File { .. }) => Node {
            kind: NodeKind::File {
                content,
                link: None,
            },
            ..node
        },
        _ => Node::file(mode, content),
    };
    root.insert(path, node).map_err(|source| BuildError::Layer {
        name: path.to_owned(),
        source,
    })
}
