//! `luni run` of a kernel that QEMU cannot start itself, through the binary.

use std::process::Output;

use super::support::exported::{Site, UNIKERNEL, need, printed};
use super::support::{kernels, project, transcript};
use super::{Bench, fs, stderr, stdout};

/// The lines that the kernel says, without what its boot loader says before.
fn said(ran: &Output) -> Vec<String> {
    assert_eq!(ran.status.code(), Some(0), "{}", transcript(ran));
    let lines = stdout(ran);
    let lines = lines.lines().skip_while(|line| !line.starts_with("two: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn it_is_started_from_a_disc_with_its_command_line_and_modules() {
    let name = "unikernel::multiboot2::it_is_started_from_a_disc_with_its_command_line_and_modules";
    if need(name, "qemu-system-x86_64").is_none() {
        return;
    }
    let Some(site) = Site::of(name, &UNIKERNEL) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let zip = kernels::TWO.built(&site, folder.path());
    let run = |more: &[&str]| {
        let mut command = site.luni(&folder.path().join("cache"));
        command.args(["--quiet", "run", "--accel", "tcg", "--timeout", "300"]);
        command.arg(&zip).args(more).output().unwrap()
    };
    let says = |cmdline: &str| {
        [
            format!("two: command line `{cmdline}`"),
            "two: module `module.txt`: a file in the memory".to_owned(),
            "two: done".to_owned(),
        ]
    };
    let ran = run(&[]);
    assert_eq!(
        said(&ran),
        says("hello from a recipe"),
        "{}",
        transcript(&ran)
    );
    let more = ["--cmdline", "one $two", "--append", "{three}; four"];
    let ran = run(&more);
    assert_eq!(
        said(&ran),
        says("one $two {three}; four"),
        "{}",
        transcript(&ran)
    );
    // The tests of its recipe are for it as for any other.
    let mut command = site.luni(&folder.path().join("cache"));
    command.args(["run", "--accel", "tcg", "--test"]).arg(&zip);
    printed(&command.output().unwrap());
}

/// GRUB asks what to do then, and nobody would answer.
#[test]
fn what_its_boot_loader_cannot_start_is_not_waited_for() {
    let name = "unikernel::multiboot2::what_its_boot_loader_cannot_start_is_not_waited_for";
    if need(name, "qemu-system-x86_64").is_none() {
        return;
    }
    let Some(site) = Site::of(name, &UNIKERNEL) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // Its recipe says 16 MiB.
    let zip = kernels::FAR.built(&site, folder.path());
    let mut command = site.luni(&folder.path().join("cache"));
    let ran = command.args(["run", "--accel", "tcg"]).arg(&zip).output();
    let ran = ran.unwrap();
    assert_eq!(ran.status.code(), Some(1), "{}", transcript(&ran));
    for part in [
        "the boot loader could not start the kernel; the console's last lines:",
        "| error: out of memory.",
        "hint: where it is short of memory, give it more with `--memory`",
    ] {
        assert!(stderr(&ran).contains(part), "{}", transcript(&ran));
    }
}

#[test]
fn what_it_lacks_is_said() {
    let name = "unikernel::multiboot2::what_it_lacks_is_said";
    let kernel = fs::read(project("fuzz/seeds/multiboot2/good-elf")).unwrap();
    let bench = Bench::new("two", "unikernel", &kernel, "");
    bench.build();
    let ran = bench.luni_without_programs(&["run", "two.luni.zip"]);
    assert_eq!(ran.status.code(), Some(1), "{}", transcript(&ran));
    assert!(
        stderr(&ran).contains("could not find qemu-system-x86_64"),
        "{}",
        transcript(&ran)
    );
    if need(name, "qemu-system-x86_64").is_none() {
        return;
    }
    // Nothing of the boot loader is in the cache.
    let ran = bench.run(&[]);
    assert_eq!(ran.status.code(), Some(5), "{}", transcript(&ran));
    for part in ["boot loader", "hint: "] {
        assert!(stderr(&ran).contains(part), "{}", transcript(&ran));
    }
    let ran = bench.run(&["--append", "it's"]);
    assert_eq!(ran.status.code(), Some(3), "{}", transcript(&ran));
    assert!(stderr(&ran).contains("GRUB"), "{}", transcript(&ran));
    for (option, expected) in [
        ("--own-tender", "by no tender"),
        ("--attach=a=b", "no names"),
    ] {
        let ran = bench.run(&[option]);
        assert_eq!(ran.status.code(), Some(3), "{}", transcript(&ran));
        assert!(stderr(&ran).contains(expected), "{}", transcript(&ran));
    }
}
