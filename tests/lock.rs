//! `luni lock` and `luni fetch` against a small signed archive on this machine.

#[path = "support/debian.rs"]
mod debian;
mod support;

use std::path::PathBuf;
use std::process::{Command, Output};

use debian::{DebianArchive, SNAPSHOT, key, public, write};
use fs_err as fs;
use support::debs::{Item, deb};
use support::server::Server;
use support::transcript;

/// An archive behind a server, a machine configured to use it, and a recipe.
struct World {
    folder: tempfile::TempDir,
    archive: DebianArchive,
    server: Server,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = DebianArchive::new(folder.path().join("served/debian"));
        for name in ["linux-small", "other", "tool"] {
            archive.add(name, "1.0", &package(name, "1.0"));
        }
        archive.publish(&key(1), "");
        let server = Server::of_folder(folder.path().join("served"));
        let apt = folder.path().join("machine/etc/apt");
        write(&apt.join("keyrings/test.gpg"), &public(&key(1)));
        let entry = format!(
            "deb [signed-by=/etc/apt/keyrings/test.gpg] {}/debian test main\n",
            server.url()
        );
        write(&apt.join("sources.list"), entry.as_bytes());
        let world = Self {
            folder,
            archive,
            server,
        };
        world.recipe("");
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes the recipe; `more` are further sources.
    fn recipe(&self, more: &str) {
        let text = format!(
            "apiVersion: lunikernel/v1\nname: small\nversion: 1.0.0\nflavour: debian\n\
             arch: x86_64\nsources:\n\
             \x20 base:\n    deb:\n      suite: test\n      packages: [other, tool]\n\
             \x20 linux:\n    deb:\n      suite: test\n      packages: [linux-small]\n\
             {more}rootfs:\n  from: [base]\nkernel:\n  from: linux\n  modules: []\n"
        );
        write(&self.path("recipe/recipe.yaml"), text.as_bytes());
    }

    fn command(&self, cache: &str) -> Command {
        let mut command = support::luni(self.folder.path());
        command
            .env("LUNI_CACHE", self.path(cache))
            .env("LUNI_APT_ROOT", self.path("machine"));
        command
    }

    /// `luni VERB recipe ARGS…` with the cache of that name.
    fn run(&self, cache: &str, verb: &str, args: &[&str]) -> Output {
        let mut command = self.command(cache);
        command.arg(verb).arg("recipe").args(args).output().unwrap()
    }

    fn lock(&self, args: &[&str]) -> Output {
        self.run("cache", "lock", args)
    }

    fn locked(&self) -> String {
        fs::read_to_string(self.path("recipe/recipe.lock")).unwrap()
    }
}

fn package(name: &str, version: &str) -> Vec<u8> {
    deb(name, version, &[("file", Item::File(version.as_bytes()))])
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", transcript(output));
}

