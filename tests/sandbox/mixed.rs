//! `luni --sandbox mix verify-reproducibility`, and what `auto` chooses, with a real engine.

use std::process::{Command, Output, Stdio};

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

const SAME: &str =
    "  - name: only\n    root: [base, shell]\n    run: echo same > out\n    outputs: [out]\n";

/// What `command` with `--json` printed.
fn answer(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", transcript(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn auto_says_where_it_is_native() {
    let Some(small) = Small::new(&lunikernel_testing::this_test(), SAME) else {
        return;
    };
    let auto = |verb: &str| {
        let mut command = small.luni(verb);
        command.arg("recipe").env("LUNI_SANDBOX", "auto");
        command
    };
    let built = answer(&mut auto("build"));
    assert_eq!(built["steps"][0]["sandbox"], "native", "{built:#}");
    assert_eq!(built["steps"][0]["engine"], Value::Null);
    let report = answer(auto("verify").args(["--vary", "umask"]));
    assert_eq!(sandboxes(&report), ["native", "native"]);
    let text = auto("verify").args(["--vary", "umask"]).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("\nsandbox     native\n"), "{text}");
}

/// Where namespaces of users are used up, `auto` takes the engine, and says which.
fn auto_says_which_engine_it_took(engine: &str, name: &str) {
    let Some(address) = address(engine) else {
        return;
    };
    let Some(small) = Small::new(&lunikernel_testing::this_test(), SAME) else {
        return;
    };
    let auto = |verb: &str| {
        let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        let luni = small.luni(verb);
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "sh", "-c", script, "sh"])
            .arg(luni.get_program())
            .args(luni.get_args())
            .args(["recipe", "--sandbox", "auto"])
            .current_dir(small.path(""))
            .env("LUNI_CACHE", small.path("cache"))
            .env("DOCKER_HOST", &address);
        command
    };
    let which = |place: &Value| {
        assert_eq!(place["sandbox"], "docker", "{place:#}");
        let engine = place["engine"].as_str().unwrap();
        assert!(
            engine.starts_with(name) && engine.contains("(API "),
            "{engine}"
        );
    };
    which(&answer(&mut auto("build"))["steps"][0]);
    let report = answer(auto("verify").args(["--vary", "umask"]));
    for round in report["rounds"].as_array().unwrap() {
        which(round);
        which(&round["steps"][0]);
    }
    let text = auto("verify").args(["--vary", "umask"]).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains(&format!("\nsandbox     docker: {name} ")),
        "{text}"
    );
}

#[test]
fn auto_says_that_it_took_docker() {
    auto_says_which_engine_it_took(DOCKER, "Docker");
}

#[test]
fn auto_says_that_it_took_podman() {
    auto_says_which_engine_it_took(PODMAN, "Podman");
}
