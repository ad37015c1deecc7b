//! What a build leaves in an engine elsewhere, when its machine is started anew before
//! anybody removes it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use serde_json::Value;

use crate::bench::luni;
use crate::engines::{DOCKER, PODMAN, address, labelled};
use crate::killed::{runs, unshare};
use crate::support::small::Small;
use crate::support::transcript;

/// As on a machine of its own, with a name and a start of its own: `NAME BOOT COMMAND…`.
const MACHINE: &str = r#"
set -e
echo "$1" >/proc/sys/kernel/hostname
echo "$2" >"boot of $2"
mount --bind "boot of $2" /proc/sys/kernel/random/boot_id
shift 2
exec "$@"
"#;

/// A command on a machine with that name and start; `None` where there is none to be had.
fn machine(small: &Small, name: &str, boot: &str) -> Option<Command> {
    let mut command = unshare()?;
    command
        .args([
            "--uts", "--mount", "sh", "-c", MACHINE, "machine", name, boot,
        ])
        .current_dir(small.path(""))
        .env_remove("LUNI_MIRRORS")
        .env("LUNI_CACHE", small.path("cache"));
    Some(command)
}

/// Passes on what comes to a port of 127.0.0.1 to the engine's socket, which is then an
/// engine that may be anywhere.
fn elsewhere(address: &str) -> String {
    let socket = address
        .strip_prefix("unix://")
        .expect("a socket")
        .to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Ok(engine) = UnixStream::connect(&socket) {
                pass_on(stream, engine);
            }
        }
    });
    format!("tcp://127.0.0.1:{port}")
}

fn pass_on(client: TcpStream, engine: UnixStream) {
    let (from_client, to_engine) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
    std::thread::spawn(move || {
        copy(from_client, &to_engine);
        let _ = to_engine.shutdown(Shutdown::Write);
    });
    std::thread::spawn(move || {
        copy(engine, &client);
        let _ = client.shutdown(Shutdown::Both);
    });
}

fn copy(mut from: impl Read, mut to: impl Write) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..count]).is_err() {
            break;
        }
    }
}

/// Starts a build whose step waits, and kills it while it does.
fn leave(mut build: Command, long: &str) {
    let mut child = build
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(300);
    while !runs(long) {
        if child.try_wait().unwrap().is_some() || Instant::now() > deadline {
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            panic!("no step began:\n{}", transcript(&output));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // The namespace ends with its first process, and with it the build.
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Ends the process that has `word` as one of its words.
fn end(word: &str) {
    for entry in fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        if line
            .split(|byte| *byte == 0)
            .any(|it| it == word.as_bytes())
            && line.starts_with(b"busybox")
            && let Some(pid) = number.and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Whether no container runs that was made in that start of a machine.
fn at_rest(address: &str, boot: &str) -> bool {
    let made = labelled(address, |labels| {
        let process = labels["org.lunikernel.process"].as_str();
        process.is_some_and(|process| process.starts_with(boot))
    });
    made.iter().all(|thing| thing["State"] != "running")
}

/// What `luni cache gc` removed on a machine so many days later, as kinds.
fn collected(
    small: &Small,
    host: &str,
    (name, boot): (&str, &str),
    days: u32,
    further: &[&str],
) -> Vec<String> {
    let mut command = machine(small, name, boot).unwrap();
    let output = command
        .args(["faketime", "-f", &format!("+{days}d")])
        .arg(luni())
        .args(["cache", "gc", "--max-size", "1T", "--json"])
        .args(further)
        .env("DOCKER_HOST", host)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", transcript(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = answer["in_engine"].as_array();
    let found = found.unwrap_or_else(|| panic!("{}", transcript(&output)));
    let mut kinds: Vec<String> = found
        .iter()
        .map(|it| it["kind"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds
}

fn gc_after_a_restart_removes_what_is_older_than_any_build(engine: &str) {
    let test = lunikernel_testing::this_test();
    let Some(address) = address(engine) else {
        return;
    };
    if !Path::new("/usr/bin/faketime").exists() {
        lunikernel_testing::left_out(&test, "there is no faketime");
        return;
    }
    let long = format!("{}", 200_000_000 + std::process::id());
    let steps = format!(
        "  - name: wait\n    root: [base, shell]\n    run: exec busybox sleep {long}\n    outputs: [out]\n"
    );
    let Some(small) = Small::new(&test, &steps) else {
        return;
    };
    let host = elsewhere(&address);
    // No other test has a machine of that name.
    let name = format!("farm-{}", std::process::id());
    let boots = ["before", "after"].map(|it| format!("{name}-{it}"));
    let [before, after] = boots.each_ref().map(|boot| (name.as_str(), boot.as_str()));
    let Some(mut build) = machine(&small, before.0, before.1) else {
        return;
    };
    build.arg(luni());
    for mirror in small.mirrors() {
        build.args(["--mirror", mirror]);
    }
    build
        .args(["--offline", "--sandbox", "docker", "build", "recipe"])
        .env("DOCKER_HOST", &host);
    leave(build, &long);

    let nothing = Vec::<String>::new();
    let all = ["container", "image", "volume", "volume", "volume"];
    // Its step still runs. Nobody can tell that the one who waits for it is gone.
    for days in [0, 9] {
        assert_eq!(collected(&small, &host, after, days, &[]), nothing);
    }
    end(&long);
    let deadline = Instant::now() + Duration::from_secs(300);
    while !at_rest(&address, before.1) {
        assert!(Instant::now() < deadline, "the container does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Another machine may be at it, or this one may have been started anew only now.
    let other = ("another", after.1);
    for (machine, days) in [(after, 0), (after, 6), (other, 9)] {
        assert_eq!(collected(&small, &host, machine, days, &[]), nothing);
    }
    let dry = collected(&small, &host, after, 9, &["--dry-run"]);
    assert_eq!(dry, all);
    assert_eq!(collected(&small, &host, after, 9, &[]), all);
    assert_eq!(collected(&small, &host, after, 9, &["--dry-run"]), nothing);
}

#[test]
fn gc_after_a_restart_removes_what_is_older_than_any_build_in_docker() {
    gc_after_a_restart_removes_what_is_older_than_any_build(DOCKER);
}

#[test]
fn gc_after_a_restart_removes_what_is_older_than_any_build_in_podman() {
    gc_after_a_restart_removes_what_is_older_than_any_build(PODMAN);
}
