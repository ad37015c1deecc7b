//! What has to be fetched for a locked recipe, and where it may be had.

use lunikernel_cache::BlobStore;
use url::Url;

use super::error::{LockError, SourceError};
use super::file::{LockedDebs, LockedSource};
use super::locked::LockedRecipe;
use crate::fetch::Want;
use crate::source::deb::{AptConfig, DebError, LockedDeb, places};

impl LockedRecipe {
    /// The inputs that are fetched by their digest and are not in `blobs`, but for crates
    /// ([`crate::source::krate::wants`]), whose registry has to be asked. `apt` says
    /// where this machine gets its packages; it is asked only when one is missing.
    /// `snapshots` is the address of an archive of snapshots, with `@ARCHIVE@` and
    /// `@SNAPSHOTID@` in it, where someone named one.
    ///
    /// # Errors
    /// [`LockError::Source`] where `apt` fails, or the lock has an address that is none.
    pub fn missing(
        &self,
        blobs: &BlobStore,
        apt: impl FnOnce() -> Result<AptConfig, DebError>,
        snapshots: Option<&str>,
    ) -> Result<Vec<Want>, LockError> {
        let mut wants = Vec::new();
        let mut packages = Vec::new();
        for (name, locked) in &self.lock().sources {
            let failed = |source: SourceError| LockError::Source {
                source_name: name.clone(),
                source: Box::new(source),
            };
            match locked {
                LockedSource::Deb(debs) => {
                    for package in &debs.packages {
                        if !blobs.contains(&package.digest()) {
                            packages.push((name, package, debs));
                        }
                    }
                }
                LockedSource::Apk(apks) => {
                    for package in &apks.packages {
                        if !blobs.contains(&package.digest()) {
                            let place = package.place(self.recipe().arch);
                            wants.push(Want {
                                name: package.file_name(),
                                sha256: package.sha256,
                                size: Some(package.size),
                                places: vec![place.map_err(|error| failed(error.into()))?],
                            });
                        }
                    }
                }
                LockedSource::Url(url) => {
                    if !blobs.contains(&url.digest()) {
                        wants.push(url.want().map_err(|error| failed(error.into()))?);
                    }
                }
                LockedSource::Oci(oci) => {
                    let parts = oci.wants(blobs);
                    wants.extend(parts.map_err(|error| failed(error.into()))?);
                }
                LockedSource::Tcz(tczs) => {
                    for extension in &tczs.extensions {
                        if !blobs.contains(&extension.digest()) {
                            let want = tczs.want(extension);
                            wants.push(want.map_err(|error| failed(error.into()))?);
                        }
                    }
                }
                LockedSource::Git(_) | LockedSource::Crate(_) | LockedSource::File(_) => {}
            }
        }
        if let Some((name, ..)) = packages.first() {
            let apt = apt().map_err(|error| LockError::Source {
                source_name: (*name).clone(),
                source: Box::new(error.into()),
            })?;
            for (_, package, debs) in packages {
                wants.push(Want {
                    name: package.file_name().to_owned(),
                    sha256: package.sha256,
                    size: Some(package.size),
                    places: debs.places(package, &apt, snapshots),
                });
            }
        }
        wants.sort_by(|a, b| (&a.name, a.sha256).cmp(&(&b.name, b.sha256)));
        wants.dedup_by(|a, b| a.sha256 == b.sha256);
        Ok(wants)
    }
}

impl LockedDebs {
    /// Where a package of this source may be had, best first.
    fn places(&self, package: &LockedDeb, apt: &AptConfig, snapshots: Option<&str>) -> Vec<Url> {
        self.releases
            .iter()
            .find(|release| release.archive == package.archive && release.suite == package.suite)
            .map(|release| places(package, release, apt, snapshots, None))
            .unwrap_or_default()
    }
}
