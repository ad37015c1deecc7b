//! What is known of a Lunikernel that is to be exported.

use std::collections::BTreeSet;

use lunikernel_builder::inspect::{Glance, InspectError, glance};
use lunikernel_builder::overlay::HISTORY;
use lunikernel_cache::artefact::{Artefact, INITRAMFS, Protocol};
use lunikernel_exporters::boot::System;
use lunikernel_exporters::checks::{Firmware, Guest, drivers_suffice};
use lunikernel_exporters::export::Format;

/// What GCE is told of an image, and the driver that it is true with.
const DRIVER_FEATURES: [(&str, &str); 2] =
    [("GVNIC", "gve"), ("VIRTIO_SCSI_MULTIQUEUE", "virtio_scsi")];

/// What is found in the initramfs of `artefact`, which was checked, as far as it matters
/// for `formats`; `None` where there is none that a Linux unpacks.
pub(super) fn initramfs(
    artefact: &Artefact,
    formats: &BTreeSet<Format>,
) -> Result<Option<Glance>, InspectError> {
    let manifest = artefact.manifest();
    if manifest.boot.protocol != Protocol::Linux || !manifest.entries.contains_key(INITRAMFS) {
        return Ok(None);
    }
    let enough = |drivers: &BTreeSet<String>, format: Format| {
        let is_all = DRIVER_FEATURES.iter().all(|(_, it)| drivers.contains(*it));
        drivers_suffice(drivers, manifest.devices, format.target())
            && (format != Format::Gce || is_all)
    };
    let found = glance(artefact, |drivers| {
        formats.iter().all(|format| enough(drivers, *format))
    });
    found.map(Some)
}

/// What is known of `artefact`, started as `system` says, in whose initramfs was `found`.
pub(super) fn of(artefact: &Artefact, system: &System, found: Option<Glance>) -> Guest {
    let manifest = artefact.manifest();
    let packed = manifest.entries.get(INITRAMFS).map(|entry| entry.size);
    Guest {
        protocol: manifest.boot.protocol,
        arch: manifest.arch.clone(),
        cmdline: system.cmdline().to_owned(),
        min_memory_mib: manifest.boot.min_memory_mib,
        devices: manifest.devices,
        initramfs: packed.map(|packed| (packed, found.as_ref().map(|it| it.unpacked))),
        without: found.as_ref().and_then(|it| it.without.clone()),
        overlaid: manifest.entries.contains_key(HISTORY),
        drivers: found.and_then(|it| it.drivers),
    }
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
