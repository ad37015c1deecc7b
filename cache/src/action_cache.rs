//! The action cache on local disk: which result an action had.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fs_err as fs;
use prost::Message as _;

use crate::digest::{Digest, Sha256};
use crate::error::CacheError;
use crate::locks::create_folder;
use crate::reapi;
use crate::store::{BlobStore, mark_used};

/// Results of actions, named by the action's digest. An entry is the SHA-256 of an
/// encoded `ActionResult` and then the message, so that a damaged entry is noticed.
#[derive(Clone, Debug)]
pub struct ActionCache {
    root: PathBuf,
    scratch: PathBuf,
}

impl ActionCache {
    pub(crate) fn new(root: PathBuf, scratch: PathBuf) -> Self {
        Self { root, scratch }
    }

    /// Where the result of the action with that SHA-256 is, or would be.
    #[must_use]
    pub fn path(&self, action: &Sha256) -> PathBuf {
        let hex = action.hex();
        self.root.join(&hex[..2]).join(hex)
    }

    /// The recorded result of `action`, if there is one and every blob that it names,
    /// directly or in the tree of an output folder, is still in `blobs`. A damaged
    /// entry counts as none.
    ///
    /// # Errors
    /// [`CacheError::Io`] where an entry is there and cannot be read.
    pub fn get(
        &self,
        action: &Digest,
        blobs: &BlobStore,
    ) -> Result<Option<reapi::ActionResult>, CacheError> {
        let path = self.path(&action.sha256);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CacheError::io("read an entry of the action cache")(error)),
        };
        let Some(result) = decode_entry(&bytes) else {
            return Ok(None);
        };
        let whole = named_by(&result, blobs)
            .is_some_and(|named| named.iter().all(|digest| blobs.contains(digest)));
        if !whole {
            return Ok(None);
        }
        mark_used(&path);
        Ok(Some(result))
    }

    /// Records the result of `action`. Its blobs must be stored and synced before.
    ///
    /// # Errors
    /// [`CacheError::Io`], a full disk included.
    pub fn put(&self, action: &Digest, result: &reapi::ActionResult) -> Result<(), CacheError> {
        let io = CacheError::io;
        let message = result.encode_to_vec();
        let mut file = tempfile::Builder::new()
            .prefix("result-")
            .tempfile_in(&self.scratch)
            .map_err(io("create a file in the cache"))?;
        file.write_all(Sha256::of(&message).as_bytes())
            .and_then(|()| file.write_all(&message))
            .and_then(|()| file.as_file().sync_all())
            .map_err(io("write an entry of the action cache"))?;
        let path = self.path(&action.sha256);
        if let Some(folder) = path.parent() {
            create_folder(folder).map_err(io("write an entry of the action cache"))?;
        }
        fs::set_permissions(file.path(), PermissionsExt::from_mode(0o444))
            .map_err(io("write an entry of the action cache"))?;
        file.persist(&path)
            .map(drop)
            .map_err(|error| io("write an entry of the action cache")(error.error))
    }
}

/// Reads an entry's bytes; `None` where they are damaged.
#[must_use]
pub fn decode_entry(bytes: &[u8]) -> Option<reapi::ActionResult> {
    let (sum, message) = bytes.split_first_chunk::<32>()?;
    if Sha256::of(message).as_bytes() != sum {
        return None;
    }
    reapi::ActionResult::decode(message).ok()
}

/// Every blob that a result names directly; `None` for one that is no digest.
pub fn outputs_of(result: &reapi::ActionResult) -> impl Iterator<Item = Option<Digest>> {
    let files = result.output_files.iter().map(|file| file.digest.as_ref());
    let trees = result
        .output_directories
        .iter()
        .map(|folder| folder.tree_digest.as_ref());
    let logs = [result.stdout_digest.as_ref(), result.stderr_digest.as_ref()]
        .into_iter()
        .flatten()
        .map(Some);
    files
        .chain(trees)
        .chain(logs)
        .map(|digest| digest.and_then(Digest::from_reapi))
}

/// Every blob that a result names, those in the trees of its output folders
/// included; `None` where that cannot be said because a digest is none, or a tree is
/// missing or damaged. Whether the others are there is not looked at.
#[must_use]
pub fn named_by(result: &reapi::ActionResult, blobs: &BlobStore) -> Option<Vec<Digest>> {
    let mut named = outputs_of(result).collect::<Option<Vec<_>>>()?;
    for folder in &result.output_directories {
        let digest = Digest::from_reapi(folder.tree_digest.as_ref()?)?;
        let tree = reapi::Tree::decode(blobs.peek(&digest).ok()?.as_slice()).ok()?;
        for file in tree
            .root
            .iter()
            .chain(&tree.children)
            .flat_map(|d| &d.files)
        {
            named.push(Digest::from_reapi(file.digest.as_ref()?)?);
        }
    }
    named.sort_unstable();
    named.dedup();
    Some(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cache;

    #[test]
    fn a_result_is_known_while_it_and_all_that_it_names_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let (actions, blobs) = (cache.actions(), cache.blobs());
        let action = Digest::of(b"action");
        let log = blobs.put(b"log").unwrap();
        let result = reapi::ActionResult {
            exit_code: 3,
            stdout_digest: Some(log.to_reapi()),
            ..Default::default()
        };
        assert_eq!(actions.get(&action, blobs).unwrap(), None);
        actions.put(&action, &result).unwrap();
        assert_eq!(actions.get(&action, blobs).unwrap(), Some(result));

        blobs.discard(&log).unwrap();
        assert_eq!(actions.get(&action, blobs).unwrap(), None);
        blobs.put(b"log").unwrap();
        assert!(actions.get(&action, blobs).unwrap().is_some());

        // Any bit of it may flip.
        let path = actions.path(&action.sha256);
        let whole = fs::read(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(actions.get(&action, blobs).unwrap(), None, "byte {at}");
        }
    }
}
