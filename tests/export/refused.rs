//! Exports that are refused before any work, and what is said of them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::artefact::{Boot, Devices, EntrySource, KERNEL, Manifest, Protocol, seal};
use lunikernel_cache::{Cache, Silent};

use super::ordinary::Theirs;
use super::support::exported::Site;
use super::support::{luni, project, transcript};

/// A unikernel that names its devices as Solo5's do, whose zip is in `folder`.
fn unikernel(folder: &Path, protocol: Protocol) -> PathBuf {
    let cache = Cache::open(&folder.join("cache")).unwrap();
    let kernel = fs::read(project("fuzz/seeds/solo5/good-devices")).unwrap();
    let kernel = cache.blobs().put(&kernel).unwrap();
    let kernel = EntrySource::of_blob(cache.blobs(), KERNEL, kernel).unwrap();
    let boot = Boot {
        protocol,
        cmdline: String::new(),
        min_memory_mib: 32,
    };
    let manifest = Manifest {
        devices: Devices {
            net: true,
            block: false,
        },
        ..Manifest::new("tiny", "1", "unikernel", "x86_64", boot)
    };
    let zip = seal(cache.blobs(), manifest, &[kernel], &Silent).unwrap();
    let path = folder.join(format!("{protocol:?}.luni.zip"));
    fs::copy(cache.blobs().path(&zip.digest.sha256), &path).unwrap();
    path
}

#[test]
fn what_cannot_work_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (protocol, formats, reason) in [
        (Protocol::Solo5Hvt, "raw", "by a tender of Solo5's"),
        (
            Protocol::Solo5Virtio,
            "kvm,gce",
            "Google's machines have no",
        ),
        (Protocol::Solo5Virtio, "ec2", "Nitro machines have neither"),
        (Protocol::XenPvh, "kvm", "it is started by PVH"),
        (Protocol::Solo5Spt, "iso", "by a tender of Solo5's"),
        (Protocol::Multiboot, "bundle", "it is run by no tender"),
        (Protocol::Multiboot, "uki", "Multiboot, which needs a BIOS"),
    ] {
        let zip = unikernel(folder.path(), protocol);
        let output = luni(folder.path())
            .args(["export", "--to", formats, "-o", "out"])
            .arg(zip)
            .output()
            .unwrap();
        let text = transcript(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains(reason) && text.contains("hint: "), "{text}");
        // Where it could be made, it may be insisted on.
        let made = text.contains("`--force` makes it nevertheless");
        assert_eq!(made, protocol == Protocol::Solo5Virtio, "{text}");
        assert!(!folder.path().join("out").exists());
    }
}

/// Each refusal is told as what it is.
#[test]
fn what_several_formats_refuse_is_no_warning() {
    let folder = tempfile::tempdir().unwrap();
    let zip = unikernel(folder.path(), Protocol::Solo5Virtio);
    let mut command = luni(folder.path());
    command.args(["export", "--to", "azure,ec2,gce"]).arg(zip);
    let text = transcript(&command.output().unwrap());
    for format in ["ec2", "gce"] {
        assert!(text.contains(&format!("refused: {format}: ")), "{text}");
    }
    assert!(text.contains(" to azure: Microsoft's machines"), "{text}");
    assert!(!text.contains("warning: "), "{text}");
    let text = transcript(&command.args(["--force", "--offline"]).output().unwrap());
    assert!(
        text.contains("warning: gce: ") && !text.contains("refused: "),
        "{text}"
    );
}

#[test]
fn options_that_change_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let zip = unikernel(folder.path(), Protocol::Solo5Virtio);
    for (formats, options, wrong) in [
        ("iso,bundle", "--size 2G", true),
        ("uki,pxe", "--firmware bios", true),
        ("xen", "--firmware uefi", true),
        ("raw,gce", "--compress", true),
        ("kvm,gce,vhd", "--sha256", true),
        // What one of them takes is well.
        ("pxe,raw", "--size 2G --firmware bios --sha256", false),
        ("kvm,gce", "--compress", false),
        ("vhd-fixed", "--sha256", false),
    ] {
        let output = luni(folder.path())
            .args(["export", "--offline", "--to", formats])
            .arg(&zip)
            .args(options.split(' '))
            .output()
            .unwrap();
        let text = transcript(&output);
        let (option, _) = options.split_once(' ').unwrap_or((options, ""));
        let message = format!("`{option}` changes nothing in ");
        assert_eq!(text.contains(&message), wrong, "{formats}: {text}");
        assert_eq!(output.status.code() == Some(2), wrong, "{formats}: {text}");
    }
}

