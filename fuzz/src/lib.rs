//! Fuzz targets: a function for each parser that meets bytes of others.
//!
//! A target takes any bytes and says whether they were accepted. It panics where the
//! parser does, and where the parser accepts something that it must not: what is read
//! must be written back as it was, no path may leave its root, nobody but the key's owner
//! can have signed. The same functions run under libFuzzer (`libfuzzer/`) and as a
//! test of the workspace (`tests/smoke.rs`), which mutates the seeds.

pub mod archives;
pub mod mutate;
mod targets;

use targets::{
    alpine, apt, attest, compare, deflate, export, recipe, store, unikernel, unpack, yocto,
};

/// A target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called, as its folder of seeds is.
    pub name: &'static str,
    /// Gives the bytes to the parser, and says whether it accepted them.
    pub read: fn(&[u8]) -> bool,
}

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    of("action_cache_entry", store::action_cache_entry),
    of("apk", alpine::apk),
    of("apk_checksum", alpine::apk_checksum),
    of("apk_dependencies", alpine::apk_dependencies),
    of("apk_index", alpine::apk_index),
    of("apk_info", alpine::apk_info),
    of("apk_installed", alpine::apk_installed),
    of("apk_key", alpine::apk_key),
    of("apk_versions", alpine::apk_versions),
    of("apt_conf", apt::apt_conf),
    of("attestation", attest::attestation),
    of("codec", unpack::codec),
    of("compare_ar", compare::ar),
    of("compare_cpio", compare::cpio),
    of("compare_elf", compare::elf),
    of("compare_gzip", compare::gzip),
    of("compare_tar", compare::tar),
    of("compare_zip", compare::zip),
    of("control", unpack::control),
    of("cpio", unpack::cpio),
    of("deb", unpack::deb),
    of("deflate", deflate::deflate),
    of("digest", store::digest),
    of("export_manifest", export::export_manifest),
    of("gitmodules", recipe::gitmodules),
    of("initramfs", unpack::initramfs),
    of("inputs_tar", unpack::inputs_tar),
    of("inrelease", apt::inrelease),
    of("iso", unpack::iso),
    of("kernel", unpack::kernel),
    of("keyring", apt::keyring),
    of("lock", recipe::lock),
    of("manifest", store::manifest),
    of("modinfo", unpack::modinfo),
    of("multiboot", unikernel::multiboot),
    of("multiboot2", unikernel::multiboot2),
    of("oci", unpack::oci),
    of("overlay", unpack::overlay),
    of("overlay_history", unpack::overlay_history),
    of("overlay_paths", unpack::overlay_paths),
    of("packages", apt::packages),
    of("policy", attest::policy),
    of("pvh", unikernel::pvh),
    of("recipe", recipe::recipe),
    of("relations", apt::relations),
    of("release", apt::release),
    of("report", attest::report),
    of("rootfs", store::rootfs),
    of("signature", apt::signature),
    of("solo5", unikernel::solo5),
    of("sources", apt::sources),
    of("sources_list", apt::sources_list),
    of("squashfs", unpack::squashfs),
    of("tar", unpack::tar),
    of("tree", store::tree),
    of("uki", export::uki),
    of("versions", apt::versions),
    of("vmlinux", export::vmlinux),
    of("yocto_licences", yocto::licences),
    of("yocto_manifest", yocto::manifest),
    of("zip", store::zip),
];

const fn of(name: &'static str, read: fn(&[u8]) -> bool) -> Target {
    Target { name, read }
}

/// The target that is called so.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}
