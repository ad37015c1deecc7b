//! Materials: what sources and steps have to offer to the rest of a recipe.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{CacheError, Digest, Node, NodeKind, Rootfs, RootfsError, Tree};

use super::error::A_FILE;
use super::extensions::lay_behind;
use super::follow::{Led, Place, follow};
use super::{BuildError, Builder, StepReport, licence};
use crate::assemble::layers;
use crate::lock::{LockedRecipe, LockedSource};
use crate::recipe::{Source, TczInstall};

/// What a name in a recipe stands for.
#[derive(Debug, Clone)]
pub enum Material {
    /// A file system with owners and modes: unpacked packages, or an archive.
    Rootfs(Rootfs),
    /// A file or folder: of the recipe's own, of a repository, from the web, or made
    /// by a step.
    Entry(Entry),
}

/// All materials of a recipe, by name.
pub(super) struct Materials<'b> {
    builder: &'b Builder,
    by_name: BTreeMap<String, Material>,
    /// Those of the names that are of steps.
    steps: BTreeSet<String>,
    /// Those of the names that are of extensions of TinyCore to be merged.
    extensions: BTreeSet<String>,
    /// What is in the archives that were asked about; `None` for a file that is none.
    archives: RefCell<BTreeMap<Digest, Option<Rootfs>>>,
    licences: BTreeMap<Digest, String>,
    /// How the scripts of packages went.
    pub(super) scripts: Vec<StepReport>,
}

impl<'b> Materials<'b> {
    fn new(builder: &'b Builder) -> Self {
        Self {
            builder,
            by_name: BTreeMap::new(),
            steps: BTreeSet::new(),
            extensions: BTreeSet::new(),
            archives: RefCell::default(),
            licences: BTreeMap::new(),
            scripts: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, name: &str, material: Material) {
        self.by_name.insert(name.to_owned(), material);
    }

    /// The same for what a step made.
    pub(super) fn insert_step(&mut self, name: &str, material: Material) {
        self.steps.insert(name.to_owned());
        self.insert(name, material);
    }

    /// Whether a name stands for a step.
    pub(super) fn is_step(&self, name: &str) -> bool {
        self.steps.contains(name)
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
        if let Some(part) = self.part(name, material, path)? {
            return Ok(part);
        }
        Err(BuildError::NoSuchPart {
            name: name.to_owned(),
            path: path.to_owned(),
            of_step: self.is_step(name),
            there: self.beside(name, material, path)?,
        })
    }

    /// What there is in the folder where `path` would be, or else in the nearest one
    /// above, as references.
    fn beside(
        &self,
        name: &str,
        material: &Material,
        path: &str,
    ) -> Result<Vec<String>, BuildError> {
        let mut above = path;
        while let Some((folder, _)) = above.rsplit_once('/') {
            if let Some(part) = self.part(name, material, folder)? {
                return self.names(&format!("{name}/{folder}"), &part);
            }
            above = folder;
        }
        self.names(name, material)
    }

    /// The files and folders right below `material`, which is called `reference`.
    fn names(&self, reference: &str, material: &Material) -> Result<Vec<String>, BuildError> {
        let names: Vec<String> = match material {
            Material::Entry(Entry::Folder(tree)) => {
                tree.entries().map(|(name, _)| name.to_owned()).collect()
            }
            Material::Entry(Entry::Symlink { .. }) => Vec::new(),
            Material::Entry(Entry::File { digest, .. }) => match self.archive(reference, digest)? {
                Some(root) => return self.names(reference, &Material::Rootfs(root)),
                None => Vec::new(),
            },
            Material::Rootfs(root) => {
                let paths = root.nodes().map(|(path, _)| path);
                let top = paths.filter(|path| !path.contains('/'));
                top.map(str::to_owned).collect()
            }
        };
        let names = names.iter().map(|name| format!("{reference}/{name}"));
        Ok(names.collect())
    }

    /// Remembers the licence of a package, where its maker wrote one in SPDX's words.
    pub(super) fn add_licence(&mut self, package: Digest, licence: &str) {
        if let Some(licence) = licence::written(licence) {
            self.licences.insert(package, licence.to_owned());
        }
    }

    /// The file or folder at `path` in the material called `name`, where an archive on
    /// the way is a folder.
    fn part(
        &self,
        name: &str,
        material: &Material,
        path: &str,
    ) -> Result<Option<Material>, BuildError> {
        if let Material::Entry(Entry::File { digest, .. }) = material {
            return match self.archive(name, digest)? {
                None => Err(BuildError::NotAnArchive {
                    reference: format!("{name}/{path}"),
                    name: name.to_owned(),
                    found: self.kind_of(digest)?,
                }),
                Some(root) => self.part(name, &Material::Rootfs(root), path),
            };
        }
        let in_archive = matches!(material, Material::Rootfs(_));
        let led = follow(path, in_archive, |at| material.place(at));
        let led = led.map_err(|flaw| BuildError::Link {
            reference: format!("{name}/{path}"),
            link: format!("{name}/{}", flaw.link),
            target: flaw.target,
            why: flaw.why,
        })?;
        match led {
            Led::To(at) if at.is_empty() => Ok(Some(material.clone())),
            Led::To(at) => Ok(material.part(&at)),
            Led::Below { file, path } => match material.part(&file) {
                Some(archive) => self.part(&format!("{name}/{file}"), &archive, &path),
                None => Ok(None),
            },
            Led::Nowhere => Ok(None),
        }
    }

    /// What is in the archive `digest`, which the recipe calls `name`.
    fn archive(&self, name: &str, digest: &Digest) -> Result<Option<Rootfs>, BuildError> {
        if let Some(known) = self.archives.borrow().get(digest) {
            return Ok(known.clone());
        }
        let root = self.builder.unpack_archive(name, digest)?;
        self.archives.borrow_mut().insert(*digest, root.clone());
        Ok(root)
    }

    /// What a file is that is no archive that is read.
    fn kind_of(&self, digest: &Digest) -> Result<&'static str, BuildError> {
        let mut magic = Vec::new();
        let file = self.builder.cache.blobs().open(digest)?;
        let read = file.take(6).read_to_end(&mut magic);
        read.map_err(CacheError::io("look at a file in the cache"))?;
        Ok(match magic.as_slice() {
            [b'P', b'K', 3, 4, ..] => "a zip archive, which is not read",
            [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c] => "a 7z archive, which is not read",
            _ => A_FILE,
        })
    }

