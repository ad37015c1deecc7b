//! What people are told who do something for the first time.

mod support;

use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Output;

use fs_err as fs;
use support::server::{Server, respond};
use support::{ends, luni, project, transcript};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    luni(folder).args(arguments).output().unwrap()
}

/// A folder with the committed sample of a Lunikernel, `h.zip`.
fn sample() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(
        project("tests/format/good.zip"),
        folder.path().join("h.zip"),
    )
    .unwrap();
    folder
}

/// A folder with a locked recipe of a unikernel that has a tender.
fn unikernel() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let kernel = project("fuzz/seeds/solo5/good-devices");
    fs::copy(kernel, folder.path().join("kernel")).unwrap();
    fs::write(folder.path().join("tender"), "#!/bin/sh\n").unwrap();
    let recipe = "apiVersion: lunikernel/v1\nname: uni\nversion: 1.0.0\nflavour: mirage\n\
                  sources:\n  image: {file: kernel}\n  tender: {file: tender}\n\
                  kernel: {from: image}\nboot: {tender: tender}\n";
    fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
    ends(&run(folder.path(), &["lock"]), 0, &[]);
    folder
}

#[test]
fn a_build_tells_how_to_run_what_has_its_own_tender() {
    let folder = unikernel();
    let first = run(folder.path(), &["build"]);
    ends(
        &first,
        0,
        &[
            "run uni.luni.zip --own-tender\n",
            "inputs  2, all in the cache",
        ],
    );
    // What was built before is found without looking where its inputs are.
    let second = run(folder.path(), &["build"]);
    ends(&second, 0, &["nothing to do", "inputs  2\n"]);
}

#[test]
fn each_mistake_has_a_hint() {
    let folder = sample();
    let at = folder.path();
    ends(
        &run(at, &["new", "s", "--dir", "my dir"]),
        0,
        &["cd 'my dir'"],
    );
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let recursive = "apiVersion: lunikernel/v1\nname: &a [ *a ]\n";
    fs::write(at.join("alias.yaml"), recursive).unwrap();
    for (arguments, code, hint) in [
        (
            &["attest", "sign", "--key", "nope.key", "h.zip"][..],
            3,
            "luni attest keygen",
        ),
        (
            &["shell", "my dir", "nostep"],
            3,
            "luni shell RECIPE compile",
        ),
        (
            &["run", "--attach", "a=b", "h.zip"],
            3,
            "leave `--attach` out",
        ),
        (&["run", "--own-tender", "h.zip"], 3, "leave `--tender`"),
        (&["check", "pipe"], 3, "name a file, or the folder"),
        (&["man", "/dev/null"], 3, "name a folder"),
        (&["man", "h.zip/below"], 3, "name a folder"),
        (&["check", "alias.yaml"], 3, "write out what it stands for"),
    ] {
        let output = run(at, arguments);
        ends(&output, code, &["hint: "]);
        assert!(
            transcript(&output).contains(hint),
            "{}",
            transcript(&output)
        );
    }
}

#[test]
fn a_size_without_a_unit_is_asked_about() {
    let folder = sample();
    for arguments in [
        &["cache", "gc", "--max-size", "20"][..],
        &["overlay", "h.zip", "h.zip", "--max-size", "20"],
        &["export", "h.zip", "--to", "raw", "--size", "20"],
    ] {
        let output = run(folder.path(), arguments);
        ends(&output, 2, &["`20` has no unit: write 20M for MiB"]);
    }
    for size in ["1073741824", "3 MiB", "1G"] {
        let output = run(folder.path(), &["cache", "gc", "--max-size", size]);
        ends(&output, 0, &[]);
        for arguments in [
            &["overlay", "h.zip", "none.zip", "--max-size", size][..],
            &["export", "none.zip", "--to", "raw", "--size", size],
        ] {
            ends(&run(folder.path(), arguments), 3, &[]);
        }
    }
}

#[test]
fn an_address_names_a_lunikernel_for_every_verb() {
    let folder = sample();
    let url = format!("file://{}/h.zip", folder.path().display());
    let words = ["verify", &url, "--rounds", "0", "--against", "h.zip"];
    ends(&run(folder.path(), &words), 0, &["GOOD"]);
    ends(&run(folder.path(), &["diff", &url, "h.zip"]), 0, &[]);
    for verb in [
        "verify",
        "inspect",
        "run",
        "overlay",
        "export",
        "diff",
        "attest sign",
    ] {
        let words: Vec<&str> = verb.split(' ').chain(["--help"]).collect();
        let help = run(folder.path(), &words);
        ends(&help, 0, &["address"]);
    }
    fs::write(folder.path().join("text"), "text").unwrap();
    let other = format!("file://{}/text", folder.path().display());
    let output = run(folder.path(), &["verify", &other]);
    ends(&output, 3, &["is no Lunikernel", "hint: "]);
}

