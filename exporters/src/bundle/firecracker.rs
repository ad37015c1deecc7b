//! Firecracker, which is told all by one file of JSON. Its kernel is an ELF file: what every
//! version of it takes.

use lunikernel_cache::artefact::INITRAMFS;
use serde_json::json;

use super::{BundleError, Files, Guest, Kind, Loaded, network};

const CONFIG: &str = "config.json";

pub(super) fn files(guest: &Guest<'_>) -> Result<Files, BundleError> {
    let loaded = guest.loaded(Kind::Firecracker, false)?;
    let mut files = Files::default();
    files.text(CONFIG, config(guest, &loaded)?);
    files.program("run.sh", script(guest));
    files.text("README.txt", readme(guest));
    loaded.put(&mut files);
    Ok(files)
}

/// What Firecracker's `--config-file` reads, by the names of its API.
fn config(guest: &Guest<'_>, loaded: &Loaded) -> Result<String, BundleError> {
    let about = guest.system.about();
    let mut source = json!({
        "boot_args": guest.system.cmdline(),
        "kernel_image_path": loaded.file,
    });
    if loaded.initramfs.is_some() {
        source["initrd_path"] = INITRAMFS.into();
    }
    let networks = match about.devices.net {
        true => json!([{ "host_dev_name": "tap0", "iface_id": "net0" }]),
        false => json!([]),
    };
    let config = json!({
        "boot-source": source,
        "drives": [],
        "machine-config": { "mem_size_mib": guest.system.memory_mib(), "vcpu_count": 1 },
        "network-interfaces": networks,
    });
    let text = serde_json::to_string_pretty(&config);
    let text = text.map_err(|error| BundleError::Config(Kind::Firecracker, error.to_string()))?;
    Ok(text + "\n")
}

fn script(guest: &Guest<'_>) -> String {
    let name = &guest.system.about().name;
    format!(
        r#"#!/bin/sh
# Runs {name} by Firecracker; its console is this terminal. Options of Firecracker may
# follow. FIRECRACKER=PATH names one that is not in PATH.
set -eu
CDPATH= cd -- "$(dirname -- "$0")"
exec "${{FIRECRACKER:-firecracker}}" --no-api --config-file {CONFIG} "$@"
"#
    )
}

fn readme(guest: &Guest<'_>) -> String {
    let (label, about) = (guest.label(), guest.system.about());
    let mut text = format!(
        "{label}, for Firecracker.

    ./run.sh

It needs Firecracker 1.0 or newer, and access to /dev/kvm (on many systems for members of the
group kvm). {CONFIG} says all that the machine is; its paths are those of this folder.

Devices come by virtio-mmio, for which the kernel needs the driver virtio_mmio. With
virtio_pci alone, ./run.sh --enable-pci shows them, from Firecracker 1.13 on.

Firecracker ends when the system in it restarts by the keyboard's controller: reboot=k on the
kernel's command line lets it. luni export puts it there with --append reboot=k.
"
    );
    if about.devices.net {
        text += &format!(
            "
It wants a network: {CONFIG} gives it the interface tap0 of this machine. Once, as root (USER is
who runs it):

{}
The system takes an address beside it, 10.0.0.2 for example. For it to reach further:

{}",
            network::TAP,
            network::further("luni")
        );
    }
    text
}
