//! Packages of Alpine in one root, and what apk knows about them there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, btree_map};

use lunikernel_cache::{NodeKind, Rootfs, RootfsError};

use super::database::{Numbers, Owner, owned};
use super::order::in_order;
use super::{Checksum, Installed, OwnerNames, Package};

/// Packages do not fit into one root.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Two packages have a file of the same name and neither may replace the other's.
    #[error("`{path}` is in the package {first} and in {second}, and neither replaces the other's")]
    Conflict {
        /// The file.
        path: String,
        /// A package that has it.
        first: String,
        /// Another one.
        second: String,
    },
    /// A file of a package has no place in the root.
    #[error("could not lay the package {package} into the root")]
    Place {
        /// The package.
        package: String,
        /// What is in the way.
        #[source]
        source: RootfsError,
    },
}

impl LayerError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Conflict { second, .. } => Some(format!(
                "apk would refuse this, too: leave `{second}` out, or report it to its maintainer"
            )),
            Self::Place { package, .. } => Some(format!(
                "what the base or another package has there is no folder, or is one: leave \
                 `{package}` out with `without`, or take a base of the same release"
            )),
        }
    }
}

/// Packages in one root.
#[derive(Debug)]
pub struct Layers<'a> {
    /// The files.
    pub root: Rootfs,
    /// What is installed.
    pub installed: Installed,
    /// The packages that were laid down, in that order.
    pub packages: Vec<&'a Package>,
    /// Whose the packages' files are, by path, where the packages have names for that.
    named: BTreeMap<String, OwnerNames>,
}

/// Lays packages, each with the size of its file, over `base` in which `installed` is
/// installed, in the order in which apk installs them where `world` is wanted: those first
/// that others need.
///
/// Of a file that several packages have, even one that is the same in all, one of them must
/// say that it replaces the other's (`replaces`); where both do, `replaces_priority` decides,
/// and where that is the same the one that comes later. Where neither does, packages of
/// one `origin` may still write over each other's files, so that the later one has them.
///
/// Mode and owner of a folder that several packages have are those of the one with the
/// highest `replaces_priority`, and else of the first by origin and then by name, whichever
/// of them comes first: so `/root` and `/tmp` stay what `alpine-baselayout` makes them.
///
/// # Errors
/// [`LayerError`], naming both packages.
pub fn merge<'a>(
    base: Rootfs,
    installed: Installed,
    packages: &[(&'a Package, u64)],
    world: &BTreeSet<String>,
) -> Result<Layers<'a>, LayerError> {
    let order = in_order(&installed, world, packages);
    let mut layers = Layers {
        root: base,
        installed,
        packages: Vec::new(),
        named: BTreeMap::new(),
    };
    let mut owners = Owners::default();
    for (path, number) in layers.installed.files() {
        let real = layers.root.locate(&path).unwrap_or_else(|| path.clone());
        owners.files.insert(real, (number, path));
    }
    for (path, number) in layers.installed.folders() {
        if let Some(owner) = layers.installed.owner(number) {
            let real = layers.root.locate(path).unwrap_or_else(|| path.to_owned());
            owners.take_folder(real, &owner);
        }
    }
    for (package, size) in order.into_iter().filter_map(|number| packages.get(number)) {
        lay(&mut layers, &mut owners, package, *size)?;
        layers.packages.push(package);
    }
    Ok(layers)
}

/// What belongs to whom, by the path with the links among its folders followed.
#[derive(Default)]
struct Owners {
    /// The number of the package and the path that the file has there.
    files: BTreeMap<String, (usize, String)>,
    folders: BTreeMap<String, Claim>,
}

/// Who says what a folder is like: the first of several in this order. The highest
/// priority, then origin and name.
type Claim = (Reverse<u64>, String, String);

impl Owners {
    /// Whether a package that has a folder says what it is like.
    fn take_folder(&mut self, real: String, owner: &Owner) -> bool {
        let Owner { name, origin, .. } = owner;
        let claim = (Reverse(owner.priority), origin.clone(), name.clone());
        match self.folders.entry(real) {
            btree_map::Entry::Occupied(there) if *there.get() < claim => false,
            btree_map::Entry::Occupied(mut there) => {
                there.insert(claim);
                true
            }
            btree_map::Entry::Vacant(free) => {
                free.insert(claim);
                true
            }
        }
    }
}

