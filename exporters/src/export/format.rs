//! The formats, by the names that users give them.

use std::fmt;

use super::ExportError;
use crate::bundle::Kind;
use crate::checks::Target;
use crate::{disk, gce, qcow2, vdi, vhd, vhdx, vmdk};

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
    /// For Hyper-V of the first generation, and import services; dynamic.
    Vhd,
    /// The same; fixed, which is the disk and a footer.
    VhdFixed,
    /// For Hyper-V.
    Vhdx,
    /// For VMware and import services: streamOptimized.
    Vmdk,
    /// For Xen: kernel, initramfs, its configuration, and a script.
    Xen,
}

impl Format {
    /// Every format, in the order of their names.
    pub const ALL: [Self; 17] = [
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
        Self::VhdFixed,
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
            Self::VhdFixed => "vhd-fixed",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::Xen => "xen",
        }
    }

    /// What the files of an export to it are called, where the Lunikernel is called `name`;
    /// the manifest of the export is beside them.
    #[must_use]
    pub fn files(self, name: &str) -> Vec<String> {
        let endings: &[&str] = match self {
            Self::Azure => &["azure.vhd"],
            Self::Ec2 => &["raw", "blocks.json"],
            Self::Gce => &["gce.tar.gz"],
            Self::Iso => &["iso"],
            Self::Kvm => &["qcow2", "xml", "run.sh"],
            Self::Raw => &["raw"],
            Self::Uki => &["efi", "efi.licence.txt"],
            Self::Vdi => &["vdi"],
            Self::Vhd => &["vhd"],
            Self::VhdFixed => &["fixed.vhd"],
            Self::Vhdx => &["vhdx"],
            Self::Vmdk => &["vmdk"],
            Self::Bundle | Self::CloudHypervisor | Self::Firecracker | Self::Pxe | Self::Xen => {
                return vec![format!("{name}.{self}.tar")];
            }
        };
        let called = |ending: &&str| format!("{name}.{ending}");
        endings.iter().map(called).collect()
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

    /// Whether what starts the disk, a BIOS or UEFI, is chosen: an EFI program is started by
    /// UEFI alone.
    #[must_use]
    pub fn has_firmware(self) -> bool {
        self.boots() && self != Self::Uki
    }

    /// Whether it is as large as the disk, so that its SHA-256 is said only where that is
    /// asked for.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Azure | Self::Ec2 | Self::Raw | Self::VhdFixed)
    }

    /// The largest disk that it holds, in bytes.
    #[must_use]
    pub fn largest(self) -> u64 {
        match self {
            Self::Azure | Self::Vhd | Self::VhdFixed => vhd::MAX_SIZE,
            Self::Gce => gce::MAX_SIZE,
            Self::Kvm => qcow2::MAX_SIZE,
            Self::Vdi => vdi::MAX_SIZE,
            Self::Vhdx => vhdx::MAX_SIZE,
            Self::Vmdk => vmdk::MAX_SIZE,
            _ => disk::MAX_SIZE,
        }
    }

    /// Looks at the size of a disk before any work.
    ///
    /// # Errors
    /// [`ExportError::Size`] or [`ExportError::TooLarge`] where the format has no disk of
    /// `size` bytes.
    pub fn check_size(self, size: u64) -> Result<(), ExportError> {
        let format = self.name();
        if let Some((step, unit)) = self.step()
            && !size.is_multiple_of(step)
        {
            return Err(ExportError::Size { format, unit, size });
        }
        let largest = self.largest();
        match self.has_disk() && size > largest {
            true => Err(ExportError::TooLarge {
                format,
                size,
                largest,
            }),
            false => Ok(()),
        }
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

    #[test]
    fn sizes_that_a_format_has_not_are_refused_with_one_that_it_has() {
        let hint = |format: Format, size| {
            let error = format.check_size(size).unwrap_err();
            assert!(error.is_of_the_request());
            error.hint().unwrap()
        };
        assert!(hint(Format::Vmdk, 3 << 40).contains("`--size 2000G`"));
        assert!(hint(Format::VhdFixed, 3 << 40).contains("`--size 2040G`"));
        assert!(hint(Format::Gce, 4 << 40).contains("`--size 2048G`"));
        assert!(hint(Format::Ec2, (1 << 30) + (1 << 20)).contains("`--size 2G`"));
        for format in Format::ALL {
            assert!(format.check_size(1 << 30).is_ok(), "{format}");
            // Whether there is one, the writer of each knows, and says the same.
            let beyond = format.check_size(format.largest() + (1 << 30));
            assert_eq!(beyond.is_err(), format.has_disk(), "{format}");
        }
    }
}
