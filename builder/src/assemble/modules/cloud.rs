//! The modules that the word `cloud` stands for.

/// What a Linux needs to find its disk and its network on today's clouds and
/// hypervisors. None of them asks for firmware.
pub(super) const REQUIRED: [&str; 8] = [
    // How every virtio device is found on QEMU, GCE and most clouds.
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    // Disks of GCE's older machine series, and SCSI disks as such.
    "virtio_scsi",
    "sd_mod",
    // Disks of EC2 (Nitro) and of GCE's newer machine series.
    "nvme",
    // Network of EC2 (Nitro).
    "ena",
    // Network of GCE's newer machine series (gVNIC).
    "gve",
];

/// What is good to have, and no reason to refuse a kernel that lacks it.
pub(super) const WELCOME: [&str; 3] = [
    // Randomness from the hypervisor: keys are generated early at boot.
    "virtio_rng",
    // Memory can be given back.
    "virtio_balloon",
    // A console that is faster than the serial one.
    "virtio_console",
];
