//! The whole suite again, as an ordinary user.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use fs_err as fs;

use crate::bench::{Bench, LUNI, PROBE, ask, luni, probe};

/// A user that owns nothing on this machine.
const ORDINARY: u32 = 54_321;

/// What is for root alone: this here, and engines, whose sockets are not an ordinary user's.
const NOT_THEIRS: [&str; 10] = [
    "users::all_of_this",
    "docker::",
    "podman::",
    "engines::",
    "full::",
    "killed::",
    "mixed::",
    "restarted::",
    "tls::",
    "usual_network",
];

#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    if rustix::process::geteuid().as_raw() != 0 {
        let test = lunikernel_testing::this_test();
        lunikernel_testing::left_out(&test, "only root can run the suite as another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let open = |path: &std::path::Path| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    open(place);
    for (name, from) in [
        ("suite", std::env::current_exe().unwrap()),
        ("luni", luni()),
    ] {
        fs::copy(from, place.join(name)).unwrap();
        open(&place.join(name));
    }
    fs::write(place.join("probe"), probe()).unwrap();
    let own = place.join("own");
    fs::create_dir(&own).unwrap();
    fs::os::unix::fs::chown(&own, Some(ORDINARY), Some(ORDINARY)).unwrap();

    let output = Command::new(place.join("suite"))
        .args(NOT_THEIRS.iter().flat_map(|part| ["--skip", part]))
        .uid(ORDINARY)
        .gid(ORDINARY)
        .env(LUNI, place.join("luni"))
        .env(PROBE, place.join("probe"))
        .env("TMPDIR", &own)
        .env("HOME", &own)
        .current_dir(&own)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("test result: ok."), "{text}");
}

/// Set for a copy of this test program that only runs a command and says how it went.
const PRINT: &str = "LUNI_TEST_PRINT";

/// How it goes where `prepare`, a shell command, was run in a user namespace of its
/// own in which there is only root.
fn in_a_namespace_after(prepare: &str) -> String {
    let script = format!(
        "({prepare}) && exec \"$0\" --exact --nocapture users::a_machine_without_namespaces_says_what_helps"
    );
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(PRINT, "1")
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_machine_without_namespaces_says_what_helps() {
    if std::env::var_os(PRINT).is_some() {
        let bench = Bench::new();
        let ask = ask("show");
        match bench.sandbox().run(&bench.store(&ask), &ask.surroundings) {
            Ok(outcome) => println!("ended with {}", outcome.result.exit_code),
            Err(error) => {
                let source = std::error::Error::source(&error);
                println!("{error}: {source:?}\nhint: {:?}", error.hint());
            }
        }
        return;
    }
    let said = in_a_namespace_after("echo 0 > /proc/sys/user/max_user_namespaces");
    for part in [
        "could not set up a sandbox: make a user namespace",
        "code: 28",
        "sudo sysctl user.max_user_namespaces=",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[test]
fn root_of_a_container_with_no_other_user_can_run_commands() {
    let said = in_a_namespace_after("true");
    assert!(said.contains("ended with 0"), "{said}");
}

#[test]
fn a_cache_may_be_in_memory_and_says_when_it_is_full() {
    let said = in_a_namespace_after("mount -t tmpfs -o size=50m none \"$TMPDIR\"");
    assert!(said.contains("ended with 0"), "{said}");
    // Enough for the probe once, and not for its copy in the root.
    let said = in_a_namespace_after("mount -t tmpfs -o size=1200k none \"$TMPDIR\"");
    assert!(said.contains("StorageFull"), "{said}");
    assert!(said.contains("hint: Some(\"free some space"), "{said}");
}
