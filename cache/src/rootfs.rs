//! A root file system as metadata, with its content in the store.

mod node;
mod walk;

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::node::{Node, NodeKind};
use self::walk::{Blocked, Walk};
use crate::tree::{Entry, Tree, TreeError, is_name};

/// Everything about a root file system but the bytes of its files.
///
/// It is never unpacked on the host, so owners, devices and attributes survive
/// whoever builds it. Paths have no leading slash; the root itself is not listed
/// (it is a folder, mode 0755, owner 0:0). Every other folder on the way to a node
/// is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rootfs {
    #[serde(deserialize_with = "sound")]
    nodes: BTreeMap<String, Node>,
}

/// Reads nodes that somebody else may have written down: they must be such as
/// [`Rootfs::insert`] would have let in.
fn sound<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Node>, D::Error> {
    let nodes = BTreeMap::<String, Node>::deserialize(from)?;
    for (path, node) in &nodes {
        check(path, node).map_err(D::Error::custom)?;
        let Some((at, _)) = path.rsplit_once('/') else {
            continue;
        };
        let found = match nodes.get(at).map(|node| &node.kind) {
            Some(NodeKind::Folder) => continue,
            Some(kind) => kind.describe(),
            None => "not there",
        };
        return Err(D::Error::custom(RootfsError::NotAFolder {
            path: path.clone(),
            at: at.to_owned(),
            found,
        }));
    }
    Ok(nodes)
}

/// Whether a node can be at `path`, whatever else there is.
fn check(path: &str, node: &Node) -> Result<(), RootfsError> {
    if !path.split('/').all(is_name) {
        return Err(RootfsError::Path {
            path: path.to_owned(),
        });
    }
    if node.mode > 0o7777 {
        return Err(RootfsError::Mode {
            path: path.to_owned(),
            mode: node.mode,
        });
    }
    Ok(())
}

/// Something that cannot be in a root file system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootfsError {
    /// The path is absolute, empty, or has `.`, `..` or an empty part.
    #[error("`{path}` is no path below the root")]
    Path {
        /// The path.
        path: String,
    },
    /// A file, link or device stands where a folder is needed.
    #[error("`{path}` needs `{at}` to be a folder, but that is {found}")]
    NotAFolder {
        /// The path that was to be added.
        path: String,
        /// What stands in its way.
        at: String,
        /// What that is.
        found: &'static str,
    },
    /// A folder stands where something else should be put.
    #[error("`{path}` is a folder and cannot be replaced by {by}")]
    IsAFolder {
        /// The path.
        path: String,
        /// What should replace it.
        by: &'static str,
    },
    /// A mode has bits beyond 0o7777.
    #[error("`{path}` has mode {mode:o}: expected at most 7777")]
    Mode {
        /// The path.
        path: String,
        /// The mode.
        mode: u32,
    },
}

impl Rootfs {
    /// An empty root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All nodes, sorted by path (bytewise), folders before what is in them.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// The node at `path`, without following links.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Removes the node at `path` and all below it.
    pub fn remove(&mut self, path: &str) -> bool {
        let below: Vec<String> = self.paths_below(path).map(str::to_owned).collect();
        let mut removed = self.nodes.remove(path).is_some();
        for name in below {
            removed |= self.nodes.remove(&name).is_some();
        }
        removed
    }

