//! A mirror that is a folder.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use lunikernel_cache::{BlobStore, CacheError, Digest, HashingWriter, Sha256};
use rustix::fs::{FlockOperation, OFlags};

use crate::fetch::{Answer, Trouble};

/// How often a file that is to be written may turn out to be another's.
const TRIES: usize = 100;

/// `ROOT/sha256/HEX`.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    blobs: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            blobs: root.join("sha256"),
        }
    }

    /// What is there, with its size. A mirror that is not there yet has nothing.
    pub(super) fn list(&self) -> Result<BTreeMap<Sha256, u64>, Trouble> {
        let mut found = BTreeMap::new();
        let entries = match fs::read_dir(&self.blobs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(unusable(error)),
        };
        for entry in entries {
            let entry = entry.map_err(unusable)?;
            let name = entry.file_name();
            let Some(sha256) = name.to_str().and_then(Sha256::of_file_name) else {
                continue;
            };
            // It may go while it is looked at.
            if let Ok(meta) = entry.metadata()
                && meta.is_file()
            {
                found.insert(sha256, meta.len());
            }
        }
        Ok(found)
    }

    /// Copies a blob there, hashing it on the way. It gets its name when it is whole
    /// and on disk. One process at a time writes it; what a killed one left is written
    /// over.
    pub(super) fn put(&self, store: &BlobStore, blob: &Digest) -> Result<(), Trouble> {
        fs::create_dir_all(&self.blobs).map_err(unusable)?;
        let place = self.blobs.join(blob.sha256.hex());
        let half = self.blobs.join(format!(".{}.part", blob.sha256.hex()));
        let is_there = || fs::symlink_metadata(&place).is_ok_and(|meta| meta.len() == blob.size);
        let mut tries = 0;
        let file = loop {
            clear(&half).map_err(unusable)?;
            let file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&half)
                .map_err(unusable)?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive)
                .map_err(|errno| unusable(errno.into()))?;
            // Whoever held the lock may have given the file its name meanwhile.
            if is_same(&file, &half) {
                break file;
            }
            if is_there() {
                return Ok(());
            }
            tries += 1;
            if tries == TRIES {
                let error = format!("{} is another file each time", half.display());
                return Err(unusable(io::Error::other(error)));
            }
        };
        if is_there() {
            let _ = fs::remove_file(&half);
            return Ok(());
        }
        file.set_len(0).map_err(unusable)?;
        let mut from = store.open(blob)?;
        let mut to = HashingWriter::new(file);
        io::copy(&mut from, &mut to).map_err(unusable)?;
        let (file, actual) = to.finish();
        if actual != *blob {
            let _ = fs::remove_file(&half);
            return Err(damaged(blob, actual));
        }
        file.set_permissions(std::fs::Permissions::from_mode(0o644))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&half, &place))
            .map_err(unusable)
    }
}

/// Removes what has the name of a half-written blob and is no file: others may write to
/// a mirror, and what they lead to is not to be written to.
fn clear(half: &Path) -> io::Result<()> {
    match fs::symlink_metadata(half) {
        Ok(meta) if !meta.is_file() => fs::remove_file(half),
        _ => Ok(()),
    }
}

/// Whether `path` still names the open file.
fn is_same(file: &File, path: &Path) -> bool {
    let open = file.metadata().map(|meta| (meta.dev(), meta.ino()));
    let named = fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((open, named), (Ok(open), Ok(named)) if open == named)
}

/// The cache itself has other bytes than it should.
pub(super) fn damaged(blob: &Digest, actual: Digest) -> Trouble {
    CacheError::Mismatch {
        what: format!("{} in the cache", blob.sha256.hex()),
        expected: *blob,
        actual,
    }
    .into()
}

fn unusable(error: io::Error) -> Trouble {
    Answer::Unusable(error.to_string()).into()
}
