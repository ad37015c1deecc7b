//! The content-addressed store on local disk.

use std::io::{self, Read as _, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::{AtFlags, CWD, OFlags, Timespec, Timestamps, UTIME_NOW};

use crate::digest::{Digest, HashingReader, HashingWriter, Sha256};
use crate::error::CacheError;
use crate::locks::create_folder;

/// Blobs named by their SHA-256, in folders of 1/256 each.
///
/// A blob's name is only ever given to bytes that were hashed as they were
/// written, by a rename of a finished file, so that a reader sees a whole blob or
/// none. The time stamp of a blob's file is when it was last used.
#[derive(Clone, Debug)]
pub struct BlobStore {
    root: PathBuf,
    scratch: PathBuf,
}

impl BlobStore {
    pub(crate) fn new(root: PathBuf, scratch: PathBuf) -> Self {
        Self { root, scratch }
    }

    /// Where the blob of that SHA-256 is, or would be.
    #[must_use]
    pub fn path(&self, sha256: &Sha256) -> PathBuf {
        let hex = sha256.hex();
        self.root.join(&hex[..2]).join(hex)
    }

    /// Whether the blob is there, in its full size.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.find(&digest.sha256)
            .is_some_and(|found| found == *digest)
    }

    /// The digest of the blob with that SHA-256, if it is there. Its size is that of
    /// its file: whoever knows the size should ask [`BlobStore::contains`], which
    /// notices a file that a power cut left short.
    #[must_use]
    pub fn find(&self, sha256: &Sha256) -> Option<Digest> {
        let meta = fs::symlink_metadata(self.path(sha256)).ok()?;
        meta.is_file().then_some(Digest {
            sha256: *sha256,
            size: meta.len(),
        })
    }

    /// Every blob whose SHA-256 begins with these hexadecimal digits, at least two of
    /// them, in order.
    ///
    /// # Errors
    /// [`CacheError`] where the store cannot be listed.
    pub fn beginning_with(&self, digits: &str) -> Result<Vec<Sha256>, CacheError> {
        let Some(folder) = digits.get(..2) else {
            return Ok(Vec::new());
        };
        let entries = match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(CacheError::io("list blobs")(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(CacheError::io("list blobs"))?.file_name();
            let name = name.to_str().filter(|name| name.starts_with(digits));
            found.extend(name.and_then(|name| name.parse::<Sha256>().ok()));
        }
        found.sort();
        Ok(found)
    }

    /// Opens a blob for reading and marks it as used now.
    ///
    /// # Errors
    /// [`CacheError::Missing`] where it is not there or has the wrong size.
    pub fn open(&self, digest: &Digest) -> Result<File, CacheError> {
        let file = self.open_unmarked(digest)?;
        mark_used(&self.path(&digest.sha256));
        Ok(file)
    }

    /// As [`BlobStore::open`], without marking the blob as used.
    fn open_unmarked(&self, digest: &Digest) -> Result<File, CacheError> {
        let path = self.path(&digest.sha256);
        let opened = fs::OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CacheError::Missing { digest: *digest });
            }
            Err(error) => return Err(CacheError::io("open a blob of the cache")(error)),
        };
        let meta = file
            .metadata()
            .map_err(CacheError::io("open a blob of the cache"))?;
        if !meta.is_file() || meta.len() != digest.size {
            return Err(CacheError::Missing { digest: *digest });
        }
        Ok(file)
    }

    /// Reads a whole blob.
    ///
    /// # Errors
    /// As [`BlobStore::open`], or where reading fails.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, CacheError> {
        let bytes = self.peek(digest)?;
        mark_used(&self.path(&digest.sha256));
        Ok(bytes)
    }

    /// As [`BlobStore::read`], without marking the blob as used: for upkeep, which
    /// must not make everything look young.
    pub(crate) fn peek(&self, digest: &Digest) -> Result<Vec<u8>, CacheError> {
        let mut file = self.open_unmarked(digest)?;
        let mut bytes = Vec::with_capacity(usize::try_from(digest.size).unwrap_or(0));
        file.read_to_end(&mut bytes)
            .map_err(CacheError::io("read a blob of the cache"))?;
        Ok(bytes)
    }

    /// Hashes a blob again.
    ///
    /// # Errors
    /// [`CacheError::Mismatch`] where it is not what its name says; `what` is what people
    /// call it.
    pub fn verify(&self, digest: &Digest, what: &str) -> Result<(), CacheError> {
        let mut reader = HashingReader::new(self.open(digest)?);
        io::copy(&mut reader, &mut io::sink())
            .map_err(CacheError::io("read a blob of the cache"))?;
        let actual = reader.finish();
        if actual == *digest {
            return Ok(());
        }
        Err(CacheError::Mismatch {
            what: format!("{what} in the cache"),
            expected: *digest,
            actual,
        })
    }

    /// Removes a blob that turned out to be damaged, so that it is made or fetched again.
    ///
    /// # Errors
    /// [`CacheError::Io`] where it cannot be removed.
    pub fn discard(&self, digest: &Digest) -> Result<(), CacheError> {
        match fs::remove_file(self.path(&digest.sha256)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CacheError::io("remove a damaged blob")(error))
            }
            _ => Ok(()),
        }
    }

    /// Stores bytes that are in memory.
    ///
    /// # Errors
    /// [`CacheError::Io`], a full disk included.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, CacheError> {
        let digest = Digest::of(bytes);
        if self.contains(&digest) {
            mark_used(&self.path(&digest.sha256));
            return Ok(digest);
        }
        let mut file = self.new_file()?;
        file.write_all(bytes)
            .map_err(CacheError::io("write a blob to the cache"))?;
        self.place(file.into_temp_path(), &digest)?;
        Ok(digest)
    }

    /// A writer for bytes that come in a stream.
    ///
    /// # Errors
    /// [`CacheError::Io`] where no file can be created.
    pub fn writer(&self) -> Result<BlobWriter<'_>, CacheError> {
        Ok(BlobWriter {
            store: self,
            inner: HashingWriter::new(self.new_file()?),
        })
    }

    /// Takes a finished file on the same file system into the store. The caller
    /// hashed it while writing it and vouches for `digest`. It is on disk before it
    /// gets its name, because downloads are looked up by [`BlobStore::find`] and no
    /// action result is there to say their size.
    ///
    /// # Errors
    /// [`CacheError::WrongSize`] where the file is not of that size, [`CacheError::Io`]
    /// where it cannot be written out or moved.
    pub fn adopt(&self, path: &Path, digest: &Digest) -> Result<(), CacheError> {
        let io = CacheError::io;
        let file = File::open(path).map_err(io("store a file in the cache"))?;
        let size = file
            .metadata()
            .map_err(io("store a file in the cache"))?
            .len();
        if size != digest.size {
            return Err(CacheError::WrongSize {
                path: path.to_owned(),
                expected: digest.size,
                actual: size,
            });
        }
        file.sync_all().map_err(io("store a file in the cache"))?;
        let temp = tempfile::TempPath::try_from_path(path)
            .map_err(CacheError::io("store a file in the cache"))?;
        self.place(temp, digest)
    }

    /// An empty store of one's own, on the same file system: for what is used for a while
    /// and then by nobody, and must not stay where that comes to nothing.
    ///
    /// # Errors
    /// [`CacheError::Io`] where it cannot be created.
    pub fn private(&self) -> Result<PrivateStore, CacheError> {
        let folder = tempfile::Builder::new()
            .prefix("blobs-")
            .tempdir_in(&self.scratch)
            .map_err(CacheError::io("create a scratch folder in the cache"))?;
        let store = Self::new(folder.path().join("cas"), folder.path().to_owned());
        Ok(PrivateStore {
            store,
            _folder: folder,
        })
    }

    fn new_file(&self) -> Result<tempfile::NamedTempFile, CacheError> {
        tempfile::Builder::new()
            .prefix("blob-")
            .tempfile_in(&self.scratch)
            .map_err(CacheError::io("create a file in the cache"))
    }

    fn place(&self, temp: tempfile::TempPath, digest: &Digest) -> Result<(), CacheError> {
        let io = CacheError::io;
        if self.contains(digest) {
            mark_used(&self.path(&digest.sha256));
            return Ok(());
        }
        let path = self.path(&digest.sha256);
        fs::set_permissions(&temp, PermissionsExt::from_mode(0o444))
            .map_err(io("store a blob in the cache"))?;
        if let Some(folder) = path.parent() {
            create_folder(folder).map_err(io("store a blob in the cache"))?;
        }
        temp.persist(&path)
            .map_err(|error| io("store a blob in the cache")(error.error))
    }
}

