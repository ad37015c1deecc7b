//! `luni doctor`: what is there is said to work because it was tried, and what is not
//! comes with what mends it.

mod support;

use std::process::Command;

use serde_json::Value;
use support::luni;
use support::server::{Server, respond};

/// What was found, and how `luni` ended.
fn doctor(command: &mut Command) -> (Vec<Value>, i32) {
    let output = command.args(["doctor", "--json"]).output().unwrap();
    let found = serde_json::from_slice(&output.stdout);
    let found = found.unwrap_or_else(|error| panic!("{error}: {}", support::transcript(&output)));
    (found, output.status.code().unwrap())
}

/// The state and the whole finding about `what`.
#[track_caller]
fn about<'f>(found: &'f [Value], what: &str) -> (&'f str, &'f Value) {
    let finding = found.iter().find(|finding| finding["what"] == what);
    let finding = finding.unwrap_or_else(|| panic!("nothing about {what} in {found:?}"));
    (finding["state"].as_str().unwrap(), finding)
}

#[test]
fn a_machine_that_runs_these_tests_can_build() {
    let folder = tempfile::tempdir().unwrap();
    let (found, code) = doctor(&mut luni(folder.path()));
    assert_eq!(about(&found, "native sandbox").0, "ok");
    assert_eq!(about(&found, "cache").0, "ok");
    assert_eq!(code, 0);
    // Nothing is left of the trials.
    let failed = folder.path().join(".cache/lunikernel/failed-v1");
    let left = fs_err::read_dir(failed).map_or(0, Iterator::count);
    assert_eq!(left, 0);

    let output = luni(folder.path()).arg("doctor").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ok       native sandbox"), "{text}");
    assert!(text.ends_with("recipes can be built here\n"), "{text}");
}

#[test]
fn without_user_namespaces_it_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" doctor --json";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_luni"))
        .env("LUNI_CACHE", folder.path().join("cache"))
        .output()
        .unwrap();
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let (state, finding) = about(&found, "native sandbox");
    assert_eq!(state, "broken");
    let mend = finding["mend"].as_str().unwrap();
    assert!(
        mend.contains("sudo sysctl user.max_user_namespaces="),
        "{mend}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_engine_is_asked_which_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = format!("unix://{}", folder.path().join("socket").display());
    let (found, code) = doctor(luni(folder.path()).env("DOCKER_HOST", &nobody));
    let (state, finding) = about(&found, "Docker, Podman");
    assert_eq!(state, "limited");
    assert!(finding["mend"].is_string(), "{finding}");
    assert_eq!(code, 0, "recipes can be built without an engine");

    for name in ["Docker", "Podman"] {
        let variable = format!("LUNI_TEST_{}_HOST", name.to_uppercase());
        let Ok(host) = std::env::var(&variable) else {
            let why = format!("no {name} engine to ask ({variable} names none)");
            lunikernel_testing::left_out("doctor::an_engine_is_asked_which_it_is", &why);
            continue;
        };
        let (found, _) = doctor(luni(folder.path()).env("DOCKER_HOST", host));
        let (state, finding) = about(&found, "Docker, Podman");
        assert_eq!(state, "ok", "{finding}");
        assert!(
            finding["seen"].as_str().unwrap().contains(name),
            "{finding}"
        );
    }
}

#[test]
fn a_cache_that_cannot_be_opened_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs_err::write(&file, "").unwrap();
    let (found, code) = doctor(luni(folder.path()).env("LUNI_CACHE", &file));
    assert_eq!(about(&found, "cache").0, "broken");
    assert!(about(&found, "cache").1["mend"].is_string());
    assert_eq!(code, 1);
}

#[test]
fn each_mirror_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let there = format!("http://user:secret@{address}/");
    let here = format!("file://{}", folder.path().display());
    let mirrors = format!("{there} {here} file:///no/such/folder");
    let (found, code) = doctor(luni(folder.path()).env("LUNI_MIRRORS", &mirrors));
    let states: Vec<&str> = found
        .iter()
        .filter(|finding| finding["what"] == "mirrors")
        .map(|finding| finding["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["ok", "ok", "limited"]);
    assert!(!format!("{found:?}").contains("secret"));
    assert_eq!(code, 0, "recipes can be built without mirrors");

    drop(listener);
    let (found, _) = doctor(luni(folder.path()).env("LUNI_MIRRORS", &there));
    assert_eq!(about(&found, "mirrors").0, "limited");
}

#[test]
fn the_network_is_tried_by_asking_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, stream| respond(stream, "404 Not Found", b""));
    let apt = folder.path().join("etc/apt");
    fs_err::create_dir_all(&apt).unwrap();
    let line = format!("deb {}/debian bookworm main\n", server.url());
    fs_err::write(apt.join("sources.list"), line).unwrap();
    let asked = |more: &[&str]| {
        let mut command = luni(folder.path());
        let (found, code) = doctor(command.env("LUNI_APT_ROOT", folder.path()).args(more));
        assert_eq!(code, 0, "recipes can be built without a network");
        about(&found, "network").0.to_owned()
    };
    assert_eq!(asked(&[]), "ok");
    assert!(!server.asked().is_empty());
    assert_eq!(asked(&["--offline"]), "unknown");
    drop(server);
    assert_eq!(asked(&[]), "limited");
}

#[test]
fn the_clock_is_shown_as_a_date() {
    let folder = tempfile::tempdir().unwrap();
    let (found, _) = doctor(&mut luni(folder.path()));
    let seen = about(&found, "clock").1["seen"].as_str().unwrap();
    assert!(seen.contains(":") && seen.contains(" UTC"), "{seen}");
}

#[test]
fn without_qemu_its_package_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (found, _) = doctor(luni(folder.path()).env("PATH", folder.path()));
    let (state, finding) = about(&found, "QEMU");
    assert_eq!(state, "limited");
    let mend = finding["mend"].as_str().unwrap();
    assert!(mend.contains("qemu-system-x86"), "{mend}");
}
