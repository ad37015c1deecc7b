//! A download under way: its bytes on disk and their hash so far.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use fs_err as fs;
use fs_err::File;
use lunikernel_cache::{Cache, CacheError, Digest, Hasher, KeyLock, Sha256};

use super::error::FetchError;

/// The beginning of a wanted file. It may have come from several places, or from one
/// that was wrong: only the hash of the whole decides.
#[derive(Debug)]
pub(crate) struct Partial {
    cache: Cache,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    _lock: KeyLock,
}

impl Partial {
    /// Waits until no one else downloads the file with that SHA-256. `None` where
    /// that one finished it; otherwise takes up what was left off.
    pub(crate) async fn open(
        cache: &Cache,
        sha256: Sha256,
        size: Option<u64>,
    ) -> Result<Option<Self>, FetchError> {
        let cache = cache.clone();
        blocking(move || Self::open_now(cache, sha256, size)).await
    }

    fn open_now(
        cache: Cache,
        sha256: Sha256,
        size: Option<u64>,
    ) -> Result<Option<Self>, CacheError> {
        let lock = cache.lock(&sha256)?;
        if is_cached(&cache, sha256, size) {
            return Ok(None);
        }
        let path = cache.root().join("partial").join(sha256.hex());
        let io = CacheError::io;
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open a partial download in the cache"))?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0u8; 1 << 18];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io("read a partial download in the cache")(error)),
            }
        }
        let mut partial = Self {
            cache,
            path,
            file,
            hasher,
            _lock: lock,
        };
        if size.is_some_and(|size| partial.len() > size) {
            partial.reset()?;
        }
        Ok(Some(partial))
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> u64 {
        self.hasher.size()
    }

    /// The digest of the bytes that there are.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// Forgets all bytes.
    pub(crate) fn reset(&mut self) -> Result<(), CacheError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)).map(drop))
            .map_err(CacheError::io("start a download anew"))?;
        self.hasher = Hasher::new();
        Ok(())
    }

    /// Adds bytes. On a full disk it gives back what it holds, so that it does not
    /// stand in the way of making room.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        if let Err(error) = self.file.write_all(bytes) {
            if is_full(&error) {
                let _ = fs::remove_file(&self.path);
            }
            return Err(CacheError::io("write a download to the cache")(error));
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Takes the finished file into the store.
    pub(crate) async fn adopt(self) -> Result<(), FetchError> {
        blocking(move || {
            if let Err(error) = self.file.sync_all() {
                if is_full(&error) {
                    let _ = fs::remove_file(&self.path);
                }
                return Err(CacheError::io("write a download out to disk")(error));
            }
            self.cache.blobs().adopt(&self.path, &self.digest())
        })
        .await
    }

    /// Leaves no empty file behind when nothing came.
    pub(crate) fn abandon(self) {
        if self.len() == 0 {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether the store has the file; its bytes are not read for that.
pub(crate) fn is_cached(cache: &Cache, sha256: Sha256, size: Option<u64>) -> bool {
    cache
        .blobs()
        .find(&sha256)
        .is_some_and(|found| size.is_none_or(|size| size == found.size))
}

/// Runs what may wait for the disk or another process on a thread made for that.
pub(crate) async fn blocking<T: Send + 'static, E: Into<FetchError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, FetchError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => Err(FetchError::Thread(error.to_string())),
    }
}
