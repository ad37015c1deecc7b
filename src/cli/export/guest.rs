//! What is known of a Lunikernel that is to be exported.

use std::collections::BTreeSet;
use std::io::{BufReader, Read as _};

use lunikernel_builder::assemble::cpio::read_gzip;
use lunikernel_builder::inspect::InspectError;
use lunikernel_cache::artefact::{Artefact, INITRAMFS, KERNEL, Protocol};
use lunikernel_exporters::boot::System;
use lunikernel_exporters::checks::{Firmware, Guest};

/// As much as is unpacked: no initramfs that fits into a memory comes near.
const MAX_UNPACKED: u64 = 16 << 30;
/// The longest list of built-in modules that is read, in bytes. Distributions' have some
/// 10 KiB.
const MAX_LIST: u64 = 4 << 20;
/// How files of modules end.
const ENDINGS: [&str; 4] = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"];

/// What is known of `artefact`, started as `system` says.
pub(super) fn of(artefact: &Artefact, system: &System) -> Result<Guest, InspectError> {
    let manifest = artefact.manifest();
    let size = |name: &str| manifest.entries.get(name).map(|entry| entry.size);
    let packed = size(INITRAMFS);
    let initramfs = match packed {
        Some(_) if manifest.boot.protocol == Protocol::Linux => Some(look_into(artefact)?),
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

/// What an initramfs tells.
struct Initramfs {
    unpacked: u64,
    drivers: Option<BTreeSet<String>>,
}

fn look_into(artefact: &Artefact) -> Result<Initramfs, InspectError> {
    let failed = |source| InspectError::Initramfs {
        artefact: artefact.label().to_owned(),
        source,
    };
    let packed = BufReader::with_capacity(256 << 10, artefact.entry(INITRAMFS)?);
    let mut reader = read_gzip(packed, MAX_UNPACKED);
    let (mut unpacked, mut modules, mut built_in) = (0, BTreeSet::new(), None);
    while let Some(header) = reader.next_header().map_err(failed)? {
        unpacked += u64::from(header.size);
        if !header.path.split('/').any(|part| part == "modules") {
            continue;
        }
        if header.path.ends_with("/modules.builtin") {
            let mut list = String::new();
            // A list that is no text is none, and damage shows with the next header.
            if (&mut reader)
                .take(MAX_LIST)
                .read_to_string(&mut list)
                .is_ok()
            {
                built_in = Some(list);
            }
        }
        modules.extend(module(&header.path));
    }
    // Without the list, a driver that is not there as a module may be in the kernel.
    let drivers = built_in.map(|list| {
        modules.extend(list.lines().filter_map(module));
        modules
    });
    Ok(Initramfs { unpacked, drivers })
}

/// The name of the module in the file at `path`, as the kernel writes names.
fn module(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let name = ENDINGS
        .iter()
        .find_map(|ending| file.strip_suffix(ending))?;
    Some(name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::module;

    #[test]
    fn modules_are_known_by_their_files() {
        let found = |path: &str| module(path);
        let path = "usr/lib/modules/6.1/kernel/drivers/net/virtio-net.ko.xz";
        assert_eq!(found(path).as_deref(), Some("virtio_net"));
        assert_eq!(found("kernel/nvme.ko").as_deref(), Some("nvme"));
        assert_eq!(found("usr/lib/modules/6.1/modules.dep"), None);
        assert_eq!(found("nvme.ko/readme"), None);
    }
}
