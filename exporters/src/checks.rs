//! What can be said before an export: whether the result can boot where it is meant to.
//!
//! Elsewhere these things show late and silently: a machine that does not answer.

use std::collections::BTreeSet;

use lunikernel_cache::artefact::{Devices, Protocol};

/// Memory of the smallest machine in MiB: an e2-micro of Google's, a t3.nano of Amazon's.
const SMALLEST_GCE: u64 = 1024;
const SMALLEST_EC2: u64 = 512;
/// What a Linux needs for itself while it unpacks its initramfs, in MiB.
const LINUX_OVERHEAD: u64 = 48;

/// Where an image is meant to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Any machine.
    Raw,
    /// QEMU, with or without libvirt.
    Kvm,
    /// Google Compute Engine.
    Gce,
    /// Amazon EC2, on Nitro.
    Ec2,
    /// A tender of Solo5's, on any Linux.
    Tender,
}

/// What starts the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS alone.
    Bios,
    /// UEFI alone.
    Uefi,
    /// Either.
    Hybrid,
}

impl Firmware {
    /// What users call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
            Self::Hybrid => "hybrid",
        }
    }

    /// What starts a disk where nobody says: all that can start a kernel of this protocol.
    #[must_use]
    pub fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Multiboot | Protocol::Multiboot2 | Protocol::Solo5Virtio => Self::Bios,
            _ => Self::Hybrid,
        }
    }
}

/// What is known of a Lunikernel that is to be exported.
#[derive(Debug, Clone)]
pub struct Guest {
    /// How its kernel is started.
    pub protocol: Protocol,
    /// The processor it runs on: `x86_64`, for example.
    pub arch: String,
    /// Its command line, with what the export adds.
    pub cmdline: String,
    /// The least memory that it says it needs, in MiB.
    pub min_memory_mib: u32,
    /// The devices it wants.
    pub devices: Devices,
    /// The size of its kernel in bytes.
    pub kernel: u64,
    /// The size of its initramfs in bytes, as it is and, where that is known, unpacked.
    pub initramfs: Option<(u64, Option<u64>)>,
    /// The drivers that are built into its kernel or are modules in its initramfs, by the
    /// names of modules; `None` where nobody looked.
    pub drivers: Option<BTreeSet<String>>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot work: the export is not made unless somebody insists.
    Refuse,
    /// It may not work as meant.
    Warn,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as part of a sentence: lower case, no full stop.
    pub problem: String,
    /// What helps.
    pub remedy: String,
}

/// Everything that is to be said about exporting `guest` to `target`; what is worst first.
#[must_use]
pub fn check(guest: &Guest, target: Target, firmware: Firmware) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |severity, problem: String, remedy: &str| {
        found.push(Finding {
            severity,
            problem,
            remedy: remedy.to_owned(),
        });
    };
    protocol(guest, target, firmware, &mut say);
    drivers(guest, target, &mut say);
    console(guest, target, &mut say);
    memory(guest, target, &mut say);
    found.sort_by_key(|it| it.severity);
    found
}

