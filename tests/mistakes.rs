//! What people type by mistake, and what they are told.

mod support;

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fs_err as fs;
use serde_json::Value;
use support::server::{Server, respond};
use support::{ends, luni, project, transcript};

/// A folder with `hello` in it, as `luni new` makes it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = run(folder.path(), &["new", "hello"]);
    assert!(made.status.success(), "{}", transcript(&made));
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    luni(folder).args(arguments).output().unwrap()
}

#[test]
fn a_recipe_in_place_of_a_name_is_told_from_one() {
    let folder = folder();
    let output = run(folder.path(), &["lock", "--update", "hello"]);
    ends(
        &output,
        2,
        &["`hello` is where a recipe is", "lock hello --update`"],
    );
}

#[test]
fn a_mirror_that_cannot_be_one_is_refused() {
    let folder = folder();
    for arguments in [
        ["--mirror", "ftp://127.0.0.1/", "fetch", "hello"],
        ["--mirror", "somewhere", "fetch", "hello"],
    ] {
        ends(&run(folder.path(), &arguments), 2, &["file:///srv/mirror"]);
    }
    let output = luni(folder.path())
        .args(["lock", "hello"])
        .env("LUNI_MIRRORS", "ftp://127.0.0.1/")
        .output()
        .unwrap();
    ends(&output, 2, &["LUNI_MIRRORS", "ftp"]);
}

#[test]
fn a_lock_that_is_none_is_named_with_its_line() {
    let folder = folder();
    fs::write(folder.path().join("hello/recipe.lock"), "version: [1\n").unwrap();
    let output = run(folder.path(), &["fetch", "hello"]);
    ends(
        &output,
        3,
        &["hello/recipe.lock is none: ", "hint: restore it"],
    );
    assert!(!transcript(&output).contains("error: error"));
}

/// The committed sample of a Lunikernel, as `base.zip` in `folder`, and in its cache.
fn sample(folder: &Path) -> lunikernel_cache::Digest {
    fs::copy(project("tests/format/good.zip"), folder.join("base.zip")).unwrap();
    let cache = lunikernel_cache::Cache::open(&folder.join(".cache/lunikernel")).unwrap();
    let bytes = fs::read(folder.join("base.zip")).unwrap();
    cache.blobs().put(&bytes).unwrap()
}

#[test]
fn what_cannot_be_written_is_refused_before_any_work() {
    let folder = folder();
    fs::create_dir(folder.path().join("out")).unwrap();
    sample(folder.path());
    for (path, said) in [
        ("out", "name a file in it"),
        ("out/", "name a file in it"),
        ("new/", "name a file in it"),
        ("..", "name a file in it"),
        ("nodir/x", "mkdir -p nodir"),
        ("-", "name a file"),
        ("/dev/null", "is not a regular file"),
        ("hello/recipe.yaml/x", "is no folder"),
    ] {
        for verb in [
            &["build", "hello", "-o"][..],
            &["fetch", "hello", "--archive"],
            &["verify", "hello", "--report"],
            &["overlay", "base.zip", "out", "-o"],
        ] {
            let output = run(folder.path(), &[verb, &[path]].concat());
            ends(&output, 3, &[said, "hint: "]);
            assert!(!transcript(&output).contains("lock"), "{verb:?} {path}");
        }
    }
}

#[test]
fn paths_that_are_not_unicode_are_printed_as_far_as_they_are() {
    let folder = folder();
    sample(folder.path());
    let strange = |name: &str| {
        let bytes = [name.as_bytes(), b"\xff"].concat();
        std::ffi::OsString::from_vec(bytes)
    };
    fs::create_dir(folder.path().join("over")).unwrap();
    fs::write(folder.path().join("over/file"), "x").unwrap();
    let json = |command: &mut Command| {
        let output = command.arg("--json").output().unwrap();
        assert!(output.status.success(), "{}", transcript(&output));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer
    };
    let luni = || luni(folder.path());
    let made = json(luni().args(["new", "some", "--dir"]).arg(strange("some")));
    assert_eq!(made["folder"], "some\u{fffd}");
    let pair = json(luni().args(["attest", "keygen"]).arg(strange("key")));
    assert_eq!(pair["public"], "key\u{fffd}.pub");
    let key = strange("key").into_vec();
    let key = std::ffi::OsString::from_vec([&key[..], b".key"].concat());
    let signed = json(
        luni()
            .args(["attest", "sign", "base.zip", "--key"])
            .arg(key)
            .arg("-o")
            .arg(strange("envelope")),
    );
    assert_eq!(signed["file"], "envelope\u{fffd}");
    let cache = strange("cache");
    let stored = lunikernel_cache::Cache::open(&folder.path().join(&cache)).unwrap();
    let blob = stored.blobs().put(b"right").unwrap();
    fs::write(stored.blobs().path(&blob.sha256), b"wrong").unwrap();
    drop(stored);
    let planned = json(luni().arg("--cache").arg(&cache).args([
        "cache",
        "gc",
        "--max-size",
        "0",
        "--dry-run",
    ]));
    let path = planned["removed"][0]["path"].as_str().unwrap();
    assert!(path.contains("cache\u{fffd}/cas-v1/"), "{path}");
    let repaired = json(
        luni()
            .arg("--cache")
            .arg(&cache)
            .args(["cache", "verify", "--repair"]),
    );
    let path = repaired["damage"][0]["path"].as_str().unwrap();
    assert!(path.contains("cache\u{fffd}/cas-v1/"), "{path}");
}

