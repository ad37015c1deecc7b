//! Steps that may use the network, through the binary: run once to be locked, used from
//! the cache afterwards, and held to the lock whenever they run again.

#[path = "network/locked.rs"]
mod locked;
mod support;

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use fs_err as fs;
use lunikernel_builder::lock::LockFile;
use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::{Cache, Digest, Tree};
use support::hello::{self, built_digest};
use support::server::{Server, respond};
use support::small::Small;
use support::{ends, transcript};

/// A recipe with a step that gets two files from a server, which another step uses.
struct Site {
    small: Small,
    server: Option<Server>,
    answer: Arc<Mutex<String>>,
}

impl Site {
    /// `None` where the test `name` is left out.
    fn new(name: &str) -> Option<Self> {
        let answer = Arc::new(Mutex::new("the first answer\n".to_owned()));
        let said = Arc::clone(&answer);
        let server = Server::start(move |path, stream| {
            let text = match path {
                "/one" => said.lock().unwrap().clone(),
                _ => "always the same\n".to_owned(),
            };
            respond(stream, "200 OK", text.as_bytes())
        });
        let small = Small::new(name, &steps(&server.url(), ""))?;
        Some(Self {
            small,
            server: Some(server),
            answer,
        })
    }

    fn answers(&self, text: &str) {
        text.clone_into(&mut self.answer.lock().unwrap());
    }

    /// How often the server was asked for the page.
    fn asked(&self) -> usize {
        let asked = self.server.as_ref().map(Server::asked).unwrap_or_default();
        asked.iter().filter(|path| *path == "/one").count()
    }

    /// `luni VERB recipe ARGS…` with the cache called `cache`.
    fn run_in(&self, cache: &str, verb: &str, args: &[&str]) -> Output {
        self.of(cache, verb, "recipe", args)
    }

    /// The same of another subject.
    fn of(&self, cache: &str, verb: &str, subject: &str, args: &[&str]) -> Output {
        let mut command = hello::luni(&self.small.path(cache));
        command.current_dir(self.small.path(""));
        for mirror in self.small.mirrors() {
            command.args(["--mirror", mirror]);
        }
        command.arg(verb).arg(subject).args(args).output().unwrap()
    }

    fn run(&self, verb: &str, args: &[&str]) -> Output {
        self.run_in("cache", verb, args)
    }

    fn lock_text(&self) -> String {
        fs::read_to_string(self.small.path("recipe/recipe.lock")).unwrap()
    }

