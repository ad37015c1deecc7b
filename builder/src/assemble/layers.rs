//! Many packages in one root.

use std::collections::BTreeMap;

use lunikernel_cache::{Node, NodeKind, Rootfs, RootfsError};

use super::deb::Package;

/// The folders at the root that are links into `usr` since Debian 12 (the merge of
/// /usr). Packages may still have files in either place.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Packages do not fit into one root.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Two packages have a file of the same name and neither may replace the other.
    #[error("`{path}` is in the package {first} and, with other content, in {second}")]
    Conflict {
        /// The file.
        path: String,
        /// A package that has it.
        first: String,
        /// Another one.
        second: String,
    },
    /// A package is there in two versions.
    #[error("the package {package} is there as {first} and as {second}")]
    Twice {
        /// The package.
        package: String,
        /// A version of it.
        first: String,
        /// Another version, or the same again.
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
                "leave one of them out: `without: [{second}]` in the source"
            )),
            Self::Twice { .. } => Some("lock again with `luni lock --update`".to_owned()),
            Self::Place { .. } => None,
        }
    }
}

/// Lays packages into one root with a merged /usr, in the order of their names.
///
/// A file that several packages have must be the same in all, or one of them must
/// say that it replaces the other's (`Replaces`). Of a folder that several packages
/// have, the metadata of the last one counts.
///
/// # Errors
/// [`LayerError`], naming both packages.
pub fn merge<'a>(packages: impl IntoIterator<Item = &'a Package>) -> Result<Rootfs, LayerError> {
    let mut sorted = BTreeMap::new();
    for package in packages {
        let control = &package.control;
        if let Some(other) = sorted.insert(control.package.as_str(), package) {
            return Err(LayerError::Twice {
                package: control.package.clone(),
                first: other.control.version.clone(),
                second: control.version.clone(),
            });
        }
    }
    let mut root = merged_usr().map_err(|source| LayerError::Place {
        package: "(none)".to_owned(),
        source,
    })?;
    let mut owners: BTreeMap<String, &Package> = BTreeMap::new();
    for package in sorted.into_values() {
        lay(&mut root, &mut owners, package)?;
    }
    remove_empty_lib64(&mut root);
    Ok(root)
}

fn merged_usr() -> Result<Rootfs, RootfsError> {
    let mut root = Rootfs::new();
    for name in MERGED {
        root.insert(&format!("usr/{name}"), Node::folder(0o755))?;
        root.insert(name, Node::symlink(format!("usr/{name}")))?;
    }
    Ok(root)
}

/// Not every architecture has a `lib64`.
fn remove_empty_lib64(root: &mut Rootfs) {
    if !root.nodes().any(|(path, _)| path.starts_with("usr/lib64/")) {
        root.remove("usr/lib64");
        root.remove("lib64");
    }
}

fn lay<'a>(
    root: &mut Rootfs,
    owners: &mut BTreeMap<String, &'a Package>,
    package: &'a Package,
) -> Result<(), LayerError> {
    let name = || package.control.package.clone();
    for (path, node) in package.root.nodes() {
        let real = root.locate(path).unwrap_or_else(|| path.to_owned());
        let mut node = node.clone();
        if let NodeKind::File {
            link: Some(link), ..
        } = &mut node.kind
        {
            // The same link group of another package is another file.
            *link = format!("{}:{link}", package.control.package);
        }
        let clash = root.get(&real).filter(|there| {
            !matches!(there.kind, NodeKind::Folder) && !matches!(node.kind, NodeKind::Folder)
        });
        if let (Some(there), Some(owner)) = (clash, owners.get(real.as_str()))
            && !same(there, &node)
        {
            if owner.control.may_replace(&package.control) {
                continue;
            }
            if !package.control.may_replace(&owner.control) {
                return Err(LayerError::Conflict {
                    path: real,
                    first: owner.control.package.clone(),
                    second: name(),
                });
            }
        }
        if !matches!(node.kind, NodeKind::Folder) {
            owners.insert(real, package);
        }
        root.insert(path, node)
            .map_err(|source| LayerError::Place {
                package: name(),
                source,
            })?;
    }
    Ok(())
}

/// Whether two nodes are the same but for hard links.
fn same(one: &Node, other: &Node) -> bool {
    let plain = |node: &Node| {
        let mut node = node.clone();
        if let NodeKind::File { link, .. } = &mut node.kind {
            *link = None;
        }
        node
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests;
