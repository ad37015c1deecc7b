//! Crates as sources, from a registry of the test's own.

mod support;

use std::path::PathBuf;
use std::process::Output;
use std::sync::{Arc, OnceLock};

use fs_err as fs;
use lunikernel_cache::Sha256;
use support::ends;
use support::hello::luni;
use support::server::{Server, respond};

const ARCHIVE: &[u8] = b"the archive of a crate";

/// A registry with one crate, cargo's configuration that has it stand in for the usual
/// one, and a recipe that wants the crate.
struct Site {
    folder: tempfile::TempDir,
    server: Server,
}

impl Site {
    /// `archive` is what the registry hands out.
    fn new(archive: &'static [u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sha256 = Sha256::of(ARCHIVE).hex();
        let line = |version: &str, yanked: bool| {
            format!(
                "{{\"name\":\"Demo-x\",\"vers\":\"{version}\",\"deps\":[],\"cksum\":\"{sha256}\",\"features\":{{}},\"yanked\":{yanked}}}\n"
            )
        };
        let index = format!(
            "{}not a line of this format\n{}",
            line("0.9.0", true),
            line("1.0.0", false)
        );
        // Where it listens is known only once it does.
        let own: Arc<OnceLock<String>> = Arc::default();
        let address = Arc::clone(&own);
        let server = Server::start(move |path, stream| match path {
            "/index/config.json" => {
                let files = address.wait();
                let config = format!(
                    "{{\"dl\":\"{files}/files/{{lowerprefix}}/{{crate}}-{{version}}.crate\"}}"
                );
                respond(stream, "200 OK", config.as_bytes())
            }
            "/index/de/mo/demo-x" => respond(stream, "200 OK", index.as_bytes()),
            "/files/de/mo/Demo-x-1.0.0.crate" | "/files/de/mo/Demo-x-0.9.0.crate" => {
                respond(stream, "200 OK", archive)
            }
            _ => respond(stream, "404 Not Found", b""),
        });
        own.set(server.url()).unwrap();
        let site = Self { folder, server };
        site.configure(&format!("sparse+{}/index/", site.server.url()));
        site.want("1.0.0");
        site
    }

    fn configure(&self, index: &str) {
        self.configure_as(&format!("[source.ours]\nregistry = \"{index}\"\n"));
    }

    /// `rest` stands behind what has `ours` stand in for the usual registry.
    fn configure_as(&self, rest: &str) {
        fs::create_dir_all(self.path("cargo")).unwrap();
        let config = format!("[source.crates-io]\nreplace-with = \"ours\"\n\n{rest}");
        fs::write(self.path("cargo/config.toml"), config).unwrap();
    }

    fn want(&self, version: &str) {
        let recipe = format!(
            "apiVersion: lunikernel/v1\nname: demo\nversion: 1.0.0\nflavour: debian\nsources:\n\
             \x20 demo:\n    crate: {{name: Demo-x, version: {version}}}\nkernel:\n  from: demo\n"
        );
        fs::write(self.path("recipe.yaml"), recipe).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, cache: &str, args: &[&str]) -> Output {
        let mut command = luni(&self.path(cache));
        command
            .current_dir(self.folder.path())
            .env("CARGO_HOME", self.path("cargo"))
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .args(args)
            .output()
            .unwrap()
    }
}

#[test]
fn a_crate_is_pinned_by_the_index_and_had_again_from_there_or_from_a_mirror() {
    let site = Site::new(ARCHIVE);
    ends(&site.run("cache", &["lock"]), 0, &[]);
    let lock = fs::read_to_string(site.path("recipe.lock")).unwrap();
    assert!(lock.contains(&Sha256::of(ARCHIVE).to_string()), "{lock}");
    assert!(
        !lock.contains("127.0.0.1"),
        "the lock names a registry: {lock}"
    );
    ends(&site.run("fresh", &["fetch"]), 0, &["1 fetched now"]);
    let mirror = site.path("mirror");
    let mirror = mirror.to_str().unwrap();
    ends(
        &site.run("cache", &["cache", "push", mirror]),
        0,
        &["1 file pushed"],
    );
    // Neither the registry nor what is configured counts any more.
    site.configure("sparse+http://127.0.0.1:1/");
    let asked = site.server.asked().len();
    ends(
        &site.run("pulled", &["cache", "pull", mirror]),
        0,
        &["1 file pulled"],
    );
    let url = format!("file://{mirror}");
    ends(
        &site.run("again", &["--offline", "--mirror", &url, "fetch"]),
        0,
        &["1 fetched now"],
    );
    assert_eq!(site.server.asked().len(), asked);
    ends(
        &site.run("empty", &["--offline", "fetch"]),
        5,
        &["Demo-x-1.0.0.crate"],
    );
    // A lock for another version does not fit.
    site.want("0.9.0");
    ends(&site.run("cache", &["fetch"]), 4, &["luni lock"]);
}

#[test]
fn what_a_registry_lacks_or_lies_about_is_said() {
    let site = Site::new(ARCHIVE);
    site.want("0.9.0");
    ends(
        &site.run("cache", &["lock"]),
        0,
        &["crate Demo-x 0.9.0 was yanked"],
    );
    site.want("2.0.0");
    let told = ["no version `2.0.0` of crate `Demo-x`", "hint: "];
    ends(&site.run("cache", &["lock"]), 3, &told);
    site.want("'2.0'");
    ends(
        &site.run("cache", &["check"]),
        3,
        &["`2.0` is no version of a crate"],
    );
    site.want("1.0.0");
    let nowhere = format!("sparse+{}/nothing/", site.server.url());
    site.configure(&nowhere);
    ends(&site.run("cache", &["lock"]), 3, &["has no crate `Demo-x`"]);
    site.configure("registry+file:///nowhere");
    ends(
        &site.run("cache", &["lock"]),
        5,
        &["is not read by HTTP", "hint: "],
    );
    // Nobody else is asked where cargo's configuration leads nowhere.
    let asked = site.server.asked().len();
    for (rest, told) in [
        ("", "there is no `[source.ours]`"),
        ("[source.ours]\ndirectory = \"vendor\"\n", "(`directory`)"),
        ("[source.ours]\nreplace-with = \"ours\"\n", "without end"),
    ] {
        site.configure_as(rest);
        ends(&site.run("cache", &["lock"]), 5, &[told, "hint: "]);
    }
    assert_eq!(site.server.asked().len(), asked);
    let index = format!("sparse+{}/index/", site.server.url());
    site.configure_as(&format!(
        "[source.ours]\nreplace-with = \"theirs\"\n[source.theirs]\nregistry = \"{index}\"\n"
    ));
    ends(&site.run("cache", &["lock"]), 0, &[]);
    fs::remove_file(site.path("recipe.lock")).unwrap();
    let liar = Site::new(b"other bytes");
    ends(&liar.run("cache", &["lock"]), 5, &["it has other bytes"]);
    assert!(!liar.path("recipe.lock").exists());
}
