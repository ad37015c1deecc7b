//! Folders that are known by the digest of their tree.

use lunikernel_cache::{Cache, Digest, Tree, reapi};
use prost::Message as _;

use super::{FetchError, Fetcher, Want};
use crate::source::file::has_files;

/// Whether all of a tree is in the cache.
pub(crate) fn is_cached(cache: &Cache, tree: &Digest) -> bool {
    Tree::load(cache.blobs(), tree).is_ok_and(|tree| has_files(cache.blobs(), &tree))
}

/// Fetches a tree, called `name`, from hashed mirrors, level by level. False where there
/// are no mirrors or they do not have all of it.
///
/// # Errors
/// [`FetchError`] where anything but a mirror fails.
pub(crate) async fn from_mirrors(
    fetcher: &Fetcher,
    tree: &Digest,
    name: &str,
) -> Result<bool, FetchError> {
    if fetcher.options().mirrors.is_empty() {
        return Ok(false);
    }
    let want = |digest: &Digest| Want {
        name: format!("part {} of {name}", digest.sha256.hex()),
        sha256: digest.sha256,
        size: Some(digest.size),
        places: Vec::new(),
    };
    let mut level = vec![*tree];
    while !level.is_empty() {
        let wants: Vec<Want> = level.iter().map(want).collect();
        if !reached(fetcher.fetch(&wants).await)? {
            return Ok(false);
        }
        let mut below = Vec::new();
        for digest in &level {
            let bytes = fetcher.cache().blobs().read(digest)?;
            let Ok(folder) = reapi::Directory::decode(bytes.as_slice()) else {
                return Ok(false);
            };
            let digests = folder.directories.iter().map(|inner| inner.digest.as_ref());
            below.extend(digests.flatten().filter_map(Digest::from_reapi));
        }
        below.sort_unstable();
        below.dedup();
        level = below;
    }
    let tree = Tree::load(fetcher.cache().blobs(), tree)?;
    let wants: Vec<Want> = tree.digests().iter().map(want).collect();
    reached(fetcher.fetch(&wants).await)
}

fn reached<T>(result: Result<T, FetchError>) -> Result<bool, FetchError> {
    match result {
        Ok(_) => Ok(true),
        Err(FetchError::Unavailable(_) | FetchError::Offline(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
