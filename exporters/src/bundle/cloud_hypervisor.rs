//! Cloud Hypervisor, which is told all by options. Its kernel is an ELF file with an entry
//! for PVH: what every version of it takes.

use lunikernel_cache::artefact::INITRAMFS;

use super::shell::quoted;
use super::{BundleError, Files, Guest, Kind, Loaded, network};

pub(super) fn files(guest: &Guest<'_>) -> Result<Files, BundleError> {
    let loaded = guest.loaded(Kind::CloudHypervisor, true)?;
    let mut files = Files::default();
    files.program("run.sh", script(guest, &loaded));
    files.text("README.txt", readme(guest));
    loaded.put(&mut files);
    Ok(files)
}

fn script(guest: &Guest<'_>, loaded: &Loaded) -> String {
    let about = guest.system.about();
    let (name, memory) = (&about.name, guest.system.memory_mib());
    let (kernel, cmdline) = (loaded.file, quoted(guest.system.cmdline()));
    let initramfs = match loaded.initramfs {
        Some(_) => format!(" --initramfs {INITRAMFS}"),
        None => String::new(),
    };
    let (net, tap) = match about.devices.net {
        true => (
            r#" --net "tap=${TAP:-tap0}""#,
            "\n# TAP names its network interface, where that is not tap0.",
        ),
        false => ("", ""),
    };
    format!(
        r#"#!/bin/sh
# Runs {name} by Cloud Hypervisor; its console is this terminal. Options of Cloud Hypervisor
# may follow. CLOUD_HYPERVISOR=PATH names one that is not in PATH, MEMORY=MIB gives it more
# memory.{tap}
set -eu
CDPATH= cd -- "$(dirname -- "$0")"
exec "${{CLOUD_HYPERVISOR:-cloud-hypervisor}}" --kernel {kernel}{initramfs} \
    --cmdline {cmdline} --cpus boot=1 --memory "size=${{MEMORY:-{memory}}}M" \
    --serial tty --console off{net} "$@"
"#
    )
}

fn readme(guest: &Guest<'_>) -> String {
    let mut text = format!(
        "{}, for Cloud Hypervisor.

    ./run.sh

It needs Cloud Hypervisor, and access to /dev/kvm (on many systems for members of the group
kvm). Its console is the serial one, console=ttyS0.
",
        guest.label()
    );
    if guest.system.about().devices.net {
        text += &format!(
            "
It wants a network: run.sh gives it the interface tap0 of this machine, or the one that TAP
names. Once, as root (USER is who runs it):

{}
The system takes an address beside it, 10.0.0.2 for example. For it to reach further:

{}",
            network::TAP,
            network::further("luni")
        );
    }
    text
}
