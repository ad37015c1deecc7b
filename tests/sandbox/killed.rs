//! What a build leaves in an engine that is killed, and `luni cache gc`, which removes it.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use crate::bench::luni;
use crate::engines::{DOCKER, PODMAN, address, id, labelled};
use crate::support::small::Small;
use crate::support::{hello, transcript};

/// Builds until it is told to end, which it is with SIGKILL. Then the cache is collected.
/// All that in a namespace of processes of its own: things in the engine belong to the
/// one that they were made in, so that no other test removes them.
const SCRIPT: &str = r#"
"$0" "$@" &
build=$!
read -r go
kill -9 $build
wait $build
gc() { "$0" cache gc --older-than 3000 --json "$@"; }
gc --dry-run >listed && gc >removed && gc --dry-run >after
"#;

/// Whether namespaces of processes can be had.
pub(crate) fn unshare() -> Option<Command> {
    let new = || {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        command
    };
    let tried = new().arg("true").status();
    if tried.is_ok_and(|status| status.success()) {
        return Some(new());
    }
    let test = lunikernel_testing::this_test();
    lunikernel_testing::left_out(&test, "there is no namespace of processes to be had");
    None
}

/// Whether a process of this machine has `word` as one of its words.
pub(crate) fn runs(word: &str) -> bool {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .any(|line| {
            line.split(|byte| *byte == 0)
                .any(|it| it == word.as_bytes())
        })
}

fn gc_removes_what_a_killed_build_left(engine: &str) {
    let test = lunikernel_testing::this_test();
    let Some(address) = address(engine) else {
        return;
    };
    let Some(mut command) = unshare() else {
        return;
    };
    // So many seconds that no other process waits for as long.
    let long = format!("{}", 100_000_000 + std::process::id());
    let steps = format!(
        "  - name: wait\n    root: [base, shell]\n    run: exec busybox sleep {long}\n    outputs: [out]\n"
    );
    let Some(small) = Small::new(&test, &steps) else {
        return;
    };
    command.args(["sh", "-c", SCRIPT]).arg(luni());
    for mirror in small.mirrors() {
        command.args(["--mirror", mirror]);
    }
    let mut child = command
        .args(["--sandbox", "docker", "build", "recipe"])
        .current_dir(small.path(""))
        .env_remove("LUNI_MIRRORS")
        .env("LUNI_CACHE", small.path("cache"))
        .env("DOCKER_HOST", &address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(300);
    while !runs(&long) {
        let ended = child.try_wait().unwrap();
        if ended.is_some() || Instant::now() > deadline {
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            panic!("no step began:\n{}", transcript(&output));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = transcript(&output);
    assert!(output.status.success(), "{said}");

    // Kinds and names, in an order that no engine has a say in.
    let answer = |name: &str| -> Vec<(String, String)> {
        let text = fs::read(small.path(name)).unwrap();
        let answer: Value = serde_json::from_slice(&text).unwrap();
        let found = answer["in_engine"].as_array();
        let mut found: Vec<_> = found
            .unwrap_or_else(|| panic!("{answer}\n{said}"))
            .iter()
            .map(|it| ["kind", "name"].map(|key| it[key].as_str().unwrap().to_owned()))
            .map(|[kind, name]| (kind, name))
            .collect();
        found.sort();
        found
    };
    let listed = answer("listed");
    let kinds: Vec<&str> = listed.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["container", "image", "volume", "volume", "volume"]);
    assert_eq!(answer("removed"), listed);
    assert_eq!(answer("after"), []);

    // The engine says so too, and the step has ended with its container.
    let names: Vec<&str> = listed.iter().map(|(_, name)| name.as_str()).collect();
    let there = labelled(&address, |_| true);
    assert!(!there.iter().any(|it| names.contains(&id(it).as_str())));
    assert!(!runs(&long));
}

#[test]
fn gc_removes_what_a_killed_build_left_in_docker() {
    gc_removes_what_a_killed_build_left(DOCKER);
}

#[test]
fn gc_removes_what_a_killed_build_left_in_podman() {
    gc_removes_what_a_killed_build_left(PODMAN);
}

fn gc(folder: &std::path::Path, host: &str) -> Output {
    hello::luni_at(&luni(), &folder.join("cache"))
        .args(["cache", "gc", "--older-than", "3000", "--json"])
        .env("DOCKER_HOST", host)
        .output()
        .unwrap()
}

#[test]
fn an_engine_that_cannot_be_asked_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}", folder.path().join("gone.sock").display());
    for host in [socket.as_str(), "nonsense"] {
        let output = gc(folder.path(), host);
        let said = transcript(&output);
        assert!(output.status.success(), "{said}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["in_engine"], Value::Null, "{said}");
        let why = answer["engine_not_asked"].as_str().unwrap();
        assert!(why.contains(host), "{why}");
        assert!(
            said.contains("what killed builds left in the engine stays: "),
            "{said}"
        );
    }
}
