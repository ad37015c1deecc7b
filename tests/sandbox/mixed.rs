//! `luni --sandbox mix verify-reproducibility` with a real engine.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::engines::{DOCKER, PODMAN, address, made_by};
use crate::support::small::Small;
use crate::support::transcript;

/// Verifies a recipe of one step over three rounds, in turn here and in the engine.
/// `None` where the test is left out.
fn verified(engine: &str, run: &str) -> Option<(Output, Value)> {
    let address = address(engine)?;
    let step =
        format!("  - name: only\n    root: [base, shell]\n    run: {run}\n    outputs: [out]\n");
    let small = Small::new(&lunikernel_testing::this_test(), &step)?;
    let child = small
        .luni("verify-reproducibility")
        .args(["recipe", "--rounds", "3", "--vary", "sandbox", "--json"])
        .env("LUNI_SANDBOX", "mix")
        .env("DOCKER_HOST", &address)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(made_by(&address, pid), Vec::<String>::new());
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", transcript(&output)));
    Some((output, report))
}

fn sandboxes(report: &Value) -> Vec<&str> {
    let rounds = report["rounds"].as_array().unwrap();
    let names = rounds.iter().map(|round| round["sandbox"].as_str());
    names.map(Option::unwrap).collect()
}

fn an_honest_step_is_the_same_in_both(engine: &str) {
    let Some((output, report)) = verified(engine, "echo same > out") else {
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    assert_eq!(report["verdict"], "GOOD");
    assert_eq!(sandboxes(&report), ["native", "docker", "native"]);
}

/// What `docs/sandbox.md` says is not quite the same in a container.
fn a_step_that_tells_them_apart_is_found(engine: &str) {
    let run = "if test -e /sys; then echo there; else echo not; fi > out";
    let Some((output, report)) = verified(engine, run) else {
        return;
    };
    assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
    assert_eq!(report["verdict"], "DIFFERS");
    assert_eq!(sandboxes(&report)[..2], ["native", "docker"]);
    assert_eq!(report["step"], "only");
    let text = report["causes"].to_string();
    assert!(text.contains("sandbox"), "{}", transcript(&output));
}

#[test]
fn an_honest_step_is_the_same_here_and_in_docker() {
    an_honest_step_is_the_same_in_both(DOCKER);
}

#[test]
fn an_honest_step_is_the_same_here_and_in_podman() {
    an_honest_step_is_the_same_in_both(PODMAN);
}

#[test]
fn a_step_that_tells_docker_from_here_is_found() {
    a_step_that_tells_them_apart_is_found(DOCKER);
}

#[test]
fn a_step_that_tells_podman_from_here_is_found() {
    a_step_that_tells_them_apart_is_found(PODMAN);
}
