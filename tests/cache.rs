//! `luni cache`, through the binary.

use std::path::Path;
use std::process::{Command, Output};

use fs_err as fs;
use lunikernel_cache::{Cache, Digest, reapi};
use serde_json::Value;

fn luni(cache: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_luni"))
        .arg("--cache")
        .arg(cache)
        .arg("cache")
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Stores a Lunikernel and the result of the action that made it.
fn fill(cache: &Cache) -> Digest {
    let zip = cache.blobs().put(&[b'z'; 3000]).unwrap();
    let result = reapi::ActionResult {
        output_files: vec![reapi::OutputFile {
            path: "hello.luni.zip".to_owned(),
            digest: Some(zip.to_reapi()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let action = Digest::of(b"action");
    cache.actions().put(&action, &result).unwrap();
    zip
}

#[test]
fn ls_says_how_much_there_is_and_what_was_built() {
    let folder = tempfile::tempdir().unwrap();
    let empty = luni(&folder.path().join("none"), &["ls"]);
    assert!(empty.status.success());
    assert!(text(&empty.stdout).contains("together                  0"));
    assert!(
        !folder.path().join("none").exists(),
        "looking creates nothing"
    );

    let zip = fill(&Cache::open(folder.path()).unwrap());
    let people = luni(folder.path(), &["ls"]);
    assert!(text(&people.stdout).contains("hello.luni.zip     2.93 KiB  within a day"));
    let listing = json(&luni(folder.path(), &["ls", "--json"]));
    assert_eq!(listing["kinds"][0]["kind"], "blobs");
    assert_eq!(listing["kinds"][0]["bytes"], 3000);
    assert_eq!(listing["results"][0]["sha256"], zip.sha256.to_string());
}

#[test]
fn verify_names_what_is_damaged_and_repairs_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let zip = fill(&cache);
    let path = cache.blobs().path(&zip.sha256);
    drop(cache);
    let whole = luni(folder.path(), &["verify"]);
    assert_eq!(whole.status.code(), Some(0));
    assert_eq!(
        text(&whole.stdout),
        "checked 2 things, 2.93 KiB: 0 damaged\n"
    );

    fs::remove_file(&path).unwrap();
    fs::write(&path, "not a zip").unwrap();
    let damaged = luni(folder.path(), &["verify"]);
    assert_eq!(damaged.status.code(), Some(1));
    let said = text(&damaged.stdout);
    let actual = Digest::of(b"not a zip");
    let line = format!("expected {}, found {actual}\n", zip.sha256);
    assert!(said.contains(&line), "{said}");
    assert!(
        said.contains("2 damaged; remove what is damaged with"),
        "{said}"
    );

    let report = luni(folder.path(), &["verify", "--repair", "--json"]);
    assert_eq!(report.status.code(), Some(0));
    assert_eq!(json(&report)["damage"].as_array().unwrap().len(), 2);
    assert!(!path.exists());
    let again = luni(folder.path(), &["verify", "--json"]);
    assert_eq!(json(&again)["checked"], 0);
}

#[test]
fn gc_removes_what_it_said_it_would_and_not_what_is_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let zip = fill(&cache);
    let loose = cache.blobs().put(&[0; 5000]).unwrap();
    cache.pin("release", &[zip.sha256]).unwrap();
    let blobs = cache.blobs().clone();

    let busy = luni(folder.path(), &["gc", "--max-size", "1K", "--no-wait"]);
    assert_eq!(busy.status.code(), Some(1));
    let said = text(&busy.stderr);
    assert!(said.contains("another luni is at work in it\n"), "{said}");
    assert!(said.contains("hint: leave out `--no-wait`"), "{said}");

    let dry = luni(
        folder.path(),
        &["gc", "--max-size", "1K", "--dry-run", "--json"],
    );
    assert!(blobs.contains(&loose), "a dry run removes nothing");
    drop(cache);
    let real = luni(folder.path(), &["gc", "--max-size", "1K", "--json"]);
    assert_eq!(json(&dry)["removed"], json(&real)["removed"]);
    assert_eq!(json(&real)["pinned_bytes"], 3000);
    assert!(blobs.contains(&zip) && !blobs.contains(&loose));

    let people = luni(folder.path(), &["gc", "--max-size", "0"]);
    assert!(text(&people.stdout).contains("what is pinned is larger than the limit"));
    assert_eq!(luni(folder.path(), &["verify"]).status.code(), Some(0));
}

#[test]
fn gc_wants_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let without = luni(folder.path(), &["gc"]);
    assert_eq!(without.status.code(), Some(2));
    assert!(text(&without.stderr).contains("--max-size"));
    let odd = luni(folder.path(), &["gc", "--max-size", "lots"]);
    assert_eq!(odd.status.code(), Some(2));
    assert!(text(&odd.stderr).contains("`512M` or `10G`"));
}
