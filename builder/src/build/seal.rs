//! Sealing: bill of materials and manifest, then the zip.

use lunikernel_cache::artefact::{self, EntrySource, FILES, Input, LOCK, Manifest, RECIPE, SBOM};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Sha256};

use super::materials::Materials;
use super::system::System;
use super::{BuildError, Builder, sbom};
use crate::lock::{LINKS, Links, LockedRecipe, LockedSource};

impl Builder {
    /// Makes the artefact and says what its digest is.
    pub(super) fn seal(
        &self,
        locked: &LockedRecipe,
        system: System,
        materials: &Materials<'_>,
    ) -> Result<Digest, BuildError> {
        let blobs = self.cache.blobs();
        let inputs = inputs(locked, materials);
        let recipe = blobs.put(locked.recipe_text().as_bytes())?;
        let lock = blobs.put(locked.lock_text().as_bytes())?;
        let identity =
            Sha256::of(&[recipe.sha256.as_bytes().as_slice(), lock.sha256.as_bytes()].concat());
        let listed = self.listed(locked.recipe(), materials)?;
        let sbom = sbom::document(locked.recipe(), &inputs, &listed, &identity);
        let sbom = serde_json::to_vec(&sbom).map_err(BuildError::Json)?;
        let sbom = blobs.put(&sbom)?;

        let mut manifest = manifest(locked, &system, recipe, lock);
        manifest.inputs = inputs;
        let mut entries = system.entries;
        entries.extend([
            EntrySource::of_blob(blobs, RECIPE, recipe)?,
            EntrySource::of_blob(blobs, LOCK, lock)?,
            EntrySource::of_blob(blobs, SBOM, sbom)?,
        ]);
        let mut links = Links::default();
        for (path, entry) in locked.files() {
            self.own_file(path, entry, &mut entries, &mut links)?;
        }
        if let Some(list) = links.to_json().map_err(BuildError::Json)? {
            let list = blobs.put(&list)?;
            entries.push(EntrySource::of_blob(blobs, LINKS, list)?);
        }
        let sealed = artefact::seal(blobs, manifest, &entries, self.progress.as_ref())?;
        Ok(sealed.digest)
    }

    /// Adds a file or folder of the recipe's own, so that the zip alone can be rebuilt.
    fn own_file(
        &self,
        path: &str,
        entry: &Entry,
        entries: &mut Vec<EntrySource>,
        links: &mut Links,
    ) -> Result<(), BuildError> {
        match entry {
            Entry::File { digest, executable } => {
                let name = format!("{FILES}{path}");
                let source = EntrySource::of_blob(self.cache.blobs(), &name, *digest)?;
                entries.push(if *executable {
                    source.executable()
                } else {
                    source
                });
                Ok(())
            }
            Entry::Folder(tree) => tree.entries().try_for_each(|(part, entry)| {
                self.own_file(&format!("{path}/{part}"), entry, entries, links)
            }),
            Entry::Symlink { target } => {
                links
                    .add(path, target)
                    .map_err(|why| BuildError::LinkInFiles {
                        path: path.to_owned(),
                        why,
                    })
            }
        }
    }
}

/// The manifest, but for its entries and inputs.
fn manifest(
    locked: &LockedRecipe,
    system: &System,
    recipe_digest: Digest,
    lock_digest: Digest,
) -> Manifest {
    let recipe = locked.recipe();
    Manifest {
        devices: system.devices,
        overlay: system.overlay.clone(),
        recipe: Some(recipe_digest),
        lock: Some(lock_digest),
        ..Manifest::new(
            &recipe.name,
            &recipe.version,
            recipe.flavour.name(),
            recipe.arch.name(),
            system.boot.clone(),
        )
    }
}

/// Everything that went in, in the order of the manifest.
fn inputs(locked: &LockedRecipe, materials: &Materials<'_>) -> Vec<Input> {
    let mut inputs = Vec::new();
    let mut add = |kind: &str, name: &str, version: Option<&str>, digest: Digest| {
        inputs.push(Input {
            kind: kind.to_owned(),
            name: name.to_owned(),
            version: version.map(str::to_owned),
            sha256: digest.sha256,
            size: digest.size,
            licence: materials.licence(&digest).map(str::to_owned),
        });
    };
    for source in locked.lock().sources.values() {
        match source {
            LockedSource::Deb(debs) => {
                for package in &debs.packages {
                    add(
                        "deb",
                        &package.name,
                        Some(&package.version),
                        package.digest(),
                    );
                }
            }
            LockedSource::Apk(apks) => {
                for package in &apks.packages {
                    add(
                        "apk",
                        &package.name,
                        Some(&package.version),
                        package.digest(),
                    );
                }
            }
            LockedSource::Url(url) => add("url", &url.url, None, url.digest()),
            LockedSource::Crate(krate) => {
                let version = Some(krate.version.as_str());
                add("crate", &krate.name, version, krate.digest());
            }
            LockedSource::Git(git) => add("git", &git.url, Some(&git.commit), git.tree),
            LockedSource::Oci(oci) => {
                let image = format!("sha256:{}", oci.manifest.sha256.hex());
                for (number, (name, digest)) in oci.parts().iter().enumerate() {
                    match number {
                        0 => add("oci", oci.request.name(), Some(&image), *digest),
                        _ => add("oci", name, None, *digest),
                    }
                }
            }
            LockedSource::Tcz(tczs) => {
                for extension in &tczs.extensions {
                    add("tcz", &extension.name, None, extension.digest());
                }
            }
            LockedSource::File(file) => add("file", &file.path, None, file.digest),
        }
    }
    for (name, step) in &locked.lock().steps {
        add("step", name, None, step.outputs);
    }
    inputs.sort();
    inputs.dedup();
    inputs
}
