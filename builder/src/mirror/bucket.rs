//! A mirror in a bucket of an object store.

use std::collections::BTreeMap;
use std::io::Read as _;

use bytes::Bytes;
use futures::TryStreamExt as _;
use lunikernel_cache::{BlobStore, CacheError, Digest, Sha256};
use object_store::path::Path;
use object_store::{MultipartUpload as _, ObjectStoreExt as _, PutPayload};

use crate::fetch::{Answer, Bucket, Trouble, bucket_answer};

/// Larger files are sent in parts of this size: stores want at least 5 MiB for each, and
/// take at most 10,000, which makes 160 GiB.
const PART: usize = 16 << 20;

/// What the bucket has below `folder`, with its size.
pub(super) async fn list(bucket: &Bucket, folder: &Path) -> Result<BTreeMap<Sha256, u64>, Trouble> {
    let mut found = BTreeMap::new();
    let mut objects = bucket.list(Some(folder));
    while let Some(object) = objects.try_next().await.map_err(bucket_answer)? {
        let name = object.location.filename();
        if let Some(sha256) = name.and_then(Sha256::of_file_name) {
            found.insert(sha256, object.size);
        }
    }
    Ok(found)
}

/// The size of what the bucket has there.
pub(super) async fn head(bucket: &Bucket, path: &Path) -> Result<Option<u64>, Trouble> {
    match bucket.head(path).await {
        Ok(meta) => Ok(Some(meta.size)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(bucket_answer(error).into()),
    }
}

/// Sends a blob. The store gives it its name when it is whole.
pub(super) async fn put(
    bucket: &Bucket,
    path: &Path,
    store: &BlobStore,
    blob: &Digest,
) -> Result<(), Trouble> {
    let mut file = store.open(blob)?;
    if blob.size <= PART as u64 {
        let bytes = piece(&mut file).await?;
        let payload = PutPayload::from_bytes(bytes);
        bucket.put(path, payload).await.map_err(bucket_answer)?;
    } else {
        let mut upload = bucket.put_multipart(path).await.map_err(bucket_answer)?;
        let sent = async {
            loop {
                let bytes = piece(&mut file).await?;
                if bytes.is_empty() {
                    break;
                }
                let part = upload.put_part(PutPayload::from_bytes(bytes));
                part.await.map_err(bucket_answer)?;
            }
            upload.complete().await.map_err(bucket_answer)?;
            Ok::<_, Trouble>(())
        }
        .await;
        if let Err(trouble) = sent {
            // Parts that belong to nothing cost money; what ended this comes first.
            let _ = upload.abort().await;
            return Err(trouble);
        }
    }
    match head(bucket, path).await? {
        Some(actual) if actual == blob.size => Ok(()),
        Some(actual) => Err(Answer::Cut {
            got: actual,
            expected: Some(blob.size),
        }
        .into()),
        None => Err(Answer::NotThere.into()),
    }
}

/// The next part of a file.
async fn piece(file: &mut fs_err::File) -> Result<Bytes, Trouble> {
    let io = CacheError::io("read a blob of the cache");
    let mut bytes = Vec::new();
    // Stores are far away, and disks are near: this wait is not worth a thread.
    file.take(PART as u64).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes.into())
}
