//! The host is out of sight, and what is seen instead is always the same.

use std::net::TcpListener;
use std::process::Command;

use fs_err as fs;
use lunikernel_builder::sandbox::EntryOrder;
use lunikernel_cache::tree::Entry;

use crate::bench::{Bench, ask};

in_every_sandbox! {
    a_command_sees_a_fixed_self,
    the_environment_is_fixed,
    devices_are_few,
    other_processes_are_out_of_sight,
    what_of_proc_shows_the_machine_is_empty,
    the_network_is_a_loopback_of_its_own,
    only_a_few_folders_may_be_written_to_and_are_new_for_the_next,
    a_blob_cannot_be_changed_through_an_input,
}

fn a_command_sees_a_fixed_self(bench: &Bench) {
    let log = bench.run(&ask("show")).well();
    let cpus = std::thread::available_parallelism().unwrap();
    assert_eq!(
        log,
        format!(
            "uid 0 0\ngid 0 0\npid 32\nparent 1\nsession leader 1\nhost lunikernel\n\
             domain (none)\ncwd /build\numask 022\ncpus {cpus}\nno new privileges 1\n\
             seccomp 2\nfd 0\nfd 1\nfd 2\nstdin 0\n"
        )
    );
}

fn the_environment_is_fixed(bench: &Bench) {
    let fixed = "HOME=/root\nLANG=C.UTF-8\nLC_ALL=C.UTF-8\n\
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
        SOURCE_DATE_EPOCH=315532800\nTERM=dumb\nTZ=UTC\n";
    assert_eq!(bench.run(&ask("env")).well(), fixed);

    let own = ask("env")
        .env("TZ", "Asia/Tokyo")
        .env("CC", "gcc -O2")
        .env("SOURCE_DATE_EPOCH", "1");
    let log = bench.run(&own).well();
    let expected = fixed
        .replace("TZ=UTC", "TZ=Asia/Tokyo")
        .replace("=315532800", "=1");
    assert_eq!(log, format!("CC=gcc -O2\n{expected}"));
}

/// Whoever called this program may ignore signals, and commands must not notice.
#[test]
fn signals_that_the_caller_ignores_are_as_ever() {
    const AGAIN: &str = "LUNI_TEST_IGNORES_SIGNALS";
    const NAME: &str = "isolation::signals_that_the_caller_ignores_are_as_ever";
    if std::env::var_os(AGAIN).is_none() {
        let again = Command::new("/bin/sh")
            .args([
                "-c",
                "trap '' HUP QUIT TERM USR1; exec \"$0\" --exact \"$1\"",
            ])
            .arg(std::env::current_exe().unwrap())
            .arg(NAME)
            .env(AGAIN, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(
            again.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let outside = fs::read_to_string("/proc/self/status").unwrap();
    assert_ne!(field(&outside, "SigIgn"), 0);
    let inside = Bench::new().run(&ask("cat /proc/self/status")).well();
    for name in ["SigIgn", "SigBlk", "SigCgt"] {
        assert_eq!(field(&inside, name), 0, "{name}");
    }
}

/// A number of `/proc/PID/status` that is a set.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    u64::from_str_radix(line.unwrap().trim_start_matches(':').trim(), 16).unwrap()
}

#[test]
fn only_the_input_root_is_there() {
    let bench = Bench::new();
    let input = ask("ls / , ls /build , ls /tmp , ls /root , ls /dev/shm")
        .input("src/main.c", bench.file("int main;"));
    let mut names: Vec<_> = {
        let log = bench.run(&input).well();
        log.lines().map(str::to_owned).collect()
    };
    names.sort();
    assert_eq!(
        names,
        ["build", "dev", "etc", "probe", "proc", "root", "src", "tmp"]
    );
}

#[test]
fn no_path_of_the_host_shows() {
    let bench = Bench::new();
    let log = bench
        .run(&ask("cat /proc/self/mountinfo , cat /proc/1/cmdline"))
        .well();
    assert!(log.contains(" / / "), "{log}");
    assert!(log.ends_with("luni-sandbox\0"), "{log}");
    let cache = bench.cache.root().to_str().unwrap();
    for part in cache.split('/').filter(|part| part.len() > 3) {
        assert!(!log.contains(part), "{part} shows in\n{log}");
    }
}

fn devices_are_few(bench: &Bench) {
    let log = bench.run(&ask("ls /dev")).well();
    let mut names: Vec<_> = log.lines().filter(|name| *name != "tty").collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
            "stdout", "urandom", "zero"
        ]
    );
    let log = bench
        .run(&ask(
            "write /dev/null x , cat /dev/null , write /dev/full x , say fine",
        ))
        .well();
    assert_eq!(log, "/dev/full: ENOSPC\nfine\n");
}

fn other_processes_are_out_of_sight(bench: &Bench) {
    let log = bench.run(&ask("ls /proc")).well();
    let mut pids: Vec<_> = log
        .lines()
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    pids.sort_unstable();
    assert_eq!(pids, ["1", "32"]);
}

