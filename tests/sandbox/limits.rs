//! Limits hold, commands end as they end, and nothing is left running.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lunikernel_builder::sandbox::{Failure, Sandbox as _, Surroundings};

use crate::bench::{Ask, Bench, ask, ask_for, left_running};

in_every_sandbox! {
    exit_codes_and_signals_are_exact,
    a_program_that_is_not_there_is_named,
    a_hang_ends_at_the_time_limit,
    what_a_command_leaves_in_the_background_ends_with_it,
    a_fork_bomb_ends_at_the_process_limit,
    a_memory_hog_ends_at_the_memory_limit,
    below_the_limit_nothing_is_stopped,
    memory_far_beyond_the_limit_is_not_handed_out,
}

#[track_caller]
fn failure(bench: &Bench, ask: &Ask) -> (Failure, i32) {
    let ran = bench.run(ask);
    match ran.outcome.failure {
        Some(failure) => (failure, ran.outcome.result.exit_code),
        None => panic!("it did well:\n{}", ran.log),
    }
}

fn exit_codes_and_signals_are_exact(bench: &Bench) {
    for code in [1, 2, 126, 127, 255] {
        let ended = failure(bench, &ask(&format!("exit {code}")));
        assert_eq!(ended, (Failure::ExitCode(code), code));
    }
    for signal in [
        libc_signal("KILL"),
        libc_signal("SEGV"),
        libc_signal("TERM"),
    ] {
        let ended = failure(bench, &ask(&format!("signal {signal}")));
        assert_eq!(ended, (Failure::Signal(signal), 128 + signal));
    }
}

fn libc_signal(name: &str) -> i32 {
    match name {
        "KILL" => 9,
        "SEGV" => 11,
        _ => 15,
    }
}

fn a_program_that_is_not_there_is_named(bench: &Bench) {
    for (program, why) in [
        ("/no/such", "No such file"),
        ("nowhere", "No such file"),
        ("/etc/motd", "Permission denied"),
    ] {
        let (failed, code) = failure(bench, &ask_for(vec![program.to_owned()]));
        assert_eq!(code, 127);
        let text = failed.to_string();
        assert!(text.contains(program) && text.contains(why), "{text}");
    }
}

#[test]
fn output_and_errors_are_one_log_in_order_and_come_as_they_are_written() {
    let bench = Bench::new();
    let script = ask("say one , error two , say three");
    assert_eq!(bench.run(&script).well(), "one\ntwo\nthree\n");

    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let native = bench.native.clone().with_log(Arc::new(move |piece| {
        sink.lock().unwrap().extend_from_slice(piece)
    }));
    let action = bench.store(&script);
    native.run(&action, &Surroundings::default()).unwrap();
    assert_eq!(heard.lock().unwrap().as_slice(), b"one\ntwo\nthree\n");
}

fn a_hang_ends_at_the_time_limit(bench: &Bench) {
    let limit = Duration::from_millis(300);
    let start = Instant::now();
    let ran = bench.run(&ask("say before , background hang-mark , sleep 60").timeout(limit));
    assert_eq!(ran.outcome.failure, Some(Failure::TimedOut(limit)));
    assert_eq!(ran.outcome.result.exit_code, 137);
    assert_eq!(ran.log, "before\n");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(left_running("hang-mark"), 0);
}

fn what_a_command_leaves_in_the_background_ends_with_it(bench: &Bench) {
    let start = Instant::now();
    bench.run(&ask("background left-mark , exit 0")).well();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(left_running("left-mark"), 0);
}

fn a_fork_bomb_ends_at_the_process_limit(bench: &Bench) {
    let bomb = ask("bomb bomb-mark").processes(40);
    assert_eq!(failure(bench, &bomb), (Failure::TooManyProcesses(40), 137));
    assert_eq!(left_running("bomb-mark"), 0);
}

/// The kernel's own limit is this much higher, so that a command is told why it failed.
const SPARE: u64 = 16;

#[test]
fn a_bomb_whose_processes_end_at_once_is_not_overlooked() {
    let bench = Bench::new();
    let bomb = ask("flare flare-mark").processes(40);
    assert_eq!(failure(&bench, &bomb), (Failure::TooManyProcesses(40), 137));
    assert_eq!(left_running("flare-mark"), 0);
}

#[test]
fn processes_for_a_moment_are_seen_or_at_least_never_many_more() {
    let bench = Bench::new();
    let again = ask("blink 1000").processes(40);
    assert_eq!(
        failure(&bench, &again),
        (Failure::TooManyProcesses(40), 137)
    );

    // One moment between two looks: whether it is seen is chance.
    for _ in 0..4 {
        let once = bench.run(&ask("blink 1").processes(40));
        match once.outcome.failure {
            Some(failure) => assert_eq!(failure, Failure::TooManyProcesses(40)),
            None => {
                let most = once.log.strip_prefix("most ");
                let (most, refused) = most.and_then(|rest| rest.split_once(", ")).unwrap();
                assert_eq!(refused, "refused 1\n");
                assert!(most.parse::<u64>().unwrap() <= 40 + SPARE, "{}", once.log);
            }
        }
    }

    let below = bench.run(&ask("blink 3").processes(4000)).well();
    assert_eq!(below, "most 2001, refused 0\n");
}

fn a_memory_hog_ends_at_the_memory_limit(bench: &Bench) {
    for script in ["eat 400", "eat-shared 400", "fill-shm 400", "family 8 50"] {
        let hog = ask(script).memory_mib(256);
        let ended = failure(bench, &hog);
        assert_eq!(ended, (Failure::OutOfMemory(256), 137), "{script}");
    }
    assert_eq!(left_running("family"), 0);
}

fn below_the_limit_nothing_is_stopped(bench: &Bench) {
    for script in ["eat 100", "eat-shared 100", "fill-shm 100"] {
        bench.run(&ask(script).memory_mib(256)).well();
    }
}

fn memory_far_beyond_the_limit_is_not_handed_out(bench: &Bench) {
    let log = bench.run(&ask("eat 2000").memory_mib(256)).well();
    assert_eq!(log, "eat: ENOMEM\n");
}

#[test]
fn an_endless_log_is_cut_and_says_so() {
    let bench = Bench::new();
    let limit = Duration::from_secs(4);
    let ran = bench.run(&ask("yell yell-mark").timeout(limit));
    assert_eq!(ran.outcome.failure, Some(Failure::TimedOut(limit)));
    assert!(
        ran.log
            .ends_with("\n[the log was cut here, after 64 MiB]\n")
    );
    assert!(ran.log.len() < (64 << 20) + 100);
    assert_eq!(left_running("yell-mark"), 0);
}

/// Those that an action does not name are there all the same.
#[test]
fn every_command_has_its_limits() {
    let bench = Bench::new();
    let log = bench.run(&ask("cat /proc/self/limits")).well();
    let limit = |name: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(name));
        let words: Vec<&str> = line.unwrap().split_whitespace().take(2).collect();
        words.join(" ")
    };
    assert_eq!(limit("Max core file size"), "0 0");
    assert_eq!(limit("Max file size"), "68719476736 68719476736");
    assert_eq!(limit("Max locked memory"), "65536 65536");
    // Twice what all together may have, and some more than they may be.
    assert_eq!(limit("Max data size"), "8589934592 8589934592");
    assert_eq!(limit("Max processes"), "2064 2064");
}
