//! A root file system as metadata, with its content in the store.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
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

/// One file, folder, link or device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Permission bits, set-uid, set-gid and sticky included: at most 0o7777.
    pub mode: u32,
    /// Owner.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// Group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    /// Extended attributes, `security.capability` for example.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// What it is.
    pub kind: NodeKind,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NodeKind {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Its content.
        content: Digest,
        /// Nodes with the same link group and content are one file under several
        /// names (hard links).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
    },
    /// A symbolic link; its own mode is always 0777.
    Symlink {
        /// Where it points, as written in it.
        target: String,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Node {
    /// A folder of root's.
    #[must_use]
    pub fn folder(mode: u32) -> Self {
        Self::of(mode, NodeKind::Folder)
    }

    /// A regular file of root's.
    #[must_use]
    pub fn file(mode: u32, content: Digest) -> Self {
        Self::of(
            mode,
            NodeKind::File {
                content,
                link: None,
            },
        )
    }

    /// A symbolic link of root's.
    #[must_use]
    pub fn symlink(target: impl Into<String>) -> Self {
        Self::of(
            0o777,
            NodeKind::Symlink {
                target: target.into(),
            },
        )
    }

    /// A node of root's without extended attributes.
    #[must_use]
    pub fn of(mode: u32, kind: NodeKind) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            xattrs: BTreeMap::new(),
            kind,
        }
    }
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

impl NodeKind {
    /// The field's word for it, with an article.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Folder => "a folder",
            Self::File { .. } => "a file",
            Self::Symlink { .. } => "a symbolic link",
            Self::CharDevice { .. } => "a character device",
            Self::BlockDevice { .. } => "a block device",
            Self::Fifo => "a named pipe",
        }
    }
}

