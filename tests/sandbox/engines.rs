//! What only sandboxes in engines have: engines that are not there, not able, or gone, and
//! what is left in them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use lunikernel_builder::sandbox::{
    Docker, EntryOrder, Facet, Sandbox as _, SandboxError, Surroundings, UserId,
};

use lunikernel_cache::Tree;
use lunikernel_cache::tree::Entry;

use crate::bench::{Bench, ask, luni};
use crate::own_engine::OwnEngine;
use crate::support::hello;

pub(crate) const DOCKER: &str = "LUNI_TEST_DOCKER_HOST";
pub(crate) const PODMAN: &str = "LUNI_TEST_PODMAN_HOST";

/// The address of an engine, or `None` with the test left out.
pub(crate) fn address(name: &str) -> Option<String> {
    let found = std::env::var(name).ok();
    if found.is_none() {
        let test = lunikernel_testing::this_test();
        lunikernel_testing::left_out(&test, &format!("{name} names no engine"));
    }
    found
}

fn error_of(address: &str) -> (String, String) {
    let error = Docker::connect_to(address).unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    (text, error.hint().unwrap_or_default())
}

#[test]
fn a_socket_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let (error, hint) = error_of(&format!("unix://{}", socket.display()));
    assert!(
        error.starts_with("could not reach the engine: unix:///"),
        "{error}"
    );
    assert!(
        error.contains("docker.sock: nothing answers there"),
        "{error}"
    );
    assert!(
        hint.contains("DOCKER_HOST") && hint.contains("--sandbox native"),
        "{hint}"
    );
}

/// An engine that answers each request whose address has one of the words with that.
fn fake(answers: Vec<(&'static str, u16, &'static str)>) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            let _ = reader.read_line(&mut request);
            let mut line = String::new();
            let mut chunked = false;
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                chunked |= line.to_lowercase().contains("chunked");
                line.clear();
            }
            let body = |reader: &mut BufReader<std::net::TcpStream>| {
                let mut last = Vec::new();
                while chunked && !last.ends_with(b"0\r\n\r\n") {
                    let mut byte = [0];
                    if reader.read_exact(&mut byte).is_err() {
                        break;
                    }
                    last.push(byte[0]);
                }
            };
            body(&mut reader);
            let found = answers.iter().find(|(word, ..)| request.contains(word));
            let (_, code, text) = found.unwrap_or(&("", 404, "{\"message\":\"no such thing\"}"));
            let head = format!(
                "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                text.len()
            );
            let _ = (&stream).write_all(format!("{head}{text}").as_bytes());
        }
    });
    address
}

const LISTS: [(&str, u16, &str); 3] = [
    ("/containers/json", 200, "[]"),
    ("/volumes", 200, "{\"Volumes\":[],\"Warnings\":[]}"),
    ("/images/json", 200, "[]"),
];

fn version(api: &str) -> &'static str {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let text = format!(
        "{{\"Version\":\"1.0\",\"ApiVersion\":\"{api}\",\"Os\":\"linux\",\"Arch\":\"{arch}\"}}"
    );
    text.leak()
}

#[test]
fn an_old_engine_is_told_from_a_new_one() {
    let (error, hint) = error_of(&fake(vec![("/version", 200, version("1.24"))]));
    assert!(
        error.contains("its API has version 1.24; version 1.40 or newer is needed"),
        "{error}"
    );
    assert!(hint.contains("update the engine"), "{hint}");
    let text = "{\"ApiVersion\":\"1.41\",\"Os\":\"linux\",\"Arch\":\"s390x\"}";
    let (error, _) = error_of(&fake(vec![("/version", 200, text)]));
    assert!(
        error.contains("it runs linux/s390x; this program is for"),
        "{error}"
    );
}

fn fake_run(answer: (&'static str, u16, &'static str)) -> (String, String) {
    let mut answers = vec![
        ("/version", 200, version("1.41")),
        ("/info", 200, "{}"),
        answer,
    ];
    answers.extend(LISTS);
    let bench = Bench::new();
    let docker = Docker::connect_to(&fake(answers)).unwrap();
    let sandbox = docker.sandbox(bench.cache.clone(), luni());
    let ask = ask("show");
    let error = sandbox
        .run(&bench.store(&ask), &ask.surroundings)
        .unwrap_err();
    assert!(matches!(error, SandboxError::Engine { .. }), "{error:?}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    (
        format!("{error}: {source}"),
        error.hint().unwrap_or_default(),
    )
}

