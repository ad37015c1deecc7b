//! What is said, and what is not.

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
        initramfs: Some((2 << 20, Some(6 << 20))),
        overlaid: false,
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
        without: None,
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
    assert_eq!(found(&unknown, Target::Raw), []);
    let said = |guest: &Guest| found(guest, Target::Kvm)[0].1.clone();
    assert!(said(&unknown).ends_with("no modules.builtin"));
    let foreign = Guest {
        without: Some("6.1".to_owned()),
        ..unknown.clone()
    };
    assert!(said(&foreign).contains("its kernel is 6.1, and "));
    // What others than Linux have, nothing says.
    let unikernel = Guest {
        protocol: Protocol::Multiboot,
        ..unknown
    };
    assert!(check(&unikernel, Target::Kvm, Firmware::Bios).is_empty());
}

#[test]
fn drivers_that_nobody_knows_of_are_not_taken_for_there() {
    let mut unknown = Guest {
        drivers: None,
        ..guest()
    };
    let said = found(&unknown, Target::Ec2);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|(severity, _)| *severity == Severity::Warn));
    assert!(
        said[0]
            .1
            .contains("there, ena: its initramfs has no modules.builtin")
    );
    unknown.devices.net = false;
    assert_eq!(found(&unknown, Target::Ec2).len(), 1);
    unknown.devices.block = false;
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
            .is_some_and(|it| it.severity <= Severity::Refuse)
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
    assert!(said[0].1.contains("takes about 2228"), "{said:?}");
    // What comes of it says itself how much memory its machine has.
    assert_eq!(found(&large, Target::Kvm), []);
    let remedy = |guest| {
        check(guest, Target::Raw, Firmware::Hybrid)[0]
            .remedy
            .clone()
    };
    assert!(remedy(&large).contains("in its recipe to 2228"));
    let overlaid = Guest {
        overlaid: true,
        ..large.clone()
    };
    assert!(!remedy(&overlaid).contains("recipe"));
    let honest = Guest {
        min_memory_mib: 2300,
        ..large
    };
    assert_eq!(found(&honest, Target::Gce).len(), 1);
}

#[test]
fn what_loads_a_kernel_itself_is_told_apart_from_firmware() {
    const MONITORS: [Target; 3] = [Target::Firecracker, Target::CloudHypervisor, Target::Xen];
    let severity = |protocol, target| {
        let guest = Guest {
            protocol,
            devices: Devices {
                net: false,
                block: false,
            },
            drivers: None,
            cmdline: "console=ttyS0 console=hvc0".to_owned(),
            ..guest()
        };
        let found = check(&guest, target, Firmware::Uefi);
        assert!(found.len() <= 1, "{found:?}");
        found.first().map(|it| it.severity)
    };
    for target in MONITORS {
        assert_eq!(severity(Protocol::Linux, target), None);
        for protocol in [
            Protocol::Multiboot,
            Protocol::Multiboot2,
            Protocol::Solo5Hvt,
            Protocol::Solo5Spt,
            Protocol::Solo5Virtio,
            Protocol::Solo5Muen,
        ] {
            // Nobody can insist on it.
            let never = Some(Severity::Never);
            assert_eq!(severity(protocol, target), never, "{protocol:?} {target:?}");
        }
    }
    let warned = Some(Severity::Warn);
    assert_eq!(severity(Protocol::XenPvh, Target::Xen), None);
    assert_eq!(severity(Protocol::XenPvh, Target::Firecracker), warned);
    assert_eq!(severity(Protocol::XenPvh, Target::CloudHypervisor), warned);
    for (protocol, refused) in [
        (Protocol::Linux, false),
        (Protocol::Multiboot, false),
        (Protocol::Solo5Virtio, false),
        (Protocol::Multiboot2, true),
        (Protocol::XenPvh, true),
        (Protocol::Solo5Hvt, true),
    ] {
        assert_eq!(
            severity(protocol, Target::Pxe).is_some(),
            refused,
            "{protocol:?}"
        );
    }
    let arm = Guest {
        arch: "aarch64".to_owned(),
        ..guest()
    };
    for target in MONITORS {
        let found = check(&arm, target, Firmware::Uefi);
        assert!(
            found[0].problem.starts_with("kernels for aarch64 cannot"),
            "{found:?}"
        );
    }
}