fn lay(
    layers: &mut Layers<'_>,
    owners: &mut Owners,
    package: &Package,
    size: u64,
) -> Result<(), LayerError> {
    let own = Owner {
        name: package.info.name.clone(),
        version: package.info.version.clone(),
        origin: package.info.origin.clone(),
        replaces: package.info.replaces.clone(),
        priority: package.info.replaces_priority,
    };
    let mut left: BTreeSet<&str> = BTreeSet::new();
    let mut files = Vec::new();
    let mut taken: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (path, node) in package.root.nodes() {
        let mut node = node.clone();
        if let NodeKind::File {
            link: Some(link), ..
        } = &mut node.kind
        {
            // The same link group of another package is another file.
            *link = format!("{}:{link}", package.info.name);
        }
        let real = layers.root.locate(path).unwrap_or_else(|| path.to_owned());
        if matches!(node.kind, NodeKind::Folder) {
            let there = layers.root.get(&real);
            let is_there = there.is_some_and(|there| matches!(there.kind, NodeKind::Folder));
            if !owners.take_folder(real.clone(), &own) && is_there {
                continue;
            }
        } else {
            if let Some((number, theirs)) = owners.files.get(&real)
                && let Some(other) = layers.installed.owner(*number)
            {
                match who(&other, &own) {
                    Some(Stays::Other) => {
                        left.insert(path);
                        continue;
                    }
                    Some(Stays::Own) => {}
                    None => {
                        return Err(LayerError::Conflict {
                            path: path.to_owned(),
                            first: other.name,
                            second: own.name,
                        });
                    }
                }
                taken.entry(*number).or_default().insert(theirs.clone());
            }
            files.push((real.clone(), path.to_owned()));
        }
        match package.owners.get(path) {
            Some(names) => drop(layers.named.insert(real, names.clone())),
            None => drop(layers.named.remove(&real)),
        }
        layers
            .root
            .insert(path, node)
            .map_err(|source| LayerError::Place {
                package: own.name.clone(),
                source,
            })?;
    }
    for (number, paths) in &taken {
        layers.installed.disown(*number, paths);
    }
    let number = layers
        .installed
        .add(package, size, &|path| !left.contains(path));
    let files = files.into_iter();
    owners
        .files
        .extend(files.map(|(real, path)| (real, (number, path))));
    Ok(())
}

/// Whose file stays.
enum Stays {
    Other,
    Own,
}

/// Whose file stays where `other` has one and `own` comes with one; `None` where neither
/// may replace the other's.
fn who(other: &Owner, own: &Owner) -> Option<Stays> {
    let may = |one: &Owner, of: &Owner| {
        one.replaces
            .iter()
            .any(|word| names(word, &of.name, &of.version))
            .then_some(one.priority)
    };
    let built_together = !own.origin.is_empty() && own.origin == other.origin;
    match (may(other, own), may(own, other)) {
        (None, None) => built_together.then_some(Stays::Own),
        (Some(theirs), ours) if ours.is_none_or(|ours| theirs > ours) => Some(Stays::Other),
        _ => Some(Stays::Own),
    }
}

/// Whether a word of a `replaces` list means that version of a package.
fn names(word: &str, name: &str, version: &str) -> bool {
    crate::source::apk::admits(word, name, version)
}

impl Layers<'_> {
    /// Gives files to those whom the packages name, in `root`: this one, with what scripts
    /// changed in it. What is someone else's there by now stays theirs.
    ///
    /// # Errors
    /// Where `root` is none that came of this one.
    pub fn give(&self, root: &mut Rootfs, numbers: &Numbers<'_>) -> Result<(), RootfsError> {
        for (path, names) in &self.named {
            let (Some(laid), Some(node)) = (self.root.get(path), root.get(path)) else {
                continue;
            };
            if (node.uid, node.gid) == (laid.uid, laid.gid) {
                let node = owned(node, Some(names), numbers);
                root.insert(path, node)?;
            }
        }
        Ok(())
    }

    /// Whose, by name, the files of `package` are that it has in the root, by path.
    pub fn named_by<'p>(
        &self,
        package: &'p Package,
    ) -> impl Iterator<Item = (String, &'p OwnerNames)> {
        package.owners.iter().filter_map(|(path, names)| {
            let real = self.root.locate(path)?;
            (self.named.get(&real) == Some(names)).then_some((real, names))
        })
    }

    /// Writes the same into the database of what is installed.
    pub fn record_owners(&mut self, numbers: &Numbers<'_>) {
        let first = self.installed.len().saturating_sub(self.packages.len());
        for (at, package) in self.packages.iter().enumerate() {
            self.installed.give(first + at, package, numbers);
        }
    }

    // What packages write into the folder of apk's database beside what is installed.

    /// The lines of `triggers`: each package's checksum, and the folders that it watches.
    #[must_use]
    pub fn triggers(&self) -> Vec<(Checksum, &[String])> {
        self.packages
            .iter()
            .filter(|package| !package.info.triggers.is_empty())
            .map(|package| (package.checksum, package.info.triggers.as_slice()))
            .collect()
    }
}
