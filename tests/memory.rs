//! How much memory `luni` itself takes.

#[path = "support/debian.rs"]
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
mod debian;
mod support;

use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use debian::{DebianArchive, key, public, write};
use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use lunikernel_cache::artefact::{Boot, EntrySource, Manifest, Overlay, Protocol, seal};
use lunikernel_cache::{Cache, Silent};
use support::debs::{Item, deb};
use support::exported::Site;
use support::hello::{luni, mirror, recipe};
use support::server::Server;

/// What `luni` may hold at once, in KiB. What steps take is their own.
const MOST: u64 = 300 << 10;
/// The same for comparisons, in KiB: 200 MB.
const MOST_OF_A_COMPARISON: u64 = 200_000_000 >> 10;
/// The same for exports, in KiB: 200 MB.
const MOST_OF_AN_EXPORT: u64 = 200_000_000 >> 10;

#[test]
fn a_cold_build_of_hello_takes_little_memory() {
    let Some(mirror) = mirror("memory::a_cold_build_of_hello_takes_little_memory") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = luni(&folder.path().join("cache"));
    command
        .args(["--offline", "--mirror", &mirror, "build"])
        .arg(recipe())
        .current_dir(folder.path());
    let peak = peak(&mut command);
    println!("a cold build of hello: {peak} KiB at most");
    assert!(peak < MOST, "{peak} KiB");
}

/// With an index as large as that of Debian's main component: 64 000 packages in 50 MB.
#[test]
fn locking_again_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = |path: &str| folder.path().join(path);
    let mut archive = DebianArchive::new(path("served/debian"));
    for name in ["linux-small", "tool"] {
        archive.add(
            name,
            "1.0",
            &deb(name, "1.0", &[("file", Item::File(b"1"))]),
        );
    }
    let description = "what a package says of itself, ".repeat(20);
    for number in 0..64_000 {
        archive.list(&format!("other-{number}"), &description);
    }
    archive.publish(&key(1), "");
    let server = Server::of_folder(path("served"));
    let apt = path("machine/etc/apt");
    write(&apt.join("keyrings/test.gpg"), &public(&key(1)));
    let entry = format!(
        "deb [signed-by=/etc/apt/keyrings/test.gpg] {}/debian test main\n",
        server.url()
    );
    write(&apt.join("sources.list"), entry.as_bytes());
    let recipe = "apiVersion: lunikernel/v1\nname: small\nversion: 1.0.0\nflavour: debian\n\
                  arch: x86_64\nsources:\n\
                  \x20 base:\n    deb:\n      suite: test\n      packages: [tool]\n\
                  \x20 linux:\n    deb:\n      suite: test\n      packages: [linux-small]\n\
                  rootfs:\n  from: [base]\nkernel:\n  from: linux\n  modules: []\n";
    write(&path("recipe/recipe.yaml"), recipe.as_bytes());
    for arguments in [
        ["lock", "recipe"].as_slice(),
        &["lock", "recipe", "--update"],
    ] {
        let mut command = luni(&path("cache"));
        command
            .args(arguments)
            .current_dir(folder.path())
            .env("LUNI_APT_ROOT", path("machine"));
        let peak = peak(&mut command);
        println!("{arguments:?}: {peak} KiB at most");
        assert!(peak < MOST, "{arguments:?}: {peak} KiB");
    }
}

/// Every format, of a disk of 10 GiB: what is not there takes neither memory nor room.
#[test]
fn exports_take_little_memory_whatever_the_size_of_the_disk() {
    let name = "memory::exports_take_little_memory_whatever_the_size_of_the_disk";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // So that making the boot loaders is not counted.
    site.made(folder.path(), "raw", &[]);
    const SIZE: &[&str] = &["--size", "10G"];
    for (formats, size) in [
        ("raw", SIZE),
        (
            "azure,ec2,gce,iso,kvm,raw,uki,vdi,vhd,vhd-fixed,vhdx,vmdk",
            SIZE,
        ),
        ("cloud-hypervisor,firecracker,pxe,xen", &[]),
    ] {
        let mut command = site.export(folder.path(), formats);
        // hello has not the drivers for all of them.
        let peak = peak(command.args(size).arg("--force"));
        println!("an export to {formats}: {peak} KiB at most");
        assert!(peak < MOST_OF_AN_EXPORT, "{formats}: {peak} KiB");
    }
    let mut room = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap().metadata().unwrap();
        let taken = entry.blocks() * 512;
        assert!(taken < 100_000_000, "{taken} bytes");
        room += taken;
    }
    println!("all files together take {room} bytes of the disk");
}

