//! What people type by mistake, and what they are told.

mod support;

use std::path::Path;
use std::process::Output;

use fs_err as fs;
use support::{luni, transcript};

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

#[track_caller]
fn ends(output: &Output, code: i32, said: &[&str]) {
    let text = transcript(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in said {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
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
