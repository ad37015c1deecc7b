//! Discs: what others find on them, and that they boot.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use lunikernel_builder::assemble::unpack;
use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::{Cache, Digest, NodeKind};

use super::boots::{OVMF, STEADY, UP, WITHIN, console, has_ovmf, machine};
use super::run;
use super::support::exported::{Site, UNIKERNEL, need};

/// The files of a disc as the builder reads it, which makes systems of other people's.
fn read(folder: &Path, disc: &Path) -> BTreeMap<String, Digest> {
    let cache = Cache::open(&folder.join("reader")).unwrap();
    let image = cache.blobs().put(&fs::read(disc).unwrap()).unwrap();
    let root = unpack::unpack(cache.blobs(), &image).unwrap().unwrap();
    let files = root.nodes().filter_map(|(path, node)| match node.kind {
        NodeKind::File { content, .. } => Some((path.to_owned(), content)),
        _ => None,
    });
    files.collect()
}

#[test]
fn others_find_what_is_on_it() {
    let name = "export::disc::others_find_what_is_on_it";
    let programs = ["bsdtar", "xorriso", "sgdisk", "fsck.vfat", "mcopy"];
    let [
        Some(bsdtar),
        Some(xorriso),
        Some(sgdisk),
        Some(fsck),
        Some(mcopy),
    ] = programs.map(|it| need(name, it))
    else {
        return;
    };
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let artefact = Artefact::open(&site.zip()).unwrap();
    let entries: BTreeMap<&str, Digest> = artefact.entries().collect();
    for firmware in ["bios", "uefi", "hybrid"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        site.made(folder, "iso,uki", &["--firmware", firmware]);
        let run = |program: &Path, line: &str| run(program, line.split(' '), folder);
        let (bios, uefi) = (firmware != "uefi", firmware != "bios");

        let files = read(folder, &folder.join("hello.iso"));
        fs::create_dir(folder.join("out")).unwrap();
        run(&bsdtar, "-C out -xf hello.iso");
        for (path, digest) in &files {
            let bytes = fs::read(folder.join("out").join(path)).unwrap();
            assert_eq!(Digest::of(&bytes), *digest, "{path}");
        }
        let has = |path: &str| files.contains_key(path);
        assert_eq!(has("boot/grub/grub.cfg"), bios, "{files:?}");
        assert_eq!(has("boot/grub/eltorito.img"), bios, "{files:?}");
        assert_eq!(has("licences/grub.txt"), bios, "{files:?}");
        assert_eq!(has("licences/systemd-stub.txt"), uefi, "{files:?}");
        assert_eq!(has("efi.img"), uefi, "{files:?}");
        let (kernel, initramfs) = (files.get("vmlinuz"), files.get("initrd.img"));
        assert_eq!(kernel.copied(), (!uefi).then(|| entries["kernel"]));
        assert_eq!(initramfs.copied(), (!uefi).then(|| entries["initramfs.gz"]));
        if uefi {
            run(&fsck, "-n -V out/efi.img");
            run(&mcopy, "-n -i out/efi.img ::EFI/BOOT/BOOTX64.EFI there.efi");
            let read = |file: &str| fs::read(folder.join(file)).unwrap();
            assert!(read("there.efi") == read("hello.efi"));
        }

        let boots = run(&xorriso, "-indev hello.iso -report_el_torito plain");
        assert_eq!(boots.contains(" BIOS  y   none "), bios, "{boots}");
        assert_eq!(boots.contains(" UEFI  y   none "), uefi, "{boots}");
        assert_eq!(
            boots.contains("  /boot/grub/eltorito.img\n"),
            bios,
            "{boots}"
        );
        assert_eq!(boots.contains("  /efi.img\n"), uefi, "{boots}");
        assert!(!boots.contains("WARNING"), "{boots}");
        let checked = run(&sgdisk, "-v hello.iso");
        assert!(checked.contains("No problems found"), "{checked}");
        assert_eq!(run(&sgdisk, "-p hello.iso").contains("EF00"), uefi);
    }
}

/// Boots `hello.iso`: from a drive for discs, or written to a disk.
fn boots(test: &str, firmware: &str, device: &str) {
    let name = format!("export::disc::{test}");
    let Some(qemu) = need(&name, "qemu-system-x86_64") else {
        return;
    };
    if firmware == "uefi" && !has_ovmf(&name) {
        return;
    }
    let Some(site) = Site::of_hello(&name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    site.made(folder.path(), "iso", &STEADY);
    let mut command = machine(&qemu);
    command.args(["-snapshot", "-drive"]);
    let media = if device.contains("cd") {
        "cdrom"
    } else {
        "disk"
    };
    command.arg(format!(
        "file=hello.iso,format=raw,if=none,id=it,media={media}"
    ));
    command.args(["-device"]).args(device.split(' '));
    if firmware == "uefi" {
        let drive = format!("if=pflash,unit=0,format=raw,readonly=on,file={OVMF}");
        command.args(["-drive", &drive]);
    }
    let console = console(command.current_dir(folder.path()), UP);
    let said = |text: &str| console.iter().any(|line| line.contains(text));
    assert_eq!(said("efi: EFI v"), firmware == "uefi");
    assert_eq!(said(WITHIN), firmware == "bios");
}

const DRIVE: &str = "ide-cd,drive=it,bus=ide.0";
const SCSI_DRIVE: &str = "virtio-scsi-pci -device scsi-cd,drive=it";
const DISK: &str = "virtio-blk-pci,drive=it";
const STICK: &str = "qemu-xhci -device usb-storage,drive=it";

#[test]
fn by_bios_from_a_drive() {
    boots("by_bios_from_a_drive", "bios", DRIVE);
}

#[test]
fn by_uefi_from_a_drive() {
    boots("by_uefi_from_a_drive", "uefi", SCSI_DRIVE);
}

#[test]
fn by_bios_from_a_stick() {
    boots("by_bios_from_a_stick", "bios", STICK);
}

#[test]
fn by_uefi_from_a_disk() {
    boots("by_uefi_from_a_disk", "uefi", DISK);
}

#[test]
fn a_unikernel_finds_its_modules() {
    let name = "export::disc::a_unikernel_finds_its_modules";
    let Some(qemu) = need(name, "qemu-system-x86_64") else {
        return;
    };
    let Some(site) = Site::of(name, &UNIKERNEL) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    site.made(folder.path(), "iso", &[]);
    let mut command = machine(&qemu);
    command
        .args(["-cdrom", "hello.iso"])
        .current_dir(folder.path());
    let console = console(&mut command, "hello: done");
    let said = |text: &str| console.iter().any(|line| line.contains(text));
    assert!(said("`kernel hello from a recipe`"), "{console:?}");
    assert!(
        said("`modules-0 module.txt`: a file in the memory"),
        "{console:?}"
    );
}
