//! Exports that do not reach their end, or meet what is there already.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use fs_err as fs;
use rustix::process::Signal;

use super::support::exported::{Site, need};
use super::support::transcript;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_signal_leaves_nothing() {
    let Some(site) = Site::of_hello("export::stopped::a_signal_leaves_nothing") else {
        return;
    };
    let mut stopped = 0;
    // The last two disks take long: what is in the image is deflated again for them.
    const DISKS: &str = "raw,vdi,kvm,vmdk";
    const BUNDLES: &str = "cloud-hypervisor,firecracker,pxe,xen";
    for (signal, formats, after) in [
        (Signal::INT, DISKS, "writing hello.raw"),
        (Signal::KILL, DISKS, "writing hello.vdi"),
        (Signal::TERM, DISKS, "writing hello.qcow2"),
        (Signal::INT, BUNDLES, "checking"),
        (Signal::INT, BUNDLES, "writing hello.cloud-hypervisor.tar"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = site
            .export(folder.path(), formats)
            .args(["--size", "40G", "--force"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map(Result::unwrap);
        let begun = lines.any(|line| line.starts_with(after));
        assert!(begun, "{after}");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        lines.for_each(drop);
        let status = child.wait().unwrap();
        if status.signal() == Some(signal.as_raw()) {
            stopped += 1;
            assert_eq!(names(folder.path()), [] as [&str; 0]);
        }
    }
    assert!(stopped > 0, "each was quicker than the signal");
}

/// In a mount namespace of its own, in which a file system of 20 MiB is mounted.
#[test]
fn a_full_disk_leaves_nothing() {
    let name = "export::stopped::a_full_disk_leaves_nothing";
    let Some(unshare) = need(name, "unshare") else {
        return;
    };
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let script = r#"
        mkdir small && mount -t tmpfs -o size=20M none small || exit 99
        "$@" -o small
        echo "ended with $?"
        ls -A small
    "#;
    for formats in ["uki,raw", "firecracker"] {
        let folder = tempfile::tempdir().unwrap();
        let export = site.export(folder.path(), formats);
        let mut command = Command::new(&unshare);
        command.args(["-r", "-m", "sh", "-c", script, "sh"]);
        command.arg(export.get_program()).args(export.get_args());
        command.current_dir(folder.path());
        for (key, value) in export.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            let why = format!("nothing can be mounted here: {errors}");
            return lunikernel_testing::left_out(name, &why);
        }
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "ended with 1\n",
            "{errors}"
        );
        assert!(errors.contains("No space left on device"), "{errors}");
        assert!(errors.contains("hint: free some space"), "{errors}");
    }
}

#[test]
fn files_are_replaced_and_nothing_else_is() {
    let name = "export::stopped::files_are_replaced_and_nothing_else_is";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let place = |file: &str| folder.path().join(file);
    fs::write(place("hello.efi"), "old").unwrap();
    site.made(folder.path(), "uki", &[]);
    assert!(fs::metadata(place("hello.efi")).unwrap().len() > 1 << 20);

    fs::remove_file(place("hello.efi.licence.txt")).unwrap();
    fs::write(place("hello.efi"), "precious").unwrap();
    fs_err::os::unix::fs::symlink("elsewhere", place("hello.efi.licence.txt")).unwrap();
    let output = site.export(folder.path(), "uki").output().unwrap();
    let text = transcript(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("is not a regular file"), "{text}");
    assert_eq!(fs::read(place("hello.efi")).unwrap(), b"precious");
    let there = ["hello.efi", "hello.efi.licence.txt", "hello.export.json"];
    assert_eq!(names(folder.path()), there);
}
