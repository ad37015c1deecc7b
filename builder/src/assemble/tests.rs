//! The parts together, on real packages and against independent tools.
//!
//! Packages come through the machine's own package manager and are kept in the
//! build's folder. Where there is no package manager, or no network, or a tool is
//! missing, a test says what it leaves out.

mod boot;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use fs_err as fs;
use lunikernel_cache::{Cache, Digest, NodeKind, Rootfs};

use super::cpio;
use super::deb::unpack_deb;
use super::initramfs::initramfs;
use super::{kernel, layers, modules};

static DOWNLOADS: Mutex<()> = Mutex::new(());

/// The `.deb` of `name`, or nothing, said aloud, where it cannot be had.
fn package(name: &str) -> Option<PathBuf> {
    let _one_at_a_time = DOWNLOADS.lock().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/test-packages")
        .join(name);
    fs::create_dir_all(&folder).unwrap();
    let find = || {
        fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
    };
    if find().is_none() {
        let _ = Command::new("apt-get")
            .args(["download", name])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
    let found = find();
    if found.is_none() {
        lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            &format!("`apt-get download {name}` does not work here"),
        );
    }
    found
}

/// Whether a tool is there; says aloud what is left out without it.
fn has(tool: &str, package: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/sbin".into()])
            .any(|folder| folder.join(tool).exists())
    });
    if !found {
        lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            &format!("there is no `{tool}` here (`apt-get install {package}`)"),
        );
    }
    found
}

fn cache() -> (Cache, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Cache::open(folder.path()).unwrap(), folder)
}

/// Compares a root with a folder that another tool unpacked.
fn compare(root: &Rootfs, folder: &Path) {
    let mut found = BTreeSet::new();
    let mut inodes: BTreeMap<u64, String> = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(folder).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let node = root.get(&path).unwrap_or_else(|| panic!("no `{path}`"));
        let meta = entry.path().symlink_metadata().unwrap();
        match &node.kind {
            NodeKind::File { content, link } => {
                assert!(meta.is_file(), "{path}");
                let bytes = fs::read(entry.path()).unwrap();
                assert_eq!(Digest::of(&bytes), *content, "{path}");
                match (link, meta.nlink()) {
                    (None, 1) => {}
                    (Some(link), _) => {
                        let known = inodes.entry(meta.ino()).or_insert_with(|| link.clone());
                        assert_eq!(known, link, "{path}");
                    }
                    (None, links) => panic!("{path} has {links} links"),
                }
            }
            NodeKind::Symlink { target } => {
                assert_eq!(fs::read_link(entry.path()).unwrap(), Path::new(target));
            }
            NodeKind::Folder => assert!(meta.is_dir(), "{path}"),
            other => panic!("{path}: {other:?}"),
        }
        if !meta.is_symlink() {
            assert_eq!(meta.permissions().mode() & 0o7777, node.mode, "{path}");
        }
        found.insert(path);
    }
    assert_eq!(found.len(), root.nodes().len());
}

