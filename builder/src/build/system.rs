//! What is booted: a Linux kernel and its initramfs, or a unikernel and its modules.

use std::io;

use lunikernel_cache::artefact::{
    Boot, Devices, EntrySource, INITRAMFS, KERNEL, MODULES, Overlay, Protocol, TENDER,
};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Rootfs};

use super::compose;
use super::materials::{Material, Materials};
use super::{BuildError, Builder};
use crate::assemble::initramfs::initramfs;
use crate::flavour::{Linux, Unikernel};
use crate::overlay::{PATHS, Paths};
use crate::plan::SOURCE_DATE_EPOCH;
use crate::recipe::Recipe;
use crate::unikernel::{MAX_KERNEL, Module, Modules};

/// The command line of a Linux whose recipe says nothing: all clouds show this console,
/// and a machine that panics does not stay.
const LINUX_CMDLINE: &str = "console=ttyS0 panic=5";

/// What is booted, as the artefact has it.
pub(super) struct System {
    pub(super) boot: Boot,
    pub(super) devices: Devices,
    pub(super) overlay: Overlay,
    /// `kernel`, and what goes with it.
    pub(super) entries: Vec<EntrySource>,
}

impl Builder {
    /// A Linux kernel and the initramfs that it runs from.
    pub(super) fn linux(
        &self,
        recipe: &Recipe,
        flavour: &dyn Linux,
        materials: &Materials<'_>,
    ) -> Result<System, BuildError> {
        let blobs = self.cache.blobs();
        let kernel = compose::kernel(recipe, materials, blobs)?;
        let root = compose::rootfs(recipe, flavour, materials, &kernel, blobs)?;
        let mut entries = vec![EntrySource::of_blob(blobs, KERNEL, kernel.image)?];
        entries.extend(self.initramfs(&root)?);
        Ok(System {
            boot: boot(recipe, Protocol::Linux, LINUX_CMDLINE),
            devices: Devices {
                net: recipe.boot.net,
                block: recipe.boot.block,
            },
            overlay: Overlay::Initramfs {},
            entries,
        })
    }

    /// A unikernel as it is, and the modules that it takes along.
    pub(super) fn unikernel(
        &self,
        recipe: &Recipe,
        flavour: &dyn Unikernel,
        materials: &Materials<'_>,
    ) -> Result<System, BuildError> {
        let blobs = self.cache.blobs();
        let digest = file(materials, &recipe.kernel.from)?;
        if digest.size > MAX_KERNEL {
            return Err(BuildError::KernelTooLarge {
                from: recipe.kernel.from.clone(),
                size: digest.size,
            });
        }
        let looked = flavour.look(recipe, &blobs.read(&digest)?)?;
        for note in &looked.notes {
            self.progress.note(note);
        }
        let mut entries = vec![EntrySource::of_blob(blobs, KERNEL, digest)?];
        entries.extend(self.modules(recipe, materials)?);
        if let Some(tender) = &recipe.boot.tender {
            entries.push(EntrySource::of_blob(
                blobs,
                TENDER,
                file(materials, tender)?,
            )?);
        }
        Ok(System {
            boot: boot(recipe, looked.protocol, ""),
            devices: looked.devices,
            overlay: looked.overlay,
            entries,
        })
    }

    /// The initramfs, and the list of its paths.
    fn initramfs(&self, root: &Rootfs) -> Result<[EntrySource; 2], BuildError> {
        let blobs = self.cache.blobs();
        let task = self.progress.start("packing", INITRAMFS, None);
        let packed = initramfs(root, blobs, SOURCE_DATE_EPOCH)?;
        task.finish("");
        let paths = io::BufReader::with_capacity(256 << 10, blobs.open(&packed.digest)?);
        let paths = Paths::of_initramfs(paths).map_err(BuildError::Paths)?;
        let paths = blobs.put(&paths.to_json().map_err(BuildError::Json)?)?;
        Ok([
            EntrySource::new(INITRAMFS, packed.digest, packed.crc32),
            EntrySource::of_blob(blobs, PATHS, paths)?,
        ])
    }

    /// The modules in their order, and the list of them, if there are any.
    fn modules(
        &self,
        recipe: &Recipe,
        materials: &Materials<'_>,
    ) -> Result<Vec<EntrySource>, BuildError> {
        let blobs = self.cache.blobs();
        let mut entries = Vec::new();
        let mut list = Modules::default();
        for (index, module) in recipe.boot.modules.iter().enumerate() {
            let name = Modules::entry(index);
            let digest = file(materials, &module.from)?;
            entries.push(EntrySource::of_blob(blobs, &name, digest)?);
            list.modules.push(Module {
                entry: name,
                cmdline: module.cmdline.clone(),
            });
        }
        if !entries.is_empty() {
            let list = blobs.put(&list.to_json().map_err(BuildError::Json)?)?;
            entries.push(EntrySource::of_blob(blobs, MODULES, list)?);
        }
        Ok(entries)
    }
}

fn boot(recipe: &Recipe, protocol: Protocol, cmdline: &str) -> Boot {
    let own = recipe.boot.cmdline.as_deref();
    Boot {
        protocol,
        cmdline: own.unwrap_or(cmdline).to_owned(),
        min_memory_mib: recipe.boot.min_memory_mib,
    }
}

/// The one file that `reference` stands for.
fn file(materials: &Materials<'_>, reference: &str) -> Result<Digest, BuildError> {
    match materials.get(reference)? {
        Material::Entry(Entry::File { digest, .. }) => Ok(digest),
        _ => Err(BuildError::NotAFile {
            reference: reference.to_owned(),
            wanted: "a unikernel and its modules are files",
        }),
    }
}
