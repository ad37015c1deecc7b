//! Buckets of object stores: `s3://BUCKET/PREFIX` and `gs://BUCKET/PREFIX`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{Error, ObjectStore, RetryConfig};
use url::Url;

use super::error::{Answer, FetchError};

/// A bucket that is open.
pub(crate) type Bucket = Arc<dyn ObjectStore>;

/// The buckets that were opened, by scheme and name.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    opened: Mutex<BTreeMap<String, Bucket>>,
}

/// Whether an address is one of an object in a bucket.
pub(crate) fn is_bucket(url: &Url) -> bool {
    matches!(url.scheme(), "s3" | "gs")
}

impl Buckets {
    /// The bucket of `url`, and the path of `url` in it. Keys, region and endpoint come
    /// from the environment, under the names that the stores' own tools use.
    pub(crate) fn open(&self, url: &Url) -> Result<(Bucket, Path), FetchError> {
        let wrong = |why: String| FetchError::Client(format!("could not use {url}: {why}"));
        let name = url.host_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| wrong("it names no bucket".to_owned()))?;
        let path = Path::from_url_path(url.path()).map_err(|error| wrong(error.to_string()))?;
        let key = format!("{}://{name}", url.scheme());
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = opened.get(&key) {
            return Ok((Arc::clone(bucket), path));
        }
        // An error says that one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // What is tried here is tried again by whoever asked, from another place first.
        let retry = RetryConfig {
            max_retries: 2,
            retry_timeout: Duration::from_secs(60),
            ..RetryConfig::default()
        };
        let built: Result<Bucket, Error> = match url.scheme() {
            "s3" => AmazonS3Builder::from_env()
                .with_bucket_name(name)
                .with_retry(retry)
                .build()
                .map(|store| Arc::new(store) as Bucket),
            _ => GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(name)
                .with_retry(retry)
                .build()
                .map(|store| Arc::new(store) as Bucket),
        };
        let bucket = built.map_err(|error| wrong(error.to_string()))?;
        opened.insert(key, Arc::clone(&bucket));
        Ok((bucket, path))
    }
}

/// What a store's error is as the answer of a place.
pub(crate) fn answer(error: Error) -> Answer {
    match error {
        Error::NotFound { .. } => Answer::NotThere,
        Error::Unauthenticated { .. } => Answer::Status {
            code: 401,
            retry_after: None,
        },
        Error::PermissionDenied { .. } => Answer::Status {
            code: 403,
            retry_after: None,
        },
        Error::Generic { source, .. } => Answer::Unreachable(brief(&source.to_string())),
        other => Answer::Unusable(brief(&other.to_string())),
    }
}

/// The beginning of a message that may quote a whole page of a server.
fn brief(text: &str) -> String {
    const ENOUGH: usize = 300;
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(ENOUGH) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