/// Unpacks an initramfs with GNU cpio and gzip.
fn extract(initramfs: &Path, into: &Path) {
    let status = Command::new("sh")
        .args([
            "-euc",
            r#"gzip -dc "$1" | cpio --quiet -idm --no-absolute-filenames"#,
            "sh",
        ])
        .arg(initramfs)
        .current_dir(into)
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_real_package_is_what_dpkg_makes_of_it() {
    for name in ["busybox-static", "perl-base", "kmod"] {
        let Some(deb) = package(name) else { return };
        let (cache, _folder) = cache();
        let digest = cache.blobs().put(&fs::read(&deb).unwrap()).unwrap();
        let package = unpack_deb(cache.blobs(), &digest, None).unwrap();
        assert_eq!(package.control.package, name);
        if has("dpkg-deb", "dpkg") {
            let by_dpkg = tempfile::tempdir().unwrap();
            let status = Command::new("dpkg-deb")
                .arg("-x")
                .args([&deb, by_dpkg.path()])
                .status()
                .unwrap();
            assert!(status.success());
            compare(&package.root, by_dpkg.path());
        }
        if has("cpio", "cpio") {
            let packed = initramfs(&package.root, cache.blobs(), 1).unwrap();
            let by_cpio = tempfile::tempdir().unwrap();
            extract(&cache.blobs().path(&packed.digest.sha256), by_cpio.path());
            compare(&package.root, by_cpio.path());
        }
    }
}

#[test]
fn gnu_cpio_reads_every_kind_of_node() {
    if !has("cpio", "cpio") {
        return;
    }
    let (cache, _folder) = cache();
    let mut root = cpio::tests::sample(&cache);
    let packed = initramfs(&root, cache.blobs(), 1_234_567_890).unwrap();
    let path = cache.blobs().path(&packed.digest.sha256);
    let list = Command::new("sh")
        .args([
            "-euc",
            r#"gzip -dc "$1" | TZ=UTC LC_ALL=C cpio --quiet -itvn"#,
            "sh",
        ])
        .arg(&path)
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    insta::assert_snapshot!(list, @r"
    -rwxr-xr-x   3 12       34              0 Feb 13  2009 a-first
    drwxr-xr-x   2 0        0               0 Feb 13  2009 dev
    crw-------   1 0        0          5,   1 Feb 13  2009 dev/console
    prw-r--r--   1 0        0               0 Feb 13  2009 dev/pipe
    brw-rw----   1 0        0        254, 70000 Feb 13  2009 dev/vda
    -rw-r--r--   1 0        0               0 Feb 13  2009 empty
    drwxr-xr-x   2 0        0               0 Feb 13  2009 etc
    -rw-------   1 0        0          300001 Feb 13  2009 etc-before-slash
    -rwsr-xr-x   1 0        0               3 Feb 13  2009 etc/one
    drwxr-xr-x   2 0        0               0 Feb 13  2009 hard
    -rwxr-xr-x   3 12       34              0 Feb 13  2009 hard/a
    -rwx------   1 12       34             14 Feb 13  2009 hard/changed
    -rwxr-xr-x   3 12       34             14 Feb 13  2009 hard/z
    lrwxrwxrwx   1 0        0               7 Feb 13  2009 link -> etc/one
    ");
    // Devices can only be unpacked by root, and not by every root.
    for device in ["dev/console", "dev/vda", "dev/pipe"] {
        root.remove(device);
    }
    let packed = initramfs(&root, cache.blobs(), 1_234_567_890).unwrap();
    let folder = tempfile::tempdir().unwrap();
    extract(&cache.blobs().path(&packed.digest.sha256), folder.path());
    let linked = |name: &str| fs::metadata(folder.path().join(name)).unwrap().ino();
    assert_eq!(linked("a-first"), linked("hard/z"));
    assert_ne!(linked("a-first"), linked("hard/changed"));
    for name in ["a-first", "hard/a", "hard/z"] {
        assert_eq!(
            fs::read(folder.path().join(name)).unwrap(),
            b"shared content"
        );
    }
}

#[test]
fn threads_do_not_show_in_an_initramfs() {
    let (cache, _folder) = cache();
    let root = cpio::tests::sample(&cache);
    let with = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
            .install(|| initramfs(&root, cache.blobs(), 7).unwrap())
    };
    assert_eq!(with(1), with(4));
    assert_ne!(with(1), initramfs(&root, cache.blobs(), 8).unwrap());
}

/// The kernel's package for clouds that the machine's distribution has.
fn cloud_kernel() -> Option<PathBuf> {
    let output = Command::new("apt-cache")
        .args(["depends", "linux-image-cloud-amd64"])
        .output()
        .ok()?;
    let list = String::from_utf8(output.stdout).ok()?;
    let name = list
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    if name.is_none() {
        lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            "the distribution has no package linux-image-cloud-amd64",
        );
    }
    package(&format!("linux-image-{}", name?))
}

/// The lines of an index file but for comments, with the words after the first sorted
/// where their order is free.
fn lines(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words: Vec<_> = line.split(' ').collect();
            words[1..].sort_unstable();
            words.join(" ")
        })
        .collect()
}

