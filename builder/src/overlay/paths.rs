//! Which paths a base has: what laying something over it has to know.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use lunikernel_cache::{Digest, Node, NodeKind, Rootfs, Sha256, canonical};
use serde::{Deserialize, Serialize};

use crate::assemble::cpio::{Header, PATH_MAX, ReadError, file_type, read_gzip};

/// As much as is unpacked: no initramfs that fits into a memory comes near.
const MAX_UNPACKED: u64 = 16 << 30;

/// What stands at a path, as far as it matters for what is laid over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stands {
    /// A folder.
    Folder,
    /// A file of one name.
    File,
    /// One of several names of a file.
    Name,
    /// A symbolic link and its target.
    Link(String),
    /// A device or a pipe.
    Special,
}

/// Every path of an initramfs as the kernel has it after unpacking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Paths {
    /// Files have no content here.
    root: Rootfs,
}

/// The content of every file.
fn nothing() -> Digest {
    Digest {
        sha256: Sha256::from_bytes([0; 32]),
        size: 0,
    }
}

impl Stands {
    fn node(self) -> Node {
        let file = |link| NodeKind::File {
            content: nothing(),
            link,
        };
        Node::of(
            0,
            match self {
                Self::Folder => NodeKind::Folder,
                Self::File => file(None),
                Self::Name => file(Some(String::new())),
                Self::Link(target) => NodeKind::Symlink { target },
                Self::Special => NodeKind::Fifo,
            },
        )
    }

    fn of(kind: &NodeKind) -> Self {
        match kind {
            NodeKind::Folder => Self::Folder,
            NodeKind::File { link: None, .. } => Self::File,
            NodeKind::File { .. } => Self::Name,
            NodeKind::Symlink { target } => Self::Link(target.clone()),
            _ => Self::Special,
        }
    }
}

impl Paths {
    /// Unpacks an initramfs, keeping nothing but its paths.
    ///
    /// # Errors
    /// [`ReadError`] where it cannot be unpacked.
    pub(crate) fn of_initramfs(packed: impl BufRead) -> Result<Self, ReadError> {
        let mut reader = read_gzip(packed, MAX_UNPACKED);
        let mut paths = Self::default();
        while let Some(header) = reader.next_header()? {
            paths.take(&header, &mut reader)?;
        }
        Ok(paths)
    }

    /// Takes in a member, whose content comes from `reader`; returns its real path, unless
    /// it is passed over.
    ///
    /// # Errors
    /// [`ReadError`] where the target of a symbolic link cannot be read.
    pub(crate) fn take(
        &mut self,
        header: &Header,
        reader: &mut impl Read,
    ) -> Result<Option<String>, ReadError> {
        let target = match header.mode & file_type::MASK {
            file_type::SYMLINK => read_target(reader, header)?,
            _ => String::new(),
        };
        Ok(self.unpack(header, target))
    }

    /// Every path, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.root.nodes().map(|(path, _)| path)
    }

    /// What stands where a member for `path` would be unpacked: its real path, with the
    /// links among its folders followed, and what is there. `None` where these links lead
    /// nowhere.
    pub(super) fn find(&self, path: &str) -> Option<(String, Option<&NodeKind>)> {
        let at = self.root.locate(path)?;
        let there = self.root.get(&at).map(|node| &node.kind);
        Some((at, there))
    }

    /// Whether there is a folder at this real path; the root is one.
    pub(super) fn is_folder(&self, path: &str) -> bool {
        let is = |node: &Node| matches!(node.kind, NodeKind::Folder);
        path.is_empty() || self.root.get(path).is_some_and(is)
    }

    /// The real path of the folder that is at `path`, or that a link there leads to.
    pub(super) fn folder(&self, path: &str) -> Option<String> {
        let inside = self.root.locate(&format!("{path}/x"))?;
        let folder = inside.strip_suffix("/x").unwrap_or_default().to_owned();
        self.is_folder(&folder).then_some(folder)
    }

    /// Whether there is anything at this real path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.root.get(path).is_some()
    }

    /// Removes what is at this real path, and all below it; returns what that was.
    pub(super) fn remove(&mut self, path: &str) -> Vec<String> {
        let itself = self.has(path).then_some(path);
        let gone = itself.into_iter().chain(self.root.paths_below(path));
        let gone = gone.map(str::to_owned).collect();
        self.root.remove(path);
        gone
    }

    /// Puts something at a real path whose folder is there.
    pub(super) fn put(&mut self, path: &str, kind: &NodeKind) {
        // A folder is made where it is missing, so that nothing is left to go wrong.
        let _ = self.root.insert(path, Stands::of(kind).node());
    }

    /// Does what the kernel does with a member: what is there of another type gives way,
    /// unless it is a folder that is not empty; where there is no folder for it, it is
    /// passed over. Returns the real path of what is unpacked.
    fn unpack(&mut self, header: &Header, target: String) -> Option<String> {
        let mut stands = match header.mode & file_type::MASK {
            file_type::FOLDER => Stands::Folder,
            file_type::FILE if header.links > 1 => Stands::Name,
            file_type::FILE => Stands::File,
            file_type::SYMLINK => Stands::Link(target),
            _ => Stands::Special,
        };
        let at = self.root.locate(&header.path)?;
        let folder = at.rsplit_once('/').map_or("", |(folder, _)| folder);
        if at.is_empty() {
            return (stands == Stands::Folder).then_some(at);
        }
        if !self.is_folder(folder) {
            return None;
        }
        match self.root.get(&at).map(|node| Stands::of(&node.kind)) {
            Some(Stands::Folder) if stands == Stands::Folder => return Some(at),
            Some(Stands::Folder) => {
                if self.root.paths_below(&at).next().is_some() {
                    return None;
                }
                self.root.remove(&at);
            }
            // It is written through: all other names of the file have it too.
            Some(Stands::Name) if stands == Stands::File => stands = Stands::Name,
            Some(_) => {
                self.root.remove(&at);
            }
            None => {}
        }
        let _ = self.root.insert(&at, stands.node());
        Some(at)
    }

    /// What [`super::PATHS`] holds: canonical JSON.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let stands: BTreeMap<&str, Stands> = (self.root.nodes())
            .map(|(path, node)| (path, Stands::of(&node.kind)))
            .collect();
        canonical::to_vec(&stands)
    }

    /// Reads what [`Paths::to_json`] writes; `None` where it is anything else.
    pub(super) fn of_json(bytes: &[u8]) -> Option<Self> {
        let stands: BTreeMap<String, Stands> = serde_json::from_slice(bytes).ok()?;
        let mut paths = Self::default();
        for (path, stands) in stands {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            // As the kernel has it; so no path takes long to follow either.
            let is_long = |text: &str| text.len() >= PATH_MAX;
            let to_long = matches!(&stands, Stands::Link(target) if is_long(target));
            if !paths.is_folder(folder) || is_long(&path) || to_long {
                return None;
            }
            paths.root.insert(&path, stands.node()).ok()?;
        }
        (paths.to_json().ok()? == bytes).then_some(paths)
    }
}

fn read_target(reader: &mut impl Read, header: &Header) -> Result<String, ReadError> {
    let mut target = Vec::new();
    let read = reader.read_to_end(&mut target);
    read.map_err(|source| ReadError::Read {
        what: format!("the target of `{}`", header.path),
        offset: header.content_offset,
        source,
    })?;
    // Nothing that is laid over it can lead through a target that is not UTF-8.
    Ok(String::from_utf8(target).unwrap_or_default())
}
