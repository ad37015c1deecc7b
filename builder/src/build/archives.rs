//! Archives among the inputs: each is unpacked when something in it is asked for, once,
//! and what came of it is recorded.

use lunikernel_cache::{Digest, Rootfs};

use super::unpack::contents;
use super::{BuildError, Builder};
use crate::assemble::unpack;
use crate::plan::{EncodedAction, UNPACKED, unpack_archive_action};

impl Builder {
    /// What is in the archive that is the blob `digest`; `name` is what the recipe calls
    /// it. `None` where it is no archive.
    pub(super) fn unpack_archive(
        &self,
        name: &str,
        digest: &Digest,
    ) -> Result<Option<Rootfs>, BuildError> {
        let action = unpack_archive_action(digest).encode();
        if let Some(root) = self.known_archive(&action)? {
            return Ok(Some(root));
        }
        let _turn = self.turn(&action.digest, &format!("unpacking `{name}`"))?;
        if let Some(root) = self.known_archive(&action)? {
            return Ok(Some(root));
        }
        let blobs = self.cache.blobs();
        let task = self.progress.start("unpacking", name, None);
        let root = match unpack::unpack(blobs, digest) {
            Ok(Some(root)) => root,
            Ok(None) => return Ok(None),
            Err(source) => {
                // Before its maker is blamed: are these still the bytes that were fetched?
                blobs.verify(digest, name)?;
                return Err(BuildError::Archive {
                    name: name.to_owned(),
                    source: Box::new(source),
                });
            }
        };
        let json = blobs.put(&serde_json::to_vec(&root).map_err(BuildError::Json)?)?;
        self.record(&action, UNPACKED, &json)?;
        task.finish("");
        Ok(Some(root))
    }

    /// What was in an archive, if it was unpacked before and all of it is still there.
    fn known_archive(&self, action: &EncodedAction) -> Result<Option<Rootfs>, BuildError> {
        let blobs = self.cache.blobs();
        if let Some(json) = self.recall(action, UNPACKED)?
            && let Ok(root) = serde_json::from_slice::<Rootfs>(&blobs.read(&json)?)
            && contents(&root).all(|content| blobs.contains(&content))
        {
            return Ok(Some(root));
        }
        Ok(None)
    }
}
