//! A command that tries to leave is stopped.

use crate::bench::{Bench, ask};

/// What may be answered; every attempt must be answered with one of these.
const REFUSALS: &[&str] = &[
    "EPERM",
    "EACCES",
    "ENOSYS",
    "ENOENT",
    "EROFS",
    "EAFNOSUPPORT",
    "EINVAL",
    "ENXIO",
    "EBADF",
];

#[test]
fn no_way_out_is_open() {
    let bench = Bench::new();
    let log = bench.run(&ask("escape")).well();
    for line in log.lines() {
        let (attempt, answer) = line.split_once(": ").unwrap();
        match attempt {
            // The kernel ignores signals to pid 1 from within.
            "kill 1" => assert_eq!(answer, "done"),
            // `/` is as far up as it goes.
            "after many steps up" => assert_eq!(answer, "done"),
            _ => assert!(REFUSALS.contains(&answer), "{line}"),
        }
    }
    // Each attempt is answered: none ends the program that makes it.
    let attempts = if cfg!(target_arch = "x86_64") { 59 } else { 58 };
    assert_eq!(log.lines().count(), attempts, "{log}");
}

#[test]
fn refusals_come_from_the_filter() {
    let bench = Bench::new();
    let log = bench.run(&ask("escape")).well();
    for line in [
        "mount: EPERM",
        "fsopen: EPERM",
        "unshare user: EPERM",
        "clone user: EPERM",
        "clone3: ENOSYS",
        "io_uring: ENOSYS",
        "keyctl: EPERM",
        "personality: EPERM",
        "limit 1: EPERM",
        "schedule 1: EPERM",
        "parameters 1: EPERM",
        "attributes 1: EPERM",
        "cpus 1: EPERM",
        "priority 1: EPERM",
        "priority user: EPERM",
        "disk priority 1: EPERM",
        "disk priority user: EPERM",
        "clone untraced: EPERM",
        "packet socket: EAFNOSUPPORT",
        "raw socket: EPERM",
        "TIOCSTI: EPERM",
        "TIOCSTI high: EPERM",
        "sysctl: EROFS",
        "device folder: EROFS",
        "pid 1 root: EACCES",
        "mknod: EPERM",
    ] {
        assert!(
            log.lines().any(|found| found == line),
            "{line} not in\n{log}"
        );
    }
}
