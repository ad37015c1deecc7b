//! Folders that are known by the digest of their tree.

use lunikernel_cache::{Cache, Digest, Tree, reapi};
use prost::Message as _;

use super::{Attempt, FetchError, Fetcher, Want};
use crate::source::file::has_files;

/// Whether all of a tree is in the cache.
pub(crate) fn is_cached(cache: &Cache, tree: &Digest) -> bool {
    Tree::load(cache.blobs(), tree).is_ok_and(|tree| has_files(cache.blobs(), &tree))
}

/// Whether mirrors had all of a tree.
pub(crate) enum FromMirrors {
    All,
    /// They did not, if there are any: what they answered about the first parts that they
    /// lack, each with the name of the part.
    Lacking(Vec<Attempt>),
}

/// Of so many parts of a tree it is told that mirrors lack them.
const TOLD: usize = 3;

/// Fetches a tree, called `name`, from hashed mirrors, level by level.
///
/// # Errors
/// [`FetchError`] where anything but a mirror fails.
pub(crate) async fn from_mirrors(
    fetcher: &Fetcher,
    tree: &Digest,
    name: &str,
) -> Result<FromMirrors, FetchError> {
    if fetcher.options().mirrors.is_empty() {
        return Ok(FromMirrors::Lacking(Vec::new()));
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
        if let lacking @ FromMirrors::Lacking(_) = reached(fetcher.fetch(&wants).await)? {
            return Ok(lacking);
        }
        let mut below = Vec::new();
        for digest in &level {
            let bytes = fetcher.cache().blobs().read(digest)?;
            let Ok(folder) = reapi::Directory::decode(bytes.as_slice()) else {
                return Ok(FromMirrors::Lacking(Vec::new()));
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

fn reached<T>(result: Result<T, FetchError>) -> Result<FromMirrors, FetchError> {
    match result {
        Ok(_) => Ok(FromMirrors::All),
        Err(FetchError::Unavailable(missing) | FetchError::Offline(missing)) => {
            let attempts = missing.into_iter().take(TOLD).flat_map(|part| {
                let name = part.name;
                part.attempts.into_iter().map(move |attempt| Attempt {
                    place: format!("{}: {name}", attempt.place),
                    ..attempt
                })
            });
            Ok(FromMirrors::Lacking(attempts.collect()))
        }
        Err(error) => Err(error),
    }
}
