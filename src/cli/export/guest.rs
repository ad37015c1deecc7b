//! What is known of a Lunikernel that is to be exported.

use std::collections::BTreeSet;

use lunikernel_builder::inspect::{InspectError, glance};
use lunikernel_cache::artefact::{Artefact, INITRAMFS, KERNEL, Protocol};
use lunikernel_exporters::boot::System;
use lunikernel_exporters::checks::{Firmware, Guest, drivers_suffice};
use lunikernel_exporters::export::Format;

/// What GCE is told of an image, and the driver that it is true with.
const DRIVER_FEATURES: [(&str, &str); 2] =
    [("GVNIC", "gve"), ("VIRTIO_SCSI_MULTIQUEUE", "virtio_scsi")];

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
            let enough = |drivers: &BTreeSet<String>, format: Format| {
                let is_all = DRIVER_FEATURES.iter().all(|(_, it)| drivers.contains(*it));
                drivers_suffice(drivers, manifest.devices, format.target())
                    && (format != Format::Gce || is_all)
            };
            Some(glance(artefact, |drivers| {
                formats.iter().all(|format| enough(drivers, *format))
            })?)
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
    let by_drivers = DRIVER_FEATURES
        .into_iter()
        .filter(|(_, driver)| has(driver));
    let mut said: Vec<&str> = by_drivers.map(|(feature, _)| feature).collect();
    if firmware != Firmware::Bios {
        said.push("UEFI_COMPATIBLE");
    }
    said.sort_unstable();
    said.into_iter().map(str::to_owned).collect()
}
