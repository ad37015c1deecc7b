//! Mirrors that misbehave, through the binary.

mod support;

use std::io::Write as _;
use std::time::Duration;

use support::hello::built_digest;
use support::server::{Server, head, respond};
use support::small::Small;
use support::transcript;

#[test]
fn a_mirror_that_misbehaves_is_passed_over_and_the_bits_are_right() {
    let name = "mirrors::a_mirror_that_misbehaves_is_passed_over_and_the_bits_are_right";
    let steps =
        "  - name: only\n    root: [base, shell]\n    run: echo made > out\n    outputs: [out]\n";
    let Some(small) = Small::new(name, steps) else {
        return;
    };
    let right = built_digest(&small.run("build", &[]));
    let wrong = Server::start(|_, stream| respond(stream, "200 OK", b"quite other bytes"));
    let short = Server::start(|_, stream| {
        head(stream, "200 OK", 1 << 20)?;
        stream.write_all(b"!<arch>\n")
    });
    let stalling = Server::start(|_, stream| {
        head(stream, "200 OK", 1 << 20)?;
        stream.flush()?;
        std::thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    let absent = Server::start(|_, stream| respond(stream, "404 Not Found", b"no"));
    let broken = Server::start(|_, stream| respond(stream, "500 Internal Server Error", b"no"));
    for (what, server) in [
        ("wrong", &wrong),
        ("short", &short),
        ("stalling", &stalling),
        ("absent", &absent),
        ("broken", &broken),
    ] {
        let mut command = support::hello::luni(&small.path(&format!("cache-{what}")));
        command
            .current_dir(small.path(""))
            .env("LUNI_IDLE_TIMEOUT", "1")
            .args(["--mirror", &server.url()]);
        for mirror in small.mirrors() {
            command.args(["--mirror", mirror]);
        }
        let output = command.args(["build", "recipe"]).output().unwrap();
        assert_eq!(built_digest(&output), right, "{what}");
        assert!(!server.asked().is_empty(), "{what}");
        if what != "absent" {
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(
                text.contains(&server.url()),
                "{what}: {}",
                transcript(&output)
            );
        }
    }
}
