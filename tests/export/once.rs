//! A disk for both kinds of firmware has kernel and initramfs once.

use fs_err as fs;

use super::run;
use super::support::exported::{Site, need};

/// Reads the EFI program by the Portable Executable format, and the sectors of it that GRUB
/// is told of, and looks for the kernel's bytes all over the disk. Arguments: a Lunikernel.
const SCRIPT: &str = r#"
import re, struct, sys, zipfile

zip = zipfile.ZipFile(sys.argv[1])
kernel, initramfs = zip.read("kernel"), zip.read("initramfs.gz")
program, config = open("BOOTX64.EFI", "rb").read(), open("grub.cfg").read()

header = struct.unpack_from("<I", program, 60)[0]
count, optional = (struct.unpack_from("<H", program, header + at)[0] for at in (6, 20))
sections = {}
for number in range(count):
    at = header + 24 + optional + 40 * number
    size, _, stored, begin = struct.unpack_from("<4I", program, at + 8)
    sections[program[at:at + 8].rstrip(b"\0").decode()] = begin, size
take = lambda begin, size: program[begin:begin + size]
assert take(*sections[".linux"]) == kernel and take(*sections[".initrd"]) == initramfs

assert config.splitlines()[2] == "loopback uki /EFI/BOOT/BOOTX64.EFI", config
for command, content in (("linux", kernel), ("initrd", initramfs)):
    begin, sectors = map(int, re.search(rf"^{command} \(uki\)(\d+)\+(\d+)\b", config, re.M).groups())
    held = take(begin * 512, sectors * 512)
    rest = held[len(content):]
    assert held.startswith(content) and len(rest) < 512 and not rest.strip(b"\0"), command

disk = open("hello.raw", "rb").read(100 << 20)
for content in (kernel, initramfs):
    piece = content[len(content) // 2:][:512]
    assert piece.strip(b"\0") and disk.count(piece) == 1, disk.count(piece)
"#;

#[test]
fn grub_is_told_of_the_parts_of_the_efi_program() {
    let name = "export::once::grub_is_told_of_the_parts_of_the_efi_program";
    let [Some(python), Some(mcopy)] = ["python3", "mcopy"].map(|it| need(name, it)) else {
        return;
    };
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    site.made(folder.path(), "raw", &["--size", "100M"]);
    for file in ["EFI/BOOT/BOOTX64.EFI", "boot/grub/grub.cfg"] {
        let file = format!("::{file}");
        // The partition begins at 2 MiB.
        let arguments = ["-n", "-i", "hello.raw@@2M", &file, "."];
        run(&mcopy, arguments, folder.path());
    }
    let zip = site.zip();
    run(
        &python,
        ["-c", SCRIPT, zip.to_str().unwrap()],
        folder.path(),
    );
    // Nothing of it is left where only one kind of firmware is wanted.
    let content = |firmware: &str| {
        let folder = tempfile::tempdir().unwrap();
        site.made(folder.path(), "gce", &["--firmware", firmware]);
        fs::metadata(folder.path().join("hello.gce.tar.gz"))
            .unwrap()
            .len()
    };
    let [bios, uefi, hybrid] = ["bios", "uefi", "hybrid"].map(content);
    let least = bios.min(uefi);
    assert!(hybrid < least + least / 20, "{bios} {uefi} {hybrid}");
}
