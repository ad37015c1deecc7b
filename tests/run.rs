//! `luni run` through the binary, with a Lunikernel whose parts are made by hand.

mod support;

#[allow(dead_code, reason = "the library's tests use all of it")]
#[path = "../builder/tests/boot/guest.rs"]
mod guest;

use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::artefact::{
    Boot, Devices, EntrySource, Format, INITRAMFS, KERNEL, Manifest, Overlay, Protocol, RECIPE,
    seal,
};
use lunikernel_cache::{Cache, Digest, Silent};
use support::{luni, project};

/// Seals a Lunikernel into `folder`.
fn sealed(folder: &Path, kernel: &[u8], initramfs: &[u8], recipe: &[u8]) -> PathBuf {
    let cache = Cache::open(&folder.join("cache")).unwrap();
    let entry = |name: &str, bytes: &[u8]| {
        let digest = cache.blobs().put(bytes).unwrap();
        EntrySource::of_blob(cache.blobs(), name, digest).unwrap()
    };
    let manifest = Manifest {
        format: Format::V1,
        name: "hello".to_owned(),
        version: "1.0.0".to_owned(),
        flavour: "debian".to_owned(),
        arch: "x86_64".to_owned(),
        boot: Boot {
            protocol: Protocol::Linux,
            cmdline: "console=ttyS0 panic=5".to_owned(),
            min_memory_mib: 256,
        },
        devices: Devices {
            net: true,
            block: false,
        },
        overlay: Overlay::Initramfs {},
        entries: Default::default(),
        recipe: Some(Digest::of(recipe)),
        lock: None,
        inputs: Vec::new(),
    };
    let entries = [
        entry(KERNEL, kernel),
        entry(INITRAMFS, initramfs),
        entry(RECIPE, recipe),
    ];
    let zip = seal(cache.blobs(), manifest, &entries, &Silent).unwrap();
    let path = folder.join("hello.luni.zip");
    fs::copy(cache.blobs().path(&zip.digest.sha256), &path).unwrap();
    path
}

fn recipe() -> Vec<u8> {
    fs::read(project("recipes/debian/hello/recipe.yaml")).unwrap()
}

/// The shortest gzip: of nothing (RFC 1952).
const EMPTY_GZIP: [u8; 20] = [
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

#[test]
fn hello_passes_the_tests_of_its_recipe() {
    let guest = match guest::hello() {
        Ok(guest) => guest,
        Err(why) => return println!("left out hello_passes_the_tests_of_its_recipe: {why}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let kernel = fs::read(guest.kernel).unwrap();
    let initramfs = fs::read(guest.initramfs).unwrap();
    let zip = sealed(folder.path(), &kernel, &initramfs, &recipe());
    let ran = luni(folder.path())
        .args(["run", "--accel", "tcg", "--json", "--test"])
        .arg(zip)
        .output()
        .unwrap();
    let console = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(0), "{console}");
    assert!(console.contains("luni: hello 1.0.0 is up\n"), "{console}");
    let reports: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(reports[0]["test"], "serves the page");
    assert_eq!(reports[0]["accel"], "emulation");
    assert_eq!(reports[0]["page"], "Hello from a Lunikernel!\n");
}

#[test]
fn without_qemu_the_package_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let zip = sealed(folder.path(), b"kernel", &EMPTY_GZIP, &recipe());
    let ran = luni(folder.path())
        .env("PATH", folder.path())
        .arg("run")
        .arg(zip)
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&ran.stderr),
        "error: could not find qemu-system-x86_64 to boot a machine with\n\
         hint: it is in Debian's package qemu-system-x86: \
         `sudo apt-get install --no-install-recommends qemu-system-x86`\n"
    );
}

#[test]
fn what_is_no_lunikernel_is_not_booted() {
    let folder = tempfile::tempdir().unwrap();
    let zip = sealed(folder.path(), b"kernel", &EMPTY_GZIP, &recipe());
    let mut bytes = fs::read(&zip).unwrap();
    let at = bytes.windows(6).position(|part| part == b"kernel").unwrap();
    bytes[at] ^= 0x20;
    fs::write(&zip, bytes).unwrap();
    let ran = luni(folder.path()).arg("run").arg(&zip).output().unwrap();
    assert_eq!(ran.status.code(), Some(3));

    for (port, code) in [("80", 3), ("0", 2), ("8080:", 2), ("a:80", 2), ("1:2:3", 2)] {
        let ran = luni(folder.path())
            .args(["run", "--net", port])
            .arg(&zip)
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(code), "{port}");
    }
}