/// Asserts the exit code, and that what was said has each of `words`.
#[track_caller]
fn fails(output: &Output, code: i32, words: &[&str]) {
    let text = transcript(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

/// The command that a hint gives, in words.
#[track_caller]
fn hinted(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let hint = text.split_once("hint: ").map_or("", |(_, hint)| hint);
    let command = hint.split('`').nth(1).unwrap_or_default();
    command.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_lock_is_the_same_each_time_and_says_when_it_is_stale() {
    let world = World::new();
    succeeds(&world.lock(&[]));
    let first = world.locked();
    assert!(first.contains(SNAPSHOT), "{first}");
    succeeds(&world.lock(&["--check"]));
    fs::remove_file(world.path("recipe/recipe.lock")).unwrap();
    succeeds(&world.run("another cache", "lock", &[]));
    assert_eq!(world.locked(), first);

    world.recipe("  beside:\n    file: beside\n");
    write(&world.path("recipe/beside"), b"beside the recipe\n");
    let mut hint = Vec::new();
    for (verb, args) in [("lock", &["--check"][..]), ("build", &[])] {
        let output = world.run("cache", verb, args);
        fails(&output, 4, &["beside"]);
        hint = hinted(&output);
        assert_eq!(hint[..2], ["luni", "lock"], "{verb}");
        assert_eq!(world.locked(), first);
    }
    succeeds(&world.command("cache").args(&hint[1..]).output().unwrap());
    succeeds(&world.lock(&["--check"]));
    let sources = first.split_once("  base:\n").unwrap().1;
    let (base, linux) = sources.split_once("  linux:\n").unwrap();
    let relocked = world.locked();
    assert!(relocked.contains("  beside:\n"), "{relocked}");
    assert!(
        relocked.contains(base) && relocked.contains(linux),
        "{relocked}"
    );
}

#[test]
fn what_the_mirror_no_longer_has_comes_from_the_archive_of_snapshots() {
    let mut world = World::new();
    succeeds(&world.lock(&[]));
    let path = world.archive.add("tool", "1.0", &package("tool", "1.0"));
    let kept = world.path(&format!("snapshots/debian/{SNAPSHOT}/{path}"));
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::rename(world.archive.root.join(&path), &kept).unwrap();
    let snapshots = Server::of_folder(world.path("snapshots"));
    let pattern = format!("{}/@ARCHIVE@/@SNAPSHOTID@/", snapshots.url());
    let fetch = |cache: &str| {
        let mut command = world.command(cache);
        command.env("LUNI_SNAPSHOT_URL", &pattern);
        command.args(["fetch", "recipe"]).output().unwrap()
    };
    succeeds(&fetch("empty"));
    assert_eq!(
        snapshots.asked(),
        [format!("/debian/{SNAPSHOT}/{path}")],
        "only what the mirror lacks, at the time that was recorded"
    );
    assert!(world.server.asked().contains(&format!("/debian/{path}")));

    fs::remove_file(&kept).unwrap();
    fails(&fetch("empty too"), 5, &["tool", &snapshots.url()]);
}

#[test]
fn a_release_file_that_nobody_vouches_for_locks_nothing() {
    let world = World::new();
    let release = world.archive.root.join("dists/test/InRelease");
    let good = fs::read_to_string(&release).unwrap();
    let refused = |words: &[&str]| {
        let output = world.lock(&[]);
        fails(&output, 5, words);
        assert!(!world.path("recipe/recipe.lock").exists());
    };
    fs::write(&release, good.replace("Label: Test", "Label: Tess")).unwrap();
    refused(&["InRelease", "did not sign this text"]);
    world.archive.publish(&key(2), "");
    refused(&["InRelease", "no key of the keyring vouches for it"]);
    let expired = "Valid-Until: Sat, 08 Jun 2024 00:00:00 UTC\n";
    world.archive.publish(&key(1), expired);
    refused(&["valid until", "hint: "]);
    succeeds(&world.lock(&["--allow-expired"]));
}

#[test]
fn a_release_file_that_is_older_than_the_lock_needs_consent() {
    let world = World::new();
    succeeds(&world.lock(&[]));
    let first = world.locked();
    let date = "Fri, 31 May 2024 00:00:00 UTC";
    world.archive.publish_on(date, &key(1), "");
    // What is locked already asks nobody.
    succeeds(&world.lock(&[]));
    fails(
        &world.lock(&["--update"]),
        5,
        &["is of 2024-05-31", "one of 2024-06-01", "--allow-downgrade"],
    );
    assert_eq!(world.locked(), first);
    succeeds(&world.lock(&["--update", "--allow-downgrade"]));
    assert!(world.locked().contains("20240531T000000Z"));
}

#[test]
fn only_what_is_to_be_updated_moves() {
    let mut world = World::new();
    succeeds(&world.lock(&[]));
    let first = world.locked();
    for name in ["linux-small", "other", "tool"] {
        world.archive.add(name, "2.0", &package(name, "2.0"));
    }
    world.archive.publish(&key(1), "");
    succeeds(&world.lock(&[]));
    assert_eq!(world.locked(), first);

    fails(&world.lock(&["--update", "tol"]), 3, &["tol", "hint"]);
    assert_eq!(world.locked(), first);

    succeeds(&world.lock(&["--update", "tool"]));
    let text = world.locked();
    assert!(text.contains("pool/tool_2.0_amd64.deb"), "{text}");
    assert!(text.contains("pool/other_1.0_amd64.deb"), "{text}");
    assert!(text.contains("pool/linux-small_1.0_amd64.deb"), "{text}");

    succeeds(&world.lock(&["--update"]));
    let text = world.locked();
    assert!(text.contains("pool/tool_2.0_amd64.deb"), "{text}");
    assert!(text.contains("pool/linux-small_2.0_amd64.deb"), "{text}");
}

#[test]
fn a_package_with_other_bytes_than_the_index_says_is_not_kept() {
    let world = World::new();
    succeeds(&world.lock(&[]));
    let path = "pool/tool_1.0_amd64.deb";
    let other = package("tool", "1.1");
    fs::write(world.archive.root.join(path), &other).unwrap();
    let output = world.run("empty", "fetch", &[]);
    fails(&output, 5, &["tool", path]);
    let kept = |bytes: &[u8]| {
        let hex = lunikernel_cache::Sha256::of(bytes).hex();
        let blob = format!("empty/cas-v1/{}/{hex}", &hex[..2]);
        world.path(&blob).exists()
    };
    assert!(!kept(&other) && !kept(&package("tool", "1.0")));
    assert!(kept(&package("linux-small", "1.0")));
    let offline = world.run("empty", "fetch", &["--offline"]);
    fails(&offline, 5, &["tool"]);
    assert!(!transcript(&offline).contains("linux-small"));
}

/// Commits `content` as the file `main.c` of a repository; the commit.
fn commit(repository: &git2::Repository, content: &[u8]) -> String {
    let blob = repository.blob(content).unwrap();
    let mut tree = repository.treebuilder(None).unwrap();
    tree.insert("main.c", blob, 0o100_644).unwrap();
    let tree = repository.find_tree(tree.write().unwrap()).unwrap();
    let when = git2::Time::new(1_717_200_000, 0);
    let author = git2::Signature::new("Test", "test@example.org", &when).unwrap();
    let reference = "refs/heads/main";
    let parent = repository
        .find_reference(reference)
        .ok()
        .map(|found| found.peel_to_commit().unwrap());
    repository
        .commit(
            Some(reference),
            &author,
            &author,
            "Add what the test locks",
            &tree,
            &parent.iter().collect::<Vec<_>>(),
        )
        .unwrap()
        .to_string()
}

#[test]
fn files_addresses_and_repositories_are_locked_and_fetched_again() {
    let world = World::new();
    write(&world.path("recipe/beside"), b"beside the recipe\n");
    write(&world.path("served/page"), b"a page\n");
    let repository = git2::Repository::init_bare(world.path("repository")).unwrap();
    repository.set_head("refs/heads/main").unwrap();
    let first = commit(&repository, b"int main(void) {}\n");
    world.recipe(&format!(
        "\x20 beside:\n    file: beside\n\
         \x20 page:\n    url:\n      url: {}/page\n\
         \x20 program:\n    git: {{url: \"file://{}\", rev: main}}\n",
        world.server.url(),
        world.path("repository").display(),
    ));
    succeeds(&world.lock(&[]));
    let text = world.locked();
    let page = lunikernel_cache::Sha256::of(b"a page\n").hex();
    assert!(text.contains(&first) && text.contains(&page), "{text}");

    let second = commit(&repository, b"int main(void) { return 1; }\n");
    succeeds(&world.lock(&[]));
    assert_eq!(world.locked(), text, "a branch that moved moves no lock");
    fails(
        &world.run("empty", "fetch", &["--offline"]),
        5,
        &["page", "tool_1.0_amd64.deb", "linux-small_1.0_amd64.deb"],
    );
    // All that is missing is told at once, the commit too, and what can be had is kept.
    let away = world.path("repository away");
    fs::rename(world.path("repository"), &away).unwrap();
    fs::rename(world.path("served/page"), world.path("a page")).unwrap();
    let missing = world.run("half empty", "fetch", &[]);
    fails(&missing, 5, &["2 inputs", "/page: ", &first, "repository"]);
    fs::rename(world.path("a page"), world.path("served/page")).unwrap();
    fs::rename(&away, world.path("repository")).unwrap();
    fails(
        &world.run("half empty", "fetch", &["--offline"]),
        5,
        &["1 input:", "page"],
    );
    succeeds(&world.run("empty", "fetch", &[]));
    succeeds(&world.run("empty", "fetch", &["--offline"]));

    succeeds(&world.lock(&["--update", "program"]));
    assert_eq!(world.locked().matches(&second).count(), 1);
    write(&world.path("served/page"), b"another page\n");
    fails(&world.run("empty again", "fetch", &[]), 5, &["page", &page]);

    // Without a network a repository elsewhere is missing like everything else.
    for file in ["recipe/recipe.yaml", "recipe/recipe.lock"] {
        let text = fs::read_to_string(world.path(file)).unwrap();
        let local = format!("file://{}", world.path("repository").display());
        fs::write(
            world.path(file),
            text.replace(&local, "http://git.invalid/x"),
        )
        .unwrap();
    }
    let offline = world.run("empty thrice", "fetch", &["--offline"]);
    let commit = format!("commit {second} of http://git.invalid/x");
    fails(
        &offline,
        5,
        &["5 inputs:", "page", "tool_1.0_amd64.deb", &commit],
    );
}

#[test]
fn a_recipe_that_asks_for_what_is_not_there_is_wrong_and_an_archive_out_of_reach_is_not() {
    let mut world = World::new();
    world.archive.add("needy", "1.0", &package("needy", "1.0"));
    world.archive.last_needs("nowhere");
    world.archive.publish(&key(1), "");
    let lock = |packages: &str| {
        let path = world.path("recipe/recipe.yaml");
        world.recipe("");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("[other, tool]", packages)).unwrap();
        world.lock(&[])
    };
    fails(&lock("[other, tol]"), 3, &["no package `tol`", "tool"]);
    fails(&lock("[other, tool=9]"), 3, &["no version 9", "1.0"]);
    fails(&lock("[needy]"), 3, &["cannot be installed", "nowhere"]);
    fs::remove_dir_all(world.path("served/debian/dists")).unwrap();
    fails(&lock("[other]"), 5, &["release `test`"]);
    assert!(!world.path("recipe/recipe.lock").exists());
}
