//! What an overlay holds, wherever it came from.
//!
//! Its canonical form is a newc archive, not compressed, as
//! [`crate::assemble::cpio::write`] makes it: folders on the way are members, with mode
//! 0755 where the overlay does not list them, what is to be removed is an empty file
//! `.wh.NAME` with mode 0644, all belongs to 0:0. Its digest names the content: no tool,
//! order, time stamp or compression is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use lunikernel_cache::checkout::EACH;
use lunikernel_cache::tree::is_name;
use lunikernel_cache::{
    BlobStore, BlobWriter, CacheError, Digest, HashingWriter, Node, NodeKind, Rootfs,
};

use super::OverlayError;
use crate::assemble::cpio;
use crate::plan::SOURCE_DATE_EPOCH;

/// What the name of a file begins with that removes another.
pub(super) const WHITEOUT: &str = ".wh.";
/// Files up to this size are held in memory, so that nothing is written for those that
/// the cache has already.
const SMALL: u64 = 1 << 20;
/// As much may the paths of what is laid over a base take, in bytes: those of an overlay
/// with the folders that it does not list and the targets of its links, and [`EACH`]
/// besides. Without a bound, a name of 4 KB makes two thousand folders whose paths take
/// 4 MB.
pub(super) const MAX_NAMES: u64 = 32 << 20;

/// What is in an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What is laid over the base.
    pub(super) root: Rootfs,
    /// What is removed from the base, sorted.
    pub(super) removed: Vec<String>,
    /// Digest of the canonical form.
    pub(super) digest: Digest,
}

impl Content {
    /// What is laid over the base. Folders on the way to something are in it.
    #[must_use]
    pub fn root(&self) -> &Rootfs {
        &self.root
    }

    /// What is removed from the base, sorted, without a leading slash.
    #[must_use]
    pub fn removed(&self) -> &[String] {
        &self.removed
    }

    /// The digest of the canonical form, which names the content.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Something in an overlay.
#[derive(Debug)]
pub(super) struct Item {
    /// Permission bits, where the overlay says them.
    pub(super) mode: Option<u32>,
    pub(super) kind: Kind,
    /// What all names of a file have in common that has several.
    pub(super) link: Option<String>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Folder,
    File(Stored),
    Symlink(String),
}

/// Content in the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) digest: Digest,
    is_elf: bool,
}

/// Content that is known and not stored yet, so that nothing stays of what is refused.
pub(super) struct Received<'a> {
    held: Held<'a>,
    is_elf: bool,
}

enum Held<'a> {
    Small(Vec<u8>, &'a BlobStore),
    Large(BlobWriter<'a>),
}

/// Takes what comes from `reader`, to be stored or not.
pub(super) fn receive<'a>(
    blobs: &'a BlobStore,
    reader: &mut dyn Read,
) -> Result<Received<'a>, CacheError> {
    let failed = || CacheError::io("copy an overlay into the cache");
    let mut start = Vec::new();
    let mut first = reader.take(SMALL);
    first.read_to_end(&mut start).map_err(failed())?;
    let is_elf = start.starts_with(b"\x7fELF");
    let held = if (start.len() as u64) < SMALL {
        Held::Small(start, blobs)
    } else {
        let mut writer = blobs.writer()?;
        let mut all = start.as_slice().chain(reader);
        io::copy(&mut all, &mut writer).map_err(failed())?;
        Held::Large(writer)
    };
    Ok(Received { held, is_elf })
}

impl Received<'_> {
    /// How much it is, in bytes.
    pub(super) fn size(&self) -> u64 {
        match &self.held {
            Held::Small(bytes, _) => bytes.len() as u64,
            Held::Large(writer) => writer.written(),
        }
    }

    /// Stores it.
    pub(super) fn keep(self) -> Result<Stored, CacheError> {
        let digest = match self.held {
            Held::Small(bytes, blobs) => blobs.put(&bytes)?,
            Held::Large(writer) => writer.commit()?,
        };
        Ok(Stored {
            digest,
            is_elf: self.is_elf,
        })
    }
}

/// Collects what is in an overlay, in any order.
#[derive(Debug, Default)]
pub(super) struct Collector {
    items: BTreeMap<String, Item>,
    /// How much the paths and targets take.
    names: u64,
}

