//! Exporters from a Lunikernel to the disk formats of clouds and hypervisors.
//!
//! Everything here is a function of its arguments: no root, no loop device, no other
//! program, no clock, no random number. The same artefact and options give the same
//! bytes on every machine.
//!
//! ```text
//! what is known of a Lunikernel ──► checks::check ──► what cannot work, before any work
//! files, zip entries, memory ──► Content     a range of bytes that are read when needed
//!   uki::Uki ──► Content                     an EFI program with kernel and initramfs
//!   fat::FileTree ──► Disk                   the EFI system partition
//!   grub::{boot_code, core}                  what a BIOS starts
//!   gpt::place(partitions) ──► Disk          partition table, boot code, partitions
//!   hybrid::Layout ──► Disk                  all of it, as boots under BIOS and UEFI
//!   iso::Volume, disc::Disc ──► Disk         the same as a disc, and no disk
//! Disk ──► raw │ gce │ qcow2 │ vmdk │ vhd │ vdi │ vhdx ──► Sink ──► Output ──commit──► file
//! bundle::Bundles, tar::archive ──► Disk     what is loaded by others, and boots from no disk
//!   vmlinux::unpack ──► Vmlinux              a kernel as these load it
//! Disk ──► BlockMap                          its digest, and what a cloud has to be sent
//! all that came of it ──► manifest::ExportManifest ──► NAME.export.json
//! ```
//!
//! A [`Disk`] is sparse and lazy: a size, and extents of [`Content`] that are read when a
//! writer comes to them. Nothing ever makes the holes, or the whole disk, in memory; a
//! disk of 10 GiB with 60 MB of content costs what 60 MB cost.
//!
//! What a writer makes depends on the bytes of the disk alone, and not on how they are
//! cut into extents: zeros in an extent are as good as a hole. Everything that other
//! programs take from a clock or from random numbers is derived from the artefact's
//! digest by an [`Identity`].

pub mod blocks;
pub mod boot;
pub mod bundle;
pub mod checks;
pub mod content;
pub mod disc;
pub mod disk;
pub mod error;
pub mod export;
pub mod fat;
pub mod gce;
pub mod gpt;
pub mod grub;
pub mod hybrid;
pub mod identity;
pub mod iso;
pub mod kvm;
pub mod manifest;
pub mod output;
pub mod qcow2;
pub mod raw;
pub mod sink;
pub mod tar;
pub mod uki;
pub mod vdi;
pub mod vhd;
pub mod vhdx;
pub mod vmdk;
pub mod vmlinux;
mod zeros;

pub use blocks::BlockMap;
pub use content::{Content, ReadAt};
pub use disk::{Disk, DiskError};
pub use error::WriteError;
pub use identity::{Guid, Identity};
pub use output::{Existing, Output, OutputError};
pub use sink::{Patch, Sink};
