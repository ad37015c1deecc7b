//! Exports of unikernels: the disks that start them, and what cannot.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use super::boots::{console, machine};
use super::support::exported::{Shipped, Site, UNIKERNEL, need, printed};
use super::support::{hello, kernels, matches, project, transcript};

/// Builds the recipe of a unikernel of somebody else's, `sha256`, that is in the mirror of
/// such; `None` where there is no mirror.
pub(super) fn upstream(folder: &Path, sha256: &str) -> Option<PathBuf> {
    let mirror = lunikernel_testing::artefacts(&lunikernel_testing::this_test())?;
    let kernel = fs::read(mirror.join("sha256").join(sha256)).unwrap();
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
    let Some(site) = Site::of(name, &UNIKERNEL) else {
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
    let Some(site) = Site::of(name, &UNIKERNEL) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let zip = kernels::TWO.built(&site, folder.path());
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

/// What was built with Solo5's own tenders, which lie in the Lunikernel.
pub(super) const SOLO5: Shipped = Shipped {
    recipe: "mirage/solo5-hello",
    mirror: "solo5-hello",
    golden: ["unikernels.sha256", "solo5-hello"],
};

/// Takes a bundle out with GNU tar, and gives the folder that was in it.
fn taken_out(folder: &Path, name: &str) -> Option<PathBuf> {
    let tar = need(&lunikernel_testing::this_test(), "tar")?;
    let archive = folder.join(format!("{name}.bundle.tar"));
    let mut command = Command::new(tar);
    command.arg("-xf").arg(archive).current_dir(folder);
    let output = command.output().unwrap();
    assert_eq!(
        printed(&output) + &String::from_utf8_lossy(&output.stderr),
        ""
    );
    Some(folder.join(name))
}

#[test]
fn a_bundle_runs_by_the_tender_in_it() {
    let name = "export::unikernels::a_bundle_runs_by_the_tender_in_it";
    let Some(site) = Site::of(name, &SOLO5) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = site.export_of(&site.zip(), folder.path(), "bundle");
    printed(
        &command
            .args(["--append", "it's $HOME; a\\b"])
            .output()
            .unwrap(),
    );
    let Some(bundle) = taken_out(folder.path(), "solo5-hello") else {
        return;
    };
    let files = fs::read_dir(&bundle).unwrap();
    let mut files: Vec<_> = files.map(|it| it.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["README.txt", "kernel", "run.sh", "solo5-spt"]);
    let mut script = Command::new(bundle.join("run.sh"));
    let said = printed(&script.current_dir("/").output().unwrap());
    let expected = "Command line is: 'Hello_Solo5 it's $HOME; a\\b'\n";
    assert!(said.contains(expected), "{said}");
}

/// Devices by the unikernel's names; what an overlay brought is attached to its own.
#[test]
fn a_bundle_tells_the_tender_of_devices() {
    let name = "export::unikernels::a_bundle_tells_the_tender_of_devices";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let kernel = fs::read(project("fuzz/seeds/solo5/good-devices")).unwrap();
    let zip = built(folder.path(), &kernel);
    let file = |name: &str| folder.path().join(name);
    fs::create_dir(file("files")).unwrap();
    fs::write(file("files/index.html"), "a page\n").unwrap();
    let mut overlay = site.luni(&file("cache"));
    overlay.args(["overlay", "-o"]).arg(file("laid.luni.zip"));
    printed(&overlay.arg(&zip).arg(file("files")).output().unwrap());
    let tender = file("tender");
    fs::write(&tender, "#!/bin/sh\nprintf '<%s>' \"$@\"\n").unwrap();
    fs::set_permissions(&tender, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (zip, own) in [(zip, false), (file("laid.luni.zip"), true)] {
        let kept = tempfile::tempdir().unwrap();
        let out = fs::canonicalize(kept.path()).unwrap();
        printed(&site.export_of(&zip, &out, "bundle").output().unwrap());
        let Some(bundle) = taken_out(&out, "tiny") else {
            return;
        };
        let readme = fs::read_to_string(bundle.join("README.txt")).unwrap();
        let usage = match own {
            true => "    ./run.sh --net:service=tap0\n",
            false => "    ./run.sh --block:storage=disk.img --net:service=tap0\n",
        };
        assert!(readme.contains(usage), "{readme}");
        assert!(readme.contains("ip tuntap add dev tap0"), "{readme}");
        let mut script = Command::new(bundle.join("run.sh"));
        let script = script.arg("--net:service=tap7").env("TENDER", &tender);
        let said = printed(&script.output().unwrap());
        let at = bundle.display();
        let disk = format!("<--block:storage={at}/block.tar>");
        let disk = if own { disk } else { String::new() };
        let expected =
            format!("<--mem=32>{disk}<--net:service=tap7><--><{at}/kernel><Hello_Solo5>");
        assert_eq!(said, expected);
        assert_eq!(bundle.join("block.tar").exists(), own);
    }
}

/// The digests are promises: a change of one changes everybody's images.
#[test]
fn digests_are_the_committed_ones() {
    let name = "export::unikernels::digests_are_the_committed_ones";
    const DISKS: &str = "ec2,gce,iso,kvm,raw,vdi,vhd,vhd-fixed,vhdx,vmdk";
    let sha256: &[&str] = &["--sha256"];
    for (shipped, formats, options, committed) in [
        (&UNIKERNEL, DISKS, sha256, "unikernel-hello-exports.sha256"),
        (&SOLO5, "bundle", &[], "solo5-hello-exports.sha256"),
    ] {
        let Some(site) = Site::of(name, shipped) else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let made = site.made(folder.path(), formats, options);
        let committed = project("tests/golden").join(committed);
        assert!(matches(&made.replace("./", ""), &committed));
    }
}

/// Everything that Solo5 runs by, to everything that there is for it.
#[test]
fn what_no_cloud_starts_is_refused_with_the_reason() {
    const HELLO_HVT: &str = "c8d2ed8626cff98de3f346df3d135d253b6c5385111978f09691764cd801ace8";
    const HELLO_SPT: &str = "168f79f83ef3663e5e47c98d27ce09dbfa290d2c7338171d1948188003afc6d5";
    let name = "export::unikernels::what_no_cloud_starts_is_refused_with_the_reason";
    for sha256 in [HELLO_HVT, HELLO_SPT] {
        let folder = tempfile::tempdir().unwrap();
        let Some(zip) = upstream(folder.path(), sha256) else {
            return;
        };
        let Some(site) = Site::of_hello(name) else {
            return;
        };
        for formats in ["raw", "gce", "ec2", "kvm", "bundle,gce"] {
            for force in [false, true] {
                let mut command = site.export_of(&zip, folder.path(), formats);
                if force {
                    command.arg("--force");
                }
                let output = command.output().unwrap();
                let text = transcript(&output);
                // Insisting helps only where there is something that can be made.
                assert_eq!(output.status.code(), Some(3), "{text}");
                assert!(text.contains("by a tender of Solo5's"), "{text}");
                assert!(text.contains("`--to bundle`"), "{text}");
            }
        }
        let cache = folder.path().join("empty");
        let mut alone = hello::luni(&cache);
        alone.current_dir(folder.path()).arg("--offline");
        alone.args(["export", "--to", "bundle"]).arg(&zip);
        printed(&alone.output().unwrap());
        assert!(folder.path().join("tiny.bundle.tar").exists());
    }
}
