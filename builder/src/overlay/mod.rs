//! Laying files over a Lunikernel, without building it again: over the initramfs of a
//! Linux, or onto the disk of a unikernel ([`mod@block`]).
//!
//! The kernel unpacks archives that follow each other one over the other, so what the
//! overlays hold becomes one more gzipped newc archive behind the initramfs. Nothing of
//! the base is unpacked for it or compressed again: it is read once to be proven, and
//! once to be copied. What the base has at which path stands in an entry of its own
//! ([`PATHS`]); only of a Lunikernel that lacks it the initramfs is unpacked to find out.
//!
//! A pure function: the identity of the result depends on the base's identity and the
//! [`content`] of the overlays.

mod block;
mod content;
mod error;
mod folder;
mod history;
mod lay;
mod paths;
mod rewrite;
mod zip;

use std::io::{BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use lunikernel_cache::artefact::{
    self, Artefact, Checked, Crc32Writer, Derived, EntrySource, EntrySums, INITRAMFS, Manifest,
    Overlay,
};
use lunikernel_cache::{BlobStore, CacheError, Digest, PrivateStore, Progress};

pub use block::BLOCK;
pub use content::Content;
pub use error::{OverlayError, RewriteError};
pub use folder::FolderError;
pub use history::{HISTORY, History, HistoryFormat, Overlaid};
pub use lay::Changes;
pub use zip::{EntryFlaw, ZipError, ZipFlaw};

use crate::assemble::cpio::write_behind;
use crate::plan::SOURCE_DATE_EPOCH;
use content::Collector;
use lay::Laid;
use lunikernel_deflate::GzipWriter;
pub(crate) use paths::Paths;

/// The entry of a Lunikernel with the paths of its initramfs.
pub const PATHS: &str = "initramfs.paths.json";
/// The largest list of paths, in bytes.
pub(crate) const MAX_PATHS: u64 = 64 << 20;

/// How much an overlay may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All files of one overlay, in bytes.
    pub size: u64,
    /// A file to what it is in a zip, as a factor, where it is larger than 1 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            size: 4 << 30,
            ratio: 200,
        }
    }
}

/// A Lunikernel with overlays, ready to be written.
#[derive(Debug)]
pub struct Prepared<'a> {
    base: &'a Artefact,
    /// All that is in it and not in the base.
    store: PrivateStore,
    manifest: Manifest,
    entries: Vec<Derived>,
    overlaid: Overlaid,
    changes: Changes,
}

/// Reads `overlays`, each a zip or a folder, proves `base`, and lays them over it.
/// Nothing is written but to a store beside `blobs`, which goes with what is returned: what
/// is refused leaves nothing behind.
///
/// # Errors
/// [`OverlayError`] where something is wrong with one of them, or they do not fit.
pub fn prepare<'a>(
    base: &'a Artefact,
    overlays: &[PathBuf],
    limits: &Limits,
    blobs: &BlobStore,
    progress: &dyn Progress,
) -> Result<Prepared<'a>, OverlayError> {
    if base.manifest().overlay == (Overlay::None {}) {
        return Err(OverlayError::NoOverlay {
            artefact: base.label().to_owned(),
        });
    }
    let store = blobs.private()?;
    let blobs = store.blobs();
    let contents = overlays
        .iter()
        .map(|path| {
            let content = read(path, limits, blobs, progress)?;
            Ok((path.display().to_string(), content))
        })
        .collect::<Result<Vec<_>, OverlayError>>()?;
    if let Overlay::Block { .. } = base.manifest().overlay {
        return block::prepare(base, contents, store, progress);
    }
    let (checked, sums) = base.check_keeping(INITRAMFS, progress)?;
    let laid = lay::lay(paths_of(base, progress)?, &contents)?;
    let changes = &laid.changes;
    if changes.added.is_empty() && changes.changed.is_empty() && changes.removed.is_empty() {
        return Err(OverlayError::Nothing);
    }
    let packing = Packing {
        base,
        blobs,
        checked,
        laid: &laid,
    };
    let task = progress.start("packing", "the overlay", None);
    let (entries, overlaid) = packing.entries(sums, &contents)?;
    task.finish("");
    Ok(Prepared {
        base,
        store,
        manifest: base.manifest().clone(),
        entries,
        overlaid,
        changes: laid.changes,
    })
}