impl Collector {
    /// Adds what is at `path`; false where something is already.
    pub(super) fn add(&mut self, path: String, item: Item) -> bool {
        let target = match &item.kind {
            Kind::Symlink(target) => target.len(),
            Kind::Folder | Kind::File(_) => 0,
        };
        self.names += EACH + (path.len() + target) as u64;
        // What is beyond the limit is refused at the end, and takes no memory until then.
        self.names > MAX_NAMES || self.items.insert(path, item).is_none()
    }

    /// Whether every path is below folders only, and all of them together are not too much.
    fn check(&self, label: &str) -> Result<(), OverlayError> {
        let mut names = self.names;
        let mut folders: BTreeSet<&str> = BTreeSet::new();
        for path in self.items.keys() {
            // Those above a folder that was seen were seen too.
            let above = path.rmatch_indices('/');
            let above = above.filter_map(|(at, _)| path.get(..at));
            for folder in above.take_while(|folder| folders.insert(folder)) {
                match self.items.get(folder).map(|item| &item.kind) {
                    Some(Kind::Folder) => {}
                    Some(_) => {
                        return Err(OverlayError::BelowFile {
                            overlay: label.to_owned(),
                            path: path.clone(),
                            at: folder.to_owned(),
                        });
                    }
                    None => names += EACH + folder.len() as u64,
                }
            }
            if names > MAX_NAMES {
                return Err(OverlayError::TooManyPaths {
                    overlay: label.to_owned(),
                });
            }
        }
        if self.items.contains_key(cpio::TRAILER) || folders.contains(cpio::TRAILER) {
            return Err(OverlayError::Trailer {
                overlay: label.to_owned(),
            });
        }
        Ok(())
    }

    /// All that was collected. `label` is what errors call the overlay.
    pub(super) fn finish(self, label: &str, blobs: &BlobStore) -> Result<Content, OverlayError> {
        self.check(label)?;
        let (mut root, mut removed) = (Rootfs::new(), Vec::new());
        let mut canonical = Rootfs::new();
        for (path, item) in self.items {
            if let Some(target) = whiteout(label, &path, &item)? {
                let Kind::File(Stored { digest, .. }) = item.kind else {
                    continue;
                };
                put(&mut canonical, label, &path, Node::file(0o644, digest))?;
                removed.push(target);
                continue;
            }
            let node = item.into_node(&path);
            put(&mut canonical, label, &path, node.clone())?;
            put(&mut root, label, &path, node)?;
        }
        let mut form = HashingWriter::new(io::sink());
        cpio::write(&canonical, blobs, SOURCE_DATE_EPOCH, &mut form)?;
        removed.sort();
        Ok(Content {
            root,
            removed,
            digest: form.finish().1,
        })
    }
}

fn put(root: &mut Rootfs, label: &str, path: &str, node: Node) -> Result<(), OverlayError> {
    root.insert(path, node).map_err(|source| OverlayError::Lay {
        overlay: label.to_owned(),
        source,
    })
}

impl Item {
    fn into_node(self, path: &str) -> Node {
        match self.kind {
            Kind::Folder => Node::folder(self.mode.unwrap_or(0o755)),
            Kind::Symlink(target) => Node::symlink(target),
            Kind::File(stored) => {
                let mode = self.mode.unwrap_or(if is_program(path, stored.is_elf) {
                    0o755
                } else {
                    0o644
                });
                let kind = NodeKind::File {
                    content: stored.digest,
                    link: self.link,
                };
                Node::of(mode, kind)
            }
        }
    }
}

/// Whether a file is to be executable whose mode nobody knows.
fn is_program(path: &str, is_elf: bool) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = folder.rsplit('/').next().unwrap_or_default();
    is_elf || path == "init" || name.ends_with(".sh") || folder == "bin" || folder == "sbin"
}

/// The path that is removed by what is at `path`, if it removes one.
fn whiteout(label: &str, path: &str, item: &Item) -> Result<Option<String>, OverlayError> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some(name) = name.strip_prefix(WHITEOUT) else {
        return Ok(None);
    };
    let refused = |why| OverlayError::Whiteout {
        overlay: label.to_owned(),
        path: path.to_owned(),
        why,
    };
    if name == ".wh..opq" {
        return Err(refused("emptying a whole folder is not known"));
    }
    if !is_name(name) || name.starts_with(WHITEOUT) {
        return Err(refused("no file can have the name behind `.wh.`"));
    }
    match &item.kind {
        Kind::File(stored) if stored.digest.size == 0 => Ok(Some(match folder {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        })),
        _ => Err(refused("it is not an empty file")),
    }
}
