//! `luni export` through the binary. That its images boot, and what becomes of an export
//! that is stopped, is in the files of the folder beside this one.

#[path = "export/boots.rs"]
mod boots;
#[path = "export/bundles.rs"]
mod bundles;
#[path = "export/disc.rs"]
mod disc;
#[path = "export/once.rs"]
mod once;
#[path = "export/ordinary.rs"]
mod ordinary;
#[path = "export/overlaid.rs"]
mod overlaid;
#[path = "export/refused.rs"]
mod refused;
#[path = "export/stopped.rs"]
mod stopped;
mod support;
#[path = "export/unikernels.rs"]
mod unikernels;
#[path = "export/verified.rs"]
mod verified;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use lunikernel_exporters::manifest::ExportManifest;
use support::exported::{Site, need, printed};
use support::{matches, project};

/// Every format with boot loaders.
const ALL: &str = "azure,ec2,gce,iso,kvm,raw,uki,vdi,vhd,vhd-fixed,vhdx,vmdk";
/// Every other one that there is for a Linux.
const BUNDLES: &str = "cloud-hypervisor,firecracker,pxe,xen";

/// A program that must succeed, and all that it printed.
fn run<'a>(program: &Path, arguments: impl IntoIterator<Item = &'a str>, folder: &Path) -> String {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C");
    let output = command.output().unwrap();
    printed(&output) + &String::from_utf8_lossy(&output.stderr)
}

fn manifest(folder: &Path) -> ExportManifest {
    ExportManifest::parse(&fs::read(folder.join("hello.export.json")).unwrap()).unwrap()
}

