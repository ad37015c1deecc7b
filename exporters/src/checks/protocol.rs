//! Whether what an image is meant for starts a kernel of that kind at all.

use lunikernel_cache::artefact::Protocol;

use super::{Firmware, Guest, Severity, Target};

/// What helps where no disk boots a kernel for a tender.
const TO_BUNDLE: &str = "export it with `--to bundle`, to run it where its tender is, or build it \
                         for the virtio target";

pub(super) fn check(
    guest: &Guest,
    target: Target,
    firmware: Firmware,
    say: &mut impl FnMut(Severity, String, &str),
) {
    use Severity::{Never, Refuse};
    let cloud = matches!(target, Target::Azure | Target::Gce | Target::Ec2);
    match target {
        Target::Tender => return tender(guest, say),
        Target::Firecracker => return monitor(guest, "Firecracker", target, say),
        Target::CloudHypervisor => return monitor(guest, "Cloud Hypervisor", target, say),
        Target::Xen => return monitor(guest, "Xen", target, say),
        Target::Pxe => return network(guest, say),
        Target::Raw | Target::Kvm | Target::Azure | Target::Gce | Target::Ec2 => {}
    }
    match guest.protocol {
        Protocol::Solo5Hvt | Protocol::Solo5Spt => say(
            Never,
            "it is run by a tender of Solo5's, and no firmware can start it from a disk".to_owned(),
            TO_BUNDLE,
        ),
        Protocol::XenPvh => say(
            Never,
            "it is started by PVH, where the hypervisor loads the kernel and no disk boots"
                .to_owned(),
            "export it with `--to xen`, or run it with `luni run`",
        ),
        Protocol::Solo5Muen => say(
            Never,
            "it is a subject of a system made with Muen, and nothing else starts it".to_owned(),
            "integrate it with Muen, or build it for the virtio target",
        ),
        Protocol::Solo5Virtio if target == Target::Gce => say(
            Refuse,
            "Google's machines have no virtio-blk disk, and newer ones no virtio-net, and Solo5 \
             knows no others"
                .to_owned(),
            "export it with `--to kvm`",
        ),
        Protocol::Solo5Virtio if target == Target::Ec2 => say(
            Refuse,
            "Amazon's Nitro machines have neither virtio-net nor virtio-blk, and Solo5 knows no \
             others"
                .to_owned(),
            "export it with `--to kvm`",
        ),
        Protocol::Solo5Virtio if target == Target::Azure => say(
            Refuse,
            "Microsoft's machines have no virtio devices, and Solo5 knows no others".to_owned(),
            "export it with `--to kvm`",
        ),
        Protocol::Solo5Virtio | Protocol::Multiboot | Protocol::Multiboot2
            if firmware != Firmware::Bios =>
        {
            say(
                Never,
                "it is started by Multiboot, which needs a BIOS".to_owned(),
                "export it with `--firmware bios`, to a disk or disc: `--to raw`, `--to iso`",
            );
        }
        Protocol::Solo5Virtio if guest.devices.block => say(
            Refuse,
            "it wants a disk, and would take the one that it boots from: Solo5 knows just one"
                .to_owned(),
            "run it with `luni run`, which boots it without a disk",
        ),
        Protocol::Multiboot | Protocol::Multiboot2 if cloud => say(
            Severity::Warn,
            "whether it has drivers for this cloud's disks and networks is not known".to_owned(),
            "try it on one machine first",
        ),
        Protocol::Linux | Protocol::Multiboot | Protocol::Multiboot2 | Protocol::Solo5Virtio => {}
    }
    if guest.arch != "x86_64" && firmware != Firmware::Uefi {
        say(
            Refuse,
            format!("there is no BIOS for {}", guest.arch),
            "export it with `--firmware uefi`",
        );
    }
}

fn tender(guest: &Guest, say: &mut impl FnMut(Severity, String, &str)) {
    if !matches!(guest.protocol, Protocol::Solo5Hvt | Protocol::Solo5Spt) {
        say(
            Severity::Never,
            "it is run by no tender of Solo5's".to_owned(),
            "export it to a disk, with `--to raw`",
        );
    }
}

/// What loads a kernel itself, without firmware: Linux, or by PVH.
fn monitor(
    guest: &Guest,
    name: &str,
    target: Target,
    say: &mut impl FnMut(Severity, String, &str),
) {
    use Severity::Never;
    match guest.protocol {
        Protocol::Linux if guest.arch != "x86_64" => say(
            Never,
            format!(
                "kernels for {} cannot be brought into the form that {name} loads",
                guest.arch
            ),
            "export it to a disk, with `--to raw --firmware uefi`",
        ),
        Protocol::XenPvh if target != Target::Xen => say(
            Severity::Warn,
            format!("whether it does without Xen, and knows the devices of {name}, is not known"),
            "try it on one machine first",
        ),
        Protocol::Linux | Protocol::XenPvh => {}
        Protocol::Solo5Hvt | Protocol::Solo5Spt => say(
            Never,
            format!("it is run by a tender of Solo5's, and not by {name}"),
            TO_BUNDLE,
        ),
        Protocol::Solo5Muen => say(
            Never,
            "it is a subject of a system made with Muen, and nothing else starts it".to_owned(),
            "integrate it with Muen, or build it for the virtio target",
        ),
        Protocol::Multiboot | Protocol::Multiboot2 | Protocol::Solo5Virtio => say(
            Never,
            format!("it is started by Multiboot, and {name} starts Linux and by PVH alone"),
            "export it with `--to kvm`",
        ),
    }
}

fn network(guest: &Guest, say: &mut impl FnMut(Severity, String, &str)) {
    let (problem, remedy) = match guest.protocol {
        Protocol::Linux | Protocol::Multiboot | Protocol::Solo5Virtio => return,
        Protocol::Multiboot2 => (
            "it is started by Multiboot 2, and iPXE knows the first version alone",
            "export it to a disk, with `--to raw`",
        ),
        Protocol::XenPvh => (
            "it is started by PVH, where the hypervisor loads the kernel",
            "export it with `--to xen`, or run it with `luni run`",
        ),
        Protocol::Solo5Hvt | Protocol::Solo5Spt => (
            "it is run by a tender of Solo5's, and by no machine alone",
            TO_BUNDLE,
        ),
        Protocol::Solo5Muen => (
            "it is a subject of a system made with Muen, and nothing else starts it",
            "integrate it with Muen, or build it for the virtio target",
        ),
    };
    say(Severity::Never, problem.to_owned(), remedy);
}
