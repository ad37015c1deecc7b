//! How much memory `luni` itself takes.

#[path = "support/archive.rs"]
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
mod archive;
mod support;

use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use archive::{Archive, key, public, write};
use fs_err as fs;
use support::debs::{Item, deb};
use support::exported::Site;
use support::hello::{luni, mirror, recipe};
use support::server::Server;

/// What `luni` may hold at once, in KiB. What steps take is their own.
const MOST: u64 = 300 << 10;
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
    let mut archive = Archive::new(path("served/debian"));
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
    for formats in ["raw", "ec2,gce,kvm,raw,uki,vdi,vhd,vhdx,vmdk"] {
        let mut command = site.export(folder.path(), formats);
        let peak = peak(command.args(["--size", "10G"]));
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

/// The most memory that the process itself had at once, in KiB, without its children.
fn peak(command: &mut Command) -> u64 {
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
            assert!(status.success(), "{status}");
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