/// A store that is gone with all its blobs when it is dropped, or removed by the next
/// process should this one be killed.
#[derive(Debug)]
pub struct PrivateStore {
    store: BlobStore,
    _folder: tempfile::TempDir,
}

impl PrivateStore {
    /// The store.
    #[must_use]
    pub fn blobs(&self) -> &BlobStore {
        &self.store
    }
}

/// Marks a file as used now; when it cannot, gc will think it older than it is.
pub(crate) fn mark_used(path: &Path) {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// Writes a blob whose digest is not known beforehand. Dropped without a commit,
/// it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter<'a> {
    store: &'a BlobStore,
    inner: HashingWriter<tempfile::NamedTempFile>,
}

impl BlobWriter<'_> {
    /// How many bytes were written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.inner.written()
    }

    /// Stores what was written.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the file cannot be moved into place.
    pub fn commit(self) -> Result<Digest, CacheError> {
        let (file, digest) = self.inner.finish();
        self.store.place(file.into_temp_path(), &digest)?;
        Ok(digest)
    }

    /// Stores what was written if that is `expected`, and nothing otherwise. It is on
    /// disk before it gets its name, as [`BlobStore::adopt`] has it. `what` is what people
    /// call it.
    ///
    /// # Errors
    /// [`CacheError::Mismatch`] where it is something else, otherwise as
    /// [`BlobWriter::commit`].
    pub fn commit_as(self, expected: &Digest, what: &str) -> Result<(), CacheError> {
        let (file, actual) = self.inner.finish();
        if actual != *expected {
            return Err(CacheError::Mismatch {
                what: what.to_owned(),
                expected: *expected,
                actual,
            });
        }
        file.as_file()
            .sync_all()
            .map_err(CacheError::io("write a blob to the cache"))?;
        self.store.place(file.into_temp_path(), &actual)
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
