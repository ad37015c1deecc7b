//! What is known of a Lunikernel that is to be exported.

use std::collections::BTreeSet;

use lunikernel_builder::inspect::{InspectError, glance};
use lunikernel_cache::artefact::{Artefact, INITRAMFS, KERNEL, Protocol};
use lunikernel_exporters::boot::System;
use lunikernel_exporters::checks::{Firmware, Guest, asks_for_drivers};
use lunikernel_exporters::export::Format;

/// What is known of `artefact`, which was checked, started as `system` says, as far as it
/// matters for `formats`.
pub(super) fn of(
    artefact: &Artefact,
    system: &System,
    formats: &BTreeSet<Format>,
) -> Result<Guest, InspectError> {
    let manifest = artefact.manifest();
    let size = |name: &str| manifest.entries.get(name).map(|entry| entry.size);
    let packed = size(INITRAMFS);
    let initramfs = match packed {
        Some(_) if manifest.boot.protocol == Protocol::Linux => {
            let asks = |it: &Format| asks_for_drivers(it.target(), manifest.devices);
            Some(glance(artefact, formats.iter().any(asks))?)
        }
        _ => None,
    };
    Ok(Guest {
        protocol: manifest.boot.protocol,
        arch: manifest.arch.clone(),
        cmdline: system.cmdline().to_owned(),
        min_memory_mib: manifest.boot.min_memory_mib,
        devices: manifest.devices,
        kernel: size(KERNEL).unwrap_or_default(),
        initramfs: packed.map(|packed| (packed, initramfs.as_ref().map(|it| it.unpacked))),
        drivers: initramfs.and_then(|it| it.drivers),
    })
}

/// What a publisher to GCE has to say about the image, sorted.
pub(super) fn features(guest: &Guest, firmware: Firmware) -> Vec<String> {
    let has = |name: &str| guest.drivers.as_ref().is_some_and(|it| it.contains(name));
    let features = [
        ("GVNIC", has("gve")),
        ("UEFI_COMPATIBLE", firmware != Firmware::Bios),
        ("VIRTIO_SCSI_MULTIQUEUE", has("virtio_scsi")),
    ];
    let said = features.into_iter().filter(|(_, said)| *said);
    said.map(|(name, _)| name.to_owned()).collect()
}
