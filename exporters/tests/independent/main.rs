//! What the exporters make, as other implementations see it: QEMU's, GNU tar, gdisk,
//! dosfstools and mtools. Each is left out, by name, where it is not installed.

mod archive;
mod discs;
mod full;
mod golden;
mod images;
mod kvm;
mod partitions;
mod sample;
mod tools;