    /// The licence of the package with that digest, as an SPDX expression.
    pub(super) fn licence(&self, package: &Digest) -> Option<&str> {
        self.licences.get(package).map(String::as_str)
    }

    /// The file systems named, laid one over the other: packages, archives, folders.
    pub(super) fn root(&self, references: &[String]) -> Result<Rootfs, BuildError> {
        let mut root = Rootfs::new();
        for reference in references {
            let layer = self.layer(reference)?;
            let layer = layer.map_err(|found| BuildError::NotARoot {
                name: reference.clone(),
                found,
            })?;
            let laid = match self.extensions.contains(reference) {
                true => lay_behind(&mut root, &layer),
                false => root.overlay(&layer),
            };
            laid.map_err(|source| BuildError::Layer {
                name: reference.clone(),
                source,
            })?;
        }
        Ok(root)
    }

    /// The file system that `reference` stands for, or else what it is.
    fn layer(&self, reference: &str) -> Result<Result<Rootfs, &'static str>, BuildError> {
        Ok(match self.get(reference)? {
            Material::Rootfs(root) => Ok(root),
            Material::Entry(Entry::Folder(tree)) => {
                let mut root = Rootfs::new();
                lay(&mut root, "", &tree).map_err(|source| BuildError::Layer {
                    name: reference.to_owned(),
                    source,
                })?;
                Ok(root)
            }
            Material::Entry(Entry::File { digest, .. }) => {
                let root = self.archive(reference, &digest)?;
                root.ok_or("a file that is none of these")
            }
            Material::Entry(Entry::Symlink { .. }) => Err("a symbolic link"),
        })
    }

    /// What `kernel.from` stands for: a kernel itself, or a root with one in it.
    pub(super) fn kernel(&self, reference: &str) -> Result<Material, BuildError> {
        let material = self.get(reference)?;
        if let Material::Entry(Entry::File { digest, .. }) = &material
            && self.archive(reference, digest)?.is_none()
        {
            return Ok(material);
        }
        let root = self.root(&[reference.to_owned()])?;
        Ok(Material::Rootfs(root))
    }
}

/// Puts a folder as an action has it into a root, everything root's.
fn lay(root: &mut Rootfs, above: &str, tree: &Tree) -> Result<(), RootfsError> {
    for (name, entry) in tree.entries() {
        let path = match above {
            "" => name.to_owned(),
            above => format!("{above}/{name}"),
        };
        let node = match entry {
            Entry::Folder(_) => Node::folder(0o755),
            Entry::File { digest, executable } => {
                Node::file(if *executable { 0o755 } else { 0o644 }, *digest)
            }
            Entry::Symlink { target } => Node::symlink(target),
        };
        root.insert(&path, node)?;
        if let Entry::Folder(tree) = entry {
            lay(root, &path, tree)?;
        }
    }
    Ok(())
}

impl Material {
    /// What is at `path`, for the way along it.
    fn place(&self, path: &str) -> Option<Place> {
        Some(match self {
            Self::Entry(Entry::Folder(tree)) => match tree.get(path)? {
                Entry::Folder(_) => Place::Folder,
                Entry::File { .. } => Place::File,
                Entry::Symlink { target } => Place::Link(target.clone()),
            },
            Self::Entry(_) => return None,
            Self::Rootfs(root) => match &root.get(path)?.kind {
                NodeKind::Folder => Place::Folder,
                NodeKind::File { .. } => Place::File,
                NodeKind::Symlink { target } => Place::Link(target.clone()),
                NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. } | NodeKind::Fifo => {
                    Place::Special
                }
            },
        })
    }

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
                NodeKind::Folder => root.below(path).map(Self::Rootfs),
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
    pub(super) fn unpack(&self, locked: &LockedRecipe) -> Result<Materials<'_>, BuildError> {
        let mut materials = Materials::new(self);
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
                LockedSource::Crate(krate) => Material::Entry(Entry::File {
                    digest: krate.digest(),
                    executable: false,
                }),
                LockedSource::Git(git) => {
                    Material::Entry(Entry::Folder(Tree::load(self.cache.blobs(), &git.tree)?))
                }
                LockedSource::Oci(oci) => Material::Rootfs(self.image(name, oci)?),
                LockedSource::Tcz(tczs) => {
                    if tczs.request.install == TczInstall::Merge {
                        materials.extensions.insert(name.clone());
                    }
                    Material::Rootfs(self.extensions(name, tczs)?)
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
