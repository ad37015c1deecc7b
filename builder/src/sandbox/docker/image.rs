//! A root as an image of the engine.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder};
use futures::{StreamExt as _, TryStreamExt as _};
use lunikernel_cache::{BlobStore, CacheError, Digest, Sha256, Tree};
use tokio::sync::Mutex;

use super::pack;
use super::{Docker, EngineTrouble};
use crate::sandbox::SandboxError;

/// What images of roots are called; the tag is the root's digest.
pub(super) const REPOSITORY: &str = "localhost/lunikernel-root";

/// How often an import is tried again that another process spoiled.
const RETRIES: usize = 3;

/// The images that this process has imported, by root.
pub(super) type Images = Mutex<BTreeMap<Sha256, String>>;

impl Docker {
    /// The image of `root`, imported if this process has not done so yet. It is named by
    /// what the engine calls its digest.
    pub(super) async fn image(
        &self,
        blobs: &BlobStore,
        root: &Digest,
        tree: Tree,
    ) -> Result<String, SandboxError> {
        // Who comes meanwhile waits, and takes this one's.
        let mut images = self.images().lock().await;
        if let Some(image) = images.get(&root.sha256) {
            return Ok(image.clone());
        }
        let mut image = self.import(blobs, root, &tree).await;
        for _ in 0..RETRIES {
            if !image.as_ref().is_err_and(lost_its_layer) {
                break;
            }
            image = self.import(blobs, root, &tree).await;
        }
        let image = image?;
        images.insert(root.sha256, image.clone());
        Ok(image)
    }

    async fn import(
        &self,
        blobs: &BlobStore,
        root: &Digest,
        tree: &Tree,
    ) -> Result<String, SandboxError> {
        let attempted = || format!("import the root {} as an image", root.sha256);
        let failed = |trouble: EngineTrouble| trouble.at(attempted(), self.address());
        let client = self.client()?;

        let (blobs, tree) = (blobs.clone(), tree.clone());
        let sum = Arc::new(std::sync::Mutex::new(None));
        let (body, writing) =
            pack::stream(move |builder| pack::append_tree(builder, &blobs, &tree, ""));
        let told = Arc::clone(&sum);
        let body = hashed(body, move |hex| {
            if let Ok(mut sum) = told.lock() {
                *sum = Some(hex);
            }
        });

        let (name, value) = self.mark().label_of_root();
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .changes(vec![format!("LABEL {name}={value}")])
            .build();
        let answers: Result<Vec<CreateImageInfo>, _> = client
            .create_image(Some(options), Some(bollard::body_try_stream(body)), None)
            .try_collect()
            .await;
        // What the store could not provide is why the engine got too little.
        match writing.await {
            Ok(Err(error @ CacheError::Missing { .. })) => return Err(error.into()),
            Ok(Err(error)) if answers.is_ok() => return Err(error.into()),
            _ => {}
        }
        let answers = answers.map_err(|error| failed(error.into()))?;
        let image = answers
            .into_iter()
            .filter_map(|answer| answer.status)
            .rfind(|status| status.starts_with("sha256:"))
            .ok_or_else(|| failed(EngineTrouble::Wrong("it did not name the image".to_owned())))?;

        let options = TagImageOptionsBuilder::new()
            .repo(REPOSITORY)
            .tag(&root.sha256.hex())
            .build();
        client
            .tag_image(&image, Some(options))
            .await
            .map_err(|error| failed(error.into()))?;
        let found = client
            .inspect_image(&image)
            .await
            .map_err(|error| failed(error.into()))?;
        let layers = found.root_fs.and_then(|root| root.layers);
        let sent = sum.lock().ok().and_then(|mut sum| sum.take());
        let expected = format!("sha256:{}", sent.unwrap_or_default());
        if layers.as_deref() != Some(std::slice::from_ref(&expected)) {
            return Err(failed(EngineTrouble::Wrong(format!(
                "the image has other content than was sent: expected {expected}, got {}",
                layers.unwrap_or_default().join(", ")
            ))));
        }
        Ok(image)
    }
}

/// Whether another process removed an image of the same root at just the wrong moment:
/// Podman shares the files of both, and then misses them.
fn lost_its_layer(error: &SandboxError) -> bool {
    matches!(error, SandboxError::Engine {
        source: EngineTrouble::Refused { message },
        ..
    } if message.contains("layer not known"))
}

/// The same stream; at its end `tell` gets the SHA-256 of all of it, in hex.
fn hashed(
    stream: impl futures::Stream<Item = io::Result<bytes::Bytes>> + Send + 'static,
    tell: impl FnOnce(String) + Send + 'static,
) -> impl futures::Stream<Item = io::Result<bytes::Bytes>> + Send + 'static {
    let writer = lunikernel_cache::HashingWriter::new(io::sink());
    futures::stream::unfold(
        (Box::pin(stream), Some((writer, tell))),
        |(mut stream, mut hash)| async move {
            match stream.next().await {
                Some(chunk) => {
                    if let (Ok(chunk), Some((writer, _))) = (&chunk, &mut hash) {
                        let _ = io::Write::write_all(writer, chunk);
                    }
                    Some((chunk, (stream, hash)))
                }
                None => {
                    if let Some((writer, tell)) = hash.take() {
                        tell(writer.finish().1.sha256.hex());
                    }
                    None
                }
            }
        },
    )
}
