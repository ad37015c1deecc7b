//! What the exporters make, as other implementations see it: QEMU's, GNU tar, gdisk,
//! dosfstools and mtools. Each is left out, by name, where it is not installed.

mod discs;
mod full;
mod gce;
mod golden;
mod images;
mod kvm;
mod partitions;
mod sample;
mod tools;
