//! The packages of all suites that take part.

use futures::future::try_join_all;

use super::Download;
use super::error::DebError;
use super::index::Index;
use super::packages::Package;
use super::suites::Suite;
use crate::recipe::DebSource;

/// Fetches and reads the lists of the components that a recipe names. What is read
/// does not depend on the order in which lists arrive.
pub(super) async fn read(
    source: &DebSource,
    arch: &'static str,
    suites: &[Suite],
    download: &impl Download,
) -> Result<Vec<Package>, DebError> {
    for component in &source.components {
        let offered = suites
            .iter()
            .any(|suite| !Index::of(&suite.release, component, arch).is_empty());
        if !offered {
            return Err(DebError::NoComponent {
                suite: source.suite.clone(),
                component: component.to_string(),
                arch,
            });
        }
    }
    let reading = suites.iter().enumerate().flat_map(|(number, suite)| {
        source
            .components
            .iter()
            .flat_map(|component| Index::of(&suite.release, component, arch))
            .map(move |index| read_one(index, number, suite, arch, download))
    });
    Ok(try_join_all(reading).await?.into_iter().flatten().collect())
}

async fn read_one(
    index: Index,
    release: usize,
    suite: &Suite,
    arch: &'static str,
    download: &impl Download,
) -> Result<Vec<Package>, DebError> {
    let (url, bytes) = index
        .fetch(&suite.base, suite.release.by_hash, download)
        .await?;
    // Decompressing takes long enough to hold up what else is being fetched.
    tokio::task::spawn_blocking(move || index.read(&bytes, arch, release))
        .await
        .map_err(|_| DebError::Interrupted)?
        .map_err(|source| DebError::Packages {
            url: url.into(),
            source,
        })
}
