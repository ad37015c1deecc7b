//! Layers of a container image, unpacked each by itself and laid one over the other
//! (OCI Image Format Specification 1.1, "Image Layer Filesystem Changeset").

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_cache::{
    BlobStore, Digest, HashingReader, Node, NodeKind, Rootfs, RootfsError, Sha256,
};
use serde::{Deserialize, Serialize};

use super::codec::Codec;
use super::member::{self, Limits, MemberError};
use super::tarball::{self, TarError};

/// A name that begins so says what a layer below no longer has.
const MARKER: &str = ".wh.";
/// Names that begin so are not about other files: one is, the rest are left out.
const SPECIAL: &str = ".wh..wh.";
/// In this folder nothing that is below counts any more.
const OPAQUE: &str = ".wh..wh..opq";

/// A layer that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// What is in it, markers included.
    pub root: Rootfs,
    /// Folders in `root` that are no members, only on the way to one.
    pub implied: BTreeSet<String>,
    /// Hard links to what only a layer below has: path and target.
    pub links: BTreeMap<String, String>,
    /// What it is when it is not compressed.
    pub diff_id: Sha256,
}

/// A layer does not fit where it should go.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The image's configuration cannot be used.
    #[error("its configuration cannot be used: {0}")]
    Config(String),
    /// A layer could not be unpacked.
    #[error("could not unpack layer {number}")]
    Tar {
        /// Which layer, counted from 1.
        number: usize,
        /// What is wrong.
        #[source]
        source: TarError,
    },
    /// A layer is not what the configuration says.
    #[error("layer {number} unpacks to other bytes: expected {expected}, got {actual}")]
    Layer {
        /// Which layer, counted from 1.
        number: usize,
        /// What the configuration says.
        expected: Sha256,
        /// What it is.
        actual: Sha256,
    },
    /// A member has no place.
    #[error("`{member}` of layer {number} has no place")]
    Place {
        /// Which layer, counted from 1.
        number: usize,
        /// The member.
        member: String,
        /// Why not.
        #[source]
        source: RootfsError,
    },
    /// A member is refused.
    #[error("`{member}` of layer {number} is refused: {why}")]
    Refused {
        /// Which layer, counted from 1.
        number: usize,
        /// The member.
        member: String,
        /// Why.
        why: String,
    },
    /// All layers together are more than an image may be.
    #[error("the layers up to {number} unpack to more than {limit} {unit}")]
    Bomb {
        /// Which layer, counted from 1.
        number: usize,
        /// How much is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
}

impl ImageError {
    /// Whether it is not the image that is wrong, but the store it is unpacked into.
    #[must_use]
    pub fn is_of_the_store(&self) -> bool {
        matches!(
            self,
            Self::Tar {
                source: TarError::Member(MemberError::Cache(_)),
                ..
            }
        )
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tar { source, .. } => source.hint(),
            Self::Bomb { .. } => None,
            Self::Config(_) | Self::Layer { .. } | Self::Place { .. } | Self::Refused { .. } => {
                Some("make the image anew, or find out who changed it".to_owned())
            }
        }
    }
}

/// Unpacks the layer that is the blob `digest`, its content into the store, and hashes
/// what it is when it is not compressed.
///
/// # Errors
/// [`TarError`], which names the member.
pub fn unpack(blobs: &BlobStore, digest: &Digest, codec: Codec) -> Result<Layer, TarError> {
    let limits = Limits {
        devices: true,
        ..Limits::default()
    };
    let mut reader =
        HashingReader::new(codec.reader(blobs.open(digest).map_err(MemberError::from)?));
    let read = tarball::read_layer(&mut reader, limits, &mut |content, size| {
        member::store(blobs, content, size)
    })?;
    let implied = read.root.nodes().map(|(path, _)| path);
    let implied = implied.filter(|path| !read.members.contains(*path));
    Ok(Layer {
        implied: implied.map(str::to_owned).collect(),
        root: read.root,
        links: read.links,
        diff_id: reader.finish().sha256,
    })
}

/// Lays layers one over the other, from the lowest up.
#[derive(Debug, Default)]
pub struct Stack {
    root: Rootfs,
    number: usize,
    members: u64,
    total: u64,
}

impl Stack {
    /// What the layers come to.
    #[must_use]
    pub fn finish(self) -> Rootfs {
        self.root
    }

    /// Lays `layer` over those before it. What it takes away, it takes from them and
    /// never from itself.
    ///
    /// # Errors
    /// [`ImageError`], which names the member.
    pub fn add(&mut self, layer: &Layer) -> Result<(), ImageError> {
        self.number += 1;
        self.count(layer)?;
        let linked = self.linked(layer)?;
        // A new folder takes the place of a link before anything is looked for in it.
        for (path, node) in layer.root.nodes() {
            if matches!(node.kind, NodeKind::Folder) && !layer.implied.contains(path) {
                self.make_way(path, node);
            }
        }
        for (path, _) in layer.root.nodes() {
            self.whiteout(path)?;
        }
        for (path, node) in layer.root.nodes() {
            let is_marker = path.split('/').any(|part| part.starts_with(MARKER));
            let is_there = || layer.implied.contains(path) && self.is_folder(path);
            if !is_marker && !is_there() {
                self.put(path, self.of_this_layer(node))?;
            }
        }
        for (path, (target, node)) in linked {
            // The file itself may be gone, or may be another one by now.
            if let Some(at) = self.root.locate(&target)
                && let Some(NodeKind::File { content, link }) =
                    self.root.get(&at).map(|node| node.kind.clone())
                && matches!(&node.kind, NodeKind::File { content: own, .. } if *own == content)
                && link.is_none()
            {
                self.put(&at, node.clone())?;
            }
            self.put(&path, node)?;
        }
        Ok(())
    }