fn what_of_proc_shows_the_machine_is_empty(bench: &Bench) {
    let log = bench
        .run(&ask(
            "cat /proc/kcore , cat /proc/keys , cat /proc/timer_list , cat /proc/cmdline , \
             cat /proc/modules , cat /proc/partitions , cat /proc/diskstats , cat /proc/swaps , ls /proc/fs , ls /proc/bus , say end",
        ))
        .well();
    // Kernels that have no such file have nothing to hide.
    let shown: Vec<_> = log
        .lines()
        .filter(|line| !line.ends_with(": ENOENT"))
        .collect();
    assert_eq!(shown, ["end"]);
}

fn the_network_is_a_loopback_of_its_own(bench: &Bench) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let log = bench
        .run(&ask(&format!("connect {port} , serve , cat /proc/net/dev")))
        .well();
    assert!(
        log.starts_with("loopback: ECONNREFUSED\nelsewhere: ENETUNREACH\nown server: done\n"),
        "{log}"
    );
    let interfaces: Vec<_> = log
        .lines()
        .filter(|line| line.contains(": "))
        .skip(3)
        .collect();
    assert_eq!(interfaces.len(), 1, "{log}");
    assert!(interfaces[0].trim_start().starts_with("lo:"), "{log}");
}

#[test]
fn everything_given_is_as_old_and_as_open_as_everything_else() {
    let bench = Bench::new();
    let script = "stat / , stat /etc , stat /etc/motd , stat /etc/link , stat /probe , \
        stat /build , stat /build/in , stat /build/in/f , stat /tmp , stat /root";
    for order in [
        EntryOrder::AsCreated,
        EntryOrder::Forward,
        EntryOrder::Reverse,
    ] {
        let input = ask(script)
            .input("in/f", bench.file("x"))
            .surroundings(|s| s.entry_order = order);
        assert_eq!(
            bench.run(&input).well(),
            "/ 40755 0:0 315532800\n/etc 40755 0:0 315532800\n/etc/motd 100644 0:0 315532800\n\
             /etc/link 120777 0:0 315532800\n/probe 100755 0:0 315532800\n\
             /build 40755 0:0 315532800\n/build/in 40755 0:0 315532800\n\
             /build/in/f 100644 0:0 315532800\n/tmp 41777 0:0 315532800\n\
             /root 40700 0:0 315532800\n",
            "{order:?}"
        );
    }
}

#[test]
fn folders_list_their_entries_in_the_order_asked_for() {
    let bench = Bench::new();
    let listed = |order| {
        let names = ["b", "d", "a", "e", "c"];
        let all = names.iter().fold(ask("ls in"), |ask, name| {
            ask.input(&format!("in/{name}"), bench.file(name))
        });
        let log = bench
            .run(&all.surroundings(|s| s.entry_order = order))
            .well();
        log.lines().collect::<String>()
    };
    let (forward, reverse) = (listed(EntryOrder::Forward), listed(EntryOrder::Reverse));
    assert_ne!(forward, reverse);
    assert_eq!(forward, reverse.chars().rev().collect::<String>());
    assert!(["abcde", "edcba"].contains(&forward.as_str()), "{forward}");
}

fn only_a_few_folders_may_be_written_to_and_are_new_for_the_next(bench: &Bench) {
    let script = "write /etc/motd changed , write /new x , rm /etc/link , mkdir /d , \
        write /build/b x , write /tmp/t x , write /root/r x , write /dev/shm/s x , say end";
    for order in [EntryOrder::AsCreated, EntryOrder::Forward] {
        let ask = ask(script).surroundings(|s| s.entry_order = order);
        assert_eq!(
            bench.run(&ask).well(),
            "/etc/motd: EROFS\n/new: EROFS\n/etc/link: EROFS\n/d: EROFS\nend\n"
        );
    }
    let after = bench.run(&ask(
        "cat /etc/motd , ls /build , ls /tmp , ls /root , ls /dev/shm",
    ));
    assert_eq!(after.well(), "hello\n");
}

fn a_blob_cannot_be_changed_through_an_input(bench: &Bench) {
    let input = ask("write in changed , link in other , write other again")
        .input("in", bench.file("content"));
    bench.run(&input).well();
    let Entry::File { digest, .. } = bench.file("content") else {
        panic!("no file");
    };
    assert_eq!(bench.cache.blobs().read(&digest).unwrap(), b"content");
}

#[test]
fn a_root_left_half_written_is_not_used() {
    let bench = Bench::new();
    bench.run(&ask("say once")).well();
    let roots = bench.cache.root().join("roots-v1");
    let root = fs::read_dir(&roots)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    // A root is moved into place when it is whole: what has no `tree` is none.
    fs::rename(root.join("tree"), bench.cache.root().join("tmp/gone")).unwrap();
    assert_eq!(bench.run(&ask("cat /etc/motd")).well(), "hello\n");
}
