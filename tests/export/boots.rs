//! Exported disks, booted: by both kinds of firmware from the disks that clouds have.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use fs_err as fs;

use super::support::exported::{Site, need, printed};

/// How long one boot may take: under emulation it takes about 20 s on two idle processors.
const PATIENCE: Duration = Duration::from_secs(600);
/// What tells that the Lunikernel's init runs.
pub(crate) const UP: &str = "luni: hello 1.0.0 is up";
/// For a kernel that a busy machine emulates: it would give up where the timer does not
/// tick in time.
pub(super) const STEADY: [&str; 2] = ["--append", "no_timer_check"];
/// What GRUB adds to the command line of a kernel that it takes out of an EFI program, and
/// to that of one in a file.
pub(super) const WITHIN: &str = "Command line: BOOT_IMAGE=(uki)";
const IN_A_FILE: &str = "Command line: BOOT_IMAGE=/vmlinuz ";
/// Where Debian's package `ovmf` has UEFI firmware.
pub(super) const OVMF: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";

/// A machine; ended when this goes.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a machine and gives all lines of its console up to the one with `last`. One
/// machine at a time: two of them take longer than one after the other.
pub(crate) fn console(command: &mut Command, last: &str) -> Vec<String> {
    let turn = Path::new(env!("CARGO_TARGET_TMPDIR")).join("export/one-boot");
    let turn = fs::File::create(turn).unwrap().into_file();
    turn.lock().unwrap();
    let begun = Instant::now();
    let machine = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut machine = Machine(machine.unwrap());
    let mut output = BufReader::new(machine.0.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    // A console need not be text: firmware sends what it likes.
    std::thread::spawn(move || {
        loop {
            let mut line = Vec::new();
            match output.read_until(b'\n', &mut line) {
                Ok(count) if count > 0 => {}
                _ => return,
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            Ok(line) => seen.push(line),
            Err(why) => {
                let ended = why == RecvTimeoutError::Disconnected;
                let console = seen.join("\n");
                panic!("{command:?} ended: {ended}; its console said:\n{console}");
            }
        }
        if seen.last().is_some_and(|line| line.contains(last)) {
            println!("up after {:.1} s", begun.elapsed().as_secs_f64());
            return seen;
        }
    }
}

fn boots(test: &str, firmware: &str, device: &str) {
    let name = format!("export::boots::{test}");
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
    site.made(folder.path(), "raw", &STEADY);
    let mut command = from_disk(&qemu, folder.path(), device);
    if firmware == "uefi" {
        let drive = format!("if=pflash,unit=0,format=raw,readonly=on,file={OVMF}");
        command.args(["-drive", &drive]);
    }
    let console = console(&mut command, UP);
    let said = |text: &str| console.iter().any(|line| line.contains(text));
    // The kernel tells of the firmware that it finds.
    assert_eq!(said("efi: EFI v"), firmware == "uefi");
    assert_eq!(said(WITHIN), firmware == "bios");
}

/// A machine with the disk `hello.raw` of a folder.
fn from_disk(qemu: &PathBuf, folder: &Path, device: &str) -> Command {
    let mut command = machine(qemu);
    command.args(["-drive", "file=hello.raw,format=raw,if=none,id=disk"]);
    command
        .args(["-snapshot", "-device"])
        .args(device.split(' '))
        .current_dir(folder);
    command
}

pub(crate) fn machine(qemu: &PathBuf) -> Command {
    let mut command = Command::new(qemu);
    command.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-m", "512"]);
    command.args(["-display", "none", "-serial", "stdio", "-monitor", "none"]);
    command.args(["-no-reboot", "-nic", "none"]);
    command
}

pub(super) fn has_ovmf(name: &str) -> bool {
    let there = Path::new(OVMF).exists();
    if !there {
        lunikernel_testing::left_out(name, &format!("there is no {OVMF}"));
    }
    there
}

const VIRTIO_BLK: &str = "virtio-blk-pci,drive=disk,bootindex=1";
const VIRTIO_SCSI: &str = "virtio-scsi-pci -device scsi-hd,drive=disk,bootindex=1";
const NVME: &str = "nvme,drive=disk,serial=1,bootindex=1";

#[test]
fn by_bios_from_virtio_blk() {
    boots("by_bios_from_virtio_blk", "bios", VIRTIO_BLK);
}

#[test]
fn by_bios_from_virtio_scsi() {
    boots("by_bios_from_virtio_scsi", "bios", VIRTIO_SCSI);
}

#[test]
fn by_bios_from_nvme() {
    boots("by_bios_from_nvme", "bios", NVME);
}

#[test]
fn by_uefi_from_virtio_blk() {
    boots("by_uefi_from_virtio_blk", "uefi", VIRTIO_BLK);
}

#[test]
fn by_uefi_from_virtio_scsi() {
    boots("by_uefi_from_virtio_scsi", "uefi", VIRTIO_SCSI);
}

#[test]
fn by_uefi_from_nvme() {
    boots("by_uefi_from_nvme", "uefi", NVME);
}

/// Without an EFI program, of which kernel and initramfs could be taken.
#[test]
fn by_bios_alone() {
    let name = "export::boots::by_bios_alone";
    let Some(qemu) = need(name, "qemu-system-x86_64") else {
        return;
    };
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let options = [&STEADY[..], &["--firmware", "bios"]].concat();
    site.made(folder.path(), "raw", &options);
    let mut command = from_disk(&qemu, folder.path(), VIRTIO_BLK);
    let console = console(&mut command, UP);
    assert!(console.iter().any(|line| line.contains(IN_A_FILE)));
}

/// An initramfs of several pieces, each compressed by itself, with zeros behind the last.
#[test]
fn with_an_overlay_by_bios() {
    let name = "export::boots::with_an_overlay_by_bios";
    let Some(qemu) = need(name, "qemu-system-x86_64") else {
        return;
    };
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    fs::create_dir_all(mine.join("etc/luni/services")).unwrap();
    let service = "#!/bin/busybox sh\necho 'hello: from an overlay'\nexec sleep 1000\n";
    let file = mine.join("etc/luni/services/hello");
    fs::write(&file, service).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    let zip = folder.path().join("laid.luni.zip");
    let mut overlay = site.luni(&folder.path().join("cache"));
    overlay.arg("overlay").arg(site.zip()).arg(mine);
    printed(&overlay.arg("-o").arg(&zip).output().unwrap());
    let mut export = site.export_of(&zip, folder.path(), "raw");
    printed(&export.args(STEADY).output().unwrap());
    let mut command = from_disk(&qemu, folder.path(), VIRTIO_BLK);
    let console = console(&mut command, "hello: from an overlay");
    assert!(console.iter().any(|line| line.contains(WITHIN)));
}

/// By the script that comes with the image.
#[test]
fn the_qcow2_image_boots() {
    let name = "export::boots::the_qcow2_image_boots";
    if need(name, "qemu-system-x86_64").is_none() || !has_ovmf(name) {
        return;
    }
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    site.made(
        folder.path(),
        "kvm",
        &["--compress", "--append", "luni.test=1 no_timer_check"],
    );
    let mut script = Command::new(folder.path().join("hello.run.sh"));
    let console = console(script.env("ACCEL", "tcg").env("OVMF", OVMF), UP);
    let said = |text: &str| console.iter().any(|line| line.contains(text));
    assert!(said("efi: EFI v") && said("Command line: console=ttyS0 panic=5 luni.test=1"));
}
