//! Reading an overlay from a zip that anyone may have made with any tool.
//!
//! What is read is names, types, modes and content, and nothing else: no time, no
//! owner, no order, no comment. `lunikernel_cache::artefact` reads only the one zip that
//! a Lunikernel is; this reads the many that others make.

mod directory;
mod flaw;

use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::DeflateDecoder;
use lunikernel_cache::artefact::MANIFEST;
use lunikernel_cache::regular::open_regular;
use lunikernel_cache::{BlobStore, ReadAt, Task};

use directory::{Record, entry_error, is_unix};
pub use flaw::{EntryFlaw, ZipError, ZipFlaw};

use super::Limits;
use super::content::{Collector, Item, Kind, Stored, receive};
use crate::assemble::cpio::{PATH_MAX, file_type};
use crate::assemble::member::check_path;

/// Entries up to this size are no bombs, however well they compress.
const SMALL: u64 = 1 << 20;
/// All entries together are no bomb up to this size: many small files that compress well
/// are no attempt at anything.
const SMALL_SUM: u64 = 16 << 20;
/// Says the same where the system is another one: a convention of 7-Zip's.
const HAS_UNIX_MODE: u32 = 0x8000;

/// Opens the zip at `path` and collects what is in it.
pub(super) fn read_file(
    path: &Path,
    limits: &Limits,
    blobs: &BlobStore,
    into: &mut Collector,
    task: &dyn Task,
) -> Result<(), ZipError> {
    let label = path.display().to_string();
    let failed = |source| ZipError::Io {
        attempted: "open",
        zip: label.clone(),
        source,
    };
    let file = open_regular(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    read(&file, size, &label, limits, blobs, into, task)
}

/// Collects what is in the zip `bytes`, which `label` stands for in errors.
pub(super) fn read_bytes(
    bytes: &[u8],
    label: &str,
    limits: &Limits,
    blobs: &BlobStore,
    into: &mut Collector,
    task: &dyn Task,
) -> Result<(), ZipError> {
    let size = bytes.len() as u64;
    read(&bytes, size, label, limits, blobs, into, task)
}

fn read(
    bytes: &dyn ReadAt,
    size: u64,
    label: &str,
    limits: &Limits,
    blobs: &BlobStore,
    into: &mut Collector,
    task: &dyn Task,
) -> Result<(), ZipError> {
    let records = directory::read(bytes, size, label)?;
    if (records.first()).is_some_and(|first| first.name.as_bytes() == MANIFEST.as_bytes()) {
        return Err(ZipError::Zip {
            zip: label.to_owned(),
            flaw: ZipFlaw::Lunikernel,
        });
    }
    let total: u64 = records.iter().map(|record| record.size).sum();
    if total > limits.size {
        return Err(ZipError::Zip {
            zip: label.to_owned(),
            flaw: ZipFlaw::TooLarge {
                size: total,
                limit: limits.size,
            },
        });
    }
    for record in &records {
        if record.size > SMALL && record.size > record.packed.saturating_mul(limits.ratio) {
            let flaw = EntryFlaw::Bomb {
                packed: record.packed,
                size: record.size,
                limit: limits.ratio,
            };
            return Err(entry_error(label, record.name.as_bytes(), flaw));
        }
    }
    let packed: u64 = records.iter().map(|record| record.packed).sum();
    if total > SMALL_SUM && total > packed.saturating_mul(limits.ratio) {
        return Err(ZipError::Zip {
            zip: label.to_owned(),
            flaw: ZipFlaw::Bomb {
                packed,
                size: total,
                limit: limits.ratio,
            },
        });
    }
    for record in &records {
        let flawed = |flaw| entry_error(label, record.name.as_bytes(), flaw);
        let (path, kind, mode) = describe(record).map_err(flawed)?;
        if path.is_empty() {
            continue;
        }
        let content = Packed {
            bytes,
            at: record.content_at,
            left: record.packed,
        };
        let kind = match kind {
            EntryKind::Folder => Kind::Folder,
            EntryKind::Symlink => Kind::Symlink(target(record, content).map_err(flawed)?),
            EntryKind::File => Kind::File(unpack(record, content, blobs, label)?),
        };
        task.advance(record.size);
        if !into.add(
            path,
            Item {
                mode,
                kind,
                link: None,
            },
        ) {
            return Err(flawed(EntryFlaw::Twice));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    Folder,
    File,
    Symlink,
}

/// Path, kind and, where it has one, mode of an entry.
fn describe(record: &Record) -> Result<(String, EntryKind, Option<u32>), EntryFlaw> {
    let unix = is_unix(record.system);
    let has_mode = unix || record.attributes & HAS_UNIX_MODE != 0;
    let mode = record.attributes >> 16;
    // Some tools give permissions without a type, and they are not to be trusted:
    // Python's `writestr` makes files so that only root may read.
    let mode = (has_mode && mode & file_type::MASK != 0).then_some(mode);
    let name = record.name.as_str();
    let is_folder = name.ends_with('/');
    let kind = match mode.map(|mode| (mode & file_type::MASK, mode)) {
        None if is_folder => EntryKind::Folder,
        None => EntryKind::File,
        Some((file_type::FOLDER, _)) => EntryKind::Folder,
        Some((file_type::FILE, _)) => EntryKind::File,
        Some((file_type::SYMLINK, _)) => EntryKind::Symlink,
        Some((_, mode)) => return Err(EntryFlaw::Kind(mode)),
    };
    let folder_with_content = kind == EntryKind::Folder && record.size > 0;
    if folder_with_content || is_folder != (kind == EntryKind::Folder) {
        return Err(EntryFlaw::Ambiguous);
    }
    if name.contains('\\') && !unix {
        return Err(EntryFlaw::Backslash);
    }
    let path = name.strip_prefix("./").unwrap_or(name);
    let path = check_path(path, is_folder).map_err(EntryFlaw::Name)?;
    Ok((path, kind, mode.map(|mode| mode & 0o7777)))
}

/// The bytes of an entry as they are in the zip.
struct Packed<'a> {
    bytes: &'a dyn ReadAt,
    at: u64,
    left: u64,
}

impl Read for Packed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let part = buffer.get_mut(..count).unwrap_or_default();
        self.bytes.read_exact_at(part, self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// The content of an entry, at most one byte more of it than it says.
struct Unpacked<'a> {
    inner: Inner<'a>,
    crc32: crc32fast::Hasher,
    size: u64,
    most: u64,
    failed: Option<String>,
}

enum Inner<'a> {
    Stored(Packed<'a>),
    Deflated(DeflateDecoder<BufReader<Packed<'a>>>),
}

impl<'a> Unpacked<'a> {
    fn new(record: &Record, packed: Packed<'a>) -> Self {
        Self {
            inner: if record.deflated {
                let buffered = BufReader::with_capacity(64 << 10, packed);
                Inner::Deflated(DeflateDecoder::new(buffered))
            } else {
                Inner::Stored(packed)
            },
            crc32: crc32fast::Hasher::new(),
            size: 0,
            most: record.size + 1,
            failed: None,
        }
    }

    /// Whether all that came is what the directory says.
    fn judge(self, record: &Record) -> Result<(), EntryFlaw> {
        if let Some(failed) = self.failed {
            return Err(EntryFlaw::Deflate(failed));
        }
        let (expected, actual) = (record.size, self.size);
        if expected != actual {
            return Err(EntryFlaw::Size { expected, actual });
        }
        let left = match &self.inner {
            Inner::Stored(packed) => packed.left,
            Inner::Deflated(decoder) => record.packed.saturating_sub(decoder.total_in()),
        };
        if left > 0 {
            return Err(EntryFlaw::PackedSize { left });
        }
        let (expected, actual) = (record.crc32, self.crc32.finalize());
        if expected != actual {
            return Err(EntryFlaw::Crc { expected, actual });
        }
        Ok(())
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.most - self.size).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let part = buffer.get_mut(..most).unwrap_or_default();
        let count = match &mut self.inner {
            Inner::Stored(packed) => packed.read(part)?,
            Inner::Deflated(decoder) => match decoder.read(part) {
                Ok(count) => count,
                // What is wrong is told by `judge`, as a flaw of the entry.
                Err(error)
                    if error.kind() == io::ErrorKind::InvalidInput
                        || error.kind() == io::ErrorKind::InvalidData
                        || error.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    self.failed = Some(error.to_string());
                    0
                }
                Err(error) => return Err(error),
            },
        };
        self.crc32.update(part.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }
}

fn unpack(
    record: &Record,
    packed: Packed<'_>,
    blobs: &BlobStore,
    label: &str,
) -> Result<Stored, ZipError> {
    let mut content = Unpacked::new(record, packed);
    let received = receive(blobs, &mut content)?;
    content
        .judge(record)
        .map_err(|flaw| entry_error(label, record.name.as_bytes(), flaw))?;
    Ok(received.keep()?)
}

fn target(record: &Record, packed: Packed<'_>) -> Result<String, EntryFlaw> {
    if record.size == 0 || record.size >= PATH_MAX as u64 {
        return Err(EntryFlaw::Target);
    }
    let mut content = Unpacked::new(record, packed);
    let mut bytes = Vec::new();
    content
        .read_to_end(&mut bytes)
        .map_err(|error| EntryFlaw::Deflate(error.to_string()))?;
    content.judge(record)?;
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or(EntryFlaw::Target)
}
