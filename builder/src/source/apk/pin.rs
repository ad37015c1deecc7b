//! Pinning packages: each is fetched once, held to what the index says and to its own
//! signature, and then known by its SHA-256.

use std::io::BufReader;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use lunikernel_cache::Digest;

use super::choose::{Choice, Chosen};
use super::error::ApkSourceError;
use super::keys::Keys;
use super::{LockedApk, VouchedIndex};
use crate::assemble::apk::member::{Watch, Watched};
use crate::assemble::apk::{ApkError, Expected, read_head};
use crate::fetch::Fetcher;

/// How many packages are fetched and checked at once; the fetcher has a limit of its own.
const AT_ONCE: usize = 8;

/// Pins what was chosen. Packages that `before` has already, and that the index says are
/// the same, are not fetched again.
///
/// # Errors
/// [`ApkSourceError`] where a package cannot be had, or is not what the index says.
pub async fn pin(
    fetcher: &Fetcher,
    choice: Choice,
    before: &[LockedApk],
) -> Result<(Vec<VouchedIndex>, Vec<LockedApk>), ApkSourceError> {
    let Choice {
        indexes,
        packages,
        keys,
    } = choice;
    let keys = &keys;
    let pinned = stream::iter(&packages)
        .map(|chosen| async move {
            let known = before.iter().find(|known| {
                known.name == chosen.name
                    && known.version == chosen.version
                    && known.checksum == chosen.checksum
                    && known.size == chosen.size
            });
            match known {
                Some(known) => Ok(LockedApk {
                    repository: chosen.repository.clone(),
                    ..known.clone()
                }),
                None => fetch(fetcher, chosen, keys).await,
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    Ok((indexes, pinned))
}

async fn fetch(
    fetcher: &Fetcher,
    chosen: &Chosen,
    keys: &Keys,
) -> Result<LockedApk, ApkSourceError> {
    let name = format!("{}-{}.apk", chosen.name, chosen.version);
    let digest = fetcher
        .fetch_unpinned(&name, &chosen.url)
        .await
        .map_err(|source| ApkSourceError::Package {
            package: format!("{} {}", chosen.name, chosen.version),
            why: chosen.why.clone(),
            source: Box::new(source),
        })?;
    let url = || Box::new(chosen.url.clone());
    if digest.size != chosen.size {
        return Err(ApkSourceError::Size {
            url: url(),
            expected: chosen.size,
            found: digest.size,
        });
    }
    check(fetcher, chosen, keys, &digest)?;
    Ok(LockedApk {
        name: chosen.name.clone(),
        version: chosen.version.clone(),
        repository: chosen.repository.clone(),
        checksum: chosen.checksum,
        sha256: digest.sha256,
        size: digest.size,
    })
}

/// Holds a package to what the index says about it, to its signature, and its data to
/// what its control member says.
fn check(
    fetcher: &Fetcher,
    chosen: &Chosen,
    keys: &Keys,
    digest: &Digest,
) -> Result<(), ApkSourceError> {
    let refused = |source: ApkError| ApkSourceError::Refused {
        url: Box::new(chosen.url.clone()),
        source: Box::new(source),
    };
    let name = format!("{} {}", chosen.name, chosen.version);
    let blob = fetcher.cache().blobs().open(digest)?;
    let mut file = Watched::new(BufReader::with_capacity(64 << 10, blob));
    let head = read_head(&name, &mut file).map_err(refused)?;
    keys.vouch(&head.signatures, &head.control)
        .map_err(|source| ApkSourceError::Signature {
            url: Box::new(chosen.url.clone()),
            source,
        })?;
    let expected = Expected {
        name: chosen.name.clone(),
        version: chosen.version.clone(),
        checksum: chosen.checksum,
    };
    head.check(&name, "the index", &expected).map_err(refused)?;
    file.watch(Watch::hash());
    file.drain().map_err(|source| {
        refused(ApkError::Read {
            package: name.clone(),
            part: "the data",
            source,
        })
    })?;
    head.check_data(&name, file.watch(Watch::Nothing))
        .map_err(refused)
}