/// The digests are promises: a change of one changes everybody's images.
#[test]
fn digests_are_the_committed_ones_and_several_formats_change_nothing() {
    let name = "export::digests_are_the_committed_ones_and_several_formats_change_nothing";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let (together, alone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut all = site.made(together.path(), ALL, &["--sha256", "--force"]);
    let block_digest = manifest(together.path()).disk.unwrap().block_digest;
    all += &format!("{}  block digest\n", block_digest.hex());
    let compressed = site.made(alone.path(), "kvm", &["--compress"]);
    let image = compressed.lines().find(|it| it.ends_with(".qcow2"));
    all += &format!("{} --compress\n", image.unwrap());
    let committed = project("tests/golden/debian-hello-exports.sha256");
    assert!(matches(&all.replace("./", ""), &committed));

    // Those of the others take longer, and are made in the same way.
    for format in ["ec2", "iso", "kvm", "uki", "vdi"] {
        let alone = tempfile::tempdir().unwrap();
        site.made(alone.path(), format, &[]);
        for entry in fs::read_dir(alone.path()).unwrap() {
            let file = entry.unwrap().file_name();
            if file != "hello.export.json" {
                let read = |folder: &Path| fs::read(folder.join(&file)).unwrap();
                let same = read(alone.path()) == read(together.path());
                assert!(same, "{format}: {}", file.display());
            }
        }
        let (manifest, of_all) = (manifest(alone.path()), manifest(together.path()));
        assert_eq!(manifest.targets, [format]);
        for (file, entry) in &manifest.files {
            let same = of_all.files.get(file).unwrap();
            assert_eq!(entry.size, same.size, "{file}");
            assert!(entry.sha256.is_none() || entry.sha256 == same.sha256);
        }
    }
}

#[test]
fn every_image_holds_the_disk() {
    let name = "export::every_image_holds_the_disk";
    let (Some(qemu), Some(tar)) = (need(name, "qemu-img"), need(name, "tar")) else {
        return;
    };
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // It has not the drivers for Azure's machines.
    let formats = "raw,azure,kvm,gce,vmdk,vhd,vhd-fixed,vdi,vhdx";
    site.made(folder.path(), formats, &["--force"]);
    let run = |program: &Path, line: &str| run(program, line.split(' '), folder.path());
    for (format, file) in [
        ("qcow2", "hello.qcow2"),
        ("vmdk", "hello.vmdk"),
        ("vpc", "hello.vhd"),
        ("vpc", "hello.azure.vhd"),
        ("vpc", "hello.fixed.vhd"),
        ("vdi", "hello.vdi"),
        ("vhdx", "hello.vhdx"),
    ] {
        // QEMU has no check of VHDs.
        if format != "vpc" {
            run(&qemu, &format!("check -f {format} {file}"));
        }
        let same = run(
            &qemu,
            &format!("compare -f raw -F {format} hello.raw {file}"),
        );
        // Sizes that differ are but a warning where the rest is zero.
        let whole = same.contains("identical") && !same.contains("mismatch");
        assert!(whole, "{file}: {same}");
    }
    run(&tar, "-xSzf hello.gce.tar.gz");
    let same = run(&qemu, "compare -f raw -F raw hello.raw disk.raw");
    assert!(
        same.contains("identical") && !same.contains("mismatch"),
        "{same}"
    );
}

#[test]
fn the_disk_and_the_domain_are_sound() {
    let name = "export::the_disk_and_the_domain_are_sound";
    let programs = ["sgdisk", "fsck.vfat", "xmllint", "mdir"].map(|it| need(name, it));
    let [Some(sgdisk), Some(fsck), Some(xmllint), Some(mdir)] = programs else {
        return;
    };
    let schema = "/usr/share/libvirt/schemas/domain.rng";
    if !Path::new(schema).exists() {
        return lunikernel_testing::left_out(name, &format!("there is no {schema}"));
    }
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    for firmware in ["bios", "uefi", "hybrid"] {
        let folder = tempfile::tempdir().unwrap();
        site.made(
            folder.path(),
            "raw,kvm",
            &["--firmware", firmware, "--size", "200M"],
        );
        let run = |program: &Path, line: &str| run(program, line.split(' '), folder.path());
        let said = run(&sgdisk, "-v hello.raw");
        assert!(said.contains("No problems found"), "{said}");
        // The file system says how large it is (FAT32, BPB_TotSec32).
        let disk = fs::read(folder.path().join("hello.raw")).unwrap();
        let esp = &disk[2 << 20..];
        let sectors = u32::from_le_bytes(*esp[32..].first_chunk().unwrap()) as usize;
        fs::write(folder.path().join("esp"), &esp[..sectors * 512]).unwrap();
        run(&fsck, "-n -V esp");
        let files = run(&mdir, "-/ -b -i esp");
        let has = |file: &str| files.lines().any(|line| line.ends_with(file));
        assert_eq!(has("/EFI/BOOT/BOOTX64.EFI"), firmware != "bios", "{files}");
        assert_eq!(has("/boot/grub/grub.cfg"), firmware != "uefi", "{files}");
        assert_eq!(has("/licences/grub.txt"), firmware != "uefi", "{files}");
        assert_eq!(
            has("/licences/systemd-stub.txt"),
            firmware != "bios",
            "{files}"
        );
        run(&xmllint, &format!("--noout --relaxng {schema} hello.xml"));
        let script = fs::metadata(folder.path().join("hello.run.sh")).unwrap();
        assert_eq!(script.mode() & 0o777, 0o755);
    }
}

/// A second implementation of what docs/images.md says of digests.
#[test]
fn python_finds_the_same_digests() {
    let name = "export::python_finds_the_same_digests";
    let Some(python) = need(name, "python3") else {
        return;
    };
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    site.made(folder.path(), "ec2", &["--sha256", "--size", "1G"]);
    let script = r#"
import hashlib, json
export = json.load(open("hello.export.json"))
blocks = json.load(open("hello.blocks.json"))
assert blocks["format"] == "lunikernel-blocks/1" and blocks["block_size"] == 512 << 10
listed = {block["index"]: block["sha256"] for block in blocks["blocks"]}
plain, of_blocks, index = hashlib.sha256(), b"", 0
with open("hello.raw", "rb") as disk:
    while block := disk.read(512 << 10):
        plain.update(block)
        digest = hashlib.sha256(block)
        of_blocks += digest.digest()
        if block.strip(b"\0"):
            assert listed.pop(index) == "sha256:" + digest.hexdigest(), index
        index += 1
assert not listed, listed
block_digest = "sha256:" + hashlib.sha256(of_blocks).hexdigest()
raw = export["files"]["hello.raw"]
assert block_digest == blocks["block_digest"] == export["disk"]["block_digest"] == raw["block_digest"]
assert raw["sha256"] == "sha256:" + plain.hexdigest()
assert raw["size"] == index * (512 << 10)
"#;
    run(&python, ["-c", script], folder.path());
}