#[test]
fn an_address_that_was_typed_wrong_is_not_to_be_tried_later() {
    let server = Server::start(|path, stream| {
        let status = match path {
            "/gone" => "404 Not Found",
            _ => "400 Bad Request",
        };
        respond(stream, status, b"")
    });
    let folder = tempfile::tempdir().unwrap();
    for (path, sum) in [("gone", ""), ("bad", ""), ("gone", "0"), ("bad", "0")] {
        let sum = match sum {
            "" => String::new(),
            _ => format!(", sha256: '{}'", "0".repeat(64)),
        };
        let recipe = format!(
            "apiVersion: lunikernel/v1\nname: r\nversion: 1.0.0\nflavour: mirage\n\
             sources:\n  image: {{url: {{url: '{}/{path}'{sum}}}}}\nkernel: {{from: image}}\n",
            server.url()
        );
        fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
        let output = run(folder.path(), &["lock"]);
        ends(&output, 5, &["hint: check the address"]);
        assert!(!transcript(&output).contains("later"));
    }
}

#[test]
fn a_lock_that_cannot_be_read_is_told_of_in_one_line() {
    let folder = unikernel();
    let lock = folder.path().join("recipe.lock");
    let text = fs::read_to_string(&lock).unwrap();
    let line = 1 + text.lines().position(|it| it.contains("kind: ")).unwrap();
    fs::write(&lock, text.replacen("kind: file", "kind: [file]", 1)).unwrap();
    let output = run(folder.path(), &["fetch"]);
    let told = transcript(&output);
    ends(&output, 3, &["recipe.lock is none: ", "hint: restore it"]);
    assert_eq!(told.matches(&format!("line {line}")).count(), 1, "{told}");
    assert!(!told.contains("-->"), "{told}");
    assert!(!told.contains(" | "), "{told}");
}

#[test]
fn variables_that_make_no_sense_are_refused() {
    let folder = unikernel();
    let odd = std::ffi::OsStr::from_bytes(b"\xff");
    for (name, value) in [
        ("LUNI_SNAPSHOT_URL", std::ffi::OsStr::new("foo")),
        ("LUNI_SNAPSHOT_URL", std::ffi::OsStr::new("http://h/all/")),
        ("LUNI_SNAPSHOT_URL", odd),
        ("LUNI_SANDBOX", odd),
        ("LUNI_MIRRORS", odd),
        ("LUNI_MIRROR_AUTH", odd),
        ("LUNI_IDLE_TIMEOUT", odd),
    ] {
        let mut command = luni(folder.path());
        let output = command.arg("build").env(name, value).output().unwrap();
        ends(&output, 2, &[name, "hint: "]);
    }
    let mut command = luni(folder.path());
    for name in ["LUNI_SNAPSHOT_URL", "LUNI_SANDBOX", "LUNI_MIRRORS"] {
        command.env(name, "");
    }
    ends(&command.arg("build").output().unwrap(), 0, &[]);
}

#[test]
fn a_port_that_is_taken_is_not_said_to_be_the_machines() {
    let test = "told::a_port_that_is_taken_is_not_said_to_be_the_machines";
    if lunikernel_builder::boot::find_qemu().is_err() {
        lunikernel_testing::left_out(test, "QEMU is not installed");
        return;
    }
    let folder = sample();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let net = format!("{port}:80");
    let words = ["run", "h.zip", "--accel", "tcg", "--net", &net];
    let output = run(folder.path(), &words);
    ends(&output, 1, &["could not forward port", "hint: "]);
    assert!(!transcript(&output).contains("is the machine's port"));
}

#[test]
fn a_machine_with_less_memory_than_it_wants_is_told_of() {
    let test = "told::a_machine_with_less_memory_than_it_wants_is_told_of";
    if lunikernel_builder::boot::find_qemu().is_err() {
        lunikernel_testing::left_out(test, "QEMU is not installed");
        return;
    }
    let folder = sample();
    // The sample's kernel is none, so it fails whatever memory there is.
    let words = ["run", "h.zip", "--accel", "tcg", "--expect", "up"];
    let few = [&words[..], &["--memory", "2", "--timeout", "20"]].concat();
    let output = run(folder.path(), &few);
    ends(&output, 1, &["hint: it has 2 MiB and wants "]);
}

#[test]
fn help_lists_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"]);
    ends(&help, 0, &["completions", "man"]);
}
