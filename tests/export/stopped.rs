//! Exports that do not reach their end, or meet what is there already.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use fs_err as fs;
use lunikernel_cache::Sha256;
use lunikernel_exporters::manifest::ExportManifest;
use rustix::fs::{FlockOperation, flock};
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

/// The folder kept from whoever is to name files in it, as another export does: until the
/// lock is gone, none reaches its end.
fn kept(folder: &Path) -> fs::File {
    let kept = fs::File::open(folder).unwrap();
    flock(&kept, FlockOperation::LockExclusive).unwrap();
    kept
}

/// How long an export may take to where it is to be met, on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// An export that has come to where it says `begun`.
fn begun(mut export: Command, begun: &str) -> Child {
    let mut child = export
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (told, tells) = channel();
    // It reads to the end, so that nobody waits for a reader.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = told.send(line);
        }
    });
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match tells.recv_timeout(left) {
            Ok(line) if line.starts_with(begun) => return child,
            Ok(_) => {}
            Err(error) => {
                let _ = child.kill();
                panic!("`{begun}` was not said: {error}");
            }
        }
    }
}

/// How `child` ends by `signal`.
fn ended(mut child: Child, signal: Signal) -> ExitStatus {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, signal).unwrap();
    child.wait().unwrap()
}

#[test]
fn a_signal_leaves_nothing() {
    let Some(site) = Site::of_hello("export::stopped::a_signal_leaves_nothing") else {
        return;
    };
    const DISKS: &str = "raw,vdi,kvm,vmdk";
    const BUNDLES: &str = "cloud-hypervisor,firecracker,pxe,xen";
    for (signal, formats, after) in [
        (Signal::INT, DISKS, "writing hello.raw"),
        (Signal::KILL, DISKS, "writing hello.vdi"),
        (Signal::TERM, DISKS, "writing hello.qcow2"),
        (Signal::HUP, DISKS, "waiting for another export"),
        (Signal::INT, BUNDLES, "checking"),
        (Signal::INT, BUNDLES, "writing hello.cloud-hypervisor.tar"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let _kept = kept(folder.path());
        let mut export = site.export(folder.path(), formats);
        export.arg("--force");
        if formats == DISKS {
            export.args(["--size", "40G"]);
        }
        let status = ended(begun(export, after), signal);
        assert_eq!(status.signal(), Some(signal.as_raw()), "{after}: {status}");
        assert_eq!(names(folder.path()), [] as [&str; 0], "{after}");
    }
}

/// Whether it comes before the files are named, while they are, or after that: they are all
/// of one export, and it is the one of the manifest.
#[test]
fn a_signal_never_leaves_new_files_beside_old_ones() {
    let name = "export::stopped::a_signal_never_leaves_new_files_beside_old_ones";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    site.made(folder.path(), "iso,uki", &[]);
    for round in 0..4 {
        let kept = kept(folder.path());
        let mut export = site.export(folder.path(), "iso,uki");
        export.arg("--append").arg(format!("luni.round={round}"));
        let child = begun(export, "waiting for another export");
        drop(kept);
        // How far it comes by then is as it is.
        ended(child, Signal::INT);
        let files = [
            "hello.efi",
            "hello.efi.licence.txt",
            "hello.export.json",
            "hello.iso",
        ];
        assert_eq!(names(folder.path()), files);
        let read = |file: &str| fs::read(folder.path().join(file)).unwrap();
        let manifest = ExportManifest::parse(&read("hello.export.json")).unwrap();
        for (file, entry) in &manifest.files {
            assert_eq!(
                entry.sha256,
                Some(Sha256::of(&read(file))),
                "{round}: {file}"
            );
        }
    }
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