/// Reads one overlay.
///
/// # Errors
/// [`OverlayError`] where it is refused.
pub fn read(
    path: &Path,
    limits: &Limits,
    blobs: &BlobStore,
    progress: &dyn Progress,
) -> Result<Content, OverlayError> {
    let label = path.display().to_string();
    let task = progress.start("reading", &label, None);
    let mut collector = Collector::default();
    if path.is_dir() {
        folder::read(path, limits, blobs, &mut collector, task.as_ref())?;
    } else {
        zip::read_file(path, limits, blobs, &mut collector, task.as_ref())?;
    }
    let content = collector.finish(&label, blobs)?;
    task.finish("");
    Ok(content)
}

/// Reads a zip that is in memory, which `label` stands for in errors.
///
/// # Errors
/// As [`read`].
pub fn read_zip(
    bytes: &[u8],
    label: &str,
    limits: &Limits,
    blobs: &BlobStore,
) -> Result<Content, OverlayError> {
    let mut collector = Collector::default();
    let silent = &lunikernel_cache::Silent;
    zip::read_bytes(bytes, label, limits, blobs, &mut collector, silent)?;
    collector.finish(label, blobs)
}

/// Reads a list of paths and finds each of them; false where it is refused. For fuzzing.
#[doc(hidden)]
#[must_use]
pub fn fuzz_paths(bytes: &[u8]) -> bool {
    Paths::of_json(bytes).is_some_and(|paths| {
        let is_found = |path: &str| matches!(paths.find(path), Some((_, Some(_))));
        assert!(paths.iter().all(is_found), "a path is lost");
        true
    })
}

impl Prepared<'_> {
    /// What it does to the base.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What the result says of this run.
    #[must_use]
    pub fn overlaid(&self) -> &Overlaid {
        &self.overlaid
    }

    /// Writes the result to `out`, in one pass, and says what its identity is.
    ///
    /// # Errors
    /// [`OverlayError::Derive`], and [`OverlayError::Artefact`] where the base changed
    /// meanwhile; what was written until then is to be thrown away.
    pub fn write(
        &self,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<Digest, OverlayError> {
        let manifest = self.manifest.clone();
        let digest = artefact::derive(
            self.base,
            manifest,
            &self.entries,
            self.store.blobs(),
            out,
            progress,
        )?;
        self.base.check_again(&self.overlaid.base, progress)?;
        Ok(digest)
    }
}

/// What `artefact` says are the paths of its initramfs, if it does.
pub(crate) fn listed_paths(artefact: &Artefact) -> Result<Option<Paths>, OverlayError> {
    let Some(list) = artefact.manifest().entries.get(PATHS) else {
        return Ok(None);
    };
    if list.size > MAX_PATHS {
        return Err(OverlayError::LongList {
            artefact: artefact.label().to_owned(),
            size: list.size,
            limit: MAX_PATHS,
        });
    }
    let bytes = read_entry(artefact, PATHS, MAX_PATHS)?;
    let paths = Paths::of_json(&bytes).ok_or_else(|| OverlayError::Paths {
        artefact: artefact.label().to_owned(),
    })?;
    Ok(Some(paths))
}

/// The list of paths of what is laid over the base called `label`, unless it is longer than
/// anybody would read.
fn readable(label: &str, list: Vec<u8>) -> Result<Vec<u8>, OverlayError> {
    match list.len() as u64 {
        0..=MAX_PATHS => Ok(list),
        size => Err(OverlayError::TooLongList {
            artefact: label.to_owned(),
            size,
            limit: MAX_PATHS,
        }),
    }
}

/// The paths of the initramfs, from its list or by unpacking it.
fn paths_of(base: &Artefact, progress: &dyn Progress) -> Result<Paths, OverlayError> {
    if let Some(paths) = listed_paths(base)? {
        return Ok(paths);
    }
    let task = progress.start("unpacking", "the initramfs, for its paths", None);
    let packed = BufReader::with_capacity(256 << 10, base.entry(INITRAMFS)?);
    let paths = Paths::of_initramfs(packed).map_err(|source| OverlayError::Initramfs {
        artefact: base.label().to_owned(),
        source,
    })?;
    task.finish("");
    Ok(paths)
}