#[test]
fn each_target_has_its_own_devices_and_console() {
    let with = |drivers: &[&str], cmdline: &str| Guest {
        drivers: Some(drivers.iter().map(|it| (*it).to_owned()).collect()),
        cmdline: cmdline.to_owned(),
        ..guest()
    };
    let serial = "console=ttyS0";
    let mmio = with(&["virtio_mmio", "virtio_net", "virtio_blk"], serial);
    assert_eq!(found(&mmio, Target::Firecracker), []);
    assert_eq!(found(&mmio, Target::CloudHypervisor).len(), 2);
    // Newer versions of Firecracker have a bus of PCI where they are asked for it.
    let pci = with(&["virtio_pci", "virtio_net", "virtio_blk"], serial);
    let said = found(&pci, Target::Firecracker);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].0 == Severity::Warn && said[0].1.contains("virtio_mmio"));
    assert_eq!(found(&pci, Target::CloudHypervisor), []);
    let none = with(&["virtio_net", "virtio_blk"], serial);
    let said = found(&none, Target::Firecracker);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0]
            .1
            .ends_with("virtio_net with virtio_mmio or virtio_pci"),
        "{said:?}"
    );

    let said = found(&guest(), Target::Xen);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[2].1.contains("no console of Xen's"), "{said:?}");
    let xen = with(&["xen-netfront", "xen-blkfront"], "console=hvc0");
    assert_eq!(found(&xen, Target::Xen), []);

    let said = found(&guest(), Target::Azure);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].1.ends_with("hv_netvsc with hv_vmbus"), "{said:?}");
    let hyperv = with(&["hv_vmbus", "hv_netvsc", "hv_storvsc"], serial);
    assert_eq!(found(&hyperv, Target::Azure), []);
    assert_eq!(found(&with(&[], ""), Target::Pxe), []);
}

#[test]
fn where_drivers_suffice_more_of_them_change_nothing() {
    let virtio = ["virtio_net", "virtio_blk", "virtio_pci", "virtio_mmio"];
    let gce = ["virtio_net", "gve", "virtio_scsi", "nvme", "virtio_pci"];
    let azure = ["hv_netvsc", "hv_storvsc", "nvme", "hv_vmbus"];
    let targets: [(Target, &[&str]); 8] = [
        (Target::Raw, &["nvme"]),
        (Target::Kvm, &virtio),
        (Target::Firecracker, &virtio),
        (Target::CloudHypervisor, &virtio),
        (Target::Gce, &gce),
        (Target::Ec2, &["ena", "nvme"]),
        (Target::Azure, &azure),
        (Target::Xen, &["xen_netfront", "xen_blkfront"]),
    ];
    let (mut enough, mut not) = (0, 0);
    for (target, names) in targets {
        for wants in 0..4 {
            let devices = Devices {
                net: wants & 1 != 0,
                block: wants & 2 != 0,
            };
            let suffice = |set: u32| {
                let in_it = |(at, _): &(usize, _)| set & 1 << at != 0;
                let drivers = names.iter().enumerate().filter(in_it);
                let drivers = drivers.map(|(_, name)| (*name).to_owned()).collect();
                drivers_suffice(&drivers, devices, target)
            };
            for set in 0..1u32 << names.len() {
                match suffice(set) {
                    true => enough += 1,
                    false => not += 1,
                }
                for more in 0..names.len() {
                    let more = set | 1 << more;
                    assert!(
                        !suffice(set) || suffice(more),
                        "{target:?} {names:?} {set:b} {more:b}"
                    );
                }
            }
        }
    }
    assert!(enough > 100 && not > 100, "{enough} {not}");
}
