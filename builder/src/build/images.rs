//! Container images: each layer is unpacked once, what came of it is recorded, and the
//! layers are laid one over the other.

use lunikernel_cache::Rootfs;

use super::unpack::contents;
use super::{BuildError, Builder};
use crate::assemble::image::{self, ImageError, Layer, Stack};
use crate::assemble::tarball::TarError;
use crate::plan::{EncodedAction, UNPACKED, unpack_layer_action};
use crate::source::oci::{Config, LockedLayer, LockedOci, codec};

impl Builder {
    /// The root file system that a container image is.
    pub(super) fn image(&self, source: &str, locked: &LockedOci) -> Result<Rootfs, BuildError> {
        let wrong = |error| BuildError::Image {
            source_name: source.to_owned(),
            source: error,
        };
        let config = self.cache.blobs().read(&locked.config)?;
        let config = Config::parse(&config).map_err(|why| wrong(ImageError::Config(why)))?;
        let (expected, found) = (locked.layers.len(), config.diff_ids.len());
        if expected != found {
            let why = format!("it speaks of {found} layers: expected {expected}");
            return Err(wrong(ImageError::Config(why)));
        }
        let mut stack = Stack::default();
        for (index, (layer, expected)) in locked.layers.iter().zip(config.diff_ids).enumerate() {
            let number = index + 1;
            let label = format!("{source}: layer {number} of {}", locked.layers.len());
            let unpacked = self.layer(&label, layer)?;
            let unpacked = unpacked.map_err(|source| wrong(ImageError::Tar { number, source }))?;
            if unpacked.diff_id != expected {
                return Err(wrong(ImageError::Layer {
                    number,
                    expected,
                    actual: unpacked.diff_id,
                }));
            }
            stack.add(&unpacked).map_err(wrong)?;
        }
        Ok(stack.finish())
    }

    /// What is in a layer, or what is wrong with it.
    fn layer(
        &self,
        label: &str,
        locked: &LockedLayer,
    ) -> Result<Result<Layer, TarError>, BuildError> {
        let digest = locked.digest();
        let action = unpack_layer_action(&digest, &locked.media_type).encode();
        if let Some(layer) = self.known_layer(&action)? {
            return Ok(Ok(layer));
        }
        let _turn = self.turn(&action.digest, &format!("unpacking `{label}`"))?;
        if let Some(layer) = self.known_layer(&action)? {
            return Ok(Ok(layer));
        }
        let blobs = self.cache.blobs();
        let task = self.progress.start("unpacking", label, None);
        // A lock with another kind of layer was refused when it was read.
        let codec = codec(&locked.media_type).unwrap_or(crate::assemble::codec::Codec::Plain);
        let layer = match image::unpack(blobs, &digest, codec) {
            Ok(layer) => layer,
            Err(error) => {
                // Before its maker is blamed: are these still the bytes that were fetched?
                blobs.verify(&digest, label)?;
                return Ok(Err(error));
            }
        };
        let json = blobs.put(&serde_json::to_vec(&layer).map_err(BuildError::Json)?)?;
        self.record(&action, UNPACKED, &json)?;
        task.finish("");
        Ok(Ok(layer))
    }

    /// What was in a layer, if it was unpacked before and all of it is still there.
    fn known_layer(&self, action: &EncodedAction) -> Result<Option<Layer>, BuildError> {
        let blobs = self.cache.blobs();
        if let Some(json) = self.recall(action, UNPACKED)?
            && let Ok(layer) = serde_json::from_slice::<Layer>(&blobs.read(&json)?)
            && contents(&layer.root).all(|content| blobs.contains(&content))
        {
            return Ok(Some(layer));
        }
        Ok(None)
    }
}