#[test]
fn a_refused_import_says_what_the_engine_said() {
    let said = "{\"message\":\"the policy forbids images\"}";
    let (error, _) = fake_run(("/images/create", 403, said));
    assert!(error.starts_with("could not import the root "), "{error}");
    assert!(
        error.ends_with("it refused: the policy forbids images"),
        "{error}"
    );
}

#[test]
fn a_full_disk_of_the_engine_is_named() {
    let said = "{\"message\":\"write /var/lib/x: no space left on device\"}";
    let (error, hint) = fake_run(("/images/create", 500, said));
    assert!(
        error.contains("its disk is full: write /var/lib/x"),
        "{error}"
    );
    assert!(hint.contains("docker system prune"), "{hint}");
}

fn no_way_out(bench: &Bench) {
    let log = bench.run(&ask("escape")).well();
    for line in log.lines() {
        let (attempt, answer) = line.split_once(": ").unwrap();
        // Of pid 1's files there are only the numbers to see; /sys is empty.
        let harmless = ["kill 1", "after many steps up", "pid 1 files", "sys"];
        assert_eq!(answer == "done", harmless.contains(&attempt), "{line}");
    }
}

fn what_cannot_be_had_is_said(bench: &Bench) {
    let unable = |change: fn(&mut Surroundings)| -> Vec<Facet> {
        let ran = bench.run(&ask("show").surroundings(change));
        ran.outcome.unable.iter().map(|it| it.facet).collect()
    };
    assert_eq!(
        unable(|s| s.entry_order = EntryOrder::Reverse),
        [Facet::EntryOrder]
    );
    assert_eq!(unable(|s| s.inodes_used = 97), [Facet::Inodes]);
    assert_eq!(unable(|s| s.user_id = UserId::Other), [Facet::UserId]);
}

fn a_failed_state_is_kept_for_a_shell_here(bench: &Bench) {
    let failing = ask("write half done , mkdir d , write d/f x , symlink d/f l , exit 3");
    let action = bench.store(&failing);
    let kept = bench.run(&failing).outcome.kept.unwrap();
    assert_eq!(fs::read(kept.join("upper/build/half")).unwrap(), b"done");
    assert_eq!(fs::read(kept.join("upper/build/l")).unwrap(), b"x");
    let words = ["/probe", "rm", "d/f", ",", "exit", "7"].map(str::to_owned);
    assert_eq!(
        bench.native.shell(&action, Some(words.to_vec())).unwrap(),
        7
    );
    assert!(!kept.join("upper/build/d/f").exists());
}

fn nothing_else_shows(bench: &Bench) {
    let script = "cat /etc/hosts , cat /etc/hostname , cat /etc/resolv.conf , ls /sys , \
        ls /proc/fs , ls /dev/mqueue , cat /proc/1/cmdline";
    let log = bench.run(&ask(script)).well();
    let shown: Vec<&str> = log
        .lines()
        .filter(|line| !line.ends_with(": ENOENT"))
        .collect();
    assert_eq!(shown, ["luni-sandbox\0"]);
}

/// Roots of distributions have the folders that engines mount something on.
fn nothing_else_shows_in_folders_of_the_root(bench: &Bench) {
    let script =
        "ls /sys , ls /sys/kernel , ls /run , write /run/x x , ls /var/tmp , write /var/tmp/x x";
    let folder = || Entry::Folder(Tree::new());
    let asked = ask(script)
        .root("sys", folder())
        .root("run", folder())
        .root("var/tmp", folder());
    assert_eq!(
        bench.run(&asked).well(),
        "/sys/kernel: ENOENT\n/run/x: EROFS\n/var/tmp/x: EROFS\n"
    );
    let asked = ask("ls /sys").root("sys/own", folder());
    assert_eq!(bench.run(&asked).well(), "");
}

/// It is said that there is none, and nothing else changes.
fn a_terminal_that_cannot_be_had_loses_no_output(bench: &Bench) {
    let ran = bench.run(&ask("say one , error two").surroundings(|s| s.terminal = true));
    let facets: Vec<Facet> = ran.outcome.unable.iter().map(|it| it.facet).collect();
    assert_eq!(facets, [Facet::Terminal]);
    assert_eq!(ran.well(), "one\ntwo\n");
}

macro_rules! in_engines {
    ($($test:ident),* $(,)?) => {
        in_every_sandbox!(docker, "LUNI_TEST_DOCKER_HOST", $($test),*);
        in_every_sandbox!(podman, "LUNI_TEST_PODMAN_HOST", $($test),*);
    };
}

in_engines!(
    no_way_out,
    what_cannot_be_had_is_said,
    a_failed_state_is_kept_for_a_shell_here,
    nothing_else_shows,
    nothing_else_shows_in_folders_of_the_root,
    a_terminal_that_cannot_be_had_loses_no_output,
);

