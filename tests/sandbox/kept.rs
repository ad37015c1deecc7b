//! What a failed command leaves is kept and can be entered; nothing else stays.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use lunikernel_builder::sandbox::{EntryOrder, Failure};
use lunikernel_cache::{Cache, remove};

use crate::bench::{Bench, ask, left_running};

fn words(script: &str) -> Option<Vec<String>> {
    let words = ["/probe"].into_iter().chain(script.split_whitespace());
    Some(words.map(str::to_owned).collect())
}

#[test]
fn a_failed_state_is_kept_and_entered() {
    let bench = Bench::new();
    for order in [EntryOrder::AsCreated, EntryOrder::Reverse] {
        let failing = ask("write half done , mkdir d , write d/f x , exit 3")
            .surroundings(|s| s.entry_order = order);
        let action = bench.store(&failing);
        let ran = bench.run(&failing);
        let kept = ran.outcome.kept.unwrap();
        assert!(kept.starts_with(bench.cache.root().join("failed-v1")));
        assert_eq!(fs::read(kept.join("upper/build/half")).unwrap(), b"done");
        assert!(!kept.join("work").exists());

        let enter = |script| bench.native.shell(&action, words(script)).unwrap();
        assert_eq!(enter("rm half , rm d/f , rm d , exit 7"), 7);
        // What was changed in it stays changed.
        assert!(!kept.join("upper/build/half").exists());
        assert_eq!(enter("signal 15"), 143);
        assert_eq!(enter("exit 0"), 0);

        // The next failure replaces it.
        bench.run(&failing);
        assert!(kept.join("upper/build/half").exists());
    }
}

#[test]
fn without_a_kept_state_a_fresh_one_is_entered() {
    let bench = Bench::new();
    let action = bench.store(&ask("exit 0").input("given", bench.file("x")));
    let shell = bench.native.shell(&action, words("rm given , exit 4"));
    assert_eq!(shell.unwrap(), 4);
    let none = bench.native.shell(&action, Some(vec!["/none".to_owned()]));
    assert_eq!(none.unwrap(), 127);
}

#[test]
fn nothing_stays_in_the_scratch_folders() {
    let bench = Bench::new();
    bench.run(&ask("mkdir closed , chmod 0 closed")).well();
    bench.run(&ask("exit 1"));
    let tmp = bench.cache.root().join("tmp");
    let mut left = Vec::new();
    for session in fs::read_dir(&tmp).unwrap() {
        for entry in fs::read_dir(session.unwrap().path()).unwrap() {
            left.push(entry.unwrap().file_name());
        }
    }
    left.retain(|name| name != ".lock");
    assert!(left.is_empty(), "{left:?}");
}

/// Set for a copy of this test program that only runs an action, to be killed.
const VICTIM: &str = "LUNI_TEST_VICTIM";

#[test]
fn a_killed_luni_takes_the_sandbox_with_it() {
    if let Some(folder) = std::env::var_os(VICTIM) {
        let bench = Bench::at(Cache::open(std::path::Path::new(&folder)).unwrap());
        let script = "background victim-mark , sleep 600 victim-mark";
        bench.run(&ask(script).timeout(Duration::from_secs(600)));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kept::a_killed_luni_takes_the_sandbox_with_it"])
        .env(VICTIM, &cache)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the sandbox runs", || left_running("victim-mark") == 2);
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until("the sandbox is gone", || left_running("victim-mark") == 0);

    // What it left is swept by the next to open the cache, overlay folders included.
    let sessions = || fs::read_dir(cache.join("tmp")).unwrap().count();
    assert_eq!(sessions(), 1);
    let open = Cache::open(&cache).unwrap();
    assert_eq!(sessions(), 1);
    drop(open);
    assert_eq!(sessions(), 0);
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn folders_nested_without_end_spoil_nothing() {
    let bench = Bench::new();
    for order in [EntryOrder::AsCreated, EntryOrder::Forward] {
        let deep = ask("write f x , nest out 1500 , exit 1").output("out");
        let ran = bench.run(&deep.surroundings(|s| s.entry_order = order));
        let kept = ran.outcome.kept.unwrap();
        assert!(kept.join("upper/build/f").exists());
    }
    let deep = bench.run(&ask("nest out 200").output("out"));
    assert!(matches!(
        deep.outcome.failure,
        Some(Failure::BadOutput { .. })
    ));
    let root = bench.cache.root().to_owned();
    remove::remove_tree(&root).unwrap();
    assert!(!root.exists());
}
