//! Mirrors in buckets, on a server that speaks the API of S3.
//!
//! Google's store speaks the same API (it calls it XML), and no server of its own can be
//! had: `gs:` is tested against this one, and what its own store does otherwise is not.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use fs_err as fs;
use serde_json::Value;
use support::hello::luni;
use support::{project, transcript};

/// The server, which ends when dropped.
struct Store {
    child: Child,
    address: String,
}

impl Store {
    /// Starts it with a bucket `mirror`. `None` where it is not installed, with the test
    /// `name` left out.
    fn start(name: &str) -> Option<Self> {
        let program = project("target/cloud-venv/bin/moto_server");
        if !program.exists() {
            let reason = "`scripts/test` could not install tests/mirrors/requirements.txt";
            lunikernel_testing::left_out(name, reason);
            return None;
        }
        let mut child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, address) = line.split_once("Running on http://")?;
            Some(address.trim().to_owned())
        });
        // Its log must be read for as long as it writes one.
        std::thread::spawn(move || lines.for_each(drop));
        let store = Self {
            child,
            address: address.expect("it says where it listens"),
        };
        assert!(store.ask("PUT", "/mirror").starts_with("HTTP/1.1 200"));
        Some(store)
    }

    /// The answer to a request without a body.
    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let address = &self.address;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Length: 0\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A recipe of two files, one of them larger than a part of an upload.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let large: Vec<u8> = (0..20 << 20).map(|i: u32| (i >> 9) as u8).collect();
        fs::write(folder.path().join("large"), large).unwrap();
        fs::write(folder.path().join("small"), "small\n").unwrap();
        let source = |name: &str| {
            format!(
                "  {name}:\n    url:\n      url: file://{}\n",
                folder.path().join(name).display()
            )
        };
        let recipe = format!(
            "apiVersion: lunikernel/v1\nname: demo\nversion: 1.0.0\nflavour: debian\nsources:\n\
             {}{}kernel:\n  from: large\n",
            source("large"),
            source("small")
        );
        fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
        Self { folder }
    }

    fn luni(&self, store: &Store, cache: &str) -> Command {
        let mut command = luni(&self.path(cache));
        command
            .current_dir(self.folder.path())
            .env("AWS_ENDPOINT_URL", format!("http://{}", store.address))
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "hush-hush")
            .env("GOOGLE_BASE_URL", format!("http://{}", store.address))
            .env("GOOGLE_BEARER_TOKEN", "hush-hush")
            .env("GOOGLE_ALLOW_HTTP", "true")
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy");
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn forget_upstream(&self) {
        for name in ["large", "small"] {
            fs::remove_file(self.path(name)).unwrap();
        }
    }
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", transcript(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn there_and_back(name: &str, mirror: &str) {
    let Some(store) = Store::start(name) else {
        return;
    };
    let site = Site::new();
    let run = |cache: &str, args: &[&str]| site.luni(&store, cache).args(args).output().unwrap();
    assert!(run("cache", &["lock"]).status.success());
    let push = ["--json", "cache", "push", mirror];
    let dry = json(&run("cache", &[&push[..], &["--dry-run"]].concat()));
    assert_eq!((&dry["pushed"], &dry["present"]), (&2.into(), &0.into()));
    let first = json(&run("cache", &push));
    assert_eq!(
        (&first["pushed"], &first["present"]),
        (&2.into(), &0.into())
    );
    assert_eq!(first["bytes"], (20 << 20) + 6);
    let again = json(&run("cache", &push));
    assert_eq!(
        (&again["pushed"], &again["present"]),
        (&0.into(), &2.into())
    );
    site.forget_upstream();
    for (cache, args) in [
        ("one", &["--json", "cache", "pull", mirror][..]),
        ("all", &["--json", "cache", "pull", "--all", mirror]),
        ("fetch", &["--json", "--mirror", mirror, "fetch"]),
    ] {
        let pulled = json(&run(cache, args));
        assert_eq!(
            (&pulled["inputs"], &pulled["fetched"]),
            (&2.into(), &2.into())
        );
        let offline = run(cache, &["--offline", "fetch"]);
        assert!(offline.status.success(), "{}", transcript(&offline));
    }
    // A bucket that is not there is named, and what opens buckets is not.
    let elsewhere = format!("{}://no-such-bucket", &mirror[..2]);
    let failed = run("cache", &["cache", "push", &elsewhere]);
    assert_eq!(failed.status.code(), Some(5), "{}", transcript(&failed));
    let told = String::from_utf8_lossy(&failed.stderr);
    assert!(told.contains(&elsewhere), "{told}");
    assert!(!told.contains("hush-hush"), "{told}");
    assert!(Path::new(&site.path("one")).exists());
}

#[test]
fn s3_gets_what_it_lacks_and_gives_it_back() {
    there_and_back(
        "buckets::s3_gets_what_it_lacks_and_gives_it_back",
        "s3://mirror/some/where",
    );
}

#[test]
fn gs_gets_what_it_lacks_and_gives_it_back() {
    there_and_back(
        "buckets::gs_gets_what_it_lacks_and_gives_it_back",
        "gs://mirror/some/where",
    );
}

#[test]
fn many_files_are_listed_and_not_asked_for_one_by_one() {
    let name = "buckets::many_files_are_listed_and_not_asked_for_one_by_one";
    let Some(store) = Store::start(name) else {
        return;
    };
    let site = Site::new();
    let cache = lunikernel_cache::Cache::open(&site.path("cache")).unwrap();
    for i in 0..1200u32 {
        cache.blobs().put(&i.to_le_bytes()).unwrap();
    }
    let push = |what: &str| {
        let mut command = site.luni(&store, "cache");
        command.args(["--json", "cache", "push", "s3://mirror", "--all", what]);
        json(&command.output().unwrap())
    };
    // More than one page of a listing, which has a thousand.
    assert_eq!(push("--quiet")["pushed"], 1200);
    assert_eq!(push("--quiet")["present"], 1200);
}
