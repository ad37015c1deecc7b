//! Mirrors that misbehave, through the binary.

mod support;

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use fs_err as fs;
use support::hello::built_digest;
use support::server::{Server, head, respond};
use support::small::Small;
use support::transcript;

const STEPS: &str =
    "  - name: only\n    root: [base, shell]\n    run: echo made > out\n    outputs: [out]\n";

#[test]
fn a_mirror_that_misbehaves_is_passed_over_and_the_bits_are_right() {
    let name = "mirrors::a_mirror_that_misbehaves_is_passed_over_and_the_bits_are_right";
    let Some(small) = Small::new(name, STEPS) else {
        return;
    };
    let right = built_digest(&small.run("build", &[]));
    let sized = Server::start(|_, stream| respond(stream, "200 OK", b"quite other bytes"));
    let wrong = spoiling(&small, |stream, mut bytes| {
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        respond(stream, "200 OK", &bytes)
    });
    let short = spoiling(&small, half);
    let stalling = spoiling(&small, |stream, bytes| {
        half(stream, bytes)?;
        std::thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    let broken = Server::start(|_, stream| respond(stream, "500 Internal Server Error", b"no"));
    let large = fs::metadata(largest(&small)).unwrap().len();
    let stopped = format!("it stopped after {} of {large} bytes", large / 2);
    for (what, server, reason) in [
        ("sized", &sized, "it has 17 bytes or more, but "),
        ("wrong", &wrong, "it has other bytes: "),
        ("short", &short, stopped.as_str()),
        ("stalling", &stalling, "it stalled for 1 s"),
        ("broken", &broken, "it answered with HTTP status 500"),
    ] {
        let output = build_with(&small, what, server);
        assert_eq!(built_digest(&output), right, "{what}");
        assert!(!server.asked().is_empty(), "{what}");
        let text = String::from_utf8_lossy(&output.stderr);
        let passed = format!("passed over {}/sha256/", server.url());
        assert!(
            text.lines()
                .any(|line| line.starts_with(&passed) && line.contains(reason)),
            "{what}: no {reason:?} in {}",
            transcript(&output)
        );
    }
}

#[test]
fn a_mirror_that_lacks_inputs_is_named_once() {
    let name = "mirrors::a_mirror_that_lacks_inputs_is_named_once";
    let Some(small) = Small::new(name, STEPS) else {
        return;
    };
    let right = built_digest(&small.run("build", &[]));
    let absent = Server::start(|_, stream| respond(stream, "404 Not Found", b"no"));
    let only = format!("/sha256/{}", largest(&small).file_name().unwrap().display());
    let files = files_of(&small);
    let partial = Server::start(move |path, stream| {
        match files.iter().find(|_| path == only).map(|_| path) {
            Some(path) => respond(stream, "200 OK", &blob(&files, path)?),
            None => respond(stream, "404 Not Found", b"no"),
        }
    });
    for (what, server, lack) in [
        ("absent", &absent, "has none of the 3 inputs asked of it"),
        ("partial", &partial, "lacks 2 of the 3 inputs asked of it"),
    ] {
        let output = build_with(&small, what, server);
        assert_eq!(built_digest(&output), right, "{what}");
        let text = String::from_utf8_lossy(&output.stderr);
        let told = text.lines().filter(|line| line.contains(&server.url()));
        let told: Vec<&str> = told.collect();
        assert!(
            matches!(told.as_slice(), [one] if one.starts_with("the mirror ") && one.ends_with(lack)),
            "{what}: {}",
            transcript(&output)
        );
    }
}

/// A build with a cache of its own, `server` before the mirrors that have everything.
fn build_with(small: &Small, what: &str, server: &Server) -> Output {
    let mut command = support::hello::luni(&small.path(&format!("cache-{what}")));
    command
        .current_dir(small.path(""))
        .env("LUNI_IDLE_TIMEOUT", "1")
        .args(["--mirror", &server.url()]);
    for mirror in small.mirrors() {
        command.args(["--mirror", mirror]);
    }
    command.args(["build", "recipe"]).output().unwrap()
}

/// A mirror that has everything, and hands it out in its own way.
fn spoiling(
    small: &Small,
    answer: impl Fn(&mut TcpStream, Vec<u8>) -> io::Result<()> + Send + Sync + 'static,
) -> Server {
    let files = files_of(small);
    Server::start(move |path, stream| answer(stream, blob(&files, path)?))
}

/// Promises all, and writes half.
fn half(stream: &mut TcpStream, bytes: Vec<u8>) -> io::Result<()> {
    head(stream, "200 OK", bytes.len())?;
    let (first, _) = bytes.split_at(bytes.len() / 2);
    stream.write_all(first)?;
    stream.flush()
}

/// The folders of the mirrors that have everything.
fn files_of(small: &Small) -> Vec<PathBuf> {
    let mirrors = small.mirrors().iter();
    mirrors
        .map(|url| PathBuf::from(url.trim_start_matches("file://").replace("%20", " ")))
        .collect()
}

fn blob(mirrors: &[PathBuf], path: &str) -> io::Result<Vec<u8>> {
    let path = path.trim_start_matches('/');
    let found = mirrors.iter().map(|mirror| mirror.join(path));
    let found = found.into_iter().find(|file| file.exists());
    fs::read(found.ok_or(io::ErrorKind::NotFound)?)
}

/// The largest input of the recipe, in the mirror that has it.
fn largest(small: &Small) -> PathBuf {
    let lock = fs::read_to_string(small.path("recipe/recipe.lock")).unwrap();
    let all = files_of(small).into_iter().flat_map(|mirror| {
        fs::read_dir(mirror.join("sha256"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
    });
    all.filter(|path| lock.contains(path.file_name().unwrap().to_str().unwrap()))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}
