//! Assembling: from locked inputs to a root file system, a kernel and an initramfs.
//!
//! Everything here is a pure function from digests to digests, so that whoever
//! calls it can remember the results: a `.deb` becomes a [`deb::Package`], many of
//! them one [`lunikernel_cache::Rootfs`] ([`layers`]), that a newc archive
//! ([`cpio`]) in a gzip member, together an [`initramfs`]; a [`kernel`]
//! and its [`modules`] are taken from what was unpacked.

pub mod apk;
pub mod ar;
pub mod codec;
pub mod control;
pub mod cpio;
pub mod deb;
pub mod image;
pub mod initramfs;
pub mod kernel;
pub mod layers;
pub mod member;
pub mod modules;
pub mod tarball;
pub mod unpack;
pub mod yocto;

#[cfg(test)]
mod tests;
