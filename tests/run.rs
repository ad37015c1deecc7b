//! `luni run` through the binary.

mod support;

use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::artefact::{
    Boot, Devices, EntrySource, INITRAMFS, KERNEL, Manifest, Overlay, Protocol, RECIPE, seal,
};
use lunikernel_cache::{Cache, Digest, Silent};
use support::{hello, luni, project};

/// Seals a Lunikernel into `folder`.
fn sealed(folder: &Path, kernel: &[u8], initramfs: &[u8], recipe: &[u8]) -> PathBuf {
    let cache = Cache::open(&folder.join("cache")).unwrap();
    let entry = |name: &str, bytes: &[u8]| {
        let digest = cache.blobs().put(bytes).unwrap();
        EntrySource::of_blob(cache.blobs(), name, digest).unwrap()
    };
    let boot = Boot {
        protocol: Protocol::Linux,
        cmdline: "console=ttyS0 panic=5".to_owned(),
        min_memory_mib: 256,
    };
    let manifest = Manifest {
        devices: Devices {
            net: true,
            block: false,
        },
        overlay: Overlay::Initramfs {},
        recipe: Some(Digest::of(recipe)),
        ..Manifest::new("hello", "1.0.0", "debian", "x86_64", boot)
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

/// `recipes/debian/hello`, built; `None` where this machine cannot build or boot it,
/// with the test `name` left out.
fn built(name: &str, folder: &Path) -> Option<PathBuf> {
    let qemu = std::process::Command::new("qemu-system-x86_64")
        .arg("--version")
        .output();
    if qemu.is_err() {
        lunikernel_testing::left_out(name, "qemu-system-x86_64 is not installed");
        return None;
    }
    let mirror = hello::mirror(name)?;
    let zip = folder.join("hello.luni.zip");
    let build = hello::luni(&folder.join("cache"))
        .args(["--offline", "--mirror", &mirror, "build"])
        .arg(hello::recipe())
        .arg("-o")
        .arg(&zip)
        .output()
        .unwrap();
    assert_eq!(hello::built_digest(&build), hello::golden());
    Some(zip)
}

#[test]
fn hello_passes_the_tests_of_its_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let name = "run::hello_passes_the_tests_of_its_recipe";
    let Some(zip) = built(name, folder.path()) else {
        return;
    };
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
fn a_forwarded_port_reaches_the_page_of_the_built_zip() {
    let folder = tempfile::tempdir().unwrap();
    let name = "run::a_forwarded_port_reaches_the_page_of_the_built_zip";
    let Some(zip) = built(name, folder.path()) else {
        return;
    };
    let line = "hello: serving http://0.0.0.0:80/";
    let page = support::booted::page(folder.path(), &zip, line);
    assert!(page.ends_with("Hello from a Lunikernel!\n"), "{page}");
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
         `sudo apt-get install --no-install-recommends qemu-system-x86`; `luni doctor` shows what this machine can do\n"
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

#[test]
fn a_damaged_one_is_not_booted() {
    let folder = tempfile::tempdir().unwrap();
    let path = sealed(folder.path(), b"the kernel", &EMPTY_GZIP, &recipe());
    let mut zip = fs::read(&path).unwrap();
    let at = zip.windows(10).position(|w| w == b"the kernel").unwrap();
    zip[at] ^= 1;
    fs::write(&path, zip).unwrap();
    let ran = luni(folder.path()).arg("run").arg(path).output().unwrap();
    let text = support::transcript(&ran);
    assert_eq!(ran.status.code(), Some(3), "{text}");
    assert!(
        text.contains("`kernel`") && text.contains("hint:"),
        "{text}"
    );
}