    fn count(&mut self, layer: &Layer) -> Result<(), ImageError> {
        let limits = Limits::default();
        let sizes = layer.root.nodes().map(|(_, node)| match &node.kind {
            NodeKind::File { content, .. } => content.size,
            _ => 0,
        });
        self.total = sizes.fold(self.total, u64::saturating_add);
        let members = layer.root.nodes().len() + layer.links.len();
        self.members = self.members.saturating_add(members as u64);
        let bomb = |limit, unit| ImageError::Bomb {
            number: self.number,
            limit,
            unit,
        };
        if self.total > limits.total {
            return Err(bomb(limits.total, "bytes"));
        }
        if self.members > limits.members {
            return Err(bomb(limits.members, "members"));
        }
        Ok(())
    }

    /// Files of one layer that are one are not one with those of another.
    fn of_this_layer(&self, node: &Node) -> Node {
        let mut node = node.clone();
        if let NodeKind::File {
            link: Some(link), ..
        } = &mut node.kind
        {
            *link = format!("{}:{link}", self.number);
        }
        node
    }

    /// What hard links to layers below are, before anything of those is taken away.
    fn linked(&self, layer: &Layer) -> Result<BTreeMap<String, (String, Node)>, ImageError> {
        let each = layer.links.iter().map(|(path, target)| {
            let node = self.root.locate(target).and_then(|at| self.root.get(&at));
            let node = node.filter(|node| !matches!(node.kind, NodeKind::Folder));
            let mut node = node.cloned().ok_or_else(|| ImageError::Refused {
                number: self.number,
                member: path.clone(),
                why: format!("it is a hard link to `{target}`, which is no file"),
            })?;
            if let NodeKind::File { link, .. } = &mut node.kind {
                link.get_or_insert_with(|| format!("{}:{target}", self.number));
            }
            Ok((path.clone(), (target.clone(), node)))
        });
        each.collect()
    }

    /// Takes away what the member at `path` says, where it says that.
    fn whiteout(&mut self, path: &str) -> Result<(), ImageError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(gone) = name.strip_prefix(MARKER) else {
            return Ok(());
        };
        let at = self.root.locate(path);
        let at = at.as_deref().unwrap_or(path);
        let real = at.strip_suffix(name).unwrap_or_default();
        if name == OPAQUE {
            let inside = match folder {
                "" => self.root.nodes().map(|(path, _)| path.to_owned()).collect(),
                _ => self.inside(real),
            };
            for path in inside {
                self.root.remove(&path);
            }
        } else if !name.starts_with(SPECIAL) {
            if matches!(gone, "" | "." | "..") {
                return Err(ImageError::Refused {
                    number: self.number,
                    member: path.to_owned(),
                    why: "it takes away nothing that could be there".to_owned(),
                });
            }
            self.root.remove(&format!("{real}{gone}"));
        }
        Ok(())
    }

    /// What is directly in a folder, which ends with a slash.
    fn inside(&self, folder: &str) -> Vec<String> {
        let below = self.root.below(folder.trim_end_matches('/'));
        let below = below.unwrap_or_default();
        let top = below.nodes().filter(|(path, _)| !path.contains('/'));
        top.map(|(path, _)| format!("{folder}{path}")).collect()
    }

    fn is_folder(&self, path: &str) -> bool {
        let probe = format!("{path}/{MARKER}");
        self.root.locate(&probe).is_some_and(|at| {
            let folder = at.rsplit_once('/').map_or("", |(folder, _)| folder);
            let node = self.root.get(folder);
            folder.is_empty() || node.is_some_and(|node| matches!(node.kind, NodeKind::Folder))
        })
    }

    /// Takes away what `node` takes the place of: of a folder what is none, and of
    /// anything else a folder.
    fn make_way(&mut self, path: &str, node: &Node) {
        if let Some(at) = self.root.locate(path)
            && let Some(old) = self.root.get(&at)
        {
            let is_folder = |node: &Node| matches!(node.kind, NodeKind::Folder);
            if is_folder(old) != is_folder(node) {
                self.root.remove(&at);
            }
        }
    }

    fn put(&mut self, path: &str, node: Node) -> Result<(), ImageError> {
        self.make_way(path, &node);
        let number = self.number;
        self.root
            .insert(path, node)
            .map_err(|source| ImageError::Place {
                number,
                member: path.to_owned(),
                source,
            })
    }
}

#[cfg(test)]
mod tests;