    /// What the lock says that the step made.
    fn outputs(&self) -> Digest {
        let lock = LockFile::parse(&self.lock_text()).unwrap();
        lock.steps["get"].outputs
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.small.path("recipe/recipe.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }
}

fn steps(url: &str, env: &str) -> String {
    format!(
        "  - name: get\n    root: [base, shell]\n    network: true\n{env}\
         \x20   run: mkdir out; for f in one two; do busybox wget -q -O out/$f {url}/$f; done\n\
         \x20   outputs: [out]\n\
         \x20 - name: use\n    root: [base, shell]\n    inputs: {{got: get/out}}\n\
         \x20   run: busybox cat got/one got/two > out\n    outputs: [out]\n"
    )
}

#[track_caller]
fn well(output: &Output) -> String {
    let text = transcript(output);
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn a_step_with_the_network_is_locked_once_and_needs_it_no_more() {
    let name = "network::a_step_with_the_network_is_locked_once_and_needs_it_no_more";
    let Some(mut site) = Site::new(name) else {
        return;
    };
    let bare = site.lock_text();
    ends(
        &site.run("build", &[]),
        4,
        &[
            "what step `get` makes, which uses the network, is not in it",
            "luni lock recipe",
        ],
    );
    assert_eq!(site.asked(), 0);

    ends(
        &site.run("lock", &[]),
        0,
        &[
            "+ get: outputs ",
            ": 1 change",
            "note: ran once to be pinned: get; `",
            "luni lock recipe --check --run` shows whether the same is made again",
        ],
    );
    assert_eq!(site.asked(), 1);
    let locked = site.lock_text();
    let sources = |text: &str| LockFile::parse(text).unwrap().sources;
    assert_eq!(sources(&locked), sources(&bare));
    let again = site.run("lock", &[]);
    ends(&again, 0, &["nothing changed"]);
    assert!(!transcript(&again).contains("ran once"));
    ends(&site.run("lock", &["--check"]), 0, &["is current"]);
    assert_eq!((site.lock_text(), site.asked()), (locked.clone(), 1));

    let built = site.run("build", &["-o", "one.zip"]);
    let digest = built_digest(&built);
    assert!(
        well(&built).contains("get (locked), use (ran)"),
        "{}",
        transcript(&built)
    );
    assert_eq!(site.asked(), 1);
    let artefact = Artefact::open(&site.small.path("one.zip")).unwrap();
    let inputs = &artefact.manifest().inputs;
    let input = inputs.iter().find(|input| input.kind == "step").unwrap();
    let outputs = site.outputs();
    assert_eq!((input.name.as_str(), input.sha256), ("get", outputs.sha256));

    // Another machine: it runs there, and the bits are the same, of the lock too.
    assert_eq!(built_digest(&site.run_in("other", "build", &[])), digest);
    assert_eq!(site.asked(), 2);
    fs::write(site.small.path("recipe/recipe.lock"), bare).unwrap();
    well(&site.run_in("third", "lock", &[]));
    assert_eq!((site.lock_text(), site.asked()), (locked, 3));

    // Without the server all goes on where what it gave is kept.
    site.server = None;
    well(&site.run_in("third", "build", &[]));
    site.edit("version: 1.0.0", "version: 1.0.1");
    let other = built_digest(&site.run("build", &[]));
    assert_ne!(other, digest);
    let verified = site.run(
        "verify-reproducibility",
        &["--rounds", "2", "--vary", "none"],
    );
    assert!(
        well(&verified).contains("GOOD"),
        "{}",
        transcript(&verified)
    );

    // The Lunikernel alone says all that is needed to make it again.
    fs::remove_dir_all(site.small.path("recipe")).unwrap();
    fs::rename(site.small.path("one.zip"), site.small.path("recipe")).unwrap();
    assert_eq!(built_digest(&site.run("build", &["-o", "two.zip"])), digest);
}

#[test]
fn another_answer_is_not_built_from() {
    let Some(site) = Site::new("network::another_answer_is_not_built_from") else {
        return;
    };
    well(&site.run("lock", &[]));
    let outputs = site.outputs();
    let digest = built_digest(&site.run("build", &[]));

    site.answers("a second answer\n");
    let other = site.run_in("other", "build", &[]);
    let expected = format!("expected {outputs}, got sha256:");
    ends(
        &other,
        5,
        &[
            "step `get`, which uses the network, made something else than is locked",
            &expected,
            "luni lock --update get recipe",
        ],
    );
    // Nothing of it is taken for what is locked, and with the right answer all is well.
    assert!(!has(&site.small.path("other"), &outputs));
    assert!(
        !site
            .small
            .path("small.luni.zip")
            .with_extension("other")
            .exists()
    );
    // Where the folder is known and a file of it is not, what differs is told.
    let cache = Cache::open(&site.small.path("cache")).unwrap();
    let tree = Tree::load(cache.blobs(), &outputs).unwrap();
    let one = tree.get("out/one").unwrap();
    let lunikernel_cache::tree::Entry::File { digest: one, .. } = one else {
        panic!("{one:?} is no file");
    };
    cache.blobs().discard(one).unwrap();
    site.edit("version: 1.0.0", "version: 1.0.1");
    let differs = site.run("build", &[]);
    ends(&differs, 5, &["\n  out/one: other content\n"]);
    assert!(
        !transcript(&differs).contains("out/two"),
        "{}",
        transcript(&differs)
    );

    site.answers("the first answer\n");
    site.edit("version: 1.0.1", "version: 1.0.0");
    assert_eq!(built_digest(&site.run_in("other", "build", &[])), digest);

    // Whoever wants the new one says so.
    site.answers("a second answer\n");
    ends(&site.run("lock", &[]), 0, &["nothing changed"]);
    let updated = site.run("lock", &["--update", "get"]);
    ends(&updated, 0, &["~ get: outputs ", ": 1 change"]);
    assert_ne!(site.outputs(), outputs);
    assert_ne!(built_digest(&site.run("build", &[])), digest);
}

fn has(cache: &Path, digest: &Digest) -> bool {
    Cache::open(cache).unwrap().blobs().contains(digest)
}

#[test]
fn offline_what_is_missing_is_named() {
    let Some(site) = Site::new("network::offline_what_is_missing_is_named") else {
        return;
    };
    let refused = site.small.run("lock", &[]);
    ends(
        &refused,
        5,
        &["could not fetch what step `get` makes: the network may not be used"],
    );
    well(&site.run_in("elsewhere", "lock", &[]));
    let outputs = site.outputs();
    let missing = format!("  what step `get` made ({})\n", outputs.sha256);
    ends(
        &site.small.run("build", &[]),
        5,
        &["the cache lacks 1 input", &missing],
    );
    assert_eq!(site.asked(), 1);

    // A mirror has it by its digest, as anything else.
    let from = Cache::open(&site.small.path("elsewhere")).unwrap();
    let tree = Tree::load(from.blobs(), &outputs).unwrap();
    for digest in tree.digests() {
        let hex = digest.sha256.hex();
        let to = site.small.path("mirror/sha256").join(hex);
        fs::copy(from.blobs().path(&digest.sha256), to).unwrap();
    }
    well(&site.small.run("build", &[]));
    assert_eq!(site.asked(), 1);
}

#[test]
fn what_a_lock_pins_is_not_collected() {
    let Some(mut site) = Site::new("network::what_a_lock_pins_is_not_collected") else {
        return;
    };
    well(&site.run("lock", &[]));
    site.server = None;
    let mut collect = hello::luni(&site.small.path("cache"));
    let collected = collect.args(["cache", "gc", "--max-size", "0"]).output();
    well(&collected.unwrap());
    well(&site.small.run("build", &[]));
}

#[test]
fn a_step_that_changed_has_to_be_locked_again() {
    let Some(site) = Site::new("network::a_step_that_changed_has_to_be_locked_again") else {
        return;
    };
    site.edit(
        "    network: true\n",
        "    network: true\n    inputs: {names: names}\n",
    );
    site.edit("sources:\n", "sources:\n  names:\n    file: names\n");
    let names = site.small.path("recipe/names");
    fs::write(&names, "one\n").unwrap();
    well(&site.run("lock", &[]));
    assert_eq!(site.asked(), 1);

    // What comes of another step, a limit, or another input of another is nothing to it.
    site.edit("version: 1.0.0", "version: 1.0.1");
    site.edit("busybox cat got/one", "busybox cat got/two");
    site.edit(
        "    network: true\n",
        "    network: true\n    memory_mib: 512\n",
    );
    ends(&site.run("lock", &["--check"]), 0, &[]);

    let stale = "step `get`, which uses the network, or an input of it has changed since";
    site.edit("for f in one two", "for f in one  two");
    ends(&site.run("build", &[]), 4, &[stale, "luni lock recipe"]);
    ends(&site.run("lock", &["--check"]), 4, &[stale]);
    ends(&site.run("lock", &[]), 0, &[]);
    assert_eq!(site.asked(), 2);

    // A file that it reads.
    fs::write(&names, "two\n").unwrap();
    ends(
        &site.run("lock", &["--check"]),
        4,
        &["names (source `names`) has changed since"],
    );
    well(&site.run("lock", &[]));
    assert_eq!(site.asked(), 3);

    // A step that has no network any more is none of the lock's business.
    site.edit("    network: true\n", "");
    ends(
        &site.run("build", &[]),
        4,
        &["it has a step `get`, which is none that uses the network in the recipe"],
    );
    well(&site.run("lock", &[]));
    assert!(!site.lock_text().contains("steps:"), "{}", site.lock_text());
    ends(&site.run("build", &[]), 6, &["step `get` failed"]);
    assert_eq!(site.asked(), 3);
}

#[test]
fn one_looks_around_with_the_network_that_the_step_has() {
    let name = "network::one_looks_around_with_the_network_that_the_step_has";
    let Some(site) = Site::new(name) else {
        return;
    };
    well(&site.run("lock", &[]));
    let url = site.server.as_ref().unwrap().url();
    let look = |step| {
        let get = format!("busybox wget -q -O - {url}/one");
        site.run("shell", &[step, "--", "sh", "-c", &get])
    };
    let with = look("get");
    assert_eq!(String::from_utf8_lossy(&with.stdout), "the first answer\n");
    assert!(!look("use").status.success());

    let get = format!("busybox wget -q -O - {url}/one");
    let offline = site.small.run("shell", &["get", "--", "sh", "-c", &get]);
    assert!(!offline.status.success(), "{}", transcript(&offline));
    assert!(offline.stdout.is_empty(), "{}", transcript(&offline));
    // Only the command lacked something: the shell itself is there.
    well(
        &site
            .small
            .run("shell", &["get", "--", "sh", "-c", "exit 0"]),
    );
}

#[test]
fn where_a_step_with_the_network_failed_one_looks_around() {
    let name = "network::where_a_step_with_the_network_failed_one_looks_around";
    let Some(site) = Site::new(name) else {
        return;
    };
    site.edit(
        "$f; done\n",
        "$f; done; case $(busybox cat out/one) in *first*) ;; *) echo here > left; exit 3;; esac\n",
    );
    let looks = |cache: &str, command: &str| {
        let asked = site.asked();
        let shell = site.run_in(cache, "shell", &["get", "--", "sh", "-c", command]);
        assert_eq!(site.asked(), asked, "it ran: {}", transcript(&shell));
        well(&shell);
        String::from_utf8(shell.stdout).unwrap()
    };
    let left = "busybox cat left out/two";
    let found = "here\nalways the same\n";

    // It is not locked yet, and nothing fits it.
    site.answers("a second answer\n");
    let unlocked = site.lock_text();
    ends(
        &site.run("lock", &[]),
        6,
        &["step `get` failed", "luni shell "],
    );
    assert_eq!(looks("cache", left), found);
    // As for the first lock ever, of which there is none.
    fs::remove_file(site.small.path("recipe/recipe.lock")).unwrap();
    assert_eq!(looks("cache", left), found);
    fs::write(site.small.path("recipe/recipe.lock"), unlocked).unwrap();
    // Where nothing has failed, it is the state that it begins in.
    assert_eq!(looks("new", "busybox ls -A"), "");

    site.answers("the first answer\n");
    well(&site.run("lock", &[]));
    assert_eq!(looks("cache", "busybox ls -A"), "");
    site.answers("a second answer\n");
    ends(
        &site.run_in("other", "build", &[]),
        6,
        &["step `get` failed"],
    );
    assert_eq!(looks("other", left), found);
    assert_eq!(looks("third", "busybox ls -A"), "");
}