/// What the engine at `address` answers to a request for `path`, below the API's version.
pub(crate) fn get(address: &str, path: &str) -> serde_json::Value {
    let socket = address.strip_prefix("unix://").expect("a socket");
    let mut stream = UnixStream::connect(socket).unwrap();
    let request = format!("GET /v1.40/{path} HTTP/1.0\r\nHost: engine\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// The containers, volumes and images of the engine at `address` whose labels are meant.
pub(crate) fn labelled(
    address: &str,
    meant: impl Fn(&serde_json::Value) -> bool,
) -> Vec<serde_json::Value> {
    let lists = [
        get(address, "containers/json?all=1"),
        get(address, "volumes")["Volumes"].take(),
        get(address, "images/json"),
    ];
    lists
        .iter()
        .flat_map(|list| list.as_array().into_iter().flatten())
        .filter(|thing| meant(&thing["Labels"]))
        .cloned()
        .collect()
}

/// The number of a thing, or the name of one that has none.
pub(crate) fn id(thing: &serde_json::Value) -> String {
    let id = thing["Id"].as_str().or(thing["Name"].as_str());
    id.unwrap().to_owned()
}

/// What the engine at `address` has that carries our labels and was made by process `pid`.
pub(crate) fn made_by(address: &str, pid: u32) -> Vec<String> {
    let process = format!(".{pid}.");
    let found = labelled(address, |labels| {
        ["process", "root"].iter().any(|name| {
            let label = labels[format!("org.lunikernel.{name}")].as_str();
            label.is_some_and(|label| label.contains(&process))
        })
    });
    found.iter().map(id).collect()
}

fn build(name: &str, address: &str) -> Option<(Child, tempfile::TempDir)> {
    let mirror = hello::mirror(name)?;
    let folder = tempfile::tempdir().unwrap();
    let child = hello::luni_at(&luni(), &folder.path().join("cache"))
        .args(["--sandbox", "docker", "--mirror", &mirror, "build"])
        .arg(hello::recipe())
        .arg("-o")
        .arg(folder.path().join("hello.luni.zip"))
        .env("DOCKER_HOST", address)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Some((child, folder))
}

fn golden(engine: &str) {
    let Some(address) = address(engine) else {
        return;
    };
    let Some((child, _folder)) = build(&lunikernel_testing::this_test(), &address) else {
        return;
    };
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(hello::built_digest(&output), hello::golden());
    assert_eq!(made_by(&address, pid), Vec::<String>::new());
}

#[test]
fn hello_has_its_golden_digest_in_docker() {
    golden(DOCKER);
}

#[test]
fn hello_has_its_golden_digest_in_podman() {
    golden(PODMAN);
}

fn interrupted(engine: &str) {
    let Some(address) = address(engine) else {
        return;
    };
    let Some((child, _folder)) = build(&lunikernel_testing::this_test(), &address) else {
        return;
    };
    let pid = child.id();
    let deadline = Instant::now() + Duration::from_secs(300);
    while made_by(&address, pid).is_empty() {
        assert!(Instant::now() < deadline, "nothing was made");
        std::thread::sleep(Duration::from_millis(10));
    }
    let id = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(made_by(&address, pid), Vec::<String>::new());
}

#[test]
fn ctrl_c_leaves_nothing_in_docker() {
    interrupted(DOCKER);
}

#[test]
fn ctrl_c_leaves_nothing_in_podman() {
    interrupted(PODMAN);
}

#[test]
fn an_engine_that_is_killed_is_an_error_and_leaves_nothing_once_it_is_back() {
    let Some(mut engine) = OwnEngine::start() else {
        return;
    };
    let bench = Bench::new();
    let docker = Docker::connect_to(&engine.address()).unwrap();
    let sandbox = docker.sandbox(bench.cache.clone(), luni());
    let ask = ask("sleep 600").timeout(Duration::from_secs(600));
    let action = bench.store(&ask);
    let (address, own) = (engine.address(), std::process::id());
    std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(&action, &ask.surroundings));
        while made_by(&address, own).len() < 5 && !run.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(500));
        engine.process.kill().unwrap();
        engine.process.wait().unwrap();
        let error = run.join().unwrap().unwrap_err();
        assert!(matches!(error, SandboxError::Engine { .. }), "{error:?}");
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("engine"), "{error:?}: {hint}");
    });
    engine.restart();
    docker.clean_up().unwrap();
    assert_eq!(made_by(&address, own), Vec::<String>::new());
}
