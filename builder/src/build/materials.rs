//! Materials: what sources and steps have to offer to the rest of a recipe.

use std::collections::BTreeMap;

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, NodeKind, Rootfs, Tree};

use super::{BuildError, Builder, licence};
use crate::assemble::layers;
use crate::lock::{LockedRecipe, LockedSource};
use crate::recipe::Source;

/// What a name in a recipe stands for.
#[derive(Debug, Clone)]
pub enum Material {
    /// A file system with owners and modes: unpacked packages.
    Rootfs(Rootfs),
    /// A file or folder: of the recipe's own, of a repository, from the web, or made
    /// by a step.
    Entry(Entry),
}

/// All materials of a recipe, by name.
#[derive(Debug, Default)]
pub(super) struct Materials {
    by_name: BTreeMap<String, Material>,
    licences: BTreeMap<Digest, String>,
}

impl Materials {
    pub(super) fn insert(&mut self, name: &str, material: Material) {
        self.by_name.insert(name.to_owned(), material);
    }

    /// What `reference` (`NAME` or `NAME/PATH`) stands for. A name wins over a path,
    /// so that a source may be called `www/index.html`.
    pub(super) fn get(&self, reference: &str) -> Result<Material, BuildError> {
        if let Some(material) = self.by_name.get(reference) {
            return Ok(material.clone());
        }
        let unknown = || BuildError::NoSuchMaterial {
            reference: reference.to_owned(),
            names: self.by_name.keys().cloned().collect(),
        };
        let (name, path) = reference.split_once('/').ok_or_else(unknown)?;
        let material = self.by_name.get(name).ok_or_else(unknown)?;
        material.part(path).ok_or_else(|| BuildError::NoSuchPart {
            name: name.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Remembers the licence of a package, where its maker wrote one.
    pub(super) fn add_licence(&mut self, package: Digest, licence: &str) {
        if !licence.is_empty() {
            self.licences.insert(package, licence.to_owned());
        }
    }

    /// The licence of the package with that digest, as an SPDX expression.
    pub(super) fn licence(&self, package: &Digest) -> Option<&str> {
        self.licences.get(package).map(String::as_str)
    }

    /// The file systems of the sources named, laid one over the other.
    pub(super) fn root(&self, names: &[String]) -> Result<Rootfs, BuildError> {
        let mut root = Rootfs::new();
        for name in names {
            match self.get(name)? {
                Material::Rootfs(layer) => {
                    root.overlay(&layer).map_err(|source| BuildError::Layer {
                        name: name.clone(),
                        source,
                    })?;
                }
                Material::Entry(_) => {
                    return Err(BuildError::NotARoot { name: name.clone() });
                }
            }
        }
        Ok(root)
    }
}

impl Material {
    /// The file or folder at `path` in it.
    fn part(&self, path: &str) -> Option<Self> {
        match self {
            Self::Entry(Entry::Folder(tree)) => tree.get(path).cloned().map(Self::Entry),
            Self::Entry(_) => None,
            Self::Rootfs(root) => match &root.get(path)?.kind {
                NodeKind::File { content, .. } => Some(Self::Entry(Entry::File {
                    digest: *content,
                    executable: root.get(path)?.mode & 0o111 != 0,
                })),
                NodeKind::Folder => root.to_tree().ok()?.get(path).cloned().map(Self::Entry),
                _ => None,
            },
        }
    }

    /// The same as an action may have it as input.
    pub(super) fn to_entry(&self) -> Result<Entry, BuildError> {
        Ok(match self {
            Self::Entry(entry) => entry.clone(),
            Self::Rootfs(root) => Entry::Folder(root.to_tree()?),
        })
    }
}

impl Builder {
    /// Unpacks every source that is packed.
    pub(super) fn unpack(&self, locked: &LockedRecipe) -> Result<Materials, BuildError> {
        let mut materials = Materials::default();
        let packages = self.unpack_packages(locked)?;
        for (digest, package) in &packages {
            if let Some(licence) = licence::expression(&package.licences) {
                materials.licences.insert(*digest, licence);
            }
        }
        for (name, source) in &locked.lock().sources {
            let material = match source {
                LockedSource::Deb(debs) => {
                    let own = debs.packages.iter();
                    let own = own.filter_map(|package| packages.get(&package.digest()));
                    Material::Rootfs(layers::merge(own)?)
                }
                // They need their base, which comes first.
                LockedSource::Apk(_) => continue,
                LockedSource::Url(url) => Material::Entry(Entry::File {
                    digest: url.digest(),
                    executable: false,
                }),
                LockedSource::Git(git) => {
                    Material::Entry(Entry::Folder(Tree::load(self.cache.blobs(), &git.tree)?))
                }
                LockedSource::File(_) => {
                    let Some(Source::File(path)) = locked.recipe().sources.get(name) else {
                        continue;
                    };
                    match locked.files().get(path) {
                        Some(entry) => Material::Entry(entry.clone()),
                        None => continue,
                    }
                }
            };
            materials.insert(name, material);
        }
        self.install_apks(locked, &mut materials)?;
        Ok(materials)
    }
}
