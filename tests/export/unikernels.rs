//! Exports of unikernels: the disks that start them, and what cannot.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use super::boots::{console, machine};
use super::support::exported::{Shipped, Site, need, printed};
use super::support::{hello, project, transcript};

/// A kernel that says what it finds, started by multiboot.
const HELLO: Shipped = Shipped {
    recipe: "unikernel/hello",
    mirror: "unikernel-hello",
    golden: ["unikernels.sha256", "recipes/unikernel/hello"],
};

/// Builds the recipe of a unikernel of somebody else's, `sha256`, that is in the mirror of
/// such; `None` where there is no mirror.
pub(super) fn upstream(folder: &Path, sha256: &str) -> Option<PathBuf> {
    let Some(mirror) = std::env::var_os("LUNI_TEST_MIRROR") else {
        let name = lunikernel_testing::this_test();
        lunikernel_testing::left_out(&name, "LUNI_TEST_MIRROR is not set");
        return None;
    };
    let kernel = fs::read(Path::new(&mirror).join("sha256").join(sha256)).unwrap();
    Some(built(folder, &kernel))
}

/// A Lunikernel in `folder` of a unikernel for Solo5.
pub(super) fn built(folder: &Path, kernel: &[u8]) -> PathBuf {
    fs::write(folder.join("file"), kernel).unwrap();
    let recipe = "apiVersion: lunikernel/v1\nname: tiny\nversion: 1.0.0\nflavour: mirage\n\
                  sources:\n  image: {file: file}\nkernel: {from: image}\n\
                  boot: {min_memory_mib: 32, cmdline: Hello_Solo5}\n";
    fs::write(folder.join("recipe.yaml"), recipe).unwrap();
    for verb in ["lock", "build"] {
        let mut command = hello::luni(&folder.join("cache"));
        command.current_dir(folder).args(["--offline", verb]);
        printed(&command.output().unwrap());
    }
    folder.join("tiny.luni.zip")
}

/// As `luni run` boots it, word for word (`tests/unikernel.rs`): kernels see no
/// difference between QEMU and a disk.
#[test]
fn a_multiboot_kernel_finds_its_command_line_and_modules() {
    let name = "export::unikernels::a_multiboot_kernel_finds_its_command_line_and_modules";
    let Some(qemu) = need(name, "qemu-system-x86_64") else {
        return;
    };
    let Some(site) = Site::of(name, &HELLO) else {
        return;
    };
    for device in ["virtio-blk-pci,drive=disk", "nvme,drive=disk,serial=1"] {
        let folder = tempfile::tempdir().unwrap();
        site.made(folder.path(), "raw", &["--append", "and more"]);
        let mut command = from_disk(&qemu, folder.path(), device);
        let console = console(&mut command, "hello: done");
        let said: Vec<&str> = (console.iter())
            .filter_map(|line| line.split_once("hello: "))
            .map(|(_, said)| said)
            .collect();
        let expected = [
            "started by multiboot with `kernel hello from a recipe and more`",
            "a module `modules-0 module.txt`: a file in the memory",
            "done",
        ];
        assert_eq!(said, expected, "{console:?}");
    }
}

fn from_disk(qemu: &PathBuf, folder: &Path, device: &str) -> Command {
    let mut command = machine(qemu);
    let file = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let mut disks = file.filter(|it| it.extension().is_some_and(|it| it == "raw"));
    let disk = disks.next().unwrap();
    let drive = format!("file={},format=raw,if=none,id=disk", disk.display());
    command.args(["-snapshot", "-drive", &drive, "-device", device]);
    command
}

/// The newer version of multiboot: QEMU starts no such kernel itself, and GRUB does.
#[test]
fn a_multiboot2_kernel_boots() {
    let name = "export::unikernels::a_multiboot2_kernel_boots";
    let Some(qemu) = need(name, "qemu-system-x86_64") else {
        return;
    };
    let Some(site) = Site::of(name, &HELLO) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("recipe");
    fs::create_dir_all(recipe.join("files")).unwrap();
    let shipped = project("recipes/unikernel/hello");
    for file in [
        "recipe.yaml",
        "recipe.lock",
        "files/hello.ld",
        "files/module.txt",
    ] {
        fs::copy(shipped.join(file), recipe.join(file)).unwrap();
    }
    let kernel = include_str!("multiboot2.c");
    fs::write(recipe.join("files/hello.c"), kernel).unwrap();
    let zip = folder.path().join("hello.luni.zip");
    for verb in ["lock", "build"] {
        let mut command = site.luni(&folder.path().join("cache"));
        command.current_dir(&recipe).arg(verb);
        if verb == "build" {
            command.arg("-o").arg(&zip);
        }
        printed(&command.output().unwrap());
    }
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    printed(&site.export_of(&zip, &out, "raw").output().unwrap());
    let mut command = from_disk(&qemu, &out, "virtio-blk-pci,drive=disk");
    let console = console(&mut command, "two: done");
    let said = |text: &str| console.iter().any(|line| line.ends_with(text));
    assert!(
        said("two: command line `hello from a recipe`"),
        "{console:?}"
    );
    assert!(
        said("two: module `module.txt`: a file in the memory"),
        "{console:?}"
    );
}

/// Solo5's header counts on bytes that the file has not, its command line begins with a
/// name, and its drivers are for the oldest kind of virtio.
#[test]
fn a_unikernel_for_virtio_boots_by_the_script_of_its_image() {
    let name = "export::unikernels::a_unikernel_for_virtio_boots_by_the_script_of_its_image";
    const HELLO_VIRTIO: &str = "41b7eaa36bb53766662d050fd9851985e33a04a3d2adf7706e4c106b89dbefe5";
    if need(name, "qemu-system-x86_64").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (Some(zip), Some(site)) = (upstream(folder.path(), HELLO_VIRTIO), Site::of_hello(name))
    else {
        return;
    };
    printed(&site.export_of(&zip, folder.path(), "kvm").output().unwrap());
    let mut script = Command::new(folder.path().join("tiny.run.sh"));
    let console = console(script.env("ACCEL", "tcg"), "SUCCESS");
    let said = |text: &str| console.iter().any(|line| line.contains(text));
    assert!(said("Command line is: 'Hello_Solo5'"), "{console:?}");
    let domain = fs::read_to_string(folder.path().join("tiny.xml")).unwrap();
    assert!(
        domain.contains("machine='pc'") && !domain.contains("efi"),
        "{domain}"
    );

    for formats in ["gce", "ec2"] {
        let refused = site
            .export_of(&zip, folder.path(), formats)
            .output()
            .unwrap();
        let text = transcript(&refused);
        assert_eq!(refused.status.code(), Some(3), "{text}");
        let mut forced = site.export_of(&zip, folder.path(), formats);
        let forced = forced.arg("--force").output().unwrap();
        let text = transcript(&forced);
        assert!(
            forced.status.success() && text.contains("warning: "),
            "{text}"
        );
    }
}
