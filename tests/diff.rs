//! `luni diff`: the same, what differs, and exit codes.

mod support;

use std::path::Path;
use std::process::Output;

use fs_err as fs;
use serde_json::Value;
use support::{luni, project, transcript};

fn diff(folder: &Path, left: &Path, right: &Path, more: &[&str]) -> Output {
    let mut command = luni(folder);
    command.arg("diff").args([left, right]).args(more);
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_lunikernel_and_itself_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let good = project("tests/format/good.zip");
    let copy = folder.path().join("copy.zip");
    fs::copy(&good, &copy).unwrap();
    let output = diff(folder.path(), &good, &copy, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    assert_eq!(stdout(&output), "the same\n");
    let output = diff(folder.path(), &good, &copy, &["--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["same"], true);
    assert_eq!(answer["difference"], Value::Null);
}

#[test]
fn one_that_is_damaged_is_not_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let good = project("tests/format/good.zip");
    // Headers and manifest are as in the good one.
    for bad in ["content-and-crc", "content"] {
        let bad = project(&format!("tests/format/bad/{bad}.zip"));
        let output = diff(folder.path(), &good, &bad, &[]);
        assert_ne!(output.status.code(), Some(0), "{}", transcript(&output));
        assert!(!output.stdout.starts_with(b"the same"));
    }
}

#[test]
fn files_of_any_kind_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.txt"), "one\ntwo\nthree\n").unwrap();
    fs::write(path("b.txt"), "one\n2\nthree\n").unwrap();
    let output = diff(folder.path(), &path("a.txt"), &path("b.txt"), &[]);
    assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
    assert_eq!(
        stdout(&output),
        "a.txt: line 2 differs\n  left:  two\n  right: 2\n"
    );
    let output = diff(folder.path(), &path("a.txt"), &path("b.txt"), &["--json"]);
    assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["same"], false);
    let found = &answer["difference"]["found"];
    assert_eq!(found["kind"], "line", "{answer:#}");
    assert_eq!(found["number"], 2);
    assert_eq!(found["bytes"]["offset"], 4);
    assert_eq!(answer["difference"]["path"], Value::Array(Vec::new()));

    let output = diff(folder.path(), &path("a.txt"), &path("none"), &[]);
    assert_eq!(output.status.code(), Some(3), "{}", transcript(&output));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("none"));
}

/// Larger than what is copied, with nothing but holes in it: neither memory nor disk
/// could take two of them.
#[test]
fn disk_images_are_read_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let size = (1 << 30) + (1 << 20);
    let mut paths = Vec::new();
    for (name, byte) in [("one.img", b"1"), ("two.img", b"2")] {
        let path = folder.path().join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_len(size).unwrap();
        let file = file.into_parts().0;
        std::os::unix::fs::FileExt::write_all_at(&file, byte, size - 1000).unwrap();
        paths.push(path);
    }
    let output = diff(folder.path(), &paths[0], &paths[1], &[]);
    assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
    let expected = format!("first different byte at {}", size - 1000);
    assert!(stdout(&output).contains(&expected), "{}", stdout(&output));
}