/// A machine whose console nobody reads any more is stopped: QEMU, for which another
/// program stands in here that talks for ever.
#[test]
fn a_console_that_nobody_reads_stops_the_machine() {
    let folder = folder();
    sample(folder.path());
    let programs = folder.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let qemu = programs.join("qemu-system-x86_64");
    fs::write(&qemu, "#!/bin/sh\nwhile :; do echo line; done\n").unwrap();
    fs::set_permissions(&qemu, PermissionsExt::from_mode(0o755)).unwrap();
    let path = std::env::join_paths([programs.as_path(), "/usr/bin".as_ref(), "/bin".as_ref()]);
    for more in [&[][..], &["--json"]] {
        let mut child = luni(folder.path())
            .env("PATH", path.as_ref().unwrap())
            .args(["run", "base.zip", "--accel", "tcg"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // With `--json` the console is on standard error. Both go once a line has come.
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let console: Box<dyn Read> = match more {
            [] => Box::new(out),
            _ => Box::new(err),
        };
        let mut lines = BufReader::new(console).lines();
        assert!(lines.any(|line| line.unwrap() == "line"));
        drop(lines);
        assert!(child.wait().unwrap().success(), "{more:?}");
    }
}

#[test]
fn a_mirror_may_be_named_by_its_folder() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("mirror")).unwrap();
    let output = run(folder.path(), &["--mirror", "mirror", "check", "hello"]);
    ends(&output, 0, &["hello/recipe.yaml is right"]);
    let output = run(folder.path(), &["--mirror", "nowhere", "check", "hello"]);
    ends(&output, 2, &["there is no such folder"]);
}

#[test]
fn a_pull_says_only_what_the_mirror_was_asked_for() {
    let folder = folder();
    let here = folder.path();
    fs::write(here.join("input"), "some input").unwrap();
    let recipe = format!(
        "apiVersion: lunikernel/v1\nname: demo\nversion: 1.0.0\nflavour: debian\nsources:\n  \
         demo:\n    url: {{url: 'file://{}'}}\nkernel:\n  from: demo\n",
        here.join("input").display()
    );
    fs::write(here.join("recipe.yaml"), recipe).unwrap();
    ends(&run(here, &["lock"]), 0, &[]);
    ends(&run(here, &["fetch"]), 0, &["in the cache: 1 input;"]);
    ends(
        &run(here, &["cache", "pull", "mirror"]),
        3,
        &["it is not there"],
    );
    fs::create_dir(here.join("mirror")).unwrap();
    let told = ["the mirror lacks 1 of 1 input", "luni cache push MIRROR"];
    ends(&run(here, &["cache", "pull", "mirror"]), 5, &told);
    // What the cache has not, no other place is asked for, though it is there.
    let told = [
        "could not fetch 1 input",
        "mirror/sha256/",
        "it is not there",
    ];
    let pulled = run(here, &["--cache", "other", "cache", "pull", "mirror"]);
    ends(&pulled, 5, &told);
    fs::remove_dir_all(here.join("other")).unwrap();
    ends(
        &run(here, &["cache", "push", "mirror"]),
        0,
        &["1 file pushed"],
    );
    let told = ["has all 1 input: 0 files pulled, 1 in the cache already"];
    ends(&run(here, &["cache", "pull", "mirror"]), 0, &told);
    // Offline, and without a cache, the hint names the recipe.
    let output = run(here, &["--offline", "--cache", "other", "build", "../."]);
    assert_eq!(output.status.code(), Some(3), "{}", transcript(&output));
    fs::remove_file(here.join("input")).unwrap();
    let output = run(here, &["--offline", "--cache", "other", "fetch", "."]);
    ends(&output, 5, &[" fetch`; or name a mirror on disk"]);
}