    /// The paths of all nodes below `path`, sorted.
    pub fn paths_below(&self, path: &str) -> impl Iterator<Item = &str> + use<'_> {
        let above = format!("{path}/");
        let from = self.nodes.range(above.clone()..);
        from.map(|(name, _)| name.as_str())
            .take_while(move |name| name.starts_with(&above))
    }

    /// Puts `node` at `path`, as if unpacked over what is there: folders above it
    /// that are missing are created (mode 0755, root's), a folder over a folder
    /// takes the new one's metadata, and links on the way are followed while they
    /// stay below the root, as unpacking into a running system would.
    ///
    /// # Errors
    /// [`RootfsError`] where the path is none, leads through a file, or would
    /// replace a folder by something else.
    pub fn insert(&mut self, path: &str, node: Node) -> Result<(), RootfsError> {
        check(path, &node)?;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut walk = Walk::new(&self.nodes);
        let not_a_folder = |at: String, kind: &NodeKind| RootfsError::NotAFolder {
            path: path.to_owned(),
            at,
            found: kind.describe(),
        };
        let folder = walk
            .folder(folder)
            .map_err(|Blocked { at, kind }| not_a_folder(at, kind))?;
        let at = join(&folder, name);
        if let Some(old) = self.nodes.get(&at) {
            let is_folder = |kind: &NodeKind| matches!(kind, NodeKind::Folder);
            match (is_folder(&old.kind), is_folder(&node.kind)) {
                (true, false) => {
                    return Err(RootfsError::IsAFolder {
                        path: at,
                        by: node.kind.describe(),
                    });
                }
                // A folder over a link to a folder is that folder: this is how
                // packages made before the merge of /usr unpack.
                (false, true) if walk.resolve(at.clone()).is_some() => return Ok(()),
                (false, true) => return Err(not_a_folder(at, &old.kind)),
                _ => {}
            }
        }
        self.make_folders(&folder);
        self.nodes.insert(at, node);
        Ok(())
    }

    /// Creates the folder at the real path `folder`, and those above it, where they are
    /// missing.
    fn make_folders(&mut self, folder: &str) {
        let ends = folder.rmatch_indices('/').map(|(end, _)| end);
        for end in std::iter::once(folder.len()).chain(ends) {
            let Some(path) = folder.get(..end).filter(|path| !path.is_empty()) else {
                return;
            };
            // Where a folder is listed, those above it are.
            if self.nodes.contains_key(path) {
                return;
            }
            self.nodes.insert(path.to_owned(), Node::folder(0o755));
        }
    }

    /// Lays `upper` over this root, each node as by [`Rootfs::insert`].
    ///
    /// # Errors
    /// As [`Rootfs::insert`].
    pub fn overlay(&mut self, upper: &Self) -> Result<(), RootfsError> {
        upper
            .nodes()
            .try_for_each(|(path, node)| self.insert(path, node.clone()))
    }

    /// What is below the folder `path`, as a root of its own; `None` where there is no
    /// such folder. Of the folder itself, owner and mode are not kept.
    #[must_use]
    pub fn below(&self, path: &str) -> Option<Self> {
        if !matches!(self.nodes.get(path)?.kind, NodeKind::Folder) {
            return None;
        }
        let above = format!("{path}/");
        let inside = self.nodes.range(above.clone()..);
        let nodes = inside
            .map_while(|(name, node)| Some((name.strip_prefix(&above)?.to_owned(), node.clone())))
            .collect();
        Some(Self { nodes })
    }

    /// Where [`Rootfs::insert`] would put a node for `path`: the same path with the
    /// links among its folders followed. `None` where they lead nowhere.
    #[must_use]
    pub fn locate(&self, path: &str) -> Option<String> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folders: Vec<&str> = folders.split('/').filter(|part| !part.is_empty()).collect();
        let folder = Walk::new(&self.nodes).folder(&folders.join("/")).ok()?;
        Some(join(&folder, name))
    }

    /// Lays this root over `lower`: what is here stays, and what only `lower` has is
    /// added.
    ///
    /// # Errors
    /// As [`Rootfs::insert`].
    pub fn underlay(&mut self, lower: &Self) -> Result<(), RootfsError> {
        for (path, node) in lower.nodes() {
            let taken = self
                .locate(path)
                .is_some_and(|at| self.nodes.contains_key(&at));
            if !taken {
                self.insert(path, node.clone())?;
            }
        }
        Ok(())
    }

    /// The same files as an action may have them as input: devices and pipes are
    /// left out, and of the metadata only the executable bit stays.
    ///
    /// # Errors
    /// [`TreeError`] where a path cannot be in a tree.
    pub fn to_tree(&self) -> Result<Tree, TreeError> {
        let mut tree = Tree::new();
        for (path, node) in self.nodes() {
            let entry = match &node.kind {
                NodeKind::Folder => Entry::Folder(Tree::new()),
                NodeKind::File { content, .. } => Entry::File {
                    digest: *content,
                    executable: node.mode & 0o111 != 0,
                },
                NodeKind::Symlink { target } => Entry::Symlink {
                    target: target.clone(),
                },
                NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. } | NodeKind::Fifo => {
                    continue;
                }
            };
            tree.insert(path, entry)?;
        }
        Ok(tree)
    }
}

/// `name` in `folder`, where the root is the empty path.
#[must_use]
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

#[cfg(test)]
mod tests;