/// Where nothing can be written is said before anything is fetched.
#[test]
fn folders_that_cannot_be_are_refused_before_any_work() {
    let name = "export::refused::folders_that_cannot_be_are_refused_before_any_work";
    let theirs = Theirs::with(&[]);
    let zip = unikernel(&theirs.path("theirs"), Protocol::Solo5Virtio);
    let zip = zip.file_name().unwrap().to_str().unwrap();
    fs::write(theirs.path("theirs/afile"), "").unwrap();
    let closed = theirs.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, PermissionsExt::from_mode(0o555)).unwrap();
    for (output, reason) in [
        ("afile", "afile is no folder"),
        ("afile/x", "afile is no folder"),
        ("../closed", "Permission denied"),
        ("../closed/x/y", "Permission denied"),
    ] {
        let output = theirs.run(&[], &["export", zip, "--to", "kvm", "-o", output]);
        let text = transcript(&output);
        assert_eq!(output.status.code(), Some(3), "{name}: {text}");
        assert!(
            text.contains(reason) && text.contains("hint: name a"),
            "{text}"
        );
        assert!(!text.contains("checking"), "{text}");
    }
}

/// `luni fetch` knows nothing of boot loaders.
#[test]
fn boot_loaders_that_are_missing_have_a_hint_that_gets_them() {
    let folder = tempfile::tempdir().unwrap();
    let zip = unikernel(folder.path(), Protocol::Solo5Virtio);
    let zip = zip.file_name().unwrap().to_str().unwrap();
    let mut command = luni(folder.path());
    command.args(["--offline", "export", zip, "--to", "kvm", "-o", "out"]);
    let output = command.current_dir(folder.path()).output().unwrap();
    let text = transcript(&output);
    assert_eq!(output.status.code(), Some(5), "{text}");
    let hint = "hint: do this once without `--offline`, and they stay in the cache";
    assert!(text.contains(hint), "{text}");
    assert!(!text.contains("luni fetch"), "{text}");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn sizes_and_command_lines_that_do_not_fit_are_refused() {
    let name = "export::refused::sizes_and_command_lines_that_do_not_fit_are_refused";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    for (formats, options, code, message, hint) in [
        (
            "raw",
            "--size 20M",
            3,
            "its files need ",
            "ask for `--size 3",
        ),
        (
            "gce",
            "--size 1100M",
            3,
            "a whole number of GiB",
            "ask for `--size 2G`",
        ),
        (
            "gce",
            "--size 4T",
            3,
            "for gce: the largest has 2048 GiB",
            "ask for `--size 2048G` or less",
        ),
        (
            "raw,vmdk",
            "--size 3T",
            3,
            "for vmdk: the largest has 2000 GiB",
            "ask for `--size 2000G` or less",
        ),
        ("raw", "--size 1", 2, "has no unit", ""),
        ("floppy", "", 2, "invalid value 'floppy'", ""),
        (
            "raw",
            &format!("--cmdline {}", "w".repeat(2001)),
            3,
            "longer than 2000 characters",
            "`--cmdline`",
        ),
        (
            "raw",
            "--cmdline a='1'",
            3,
            "hands on no quotes",
            "`--cmdline`",
        ),
        (
            "raw",
            "--cmdline a=\u{e4}",
            3,
            "visible ASCII",
            "`--cmdline`",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let options = options.split(' ').filter(|it| !it.is_empty());
        let mut export = site.export(folder.path(), formats);
        export.args(["-o", "new/one"]).args(options);
        let output = export.output().unwrap();
        let text = transcript(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(message) && text.contains(hint), "{text}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn what_may_not_work_is_said() {
    let name = "export::refused::what_may_not_work_is_said";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = site.export(folder.path(), "gce,kvm");
    command.args(["--cmdline", "quiet", "--json"]);
    let output = command.output().unwrap();
    let text = transcript(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("warning: gce, kvm: its command line names no serial"));
    assert!(
        text.contains("warning: gce: its command line has `quiet`"),
        "{text}"
    );
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["findings"].as_array().unwrap().len(), 2, "{text}");
    assert_eq!(said["manifest"]["options"]["cmdline"], "quiet");
    let features = ["GVNIC", "UEFI_COMPATIBLE", "VIRTIO_SCSI_MULTIQUEUE"];
    assert_eq!(
        said["manifest"]["guest_features"],
        serde_json::json!(features)
    );
    assert_eq!(said["files"].as_array().unwrap().len(), 5);
}