/// That a server cannot be reached is told once, and of many inputs only some are named.
#[test]
fn without_a_network_little_is_said() {
    let folder = folder();
    let here = folder.path();
    let server = Server::start(|path, stream| respond(stream, "200 OK", path.as_bytes()));
    let mut recipe = "apiVersion: lunikernel/v1\nname: demo\nversion: 1.0.0\nflavour: debian\n\
                      kernel:\n  from: part0\nsources:\n"
        .to_owned();
    for number in 0..12 {
        let url = format!("{}/{number}", server.url());
        recipe += &format!("  part{number}:\n    url: {{url: '{url}'}}\n");
    }
    fs::create_dir(here.join("demo")).unwrap();
    fs::write(here.join("demo/recipe.yaml"), recipe).unwrap();
    ends(&run(here, &["lock", "demo"]), 0, &[]);
    drop(server);
    let output = run(here, &["--cache", "other", "fetch", "demo"]);
    ends(
        &output,
        5,
        &["could not fetch 12 inputs:", "and 2 more", "luni doctor"],
    );
    let told = transcript(&output);
    assert_eq!(told.matches("passed over").count(), 1, "{told}");
    let output = run(here, &["--offline", "--cache", "other", "build", "demo"]);
    ends(
        &output,
        5,
        &["lacks 12 inputs:", "and 2 more", "fetch demo`"],
    );
}

#[test]
fn what_is_no_overlay_is_told_what_it_is() {
    let folder = folder();
    sample(folder.path());
    let told = ["it is a Lunikernel", "the base comes first"];
    ends(
        &run(folder.path(), &["overlay", "base.zip", "base.zip"]),
        3,
        &told,
    );
    let output = run(folder.path(), &["overlay", "base.zip", "nothing"]);
    ends(&output, 3, &["hint: name a folder or a zip"]);
    // A zip of something else: one empty entry `a`, stored.
    let mut zip = b"PK\x03\x04".to_vec();
    zip.extend([[0; 22].as_slice(), &[1, 0, 0, 0], b"a"].concat());
    let directory = zip.len() as u32;
    zip.extend(b"PK\x01\x02");
    zip.extend([[0; 24].as_slice(), &[1, 0], &[0; 16], b"a"].concat());
    let size = zip.len() as u32 - directory;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend([&size.to_le_bytes()[..], &directory.to_le_bytes(), &[0, 0]].concat());
    fs::write(folder.path().join("other.zip"), zip).unwrap();
    let output = run(folder.path(), &["inspect", "other.zip"]);
    ends(
        &output,
        3,
        &["other.zip is no Lunikernel: it is a zip, but has no `lunikernel.json`"],
    );
}

#[test]
fn a_lunikernel_in_place_of_a_recipe_is_told_from_one() {
    let folder = folder();
    sample(folder.path());
    for verb in ["check", "lock"] {
        let output = run(folder.path(), &[verb, "base.zip"]);
        ends(
            &output,
            3,
            &["is a zip, as Lunikernels are", "inspect base.zip"],
        );
    }
    let output = run(folder.path(), &["build", "base.zip", "-o", "./base.zip"]);
    ends(&output, 3, &["would be replaced", "with `-o FILE`"]);
    let help = run(folder.path(), &["lock", "--help"]);
    ends(&help, 0, &["with --check also a Lunikernel"]);
}

#[test]
fn a_digest_names_a_lunikernel_for_every_verb() {
    let folder = folder();
    let digest = sample(folder.path()).sha256.hex();
    fs::create_dir(folder.path().join("over")).unwrap();
    fs::write(folder.path().join("over/file"), "x").unwrap();
    ends(&run(folder.path(), &["attest", "keygen", "k"]), 0, &[]);
    let named = &digest[..8];
    for arguments in [
        &["diff", named, "base.zip"][..],
        &["attest", "sign", named, "--key", "k.key", "-o", "envelope"],
    ] {
        ends(&run(folder.path(), arguments), 0, &[]);
        let mut unknown = arguments.to_vec();
        for word in &mut unknown {
            *word = if *word == named { "0123456789" } else { *word };
        }
        let output = run(folder.path(), &unknown);
        ends(&output, 3, &["nothing in the cache begins with"]);
    }
    for arguments in [
        &["overlay", "0123456789", "over"][..],
        &["run", "0123456789"],
        &["inspect", "0123456789"],
    ] {
        let output = run(folder.path(), arguments);
        ends(&output, 3, &["nothing in the cache begins with"]);
    }
}

