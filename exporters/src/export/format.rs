//! The formats, by the names that users give them.

use std::fmt;

use crate::bundle::Kind;
use crate::checks::Target;
use crate::gce;

/// What a Lunikernel can be exported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// For Microsoft's Azure: a fixed VHD.
    Azure,
    /// For Solo5's tenders: the unikernel, and a script that runs it.
    Bundle,
    /// For Cloud Hypervisor: kernel, initramfs, and a script.
    CloudHypervisor,
    /// For Amazon's EC2: the disk, and the list of its blocks that are not zero.
    Ec2,
    /// For Firecracker: kernel, initramfs, its configuration, and a script.
    Firecracker,
    /// For Google Compute Engine: the disk in a sparse archive.
    Gce,
    /// A disc.
    Iso,
    /// For QEMU and libvirt: a qcow2 image, a domain, and a script.
    Kvm,
    /// For machines that boot from the network: kernel, initramfs, and what iPXE and PXELINUX
    /// read.
    Pxe,
    /// The disk as it is.
    Raw,
    /// A unified kernel image: one EFI program.
    Uki,
    /// For VirtualBox.
    Vdi,
    /// For Hyper-V of the first generation; dynamic.
    Vhd,
    /// For Hyper-V.
    Vhdx,
    /// For VMware and import services: streamOptimized.
    Vmdk,
    /// For Xen: kernel, initramfs, its configuration, and a script.
    Xen,
}

impl Format {
    /// Every format, in the order of their names.
    pub const ALL: [Self; 16] = [
        Self::Azure,
        Self::Bundle,
        Self::CloudHypervisor,
        Self::Ec2,
        Self::Firecracker,
        Self::Gce,
        Self::Iso,
        Self::Kvm,
        Self::Pxe,
        Self::Raw,
        Self::Uki,
        Self::Vdi,
        Self::Vhd,
        Self::Vhdx,
        Self::Vmdk,
        Self::Xen,
    ];

    /// What users call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Azure => "azure",
            Self::Bundle => "bundle",
            Self::CloudHypervisor => "cloud-hypervisor",
            Self::Ec2 => "ec2",
            Self::Firecracker => "firecracker",
            Self::Gce => "gce",
            Self::Iso => "iso",
            Self::Kvm => "kvm",
            Self::Pxe => "pxe",
            Self::Raw => "raw",
            Self::Uki => "uki",
            Self::Vdi => "vdi",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::Xen => "xen",
        }
    }

    /// Where an image of it is meant to run.
    #[must_use]
    pub fn target(self) -> Target {
        match self {
            Self::Azure => Target::Azure,
            Self::Bundle => Target::Tender,
            Self::CloudHypervisor => Target::CloudHypervisor,
            Self::Ec2 => Target::Ec2,
            Self::Firecracker => Target::Firecracker,
            Self::Gce => Target::Gce,
            Self::Kvm => Target::Kvm,
            Self::Pxe => Target::Pxe,
            Self::Xen => Target::Xen,
            _ => Target::Raw,
        }
    }

    /// What its bundle is for, where it is one.
    #[must_use]
    pub fn bundle(self) -> Option<Kind> {
        match self {
            Self::Bundle => Some(Kind::Tender),
            Self::CloudHypervisor => Some(Kind::CloudHypervisor),
            Self::Firecracker => Some(Kind::Firecracker),
            Self::Pxe => Some(Kind::Pxe),
            Self::Xen => Some(Kind::Xen),
            _ => None,
        }
    }

    /// Whether it holds a disk.
    #[must_use]
    pub fn has_disk(self) -> bool {
        !matches!(self, Self::Iso | Self::Uki) && self.bundle().is_none()
    }

    /// Whether boot loaders are a part of it.
    #[must_use]
    pub fn boots(self) -> bool {
        self.bundle().is_none()
    }

    /// What the size of the disk has to be a multiple of, and its name: clouds make none of
    /// other sizes, and on a larger one the table at its end would not be found.
    #[must_use]
    pub fn step(self) -> Option<(u64, &'static str)> {
        match self {
            Self::Azure => Some((1 << 20, "MiB")),
            Self::Ec2 | Self::Gce => Some((gce::STEP, "GiB")),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_each_is_there_once() {
        assert!(Format::ALL.is_sorted_by(|one, two| one < two && one.name() < two.name()));
    }
}