/// How many links are followed for one path: as many as Linux does (MAXSYMLINKS).
const MAX_LINKS: usize = 40;

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
        let above = format!("{path}/");
        let below = self.nodes.range(above.clone()..).map(|(name, _)| name);
        let below: Vec<String> = below
            .take_while(|name| name.starts_with(&above))
            .cloned()
            .collect();
        let mut removed = self.nodes.remove(path).is_some();
        for name in below {
            removed |= self.nodes.remove(&name).is_some();
        }
        removed
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
        let at = match path.rsplit_once('/') {
            None => path.to_owned(),
            Some((folder, name)) => {
                let folder = self.folder_for(path, folder)?;
                if folder.is_empty() {
                    name.to_owned()
                } else {
                    format!("{folder}/{name}")
                }
            }
        };
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
                (false, true) if self.resolve_folder(&at, &mut { MAX_LINKS }).is_some() => {
                    return Ok(());
                }
                (false, true) => {
                    return Err(RootfsError::NotAFolder {
                        path: path.to_owned(),
                        at,
                        found: old.kind.describe(),
                    });
                }
                _ => {}
            }
        }
        self.nodes.insert(at, node);
        Ok(())
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
        let mut real = String::new();
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            let here = join(&real, part);
            real = if self.nodes.contains_key(&here) {
                self.resolve_folder(&here, &mut { MAX_LINKS })?
            } else {
                here
            };
        }
        Some(join(&real, name))
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

    /// The real path of the folder `folder`, created where it is missing.
    fn folder_for(&mut self, path: &str, folder: &str) -> Result<String, RootfsError> {
        let mut real = String::new();
        for name in folder.split('/') {
            let here = if real.is_empty() {
                name.to_owned()
            } else {
                format!("{real}/{name}")
            };
            real = match self.nodes.get(&here) {
                None => {
                    self.nodes.insert(here.clone(), Node::folder(0o755));
                    here
                }
                Some(node) => match self.resolve_folder(&here, &mut { MAX_LINKS }) {
                    Some(real) => real,
                    None => {
                        return Err(RootfsError::NotAFolder {
                            path: path.to_owned(),
                            at: here,
                            found: node.kind.describe(),
                        });
                    }
                },
            };
        }
        Ok(real)
    }

    /// Follows links from `path` to an existing folder; `None` where there is none,
    /// or where it takes more than `links` of them. `..` at the root stays at the
    /// root, as in a chroot.
    fn resolve_folder(&self, path: &str, links: &mut usize) -> Option<String> {
        if path.is_empty() {
            return Some(String::new());
        }
        match &self.nodes.get(path)?.kind {
            NodeKind::Folder => Some(path.to_owned()),
            NodeKind::Symlink { target } => {
                *links = links.checked_sub(1)?;
                let start = if target.starts_with('/') {
                    ""
                } else {
                    path.rsplit_once('/').map_or("", |(folder, _)| folder)
                };
                let mut real = start.to_owned();
                for part in target.split('/') {
                    match part {
                        "" | "." => {}
                        ".." => {
                            real = real
                                .rsplit_once('/')
                                .map_or(String::new(), |(folder, _)| folder.to_owned());
                        }
                        name => {
                            let next = if real.is_empty() {
                                name.to_owned()
                            } else {
                                format!("{real}/{name}")
                            };
                            real = self.resolve_folder(&next, links)?;
                        }
                    }
                }
                Some(real)
            }
            _ => None,
        }
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
fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Node {
        Node::file(0o644, Digest::of(b"x"))
    }

    #[test]
    fn merged_usr_is_followed() {
        let mut root = Rootfs::new();
        root.insert("usr/bin", Node::folder(0o755)).unwrap();
        root.insert("bin", Node::symlink("usr/bin")).unwrap();
        root.insert("bin", Node::folder(0o755)).unwrap();
        assert_eq!(root.locate("bin/sh").as_deref(), Some("usr/bin/sh"));
        root.insert("bin/sh", file()).unwrap();
        assert!(root.get("usr/bin/sh").is_some());
        assert!(root.get("bin/sh").is_none());
    }

    #[test]
    fn nothing_leaves_the_root() {
        let mut root = Rootfs::new();
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/."] {
            assert!(root.insert(path, file()).is_err(), "{path:?}");
        }
        root.insert("up", Node::symlink("../../..")).unwrap();
        root.insert("up/x", file()).unwrap();
        assert!(root.get("x").is_some());
        root.insert("loop", Node::symlink("loop")).unwrap();
        assert!(matches!(
            root.insert("loop/x", file()),
            Err(RootfsError::NotAFolder { .. })
        ));
    }

    #[test]
    fn what_is_there_stays_over_what_is_laid_below() {
        let (mut root, mut lower) = (Rootfs::new(), Rootfs::new());
        root.insert("usr/bin/sh", file()).unwrap();
        root.insert("bin", Node::symlink("usr/bin")).unwrap();
        lower.insert("bin/sh", Node::symlink("busybox")).unwrap();
        lower.insert("bin/init", file()).unwrap();
        root.underlay(&lower).unwrap();
        assert_eq!(root.get("usr/bin/sh"), Some(&file()));
        assert_eq!(root.get("usr/bin/init"), Some(&file()));
        assert!(matches!(
            root.get("bin").map(|node| &node.kind),
            Some(NodeKind::Symlink { .. })
        ));
    }

    #[test]
    fn a_folder_is_not_replaced() {
        let mut root = Rootfs::new();
        root.insert("d/f", file()).unwrap();
        assert!(matches!(
            root.insert("d", file()),
            Err(RootfsError::IsAFolder { .. })
        ));
        assert!(root.remove("d"));
        assert_eq!(root.nodes().len(), 0);
    }

    #[test]
    fn what_is_below_a_folder_keeps_its_metadata() {
        let mut root = Rootfs::new();
        for path in ["a-b", "a/f", "a/g/h", "ab"] {
            root.insert(path, file()).unwrap();
        }
        root.insert("a/g", Node::folder(0o700)).unwrap();
        let below = root.below("a").unwrap();
        let paths: Vec<&str> = below.nodes().map(|(path, _)| path).collect();
        assert_eq!(paths, ["f", "g", "g/h"]);
        assert_eq!(below.get("g"), Some(&Node::folder(0o700)));
        assert!(root.below("ab").is_none() && root.below("c").is_none());
    }

    #[test]
    fn json_round_trip_is_canonical() {
        let mut root = Rootfs::new();
        root.insert(
            "dev/null",
            Node::of(0o666, NodeKind::CharDevice { major: 1, minor: 3 }),
        )
        .unwrap();
        let json = serde_json::to_string(&root).unwrap();
        assert_eq!(
            json,
            r#"{"dev":{"mode":493,"kind":"folder"},"dev/null":{"mode":438,"kind":{"char_device":{"major":1,"minor":3}}}}"#
        );
        assert_eq!(serde_json::from_str::<Rootfs>(&json).unwrap(), root);
    }

    #[test]
    fn json_of_others_cannot_leave_the_root() {
        let folder = r#"{"mode":493,"kind":"folder"}"#;
        let link = r#"{"mode":511,"kind":{"symlink":{"target":"/"}}}"#;
        for (json, expected) in [
            (format!(r#"{{"..":{folder}}}"#), "`..` is no path"),
            (format!(r#"{{"/a":{folder}}}"#), "`/a` is no path"),
            (format!(r#"{{"":{folder}}}"#), "`` is no path"),
            (format!(r#"{{"a":{folder},"a/../b":{folder}}}"#), "no path"),
            (format!(r#"{{"a/b":{folder}}}"#), "that is not there"),
            (
                format!(r#"{{"a":{link},"a/b":{folder}}}"#),
                "a symbolic link",
            ),
            (
                r#"{"a":{"mode":65535,"kind":"folder"}}"#.to_owned(),
                "mode 177777",
            ),
        ] {
            let error = serde_json::from_str::<Rootfs>(&json)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
