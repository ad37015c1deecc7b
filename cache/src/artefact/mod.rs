//! The Lunikernel zip. `docs/format.md` is its specification.
//!
//! [`seal`] writes one from blobs of the store, [`derive`] one from another,
//! [`Artefact`] reads one that may come from anywhere, and [`Manifest`] is what one says
//! about itself.

mod derive;
mod error;
mod layout;
mod manifest;
mod memory;
mod name;
mod reader;
mod zip;

pub use derive::{Content, DeriveError, Derived, derive};
pub use error::{ArtefactError, EntryFlaw, ZipFlaw};
pub use layout::{MAX_ENTRIES, MAX_ZIP_SIZE};
pub use manifest::{
    Boot, Devices, Entry, Format, Input, MAX_MANIFEST_SIZE, Manifest, ManifestError, Overlay,
    Protocol,
};
pub use memory::unpacking_mib;
pub use name::{MAX_NAME_LENGTH, NameFlaw, check_name};
pub use reader::{Artefact, Checked, EntryReader, EntrySums};
pub use zip::{Crc32Writer, EntrySource, SealError, Sealed, seal};

/// The entry that is first in every Lunikernel zip and lists the others.
pub const MANIFEST: &str = "lunikernel.json";
/// The entry that is booted.
pub const KERNEL: &str = "kernel";
/// The entry with the initial root file system: gzipped cpio, for Linux only.
pub const INITRAMFS: &str = "initramfs.gz";
/// The entry with the recipe, where there is one.
pub const RECIPE: &str = "recipe.yaml";
/// The entry with the recipe's lock, where there is one.
pub const LOCK: &str = "recipe.lock";
/// The entry with the software bill of materials, where there is one.
pub const SBOM: &str = "sbom.spdx.json";
/// What the names of entries begin with that are files of the recipe's own.
pub const FILES: &str = "files/";
/// The entry with a tender that runs a unikernel of Solo5's, where it has one.
pub const TENDER: &str = "tender";
/// The entry that lists the modules of a unikernel, where it has any.
pub const MODULES: &str = "modules.json";