/// Two Lunikernels of 60 MB of which one file differs, and two disk images of 2 GiB that
/// are mostly holes.
#[test]
fn comparing_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let cache = Cache::open(&path("cache")).unwrap();
    for (name, date) in [("left.zip", "1980-01-01"), ("right.zip", "2026-11-22")] {
        lunikernel(&cache, &path(name), date);
        assert!(fs::metadata(path(name)).unwrap().len() > 60_000_000);
    }
    for (name, byte) in [("left.img", 1), ("right.img", 2)] {
        image(&path(name), byte);
    }
    for kind in ["zip", "img"] {
        let mut command = luni(&path("cache"));
        command.arg("diff").current_dir(folder.path());
        command.args([format!("left.{kind}"), format!("right.{kind}")]);
        let peak = peak_and_code(&mut command, 10);
        println!("a comparison of {kind}: {peak} KiB at most");
        assert!(peak < MOST_OF_A_COMPARISON, "{kind}: {peak} KiB");
    }
    // Where one of them comes from a server, it is no more.
    let server = Server::of_folder(folder.path().to_owned());
    let against = format!("{}/right.zip", server.url());
    let mut command = luni(&path("cache"));
    command.arg("verify").current_dir(folder.path());
    command.args(["left.zip", "--rounds", "0", "--against", &against]);
    let peak = peak_and_code(&mut command, 10);
    println!("a comparison with what a server has: {peak} KiB at most");
    assert!(peak < MOST_OF_A_COMPARISON, "{peak} KiB");
    assert_eq!(server.asked(), ["/right.zip"]);
}

/// Seals a Lunikernel whose initramfs has a thousand files, and `date` in one of them.
fn lunikernel(cache: &Cache, to: &Path, date: &str) {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    let mut noise = Noise(1);
    for number in 0..1000 {
        let mut data = noise.bytes(60_500);
        if number == 500 {
            data.extend_from_slice(date.as_bytes());
        }
        let name = format!("usr/lib/{number:05}");
        packer.write_all(&member(&name, 0o100_755, &data)).unwrap();
    }
    packer.write_all(&member("TRAILER!!!", 0, b"")).unwrap();
    let blobs = cache.blobs();
    let entry = |name: &str, bytes: &[u8]| {
        let digest = blobs.put(bytes).unwrap();
        EntrySource::of_blob(blobs, name, digest).unwrap()
    };
    let entries = [
        entry("kernel", b"a kernel, as far as a zip can tell"),
        entry("initramfs.gz", &packer.finish().unwrap()),
    ];
    let boot = Boot {
        protocol: Protocol::Linux,
        cmdline: "console=ttyS0".to_owned(),
        min_memory_mib: 256,
    };
    let manifest = Manifest {
        overlay: Overlay::Initramfs {},
        ..Manifest::new("large", "1.0.0", "debian", "x86_64", boot)
    };
    let zip = seal(blobs, manifest, &entries, &Silent).unwrap();
    fs::copy(blobs.path(&zip.digest.sha256), to).unwrap();
}

/// A member of a cpio archive in the format `newc` (cpio(5)).
fn member(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let pad = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(4), 0);
    let size = u32::try_from(data.len()).unwrap();
    let length = u32::try_from(name.len() + 1).unwrap();
    let fields = [0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0];
    let mut bytes = b"070701".to_vec();
    for field in fields {
        bytes.extend(format!("{field:08X}").bytes());
    }
    bytes.extend(name.bytes());
    bytes.push(0);
    pad(&mut bytes);
    bytes.extend_from_slice(data);
    pad(&mut bytes);
    bytes
}

fn image(path: &Path, byte: u8) {
    const SIZE: u64 = 2 << 30;
    let mut file = fs::File::create(path).unwrap();
    file.set_len(SIZE).unwrap();
    let mut noise = Noise(2);
    for part in 0..32 {
        file.seek(SeekFrom::Start(part * (SIZE / 32))).unwrap();
        file.write_all(&noise.bytes(1 << 20)).unwrap();
    }
    file.seek(SeekFrom::Start(SIZE / 2 + 5000)).unwrap();
    file.write_all(&[byte]).unwrap();
}

/// Numbers that do not compress, the same ones each time: xorshift (Marsaglia 2003).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend_from_slice(&self.0.to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// The most memory that the process itself had at once, in KiB, without its children.
fn peak(command: &mut Command) -> u64 {
    peak_and_code(command, 0)
}

/// The same of one that ends with `code`.
fn peak_and_code(command: &mut Command, code: i32) -> u64 {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    loop {
        // The kernel keeps the high water mark, so only what comes between the last
        // look and the end can be missed.
        peak = high_water(&child).unwrap_or(0).max(peak);
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(code), "{status}");
            assert!(peak > 0, "it was never seen");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `VmHWM` of proc(5); none once the process has ended.
fn high_water(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
