//! The formats, by the names that users give them.

use std::fmt;

use crate::checks::Target;

/// What a Lunikernel can be exported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// For Solo5's tenders: the unikernel, and a script that runs it.
    Bundle,
    /// For Amazon's EC2: the disk, and the list of its blocks that are not zero.
    Ec2,
    /// For Google Compute Engine: the disk in a sparse archive.
    Gce,
    /// A disc.
    Iso,
    /// For QEMU and libvirt: a qcow2 image, a domain, and a script.
    Kvm,
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
}

impl Format {
    /// Every format, in the order of their names.
    pub const ALL: [Self; 11] = [
        Self::Bundle,
        Self::Ec2,
        Self::Gce,
        Self::Iso,
        Self::Kvm,
        Self::Raw,
        Self::Uki,
        Self::Vdi,
        Self::Vhd,
        Self::Vhdx,
        Self::Vmdk,
    ];

    /// What users call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Ec2 => "ec2",
            Self::Gce => "gce",
            Self::Iso => "iso",
            Self::Kvm => "kvm",
            Self::Raw => "raw",
            Self::Uki => "uki",
            Self::Vdi => "vdi",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
        }
    }

    /// Where an image of it is meant to run.
    #[must_use]
    pub fn target(self) -> Target {
        match self {
            Self::Bundle => Target::Tender,
            Self::Ec2 => Target::Ec2,
            Self::Gce => Target::Gce,
            Self::Kvm => Target::Kvm,
            _ => Target::Raw,
        }
    }

    /// Whether it holds a disk.
    #[must_use]
    pub fn has_disk(self) -> bool {
        !matches!(self, Self::Bundle | Self::Iso | Self::Uki)
    }

    /// Whether boot loaders are a part of it.
    #[must_use]
    pub fn boots(self) -> bool {
        self != Self::Bundle
    }

    /// Whether the disk has to be a whole number of GiB: clouds make none of other sizes,
    /// and on a larger one the table at its end would not be found.
    #[must_use]
    pub fn in_gib(self) -> bool {
        matches!(self, Self::Ec2 | Self::Gce)
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
