//! Overlays of a unikernel: a tar archive that it reads as a disk.
//!
//! A unikernel has no initramfs, and reads files from a disk if it was written so; the
//! stores of MirageOS read a tar archive. So overlays become an entry of their own, which
//! is attached as the disk that the manifest names. Only files are in it: such a store
//! has keys and values, neither folders nor links.

use std::io::{BufReader, Read as _};

use lunikernel_cache::artefact::{self, Artefact, Derived, EntrySource};
use lunikernel_cache::{BlobStore, CacheError, Digest, NodeKind, PrivateStore, Progress, Rootfs};
use tar::{Builder, EntryType, Header};

use super::content::Content;
use super::history::{HISTORY, History, Overlaid};
use super::lay::{self, Changes};
use super::paths::Paths;
use super::{OverlayError, Prepared};
use crate::assemble::member::Limits;
use crate::assemble::tarball;
use crate::plan::SOURCE_DATE_EPOCH;

/// The entry of a Lunikernel with the disk that overlays made.
pub const BLOCK: &str = "block.tar";

/// What a disk that is unpacked to be overlaid again may hold.
const LIMITS: Limits = Limits {
    total: 4 << 30,
    members: 100_000,
    devices: false,
    twice: false,
};

/// Lays `contents` over the disk of `base`.
pub(super) fn prepare<'a>(
    base: &'a Artefact,
    contents: Vec<(String, Content)>,
    store: PrivateStore,
    progress: &dyn Progress,
) -> Result<Prepared<'a>, OverlayError> {
    let blobs = store.blobs();
    for (label, content) in &contents {
        refuse_links(label, content)?;
    }
    let checked = base.check(progress)?;
    let before = disk(base, blobs)?;
    // What the disk has comes first, as if it were an overlay of nothing.
    let own = Content {
        root: before.clone(),
        removed: Vec::new(),
        digest: checked.digest,
    };
    let mut all = vec![(base.label().to_owned(), own)];
    let digests = contents.iter().map(|(_, it)| it.digest).collect();
    all.extend(contents);
    let after = lay::lay(Paths::default(), &all)?.root;
    let changes = changes(&before, &after);
    if changes == Changes::default() {
        return Err(OverlayError::Nothing);
    }
    let task = progress.start("packing", "the overlay", None);
    let disk = write(&after, blobs)?;
    task.finish("");
    let overlaid = Overlaid {
        base: checked.digest,
        content: digests,
        segment: disk,
        rewritten: false,
        removed: changes.removed.clone(),
    };
    let mut history = History::of(base)?;
    history.overlays.push(overlaid.clone());
    let history = blobs.put(&history.to_json().map_err(OverlayError::Json)?)?;
    let derived = |name: &str, digest| -> Result<Derived, OverlayError> {
        Ok(Derived {
            entry: EntrySource::of_blob(blobs, name, digest)?,
            content: artefact::Content::Blob,
        })
    };
    let entries = vec![derived(BLOCK, disk)?, derived(HISTORY, history)?];
    Ok(Prepared {
        base,
        store,
        manifest: base.manifest().clone(),
        entries,
        overlaid,
        changes,
    })
}

fn refuse_links(label: &str, content: &Content) -> Result<(), OverlayError> {
    let mut nodes = content.root.nodes();
    match nodes.find(|(_, node)| matches!(node.kind, NodeKind::Symlink { .. })) {
        None => Ok(()),
        Some((path, _)) => Err(OverlayError::Disk {
            overlay: label.to_owned(),
            path: path.to_owned(),
            why: "it is a link, and such a disk has only files",
        }),
    }
}

/// What the disk of `base` holds; nothing where it has none yet.
fn disk(base: &Artefact, blobs: &BlobStore) -> Result<Rootfs, OverlayError> {
    if !base.manifest().entries.contains_key(BLOCK) {
        return Ok(Rootfs::new());
    }
    let reader = BufReader::with_capacity(256 << 10, base.entry(BLOCK)?);
    tarball::unpack(reader, LIMITS, blobs).map_err(|source| OverlayError::DiskOf {
        artefact: base.label().to_owned(),
        source: Box::new(source),
    })
}

/// The files that `after` has and `before` has not, or other ones, and those that are
/// gone.
fn changes(before: &Rootfs, after: &Rootfs) -> Changes {
    let mut changes = Changes::default();
    for (path, node) in files(after) {
        match before.get(path) {
            None => changes.added.push(path.to_owned()),
            Some(other) if content_of(&other.kind) != Some(node) => {
                changes.changed.push(path.to_owned());
            }
            Some(_) => {}
        }
    }
    let gone = files(before).filter(|(path, _)| after.get(path).is_none());
    changes.removed = gone.map(|(path, _)| path.to_owned()).collect();
    changes
}

fn files(root: &Rootfs) -> impl Iterator<Item = (&str, Digest)> {
    root.nodes()
        .filter_map(|(path, node)| Some((path, content_of(&node.kind)?)))
}

fn content_of(kind: &NodeKind) -> Option<Digest> {
    match kind {
        NodeKind::File { content, .. } => Some(*content),
        _ => None,
    }
}

/// Writes the disk: POSIX.1-1988 ustar, sorted, in whole sectors of 512 bytes.
fn write(root: &Rootfs, blobs: &BlobStore) -> Result<Digest, OverlayError> {
    let failed = || CacheError::io("write a disk to the cache");
    let mut archive = Builder::new(blobs.writer()?);
    for (path, content) in files(root) {
        let mut header = Header::new_ustar();
        header.set_path(path).map_err(|_| OverlayError::Disk {
            overlay: "that makes it".to_owned(),
            path: path.to_owned(),
            why: "its path is too long for a tar archive: parts of at most 155 and 100 bytes",
        })?;
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(SOURCE_DATE_EPOCH.into());
        header.set_size(content.size);
        header.set_cksum();
        let file = blobs.open(&content)?.take(content.size);
        archive.append(&header, file).map_err(failed())?;
    }
    let blob = archive.into_inner().map_err(failed())?;
    Ok(blob.commit()?)
}
