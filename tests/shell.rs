//! What a person gets when a step fails, and `luni shell`.

mod support;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use support::small::Small;
use support::transcript;

/// A step that prints 50 lines, leaves a file behind and fails.
const FAILS: &str = "  - name: first
    root: [base, shell]
    run: echo made by the first step > out
    outputs: [out]
  - name: fails
    root: [base, shell]
    inputs:
      first: first/out
    run: |
      number=1
      while [ $number -le 50 ]; do echo \"line $number\"; number=$((number + 1)); done
      echo written before it failed > left
      exit 7
    outputs: [out]
";

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_failed_step_shows_its_end_its_log_and_a_shell_in_its_state() {
    let name = "shell::a_failed_step_shows_its_end_its_log_and_a_shell_in_its_state";
    let Some(small) = Small::new(name, FAILS) else {
        return;
    };
    // By a path with a space in it, which the command in the hint has to quote.
    let built = small
        .luni("build")
        .arg(small.path("recipe"))
        .output()
        .unwrap();
    let text = stderr(&built);
    assert_eq!(built.status.code(), Some(6), "{}", transcript(&built));
    assert!(
        text.contains("step `fails` failed: it ended with exit code 7"),
        "{text}"
    );
    for (line, shown) in [("line 50", true), ("line 31", true), ("line 30", false)] {
        let found = text
            .lines()
            .any(|l| l.trim_start_matches([' ', '|']) == line);
        assert_eq!(found, shown, "{line}: {text}");
    }
    assert!(!small.path("small.luni.zip").exists());

    let (_, log) = text.split_once("(the whole log is ").unwrap();
    let (log, _) = log.split_once(")\n").unwrap();
    let log = fs::read_to_string(log).unwrap();
    let expected: String = (1..=50).map(|number| format!("line {number}\n")).collect();
    assert_eq!(log, expected);

    // For programs each is by itself.
    let told = small.run("build", &["--json"]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let error = &told["error"];
    let last = error["log"].as_array().unwrap().last().unwrap();
    assert_eq!(last, "line 50");
    let path = error["log_path"].as_str().unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), log);

    // The command of the hint, as a person would copy it.
    let (_, command) = text.rsplit_once("luni shell ").unwrap();
    let (arguments, _) = command.split_once('`').unwrap();
    let shell = |more: &str| {
        let mirrors = small.mirrors().join(" ");
        Command::new("sh")
            .arg("-c")
            .arg(format!("\"$LUNI\" --offline shell {arguments} -- {more}"))
            .env("LUNI", env!("CARGO_BIN_EXE_luni"))
            .env("LUNI_CACHE", small.path("cache"))
            .env("LUNI_MIRRORS", mirrors)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let left = shell("busybox cat left first");
    assert_eq!(
        String::from_utf8_lossy(&left.stdout),
        "written before it failed\nmade by the first step\n",
        "{}",
        transcript(&left)
    );
    assert_eq!(left.status.code(), Some(0), "{}", transcript(&left));
    let code = shell("sh -c 'exit 42'").status.code();
    assert_eq!(code, Some(42));
}

#[test]
fn a_shell_in_a_step_that_is_not_there_names_those_that_are() {
    let name = "shell::a_shell_in_a_step_that_is_not_there_names_those_that_are";
    let Some(small) = Small::new(name, FAILS) else {
        return;
    };
    let output = small.run("shell", &["frist"]);
    assert_eq!(output.status.code(), Some(3), "{}", transcript(&output));
    let text = stderr(&output);
    assert!(text.contains("no step `frist`"), "{text}");
    assert!(text.contains("first, fails"), "{text}");
}

#[test]
fn a_step_beyond_its_limits_is_stopped_and_told_which() {
    let name = "shell::a_step_beyond_its_limits_is_stopped_and_told_which";
    for (run, limits, message) in [
        (
            "echo begun; busybox sleep 60",
            "timeout_seconds: 1",
            "it was stopped after 1 seconds, its time limit",
        ),
        (
            "busybox dd if=/dev/zero of=/dev/shm/much bs=1M count=600 && busybox sleep 60",
            "memory_mib: 64",
            "it was stopped for using more than 64 MiB of memory, its limit",
        ),
        (
            "echo made nothing",
            "timeout_seconds: 60",
            "it ended well but made no `out`, which is one of its outputs",
        ),
    ] {
        let steps = format!(
            "  - name: greedy\n    root: [base, shell]\n    run: '{run}'\n    outputs: [out]\n    \
             {limits}\n"
        );
        let Some(small) = Small::new(name, &steps) else {
            return;
        };
        let begun = Instant::now();
        let output = small.run("build", &[]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(6), "{}", transcript(&output));
        assert!(
            text.contains(&format!("error: step `greedy` failed: {message}\n")),
            "{text}"
        );
        assert!(text.contains("luni shell recipe greedy`"), "{text}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{run}");
        assert!(!small.path("small.luni.zip").exists());
    }
}
