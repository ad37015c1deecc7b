//! Another clock and another kernel release, by tracing.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lunikernel_builder::sandbox::{Facet, Surroundings};

use crate::bench::{Ask, Bench, ask};
use crate::surroundings::values;

in_every_sandbox! {
    every_clock_that_shows_the_date_is_ahead,
    waiting_for_a_moment_takes_as_long_as_ever,
    the_kernel_release_is_another_everywhere,
    processes_threads_and_signals_are_as_ever,
    limits_hold_while_tracing,
    nothing_is_traced_unless_that_is_asked_for,
}

const YEARS: u64 = 5 * 365 * 86_400;

fn ahead(ask: Ask) -> Ask {
    ask.surroundings(|s| s.clock_ahead = Duration::from_secs(YEARS))
}

fn all(s: &mut Surroundings) {
    s.clock_ahead = Duration::from_secs(YEARS);
    s.kernel_release = Some("9.1.0-elsewhere".to_owned());
}

/// Whether tracing can be had; where it cannot, what was asked for is reported.
#[cfg(target_arch = "x86_64")]
fn traced(bench: &Bench) -> bool {
    let ran = bench.run(&ask("say fine").surroundings(all));
    let unable = ran.outcome.unable.clone();
    assert_eq!(ran.well(), "fine\n");
    let Some(first) = unable.first() else {
        return true;
    };
    let facets: Vec<Facet> = unable.iter().map(|unable| unable.facet).collect();
    if facets == [Facet::KernelRelease] {
        assert_ne!(bench.kind, "native", "{}", first.why);
        return true;
    }
    assert_eq!(facets, [Facet::Clock, Facet::KernelRelease]);
    lunikernel_testing::left_out(&lunikernel_testing::this_test(), &first.why);
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn traced(_: &Bench) -> bool {
    let test = lunikernel_testing::this_test();
    lunikernel_testing::left_out(&test, "only x86-64 processes can be traced");
    false
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn every_clock_that_shows_the_date_is_ahead(bench: &Bench) {
    if !traced(bench) {
        return;
    }
    let names = [
        "time",
        "gettimeofday",
        "realtime",
        "coarse",
        "tai",
        "call-time",
        "call-gettimeofday",
        "call-realtime",
    ];
    for (ask, offset) in [(ask("clocks"), 0), (ahead(ask("clocks")), YEARS)] {
        let before = now() + offset;
        let log = bench.run(&ask).well();
        let values = values(&log);
        for name in names {
            let told: u64 = values[name].parse().unwrap();
            // TAI may be ahead of UTC by the leap seconds; the coarse clock is behind a little.
            assert!((before - 1..before + 60).contains(&told), "{name}:\n{log}");
        }
    }
    let (usual, varied) = (ask("other-clocks"), ahead(ask("other-clocks")));
    let [usual, varied] = [usual, varied].map(|ask| values(&bench.run(&ask).well()));
    let monotonic = |values: &std::collections::BTreeMap<String, String>| {
        values["monotonic"].parse::<u64>().unwrap()
    };
    assert!((monotonic(&usual)..monotonic(&usual) + 60).contains(&monotonic(&varied)));
    for name in ["bad place", "bad clock", "goes on"] {
        assert_eq!(usual[name], varied[name], "{name}");
    }
    assert_eq!(varied["bad place"], "14");
}

fn waiting_for_a_moment_takes_as_long_as_ever(bench: &Bench) {
    if !traced(bench) {
        return;
    }
    let usual = bench.run(&ask("waits")).well();
    assert_eq!(usual.lines().count(), 12, "{usual}");
    assert!(
        usual.lines().all(|line| line.ends_with(" in time")),
        "{usual}"
    );
    assert_eq!(bench.run(&ahead(ask("waits"))).well(), usual);
}

fn the_kernel_release_is_another_everywhere(bench: &Bench) {
    if !traced(bench) {
        return;
    }
    let script = "names , cat /proc/version , cat /proc/sys/kernel/osrelease";
    let usual = bench.run(&ask(script)).well();
    let real = rustix::system::uname();
    let real = real.release().to_str().unwrap();
    assert_eq!(usual.matches(real).count(), 4, "{usual}");
    let odd = ask(script).surroundings(|s| s.kernel_release = Some("9.1.0-elsewhere".to_owned()));
    let ran = bench.run(&odd);
    let facets: Vec<Facet> = ran.outcome.unable.iter().map(|it| it.facet).collect();
    let varied = ran.well();
    if bench.kind == "native" {
        assert_eq!(facets, []);
        assert_eq!(varied, usual.replace(real, "9.1.0-elsewhere"));
    } else {
        // Nothing can be mounted in a container, so /proc still says the real one.
        assert_eq!(facets, [Facet::KernelRelease]);
        assert_eq!(varied.matches("9.1.0-elsewhere").count(), 2, "{varied}");
        assert_eq!(varied.matches(real).count(), 2, "{varied}");
    }
    // It cannot be looked under.
    let log = bench.run(&ask("escape").surroundings(all)).well();
    assert_eq!(log, bench.run(&ask("escape")).well());
}

fn processes_threads_and_signals_are_as_ever(bench: &Bench) {
    if !traced(bench) {
        return;
    }
    let told = [
        "thread",
        "fork",
        "vfork",
        "program-of-a-thread",
        "many-words",
    ];
    let run = |ask: Ask| {
        let log = bench.run(&ask).well();
        let (clocks, rest): (Vec<&str>, Vec<&str>) = log.lines().partition(|line| {
            let (name, _) = line.rsplit_once(' ').unwrap_or_default();
            told.contains(&name)
        });
        let years: Vec<u64> = clocks
            .iter()
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(years.len(), told.len(), "{log}");
        (years, rest.join("\n"))
    };
    let (_, usual) = run(ask("lives , show"));
    let (years, varied) = run(ask("lives , show").surroundings(all));
    assert_eq!(varied, usual);
    let expected = now() + YEARS;
    for year in years {
        assert!((expected - 60..expected + 60).contains(&year), "{year}");
    }
    for line in [
        "stopped 1",
        "continued 1",
        "then ended 7",
        "caught 3",
        "fault -11",
        "trap -5",
    ] {
        assert!(usual.contains(line), "{line} is not in\n{usual}");
    }
}

fn limits_hold_while_tracing(bench: &Bench) {
    if !traced(bench) {
        return;
    }
    let fails = |ask: Ask, why: &str| {
        let start = Instant::now();
        let outcome = bench.run(&ask.surroundings(all)).outcome;
        let failure = outcome.failure.unwrap().to_string();
        assert!(failure.contains(why), "{failure}");
        assert!(start.elapsed() < Duration::from_secs(20), "{failure}");
    };
    let second = Duration::from_secs(1);
    fails(ask("sleep 60").timeout(second), "its time limit");
    // One that stops without end leaves the watch no rest.
    fails(ask("clock-bomb").timeout(second), "its time limit");
    fails(ask("eat 100").memory_mib(64), "64 MiB");
    fails(ask("bomb").processes(20), "20 processes");
    fails(ask("exit 7"), "exit code 7");
    fails(ask("signal 9"), "signal 9");
}

fn nothing_is_traced_unless_that_is_asked_for(bench: &Bench) {
    let tracer = |ask: Ask| {
        let log = bench.run(&ask).well();
        let line = log.lines().find(|line| line.starts_with("TracerPid:"));
        line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(tracer(ask("cat /proc/self/status")), "0");
    assert!(bench.run(&ask("vdso?")).well().contains("kernel code 1"));
    if traced(bench) {
        assert_eq!(tracer(ahead(ask("cat /proc/self/status"))), "1");
        assert!(
            bench
                .run(&ahead(ask("vdso?")))
                .well()
                .contains("kernel code 0")
        );
    }
}
