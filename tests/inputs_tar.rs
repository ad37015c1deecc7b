//! `luni fetch --archive`: a recipe whose every upstream is gone.

#[path = "inputs_tar/sources.rs"]
mod sources;
mod support;

use std::process::{Command, Output};

use fs_err as fs;
use lunikernel_cache::Sha256;
use support::hello::{built_digest, golden, luni, mirror, recipe};
use support::{project, transcript};

/// What keeps a build from everything but the archive: no mirrors, proxies that nobody
/// listens at, package sources of which there are none.
fn alone(command: &mut Command, folder: &tempfile::TempDir) {
    fs::create_dir_all(folder.path().join("nothing/etc/apt")).unwrap();
    command
        .current_dir(folder.path())
        .env("LUNI_APT_ROOT", folder.path().join("nothing"))
        .env_remove("LUNI_SNAPSHOT_URL");
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        command.env(name, "http://127.0.0.1:1");
    }
    for name in ["no_proxy", "NO_PROXY"] {
        command.env_remove(name);
    }
}

/// The same command with a clock that is years ahead; `None` where nothing here gives
/// programs another clock. What runs in a sandbox is not reached by that.
fn ahead(command: &Command) -> Option<Command> {
    let faketime = ["/usr/bin/faketime", "/usr/local/bin/faketime"];
    let faketime = faketime.iter().find(|path| fs::metadata(path).is_ok())?;
    let mut later = Command::new(faketime);
    later.args(["-f", "+9000d"]).arg(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => later.env(name, value),
            None => later.env_remove(name),
        };
    }
    Some(later)
}

fn archive(mirror: &str, folder: &tempfile::TempDir, name: &str) -> Output {
    let mut command = luni(&folder.path().join("cache"));
    command
        .current_dir(folder.path())
        .args(["--offline", "--mirror", mirror, "fetch"])
        .arg(recipe())
        .args(["--archive", name]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", transcript(&output));
    output
}

#[test]
fn hello_is_built_years_later_from_its_archive_alone() {
    let name = "inputs_tar::hello_is_built_years_later_from_its_archive_alone";
    let Some(mirror) = mirror(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let first = archive(&mirror, &folder, "one.tar");
    let bytes = fs::read(folder.path().join("one.tar")).unwrap();
    assert_eq!(
        built_digest(&first),
        Sha256::of(&bytes).hex(),
        "what was written is not what was announced"
    );
    archive(&mirror, &folder, "two.tar");
    let again = fs::read(folder.path().join("two.tar")).unwrap();
    assert!(bytes == again, "two archives of one recipe differ");

    // Only the archive is left, and the program believes that it is years later. That its
    // steps may believe so too is a test of its own, in `sources`.
    fs::remove_dir_all(folder.path().join("cache")).unwrap();
    let fresh = luni(&folder.path().join("fresh"));
    let mut build = ahead(&fresh).unwrap_or_else(|| {
        lunikernel_testing::left_out(name, "faketime is not installed: built at today's date");
        fresh
    });
    alone(&mut build, &folder);
    let built = build.args(["build", "one.tar"]).output().unwrap();
    assert_eq!(built_digest(&built), golden(), "{}", transcript(&built));
}

#[test]
fn an_archive_is_a_mirror_and_a_changed_one_is_refused() {
    let name = "inputs_tar::an_archive_is_a_mirror_and_a_changed_one_is_refused";
    let Some(mirror) = mirror(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    archive(&mirror, &folder, "inputs.tar");
    let path = folder.path().join("inputs.tar");
    let fetch = |cache: &str, what: &[&str]| {
        let mut command = luni(&folder.path().join(cache));
        alone(&mut command, &folder);
        command.args(what).output().unwrap()
    };
    let recipe = recipe();
    let recipe = recipe.to_str().unwrap();
    let url = format!("file://{}", path.display());
    for (cache, args) in [
        (
            "mirrored",
            &["--offline", "--mirror", &url, "fetch", recipe][..],
        ),
        ("pulled", &["cache", "pull", "inputs.tar", recipe]),
        ("opened", &["--offline", "fetch", "inputs.tar"]),
    ] {
        let output = fetch(cache, args);
        assert!(output.status.success(), "{}", transcript(&output));
    }
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.path().join("bad.tar"), &bytes).unwrap();
    let output = fetch("bad", &["--offline", "build", "bad.tar"]);
    assert_eq!(output.status.code(), Some(3), "{}", transcript(&output));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("has other bytes than its name says"),
        "{told}"
    );
    let url = format!("file://{}/bad.tar", folder.path().display());
    let output = fetch("worse", &["--offline", "--mirror", &url, "fetch", recipe]);
    assert_eq!(output.status.code(), Some(5), "{}", transcript(&output));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("it has other bytes"), "{told}");
}

/// Every archive in the folder of bad ones is refused, by its format, with a hint.
#[test]
fn bad_archives_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bad: Vec<_> = fs::read_dir(project("fuzz/seeds/inputs_tar"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("bad-")
        })
        .collect();
    bad.sort();
    assert!(bad.len() >= 8);
    for path in bad {
        let mut command = luni(&folder.path().join("cache"));
        let output = command.arg("fetch").arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", transcript(&output));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("hint: "), "{told}");
    }
}