fn protocol(
    guest: &Guest,
    target: Target,
    firmware: Firmware,
    say: &mut impl FnMut(Severity, String, &str),
) {
    use Severity::Refuse;
    let cloud = matches!(target, Target::Gce | Target::Ec2);
    if target == Target::Tender {
        if !matches!(guest.protocol, Protocol::Solo5Hvt | Protocol::Solo5Spt) {
            say(
                Refuse,
                "it is run by no tender of Solo5's".to_owned(),
                "export it to a disk, with `--to raw`",
            );
        }
        return;
    }
    match guest.protocol {
        Protocol::Solo5Hvt | Protocol::Solo5Spt => say(
            Refuse,
            "it is run by a tender of Solo5's, and no firmware can start it from a disk".to_owned(),
            "export it with `--to bundle`, to run it where its tender is, or build it for the virtio target",
        ),
        Protocol::XenPvh => say(
            Refuse,
            "it is started by PVH, where the hypervisor loads the kernel and no disk boots"
                .to_owned(),
            "run it under Xen or with QEMU's `-kernel`",
        ),
        Protocol::Solo5Muen => say(
            Refuse,
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
        Protocol::Solo5Virtio | Protocol::Multiboot | Protocol::Multiboot2
            if firmware != Firmware::Bios =>
        {
            say(
                Refuse,
                "it is started by Multiboot, which needs a BIOS".to_owned(),
                "export it with `--firmware bios`",
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

fn drivers(guest: &Guest, target: Target, say: &mut impl FnMut(Severity, String, &str)) {
    let Some(drivers) = &guest.drivers else {
        return;
    };
    let has = |name: &str| {
        let found = |driver: &String| driver.replace('-', "_") == name;
        drivers.iter().any(found)
    };
    let virtio = has("virtio_pci");
    // What there is, and whether one of them is enough.
    let (networks, disks): (&[&str], &[&str]) = match target {
        Target::Raw | Target::Tender => return,
        Target::Kvm => (&["virtio_net"], &["virtio_blk"]),
        Target::Gce => (&["virtio_net", "gve"], &["virtio_scsi", "nvme"]),
        Target::Ec2 => (&["ena"], &["nvme"]),
    };
    let works = |name: &&str| has(name) && (virtio || !name.starts_with("virtio"));
    let wanted = [
        (guest.devices.net, "network", networks),
        (guest.devices.block, "disk", disks),
    ];
    for (_, what, names) in wanted.into_iter().filter(|(wanted, ..)| *wanted) {
        if !names.iter().any(works) {
            let names = names.join(" or ");
            let pci = if virtio || !names.contains("virtio") {
                ""
            } else {
                " with virtio_pci"
            };
            say(
                Severity::Refuse,
                format!("it wants a {what} and has no driver for one there: {names}{pci}"),
                "add the driver to `kernel.modules` in its recipe",
            );
        }
    }
    if target == Target::Gce && guest.devices.net && works(&"virtio_net") && !has("gve") {
        say(
            Severity::Warn,
            "it has no driver for gVNIC (gve), the only network of machines of the third \
             generation and later"
                .to_owned(),
            "add `gve` to `kernel.modules` in its recipe, or use machines of an older generation",
        );
    }
}

fn console(guest: &Guest, target: Target, say: &mut impl FnMut(Severity, String, &str)) {
    if guest.protocol != Protocol::Linux || matches!(target, Target::Raw | Target::Tender) {
        return;
    }
    let words = || guest.cmdline.split_ascii_whitespace();
    let serial = |it: &str| it.starts_with("console=ttyS") || it.starts_with("console=ttyAMA");
    if !words().any(serial) {
        say(
            Severity::Warn,
            "its command line names no serial console, the only one to be seen there".to_owned(),
            "add `console=ttyS0,115200` with `--cmdline`",
        );
    }
    let hidden =
        words().find(|it| matches!(*it, "quiet" | "rhgb") || it.starts_with("splashimage="));
    if let (Target::Gce, Some(word)) = (target, hidden) {
        say(
            Severity::Warn,
            format!("its command line has `{word}`, which Google asks images not to have"),
            "take it out of `boot.cmdline` in its recipe",
        );
    }
}

fn memory(guest: &Guest, target: Target, say: &mut impl FnMut(Severity, String, &str)) {
    let mut needed = u64::from(guest.min_memory_mib);
    if let (Protocol::Linux, Some((packed, unpacked))) = (guest.protocol, guest.initramfs) {
        // All three are in memory at once; unpacked it is rarely less than twice as large.
        let unpacked = unpacked.unwrap_or(packed.saturating_mul(2));
        let bytes = guest.kernel.saturating_add(packed).saturating_add(unpacked);
        let unpacking = bytes.div_ceil(1 << 20) + LINUX_OVERHEAD;
        if unpacking > needed {
            say(
                Severity::Warn,
                format!(
                    "it says that {needed} MiB of memory are enough, and unpacking its initramfs \
                     takes about {unpacking}"
                ),
                "raise `boot.min_memory_mib` in its recipe, or make the initramfs smaller",
            );
            needed = unpacking;
        }
    }
    let smallest = match target {
        Target::Gce => SMALLEST_GCE,
        Target::Ec2 => SMALLEST_EC2,
        Target::Raw | Target::Kvm | Target::Tender => return,
    };
    if needed > smallest {
        say(
            Severity::Warn,
            format!("it needs {needed} MiB of memory, and the smallest machines have {smallest}"),
            "choose a machine with more memory",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest() -> Guest {
        Guest {
            protocol: Protocol::Linux,
            arch: "x86_64".to_owned(),
            cmdline: "console=ttyS0 panic=5".to_owned(),
            min_memory_mib: 256,
            devices: Devices {
                net: true,
                block: true,
            },
            kernel: 14 << 20,
            initramfs: Some((2 << 20, Some(6 << 20))),
            drivers: Some(
                [
                    "virtio-pci",
                    "virtio_net",
                    "virtio_blk",
                    "virtio_scsi",
                    "gve",
                    "ena",
                    "nvme",
                ]
                .map(str::to_owned)
                .into(),
            ),
        }
    }

    fn found(guest: &Guest, target: Target) -> Vec<(Severity, String)> {
        let found = check(guest, target, Firmware::Hybrid);
        assert!(found.iter().all(|it| !it.remedy.is_empty()));
        let pairs = found.into_iter().map(|it| (it.severity, it.problem));
        pairs.collect()
    }

    const ALL: [Target; 4] = [Target::Raw, Target::Kvm, Target::Gce, Target::Ec2];

    #[test]
    fn nothing_is_said_where_nothing_is_wrong() {
        for target in ALL {
            assert_eq!(found(&guest(), target), [], "{target:?}");
        }
        let unknown = Guest {
            drivers: None,
            ..guest()
        };
        assert_eq!(found(&unknown, Target::Ec2), []);
    }

    #[test]
    fn drivers_that_are_missing_are_named() {
        let without = |names: &[&str]| {
            let mut guest = guest();
            let drivers = guest.drivers.as_mut().unwrap();
            drivers.retain(|it| !names.contains(&it.as_str()));
            guest
        };
        let one = found(&without(&["ena"]), Target::Ec2);
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].0, Severity::Refuse);
        assert!(
            one[0].1.ends_with("no driver for one there: ena"),
            "{one:?}"
        );
        assert_eq!(found(&without(&["ena"]), Target::Gce), []);
        // One of two is enough; virtio needs its bus.
        assert_eq!(found(&without(&["gve"]), Target::Gce)[0].0, Severity::Warn);
        assert_eq!(
            found(&without(&["virtio_net", "virtio_scsi"]), Target::Gce),
            []
        );
        let no_bus = found(&without(&["virtio-pci", "gve", "nvme"]), Target::Gce);
        assert_eq!(
            no_bus.iter().filter(|it| it.0 == Severity::Refuse).count(),
            2
        );
        assert!(no_bus[0].1.contains("with virtio_pci"), "{no_bus:?}");
        let mut none_wanted = without(&["ena", "nvme"]);
        none_wanted.devices = Devices::default();
        assert_eq!(found(&none_wanted, Target::Ec2), []);
    }

    #[test]
    fn what_cannot_boot_there_is_refused() {
        let of = |protocol| Guest {
            protocol,
            ..guest()
        };
        let refused = |guest: &Guest, target, firmware| {
            let found = check(guest, target, firmware);
            found
                .first()
                .is_some_and(|it| it.severity == Severity::Refuse)
        };
        for target in ALL {
            let hybrid = |protocol| refused(&of(protocol), target, Firmware::Hybrid);
            assert!(hybrid(Protocol::Solo5Hvt) && hybrid(Protocol::Solo5Spt));
            let cloud = matches!(target, Target::Gce | Target::Ec2);
            let mut virtio = of(Protocol::Solo5Virtio);
            assert!(refused(&virtio, target, Firmware::Bios), "{target:?}");
            virtio.devices.block = false;
            assert_eq!(
                refused(&virtio, target, Firmware::Bios),
                cloud,
                "{target:?}"
            );
            for protocol in [Protocol::Multiboot, Protocol::Multiboot2] {
                assert!(!refused(&of(protocol), target, Firmware::Bios));
                assert!(hybrid(protocol) && refused(&of(protocol), target, Firmware::Uefi));
            }
        }
        for protocol in [Protocol::Solo5Hvt, Protocol::Solo5Spt] {
            assert!(!refused(&of(protocol), Target::Tender, Firmware::Hybrid));
        }
        for protocol in [Protocol::Linux, Protocol::Solo5Virtio, Protocol::Multiboot] {
            assert!(refused(&of(protocol), Target::Tender, Firmware::Bios));
        }
        let arm = Guest {
            arch: "aarch64".to_owned(),
            ..guest()
        };
        assert!(refused(&arm, Target::Gce, Firmware::Hybrid));
        assert!(!refused(&arm, Target::Gce, Firmware::Uefi));
    }

    #[test]
    fn console_and_memory_are_looked_at() {
        let silent = Guest {
            cmdline: "quiet panic=5".to_owned(),
            ..guest()
        };
        assert_eq!(found(&silent, Target::Gce).len(), 2);
        assert_eq!(found(&silent, Target::Ec2).len(), 1);
        assert_eq!(found(&silent, Target::Raw), []);
        let large = Guest {
            initramfs: Some((300 << 20, Some(900 << 20))),
            ..guest()
        };
        let said = found(&large, Target::Gce);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].1.contains("takes about 1262"), "{said:?}");
        assert_eq!(found(&large, Target::Kvm).len(), 1);
        let honest = Guest {
            min_memory_mib: 1300,
            ..large
        };
        assert_eq!(found(&honest, Target::Gce).len(), 1);
    }
}