#[test]
fn what_cannot_be_compared_is_named() {
    let folder = folder();
    sample(folder.path());
    let output = run(folder.path(), &["diff", "hello", "hello"]);
    ends(&output, 3, &["hello is a folder", "hint: "]);
    let output = run(folder.path(), &["diff", "base.zip", "missing"]);
    ends(
        &output,
        3,
        &["there is no file missing", "hint: name two files"],
    );
}

#[test]
fn a_cache_that_cannot_be_has_a_hint() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    for place in ["file", "file/below", "/proc/none"] {
        let output = luni(folder.path())
            .args(["fetch", "hello"])
            .env("LUNI_CACHE", place)
            .output()
            .unwrap();
        ends(&output, 1, &["with `--cache DIR`"]);
    }
}

#[test]
fn small_slips_are_told_in_plain_words() {
    let folder = folder();
    let output = run(folder.path(), &["cache", "gc", "--older-than", "4w"]);
    ends(&output, 2, &["expected a number of days such as `30`"]);
    let output = run(folder.path(), &["verify", "hello", "--vary", "clokc"]);
    ends(&output, 2, &["did you mean `clock`?"]);
    let merged = "version: 1\n<<<<<<< ours\nsources: {}\n=======\n>>>>>>> theirs\n";
    fs::write(folder.path().join("hello/recipe.lock"), merged).unwrap();
    let output = run(folder.path(), &["fetch", "hello"]);
    ends(
        &output,
        3,
        &["line 2 is where two versions of it were merged"],
    );
    let output = run(folder.path(), &["--json", "completions", "bash"]);
    let script: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(script["shell"], "bash");
    let output = run(folder.path(), &["--json", "man", "pages"]);
    let pages: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(pages["pages"][0], "luni.1");
}

#[test]
fn without_a_round_verify_ends_as_every_verb() {
    let folder = folder();
    ends(&run(folder.path(), &["verify", "nowhere"]), 3, &[]);
    ends(&run(folder.path(), &["verify", "hello"]), 4, &["luni lock"]);
}

#[test]
fn a_base_that_vouches_for_packages_and_is_not_pinned_is_told() {
    let folder = folder();
    let warned = |pin: &str, keys: &str| {
        let recipe = format!(
            "apiVersion: lunikernel/v1\nname: demo\nversion: '1'\nflavour: alpine\nsources:\n  \
             base: {{url: {{url: 'file:///nowhere/root.tar.gz'{pin}}}}}\n  demo:\n    apk:\n      \
             base: base\n      repositories: ['file:///nowhere']\n      packages: [some]\n{keys}\
             rootfs:\n  from: [demo]\nkernel:\n  from: demo\n  modules: []\n"
        );
        fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
        ["check", "lock"].map(|verb| {
            let said = transcript(&run(folder.path(), &[verb]));
            said.contains("warning: whatever `base` is when it is first locked says which keys")
        })
    };
    let pin = format!(", sha256: {}", "0".repeat(64));
    assert_eq!(warned("", ""), [true, true]);
    assert_eq!(warned(&pin, ""), [false, false]);
    assert_eq!(warned("", "      keys: [own.rsa.pub]\n"), [false, false]);
}

#[test]
fn a_key_is_wanted_for_locking_alone() {
    let folder = folder();
    let recipe = "apiVersion: lunikernel/v1\nname: demo\nversion: '1'\nflavour: alpine\nsources:\n  \
                  demo:\n    apk:\n      repositories: ['file:///nowhere']\n      keys: [own.rsa.pub]\n      \
                  packages: [some]\nrootfs:\n  from: [demo]\nkernel:\n  from: demo\n  modules: []\n";
    fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
    let output = run(folder.path(), &["check"]);
    ends(&output, 0, &["warning: ", "there is no `own.rsa.pub`"]);
    let output = run(folder.path(), &["lock"]);
    assert!(!output.status.success());
    assert!(
        transcript(&output).contains("own.rsa.pub"),
        "{}",
        transcript(&output)
    );
}

#[test]
fn what_a_terminal_would_act_on_is_spelled_out() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["check", "inspect", "build", "run"] {
        let output = luni(folder.path())
            .args([verb, "\u{1b}]0;mine\u{7}\u{1b}[2Jx"])
            .output()
            .unwrap();
        let said = transcript(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("0;mine"), "{said}");
        assert!(
            !said.contains('\u{1b}') && !said.contains('\u{7}'),
            "{said:?}"
        );
    }
}
