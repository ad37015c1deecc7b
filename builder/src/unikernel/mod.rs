//! Unikernels: what a file has to have so that something can start it.
//!
//! Whatever is read here may come from anywhere: every number in it is checked before
//! it is used, and a header that is there but wrong is an error, never passed over.

mod elf;
mod flaw;
mod header;
mod modules;
pub mod multiboot;
pub mod multiboot2;
pub mod pvh;
pub mod solo5;

pub use flaw::KernelFlaw;
pub use modules::{Module, Modules, ModulesError};

/// The largest unikernel that is looked at, in bytes. It bounds the memory that this
/// takes; a hundred times more than one that has everything in it.
pub const MAX_KERNEL: u64 = 256 << 20;

#[cfg(test)]
mod tests;
