//! Whether a Linux has drivers for the devices that it will find.

use std::collections::BTreeSet;

use lunikernel_cache::artefact::Devices;

use super::{Guest, Severity, Target};

/// The drivers that a target has devices for, one of which is enough: networks, and disks.
fn wanted(target: Target) -> Option<[&'static [&'static str]; 2]> {
    Some(match target {
        Target::Raw | Target::Tender | Target::Pxe => return None,
        Target::Kvm | Target::CloudHypervisor | Target::Firecracker => {
            [&["virtio_net"], &["virtio_blk"]]
        }
        Target::Gce => [&["virtio_net", "gve"], &["virtio_scsi", "nvme"]],
        Target::Ec2 => [&["ena"], &["nvme"]],
        Target::Azure => [&["hv_netvsc"], &["hv_storvsc", "nvme"]],
        Target::Xen => [&["xen_netfront"], &["xen_blkfront"]],
    })
}

/// The drivers of the bus that a device of that driver is found on, one of which is enough;
/// none where every kernel has it.
fn buses(target: Target, driver: &str) -> &'static [&'static str] {
    match driver.split('_').next() {
        Some("virtio") if target == Target::Firecracker => &["virtio_mmio", "virtio_pci"],
        Some("virtio") => &["virtio_pci"],
        Some("hv") => &["hv_vmbus"],
        _ => &[],
    }
}

/// What it wants of a target's devices, and the drivers for each, one of which is enough.
fn wishes(
    devices: Devices,
    target: Target,
) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let wishes = wanted(target).map(|[networks, disks]| {
        let network = devices.net.then_some(("network", networks));
        [network, devices.block.then_some(("disk", disks))]
    });
    wishes.into_iter().flatten().flatten()
}

/// Says that nobody can tell, which must not look as if all were well.
pub(super) fn unknown(guest: &Guest, target: Target, say: &mut impl FnMut(Severity, String, &str)) {
    let (why, remedy) = match &guest.without {
        Some(release) => (
            format!("its kernel is {release}, and its initramfs has modules of others alone"),
            "lay the modules of its own kernel over it, or try it on one machine first",
        ),
        None => (
            "its initramfs has no modules.builtin".to_owned(),
            "put the kernel's modules.builtin into the folder of its modules, or try it on one \
             machine first",
        ),
    };
    for (what, names) in wishes(guest.devices, target) {
        let names = names.join(" or ");
        say(
            Severity::Warn,
            format!(
                "it wants a {what}, and nothing tells whether its kernel has a driver for one \
                 there, {names}: {why}"
            ),
            remedy,
        );
    }
}

pub(super) fn check(
    drivers: &BTreeSet<String>,
    devices: Devices,
    target: Target,
    say: &mut impl FnMut(Severity, String, &str),
) {
    let has = |name: &str| {
        let found = |driver: &String| driver.replace('-', "_") == name;
        drivers.iter().any(found)
    };
    let found = |name: &str| {
        let buses = buses(target, name);
        buses.is_empty() || buses.iter().any(|bus| has(bus))
    };
    let works = |name: &&str| has(name) && found(name);
    let mut virtio = false;
    for (what, names) in wishes(devices, target) {
        virtio |= names.iter().any(|name| name.starts_with("virtio"));
        if !names.iter().any(works) {
            let lost = names.iter().find(|name| !found(name));
            let bus = match lost {
                Some(name) => format!(" with {}", buses(target, name).join(" or ")),
                None => String::new(),
            };
            let names = names.join(" or ");
            say(
                Severity::Refuse,
                format!("it wants a {what} and has no driver for one there: {names}{bus}"),
                "add the driver to `kernel.modules` in its recipe",
            );
        }
    }
    if target == Target::Gce && devices.net && works(&"virtio_net") && !has("gve") {
        say(
            Severity::Warn,
            "it has no driver for gVNIC (gve), the only network of machines of the third \
             generation and later"
                .to_owned(),
            "add `gve` to `kernel.modules` in its recipe, or use machines of an older generation",
        );
    }
    if target == Target::Firecracker && virtio && !has("virtio_mmio") && has("virtio_pci") {
        say(
            Severity::Warn,
            "it has no driver for virtio_mmio, by which Firecracker has its devices where \
             nothing else is said"
                .to_owned(),
            "start it with `./run.sh --enable-pci` (Firecracker 1.13 and later), or add \
             `virtio_mmio` to `kernel.modules` in its recipe",
        );
    }
}
