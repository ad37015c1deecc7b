//! Release files of other times.

use fs_err as fs;

use super::super::DebOptions;
use super::super::error::DebError;
use super::super::test_archive::{TestSuite, package};
use super::super::tests::{OPTIONS, machine, resolve_test, source, three_suites};

#[test]
fn a_release_that_goes_back_in_time_needs_consent() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    three_suites(root);
    let apt = machine(root, "calm calm-updates calm-security");
    let locked = resolve_test(&source(&["app"]), &apt, OPTIONS).unwrap();
    let again = DebOptions {
        before: &locked.releases,
        ..OPTIONS
    };
    assert_eq!(
        resolve_test(&source(&["app"]), &apt, again).unwrap(),
        locked
    );
    // A release of an hour before, as well signed as the other.
    let mut older = TestSuite::new("calm-security", package("lib", "1.0-1", ""));
    older.date = "Sat, 11 Jul 2026 09:16:37 UTC";
    older.write(&root.join("debian"));
    let error = resolve_test(&source(&["app"]), &apt, again).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("calm-security") && said.contains("is of 2026-07-11 09:16:37 UTC"),
        "{said}"
    );
    assert!(said.contains("by one of 2026-07-11 10:16:37 UTC"), "{said}");
    assert!(error.hint().unwrap().contains("--allow-downgrade"));
    resolve_test(&source(&["app"]), &apt, OPTIONS).unwrap();
    // One that is hidden altogether.
    fs::remove_dir_all(root.join("debian/dists/calm-security")).unwrap();
    let error = resolve_test(&source(&["app"]), &apt, again).unwrap_err();
    assert!(
        matches!(&error, DebError::Gone { suite, .. } if suite == "calm-security"),
        "{error}"
    );
    resolve_test(&source(&["app"]), &apt, OPTIONS).unwrap();
}
