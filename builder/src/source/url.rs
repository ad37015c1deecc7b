//! Files from the web.

use serde::{Deserialize, Serialize};
use url::Url;

use lunikernel_cache::{Digest, Sha256};

use crate::fetch::{FetchError, Fetcher, Want};
use crate::recipe::UrlSource;

/// A file from the web, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedUrl {
    /// Its address, as the recipe has it.
    pub url: String,
    /// What it is.
    pub sha256: Sha256,
    /// How large it is, in bytes.
    pub size: u64,
}

impl LockedUrl {
    /// What the file is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest {
            sha256: self.sha256,
            size: self.size,
        }
    }

    /// What is to be fetched for it.
    ///
    /// # Errors
    /// [`UrlError::Address`] where its address is none.
    pub fn want(&self) -> Result<Want, UrlError> {
        let url = address(&self.url)?;
        Ok(Want {
            name: file_name(&url),
            sha256: self.sha256,
            size: Some(self.size),
            places: vec![url],
        })
    }
}

/// Pins a file: to the hash that its author wrote, or else to what comes.
///
/// # Errors
/// [`UrlError`] where the address is none or the file cannot be had.
pub async fn lock(fetcher: &Fetcher, source: &UrlSource) -> Result<LockedUrl, UrlError> {
    let url = address(&source.url)?;
    let name = file_name(&url);
    let digest = match source.sha256 {
        None => fetcher.fetch_unpinned(&name, &url).await?,
        Some(sha256) => {
            let want = Want {
                name,
                sha256,
                size: None,
                places: vec![url],
            };
            fetcher.fetch(&[want]).await?;
            let found = fetcher.cache().blobs().find(&sha256);
            found.ok_or_else(|| UrlError::Vanished {
                url: source.url.clone(),
            })?
        }
    };
    Ok(LockedUrl {
        url: source.url.clone(),
        sha256: digest.sha256,
        size: digest.size,
    })
}

fn address(text: &str) -> Result<Url, UrlError> {
    let refused = |why: String| UrlError::Address {
        url: text.to_owned(),
        why,
    };
    let url = Url::parse(text).map_err(|error| refused(error.to_string()))?;
    match url.scheme() {
        "http" | "https" | "file" => Ok(url),
        other => Err(refused(format!("`{other}:` cannot be fetched from"))),
    }
}

/// What people call the file: the last part of its address.
fn file_name(url: &Url) -> String {
    url.path_segments()
        .and_then(|mut parts| parts.rfind(|part| !part.is_empty()))
        .or(url.host_str())
        .unwrap_or("file")
        .to_owned()
}

/// A file from the web could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// Its address cannot be used.
    #[error("`{url}` is no address of a file: {why}")]
    Address {
        /// The address.
        url: String,
        /// Why not.
        why: String,
    },
    /// It cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It was fetched, and then someone took it out of the cache.
    #[error("{url} was fetched, but is not in the cache any more")]
    Vanished {
        /// The address.
        url: String,
    },
}

impl UrlError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Address { .. } => {
                Some("write `https://HOST/PATH`, `http://HOST/PATH` or `file:///PATH`".to_owned())
            }
            Self::Fetch(error) => error.hint(),
            Self::Vanished { .. } => Some("run the same command again".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lunikernel_cache::{Cache, Silent};

    use super::*;
    use crate::fetch::FetchOptions;

    #[tokio::test]
    async fn a_file_is_pinned_to_its_bytes_and_then_had_by_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some file.bin");
        fs_err::write(&path, b"content").unwrap();
        let open = |name: &str| {
            let cache = Cache::open(&folder.path().join(name)).unwrap();
            Fetcher::new(cache, FetchOptions::default(), Arc::new(Silent)).unwrap()
        };
        let mut source = UrlSource {
            url: Url::from_file_path(&path).unwrap().to_string(),
            sha256: None,
        };
        let unpinned = lock(&open("one"), &source).await.unwrap();
        assert_eq!(unpinned.digest(), Digest::of(b"content"));
        source.sha256 = Some(unpinned.sha256);
        assert_eq!(lock(&open("two"), &source).await.unwrap(), unpinned);

        let fetcher = open("three");
        let want = unpinned.want().unwrap();
        assert_eq!(fetcher.fetch(&[want]).await.unwrap().fetched, 1);

        source.sha256 = Some(Sha256::of(b"other"));
        let error = lock(&open("four"), &source).await.unwrap_err();
        assert!(error.to_string().contains("other bytes"), "{error}");
    }

    #[tokio::test]
    async fn addresses_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let fetcher = Fetcher::new(cache, FetchOptions::default(), Arc::new(Silent)).unwrap();
        for url in ["", "file.bin", "/etc/hosts", "ftp://host/x", "data:,x"] {
            let source = UrlSource {
                url: url.to_owned(),
                sha256: None,
            };
            let error = lock(&fetcher, &source).await.unwrap_err();
            assert!(matches!(error, UrlError::Address { .. }), "{url}: {error}");
        }
    }
}
