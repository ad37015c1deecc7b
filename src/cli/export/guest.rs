//! What is known of a Lunikernel that is to be exported.

use std::collections::BTreeSet;

use lunikernel_builder::inspect::{Glance, InspectError, glance};
use lunikernel_builder::overlay::HISTORY;
use lunikernel_cache::artefact::{Artefact, INITRAMFS, Protocol};
use lunikernel_exporters::boot::System;
use lunikernel_exporters::checks::{Firmware, Guest, asks_for_drivers};
use lunikernel_exporters::export::Format;

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
    let asks = |it: &Format| asks_for_drivers(it.target(), manifest.devices);
    glance(artefact, formats.iter().any(asks)).map(Some)
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
        overlaid: manifest.entries.contains_key(HISTORY),
        drivers: found.and_then(|it| it.drivers),
    }
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