/// A whole entry of at most `limit` bytes.
fn read_entry(base: &Artefact, name: &str, limit: u64) -> Result<Vec<u8>, OverlayError> {
    let mut bytes = Vec::new();
    let mut entry = base.entry(name)?.take(limit);
    let read = entry.read_to_end(&mut bytes);
    read.map_err(|source| history::unreadable(base, source))?;
    Ok(bytes)
}

/// Making the entries that the result has and the base has not.
struct Packing<'a> {
    base: &'a Artefact,
    blobs: &'a BlobStore,
    checked: Checked,
    laid: &'a Laid,
}

impl Packing<'_> {
    fn entries(
        &self,
        sums: EntrySums,
        contents: &[(String, Content)],
    ) -> Result<(Vec<Derived>, Overlaid), OverlayError> {
        let segment = self.segment()?;
        let initramfs = if self.laid.gone.is_empty() {
            self.behind(sums, segment)?
        } else {
            self.rewritten(segment)?
        };
        let overlaid = Overlaid {
            base: self.checked.digest,
            content: contents.iter().map(|(_, it)| it.digest).collect(),
            segment,
            rewritten: !self.laid.gone.is_empty(),
            removed: self.laid.changes.removed.clone(),
        };
        let mut history = History::of(self.base)?;
        history.overlays.push(overlaid.clone());
        let history = history.to_json().map_err(OverlayError::Json)?;
        let paths = self.laid.paths.to_json().map_err(OverlayError::Json)?;
        let paths = readable(self.base.label(), paths)?;
        let mut entries = vec![initramfs];
        for (name, bytes) in [(HISTORY, history), (PATHS, paths)] {
            let digest = self.blobs.put(&bytes)?;
            entries.push(Derived {
                entry: EntrySource::new(name, digest, crc32fast::hash(&bytes)),
                content: artefact::Content::Blob,
            });
        }
        Ok((entries, overlaid))
    }

    /// The archive that goes behind the initramfs.
    fn segment(&self) -> Result<Digest, OverlayError> {
        let failed = || CacheError::io("write an overlay to the cache");
        let mut gzip = GzipWriter::new(self.blobs.writer()?).map_err(failed())?;
        let is_there = |path: &str| self.laid.base.is_folder(path);
        let (root, blobs) = (&self.laid.root, self.blobs);
        write_behind(root, blobs, SOURCE_DATE_EPOCH, &mut gzip, is_there)?;
        Ok(gzip.finish().map_err(failed())?.commit()?)
    }

    /// The base's initramfs as it is, with the archive behind it.
    fn behind(&self, mut sums: EntrySums, segment: Digest) -> Result<Derived, OverlayError> {
        let mut file = self.blobs.open(&segment)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = file
                .read(&mut buffer)
                .map_err(CacheError::io("read a blob of the cache"))?;
            let part = buffer.get(..count).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            sums.crc32.update(part);
            sums.hasher.update(part);
        }
        let (digest, crc32) = (sums.hasher.finish(), sums.crc32.finalize());
        Ok(Derived {
            entry: EntrySource::new(INITRAMFS, digest, crc32),
            content: artefact::Content::Behind(segment),
        })
    }

    /// The base's initramfs without what is gone, with the archive behind it.
    fn rewritten(&self, segment: Digest) -> Result<Derived, OverlayError> {
        let failed = || CacheError::io("write an initramfs to the cache");
        let mut gzip = GzipWriter::new(Crc32Writer::new(self.blobs.writer()?)).map_err(failed())?;
        let open = || {
            let entry = self.base.entry(INITRAMFS)?;
            Ok(BufReader::with_capacity(256 << 10, entry))
        };
        let gone = |path: &str| {
            let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            above
                .chain([path])
                .any(|path| self.laid.gone.contains(path))
        };
        rewrite::rewrite(open, &self.laid.original, gone, &mut gzip).map_err(|source| {
            OverlayError::Rewrite {
                artefact: self.base.label().to_owned(),
                source,
            }
        })?;
        let mut out = gzip.finish().map_err(failed())?;
        let mut file = self.blobs.open(&segment)?;
        std::io::copy(&mut file, &mut out).map_err(failed())?;
        let (blob, crc32) = out.finish();
        Ok(Derived {
            entry: EntrySource::new(INITRAMFS, blob.commit()?, crc32),
            content: artefact::Content::Blob,
        })
    }
}

#[cfg(test)]
mod tests;
