//! Sealing: initramfs, bill of materials and manifest, then the zip.

use std::io;

use lunikernel_cache::artefact::{
    self, Boot, Devices, EntrySource, FILES, Format, INITRAMFS, Input, KERNEL, LOCK, Manifest,
    RECIPE, SBOM,
};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Rootfs, Sha256};

use super::compose::Kernel;
use super::materials::Materials;
use super::{BuildError, Builder, sbom};
use crate::assemble::initramfs::initramfs;
use crate::flavour::Flavour;
use crate::lock::{LockedRecipe, LockedSource};
use crate::overlay::{PATHS, Paths};
use crate::plan::SOURCE_DATE_EPOCH;

impl Builder {
    /// Makes the artefact and says what its digest is.
    pub(super) fn seal(
        &self,
        locked: &LockedRecipe,
        flavour: &dyn Flavour,
        kernel: &Kernel,
        root: &Rootfs,
        materials: &Materials<'_>,
    ) -> Result<Digest, BuildError> {
        let blobs = self.cache.blobs();
        let task = self.progress.start("packing", "initramfs.gz", None);
        let packed = initramfs(root, blobs, SOURCE_DATE_EPOCH)?;
        task.finish("");
        let paths = io::BufReader::with_capacity(256 << 10, blobs.open(&packed.digest)?);
        let paths = Paths::of_initramfs(paths).map_err(BuildError::Paths)?;
        let paths = blobs.put(&paths.to_json().map_err(BuildError::Json)?)?;

        let inputs = inputs(locked, materials);
        let recipe = blobs.put(locked.recipe_text().as_bytes())?;
        let lock = blobs.put(locked.lock_text().as_bytes())?;
        let identity =
            Sha256::of(&[recipe.sha256.as_bytes().as_slice(), lock.sha256.as_bytes()].concat());
        let sbom = serde_json::to_vec(&sbom::document(locked.recipe(), &inputs, &identity))
            .map_err(BuildError::Json)?;
        let sbom = blobs.put(&sbom)?;

        let mut entries = vec![
            EntrySource::of_blob(blobs, KERNEL, kernel.image)?,
            EntrySource::new(INITRAMFS, packed.digest, packed.crc32),
            EntrySource::of_blob(blobs, PATHS, paths)?,
            EntrySource::of_blob(blobs, RECIPE, recipe)?,
            EntrySource::of_blob(blobs, LOCK, lock)?,
            EntrySource::of_blob(blobs, SBOM, sbom)?,
        ];
        for (path, entry) in locked.files() {
            self.own_file(&format!("{FILES}{path}"), entry, &mut entries)?;
        }
        let manifest = manifest(locked, flavour, recipe, lock, inputs);
        let sealed = artefact::seal(blobs, manifest, &entries, self.progress.as_ref())?;
        Ok(sealed.digest)
    }

    /// Adds a file or folder of the recipe's own, so that the zip alone can be rebuilt.
    fn own_file(
        &self,
        name: &str,
        entry: &Entry,
        entries: &mut Vec<EntrySource>,
    ) -> Result<(), BuildError> {
        match entry {
            Entry::File { digest, executable } => {
                let source = EntrySource::of_blob(self.cache.blobs(), name, *digest)?;
                entries.push(if *executable {
                    source.executable()
                } else {
                    source
                });
                Ok(())
            }
            Entry::Folder(tree) => tree.entries().try_for_each(|(part, entry)| {
                self.own_file(&format!("{name}/{part}"), entry, entries)
            }),
            Entry::Symlink { .. } => Err(BuildError::LinkInFiles {
                path: name.to_owned(),
            }),
        }
    }
}

fn manifest(
    locked: &LockedRecipe,
    flavour: &dyn Flavour,
    recipe_digest: Digest,
    lock_digest: Digest,
    inputs: Vec<Input>,
) -> Manifest {
    let recipe = locked.recipe();
    Manifest {
        format: Format::V1,
        name: recipe.name.clone(),
        version: recipe.version.clone(),
        flavour: flavour.name().to_owned(),
        arch: recipe.arch.name().to_owned(),
        boot: Boot {
            protocol: flavour.protocol(),
            cmdline: recipe.boot.cmdline.clone(),
            min_memory_mib: recipe.boot.min_memory_mib,
        },
        devices: Devices {
            net: recipe.boot.net,
            block: recipe.boot.block,
        },
        overlay: flavour.overlay(),
        entries: Default::default(),
        recipe: Some(recipe_digest),
        lock: Some(lock_digest),
        inputs,
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
            LockedSource::Url(url) => add("url", &url.url, None, url.digest()),
            LockedSource::Crate(krate) => {
                let version = Some(krate.version.as_str());
                add("crate", &krate.name, version, krate.digest());
            }
            LockedSource::Git(git) => add("git", &git.url, Some(&git.commit), git.tree),
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
