//! `luni check` through the binary: every bad recipe, and what is printed of it.

mod support;

use std::path::PathBuf;

use support::{luni, matches, project, transcript};

fn bad_recipes() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs_err::read_dir(project("tests/errors"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    files
}

/// After a change that was meant: `UPDATE=1 cargo test --test check`.
#[test]
fn bad_recipes_are_explained() {
    let files = bad_recipes();
    assert!(files.len() >= 35, "only {} bad recipes", files.len());
    let mut different = Vec::new();
    for file in files {
        let name = file.file_name().unwrap();
        let output = luni(&project("tests/errors"))
            .arg("check")
            .arg(name)
            .output()
            .unwrap();
        if !matches(&transcript(&output), &file.with_extension("txt")) {
            different.push(name.to_owned());
        }
    }
    assert!(
        different.is_empty(),
        "{different:?} print something else; if that is meant: UPDATE=1 cargo test --test check"
    );
}

#[test]
fn every_bad_recipe_but_a_warning_ends_with_its_exit_code() {
    for file in bad_recipes() {
        let output = luni(&project("tests/errors"))
            .arg("check")
            .arg(&file)
            .output()
            .unwrap();
        let warning = file.ends_with("unused-source.yaml");
        assert_eq!(
            output.status.code(),
            Some(if warning { 0 } else { 3 }),
            "{}",
            file.display()
        );
    }
    let strict = luni(&project("tests/errors"))
        .args(["check", "--strict", "unused-source.yaml"])
        .output()
        .unwrap();
    assert_eq!(strict.status.code(), Some(3));
}

#[test]
fn json_has_the_place_of_each_complaint() {
    let output = luni(&project("tests/errors"))
        .args(["check", "--json", "unknown-key.yaml", "unused-source.yaml"])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["recipes"], 2);
    let first = &report["complaints"][0];
    assert_eq!(first["severity"], "error");
    assert_eq!(first["file"], "unknown-key.yaml");
    assert_eq!(
        (first["line"].as_u64(), first["column"].as_u64()),
        (Some(9), Some(7))
    );
    assert_eq!(first["hint"], "did you mean `packages`?");
    assert!(output.stderr.is_empty());
}

#[test]
fn what_is_no_recipe_at_all_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let missing = luni(folder.path()).arg("check").output().unwrap();
    assert_eq!(missing.status.code(), Some(3));
    let text = String::from_utf8(missing.stderr).unwrap();
    assert!(
        text.contains("recipe.yaml") && text.contains("hint: "),
        "{text}"
    );

    fs_err::write(folder.path().join("recipe.yaml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    let large = luni(folder.path()).arg("check").output().unwrap();
    assert_eq!(large.status.code(), Some(3));
    let text = String::from_utf8(large.stderr).unwrap();
    assert!(
        text.contains("too large") && text.lines().all(|line| line.len() < 200),
        "{text}"
    );

    let json = luni(folder.path())
        .args(["check", "--json", "nowhere"])
        .output()
        .unwrap();
    let error: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(error["error"]["exit_code"], 3);
}

#[test]
fn recipes_of_the_project_are_right() {
    for file in support::recipes() {
        let output = luni(&project(""))
            .args(["check", "--strict"])
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    }
}