/// In every line of a `modules.dep`, a module stands before what it needs itself.
fn each_before_what_it_needs(text: &str) {
    let needs: BTreeMap<_, Vec<_>> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(module, needs)| (module, needs.split_whitespace().collect()))
        .collect();
    for list in needs.values() {
        for (at, later) in list.iter().enumerate() {
            for earlier in &list[..at] {
                assert!(!needs[later].contains(earlier), "{later} needs {earlier}");
            }
        }
    }
}

#[test]
fn modules_of_a_real_kernel_as_depmod_sees_them() {
    let Some(deb) = cloud_kernel() else { return };
    let (cache, _folder) = cache();
    let digest = cache.blobs().put(&fs::read(&deb).unwrap()).unwrap();
    let package = unpack_deb(cache.blobs(), &digest, None).unwrap();
    let kernel = kernel::find(&package.root).unwrap();
    let take = |wanted: &[&str]| {
        let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
        modules::take(&package.root, cache.blobs(), &kernel.version, &wanted)
    };

    let cloud = take(&["cloud"]).unwrap();
    for name in [
        "virtio_pci",
        "virtio_net",
        "net_failover",
        "ena",
        "gve",
        "virtio_ring",
    ] {
        assert!(
            cloud.names.iter().any(|have| have == name),
            "{name}: {:?}",
            cloud.names
        );
    }
    assert!(cloud.firmware.is_empty(), "{:?}", cloud.firmware);

    let error = take(&["virtio-nett"]).unwrap_err();
    assert!(
        error.to_string().ends_with("has no module `virtio_nett`"),
        "{error}"
    );
    assert!(
        error.hint().unwrap().contains("virtio_net"),
        "{:?}",
        error.hint()
    );

    if !has("depmod", "kmod") || !has("cpio", "cpio") {
        return;
    }
    for wanted in [
        &["cloud"][..],
        &["cloud", "btrfs", "nft-chain-nat", "ext4", "cifs"],
    ] {
        let modules = take(wanted).unwrap();
        let packed = initramfs(&modules.root, cache.blobs(), 0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        extract(&cache.blobs().path(&packed.digest.sha256), folder.path());
        compare(&modules.root, folder.path());
        let path = std::env::var("PATH").unwrap_or_default();
        let status = Command::new("depmod")
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .arg("-b")
            .arg(folder.path())
            .arg(&kernel.version)
            .status()
            .unwrap();
        assert!(status.success());
        let place = format!("lib/modules/{}", kernel.version);
        for name in ["modules.dep", "modules.alias", "modules.softdep"] {
            let file = format!("{place}/{name}");
            let NodeKind::File { content, .. } = &modules.root.get(&file).unwrap().kind else {
                panic!("{file} is no file");
            };
            let ours = String::from_utf8(cache.blobs().read(content).unwrap()).unwrap();
            let theirs = fs::read_to_string(folder.path().join(&file)).unwrap();
            assert_eq!(lines(&ours), lines(&theirs), "{name}");
            if name == "modules.dep" {
                each_before_what_it_needs(&ours);
            }
        }
    }
}

#[test]
fn packages_of_a_toolchain_fit_into_one_root() {
    let names = [
        "libc6",
        "libc6-dev",
        "libc-dev-bin",
        "linux-libc-dev",
        "busybox",
        "cpp-12",
    ];
    let (cache, _folder) = cache();
    let mut packages = Vec::new();
    for name in names {
        let Some(deb) = package(name) else { return };
        let digest = cache.blobs().put(&fs::read(&deb).unwrap()).unwrap();
        packages.push(unpack_deb(cache.blobs(), &digest, None).unwrap());
    }
    let root = layers::merge(&packages).unwrap();
    assert!(root.get("usr/bin/busybox").is_some());
    assert!(root.get("usr/lib64/ld-linux-x86-64.so.2").is_some());
    let mut backwards = packages.clone();
    backwards.reverse();
    assert_eq!(layers::merge(&backwards).unwrap(), root);
    assert!(packages.iter().any(|package| !package.licences.is_empty()));
}
