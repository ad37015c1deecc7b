//! Lunikernels that are compared with others, built or not.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::artefact::{Artefact, EntrySource, seal};
use lunikernel_cache::{Cache, Silent};
use serde_json::Value;

use super::support::small::Small;
use super::support::transcript;
use super::{one_step, stdout};

/// Builds the recipe that writes `word`, in a cache of its own; where the zip is.
fn built(name: &str, word: &str) -> Option<(Small, PathBuf)> {
    let small = Small::new(name, &one_step(&format!("echo {word} > out")))?;
    let built = small.run("build", &[]);
    assert!(built.status.success(), "{}", transcript(&built));
    let zip = small.path("small.luni.zip");
    Some((small, zip))
}

#[test]
fn two_lunikernels_are_compared_without_building_one() {
    let name = "verify::compared::two_lunikernels_are_compared_without_building_one";
    let Some((one, left)) = built(name, "one") else {
        return;
    };
    let Some((_two, right)) = built(name, "two") else {
        return;
    };
    let url = format!("file://{}", right.display()).replace(' ', "%20");
    for against in [right.to_str().unwrap(), &url] {
        let output = one
            .luni("verify")
            .arg(&left)
            .args(["--rounds", "0", "--json", "--against", against])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["verdict"], "DIFFERS");
        assert_eq!(report["rounds"], serde_json::json!([]));
        assert_eq!(report["difference"]["entry"], "recipe.yaml", "{report:#}");
        assert_ne!(report["given"], report["expected"]);
    }
    let same = one
        .luni("verify")
        .arg(&left)
        .args(["--rounds", "0", "--against", left.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(same.status.code(), Some(0), "{}", transcript(&same));

    // What differs already is not built again; the recipe is, and gives the one and not
    // the other.
    let against = ["--against", right.to_str().unwrap(), "--json"];
    let given = one.luni("verify").arg(&left).args(against).output();
    let given = given.unwrap();
    assert_eq!(given.status.code(), Some(10), "{}", transcript(&given));
    let report: Value = serde_json::from_slice(&given.stdout).unwrap();
    assert_eq!(report["rounds"], serde_json::json!([]));
    let rebuilt = one.run("verify", &against);
    assert_eq!(rebuilt.status.code(), Some(10), "{}", transcript(&rebuilt));
    let report: Value = serde_json::from_slice(&rebuilt.stdout).unwrap();
    assert_eq!(report["rounds"].as_array().unwrap().len(), 2);
    let hint = report["causes"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("another recipe or lock"), "{hint}");

    let recipe = one.run(
        "verify",
        &["--rounds", "0", "--against", left.to_str().unwrap()],
    );
    assert_eq!(recipe.status.code(), Some(2), "{}", transcript(&recipe));
}

/// The Lunikernel `from` sealed again with one bit of its initramfs the other way round.
pub(super) fn tampered(small: &Small, from: &Path) -> PathBuf {
    let cache = Cache::open(&small.path("elsewhere")).unwrap();
    let artefact = Artefact::open(from).unwrap();
    let mut sources = Vec::new();
    for (name, entry) in &artefact.manifest().entries {
        let mut bytes = Vec::new();
        let mut reader = artefact.entry(name).unwrap();
        reader.read_to_end(&mut bytes).unwrap();
        if name == "initramfs.gz" {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let digest = cache.blobs().put(&bytes).unwrap();
        let source = EntrySource::of_blob(cache.blobs(), name.as_str(), digest).unwrap();
        sources.push(EntrySource {
            executable: entry.executable,
            ..source
        });
    }
    let manifest = artefact.manifest().clone();
    let silent = &Silent;
    let sealed = seal(cache.blobs(), manifest, &sources, silent).unwrap();
    let path = small.path("tampered.zip");
    fs::copy(cache.blobs().path(&sealed.digest.sha256), &path).unwrap();
    path
}

#[test]
fn a_lunikernel_that_was_changed_is_not_good_whatever_the_rounds_make() {
    let name =
        "verify::compared::a_lunikernel_that_was_changed_is_not_good_whatever_the_rounds_make";
    let Some((small, zip)) = built(name, "same") else {
        return;
    };
    let changed = tampered(&small, &zip);
    for (subject, against, code, first) in [
        (&changed, &zip, 10, "DIFFERS, compared only\n"),
        (&zip, &changed, 10, "DIFFERS, compared only\n"),
        (&zip, &zip, 0, "GOOD in 2 rounds over 1 variation\n"),
    ] {
        let mut command = small.luni("verify");
        command.arg(subject).arg("--against").arg(against);
        let output = command.args(["--vary", "umask"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", transcript(&output));
        assert!(stdout(&output).starts_with(first), "{}", stdout(&output));
    }
}
