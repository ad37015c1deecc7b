//! `luni verify --against URL`: what a server answers is what is compared with.

mod support;

use std::io::Write as _;
use std::net::Shutdown;
use std::path::PathBuf;
use std::process::Output;

use fs_err as fs;
use serde_json::Value;
use support::server::{Server, head, respond};
use support::small::Small;
use support::transcript;

/// Builds the recipe that writes `word`; where the zip is.
fn built(name: &str, word: &str) -> Option<(Small, PathBuf)> {
    let step = format!(
        "  - name: only\n    root: [base, shell]\n    run: echo {word} > out\n    outputs: [out]\n"
    );
    let small = Small::new(name, &step)?;
    let output = small.run("build", &[]);
    assert!(output.status.success(), "{}", transcript(&output));
    let zip = small.path("small.luni.zip");
    Some((small, zip))
}

/// A server of the two, and of answers that are none.
fn server(same: Vec<u8>, other: Vec<u8>) -> Server {
    Server::start(move |path, stream| match path {
        "/same.luni.zip" => respond(stream, "200 OK", &same),
        "/other.luni.zip" => respond(stream, "200 OK", &other),
        // The connection ends before what was promised has come.
        "/short.luni.zip" => {
            head(stream, "200 OK", same.len())?;
            stream.write_all(&same[..same.len() / 2])?;
            stream.shutdown(Shutdown::Both)
        }
        // All that was promised has come, but it is not all of a zip.
        "/half.luni.zip" => respond(stream, "200 OK", &same[..same.len() / 2]),
        "/huge.luni.zip" => head(stream, "200 OK", 1 << 45),
        "/page" => respond(stream, "200 OK", b"<html>please log in</html>\n"),
        _ => respond(stream, "404 Not Found", b"no such file\n"),
    })
}

/// Verifies against what is at `url`.
fn verify(small: &Small, subject: &str, url: &str, args: &[&str]) -> Output {
    let mut command = support::hello::luni(&small.path("cache"));
    for mirror in small.mirrors() {
        command.args(["--mirror", mirror]);
    }
    command
        .current_dir(small.path(""))
        .args(["verify", subject, "--against", url])
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn what_a_server_has_is_compared_with() {
    let name = "against::what_a_server_has_is_compared_with";
    let Some((small, zip)) = built(name, "one") else {
        return;
    };
    let Some((_other, other)) = built(name, "two") else {
        return;
    };
    let server = server(fs::read(&zip).unwrap(), fs::read(other).unwrap());
    let at = |path: &str| format!("{}/{path}.luni.zip", server.url());

    // Compared only, and built again too.
    let compared = &["--rounds", "0", "--json"][..];
    let rounds = &["--vary", "umask", "--json"][..];
    for (subject, args) in [("small.luni.zip", compared), ("recipe", rounds)] {
        let good = verify(&small, subject, &at("same"), args);
        assert_eq!(good.status.code(), Some(0), "{}", transcript(&good));
        let report: Value = serde_json::from_slice(&good.stdout).unwrap();
        assert_eq!(report["verdict"], "GOOD", "{report:#}");
        let differs = verify(&small, subject, &at("other"), args);
        assert_eq!(differs.status.code(), Some(10), "{}", transcript(&differs));
        let report: Value = serde_json::from_slice(&differs.stdout).unwrap();
        assert_eq!(report["verdict"], "DIFFERS", "{report:#}");
        assert_eq!(report["difference"]["entry"], "recipe.yaml", "{report:#}");
    }
    assert_eq!(server.asked().len(), 4);

    // Offline no server is asked.
    let offline = small.run("verify", &["--against", &at("same")]);
    assert_eq!(offline.status.code(), Some(5), "{}", transcript(&offline));
    let said = transcript(&offline);
    assert!(
        said.contains(&server.url()) && said.contains("--offline"),
        "{said}"
    );
    assert_eq!(server.asked().len(), 4);
}

/// Each of them ends with an error that says where and what; none is a verdict.
#[test]
fn an_answer_that_is_no_lunikernel_is_no_verdict() {
    let name = "against::an_answer_that_is_no_lunikernel_is_no_verdict";
    let Some((small, zip)) = built(name, "one") else {
        return;
    };
    let bytes = fs::read(&zip).unwrap();
    let length = bytes.len().to_string();
    let server = server(bytes, Vec::new());
    for (path, code, said) in [
        ("gone.luni.zip", 5, "is not there"),
        ("short.luni.zip", 5, length.as_str()),
        ("half.luni.zip", 3, "is no Lunikernel"),
        ("huge.luni.zip", 5, "35184372088832"),
        ("page", 3, "is no Lunikernel"),
    ] {
        let url = format!("{}/{path}", server.url());
        let output = verify(&small, "small.luni.zip", &url, &[]);
        let text = transcript(&output);
        assert_eq!(output.status.code(), Some(code), "{path}: {text}");
        assert!(output.stdout.is_empty(), "{path}: {text}");
        assert!(text.contains(said), "{path}: {text}");
        assert!(text.contains(&url), "{path}: {text}");
        assert!(text.contains("hint: "), "{path}: {text}");
    }
}
