//! What can be said before an export: whether the result can boot where it is meant to.
//!
//! Elsewhere these things show late and silently: a machine that does not answer.

mod drivers;
mod protocol;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use lunikernel_cache::artefact::{Devices, Protocol, unpacking_mib};

/// Memory of the smallest machine in MiB: an e2-micro of Google's, a t3.nano of Amazon's, a
/// Standard_B1ls of Microsoft's.
const SMALLEST_GCE: u32 = 1024;
const SMALLEST_EC2: u32 = 512;
const SMALLEST_AZURE: u32 = 512;

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
    /// Microsoft Azure: Hyper-V.
    Azure,
    /// A tender of Solo5's, on any Linux.
    Tender,
    /// Firecracker.
    Firecracker,
    /// Cloud Hypervisor.
    CloudHypervisor,
    /// Xen, as a guest of the type PVH.
    Xen,
    /// Any machine that boots from the network.
    Pxe,
}

impl Target {
    /// Whether an export says how much memory the machine is to have.
    fn has_its_memory(self) -> bool {
        match self {
            Self::Kvm | Self::Firecracker | Self::CloudHypervisor | Self::Xen | Self::Tender => {
                true
            }
            Self::Raw | Self::Gce | Self::Ec2 | Self::Azure | Self::Pxe => false,
        }
    }
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
    /// The size of its initramfs in bytes, as it is and, where that is known, unpacked.
    pub initramfs: Option<(u64, Option<u64>)>,
    /// Whether something was laid over it, which its recipe knows nothing of.
    pub overlaid: bool,
    /// The drivers that are built into its kernel or are modules in its initramfs, by the
    /// names of modules; `None` where nobody looked.
    pub drivers: Option<BTreeSet<String>>,
    /// The release of its kernel, where its initramfs has modules of others alone.
    pub without: Option<String>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot even be made.
    Never,
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

/// Whether nothing is to be said about a Linux with these `drivers` on `target` for want of
/// others, by which nothing could change then.
#[must_use]
pub fn drivers_suffice(drivers: &BTreeSet<String>, devices: Devices, target: Target) -> bool {
    let mut suffice = true;
    drivers::check(drivers, devices, target, &mut |_, _, _| suffice = false);
    suffice
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
    protocol::check(guest, target, firmware, &mut say);
    match &guest.drivers {
        Some(drivers) => drivers::check(drivers, guest.devices, target, &mut say),
        None if guest.protocol == Protocol::Linux => {
            drivers::unknown(guest, target, &mut say);
        }
        // What others than Linux have, nothing says.
        None => {}
    }
    console(guest, target, &mut say);
    memory(guest, target, &mut say);
    found.sort_by_key(|it| it.severity);
    found
}

fn console(guest: &Guest, target: Target, say: &mut impl FnMut(Severity, String, &str)) {
    let anywhere = matches!(target, Target::Raw | Target::Tender | Target::Pxe);
    if guest.protocol != Protocol::Linux || anywhere {
        return;
    }
    let words = || guest.cmdline.split_ascii_whitespace();
    let (what, consoles, remedy): (_, &[&str], _) = match target {
        Target::Xen => ("console of Xen's", &["console=hvc"], "console=hvc0"),
        _ => (
            "serial console",
            &["console=ttyS", "console=ttyAMA"],
            "console=ttyS0,115200",
        ),
    };
    let seen = |it: &str| consoles.iter().any(|console| it.starts_with(console));
    if !words().any(seen) {
        say(
            Severity::Warn,
            format!("its command line names no {what}, the only one to be seen there"),
            &format!("add `{remedy}` with `--append`"),
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
    let mut needed = guest.min_memory_mib;
    if let (Protocol::Linux, Some((packed, unpacked))) = (guest.protocol, guest.initramfs) {
        let unpacking = unpacking_mib(packed, unpacked);
        if unpacking > needed && !target.has_its_memory() {
            let remedy = match guest.overlaid {
                true => format!("give its machine {unpacking} MiB, or lay less over it"),
                false => format!(
                    "raise `boot.min_memory_mib` in its recipe to {unpacking}, or make the \
                     initramfs smaller"
                ),
            };
            say(
                Severity::Warn,
                format!(
                    "it says that {needed} MiB of memory are enough, and unpacking its initramfs \
                     takes about {unpacking}"
                ),
                &remedy,
            );
        }
        needed = needed.max(unpacking);
    }
    let smallest = match target {
        Target::Gce => SMALLEST_GCE,
        Target::Ec2 => SMALLEST_EC2,
        Target::Azure => SMALLEST_AZURE,
        _ => return,
    };
    if needed > smallest {
        say(
            Severity::Warn,
            format!("it needs {needed} MiB of memory, and the smallest machines have {smallest}"),
            "choose a machine with more memory",
        );
    }
}
