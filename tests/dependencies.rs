//! `docs/dependencies.md` says why each library is used that is used.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// The workspace's crates, as cargo describes them.
fn packages() -> Vec<Value> {
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&asked.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Names under which the workspace's crates use others, those of the workspace apart.
fn direct_dependencies() -> BTreeSet<String> {
    packages()
        .iter()
        .flat_map(|package| package["dependencies"].as_array().unwrap())
        .filter(|dependency| !dependency["source"].is_null())
        .map(|dependency| {
            let renamed = dependency["rename"].as_str();
            renamed
                .unwrap_or(dependency["name"].as_str().unwrap())
                .to_owned()
        })
        .collect()
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let page = include_str!("../docs/dependencies.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let explained: BTreeSet<String> = rows
        .filter_map(|row| row.split_once("` | "))
        .filter(|(_, reason)| reason.trim_end_matches('|').trim().len() > 3)
        .map(|(name, _)| name.to_owned())
        .collect();
    let used = direct_dependencies();
    assert!(used.contains("serde"), "cargo lists dependencies: {used:?}");
    assert_eq!(
        used.difference(&explained).collect::<Vec<_>>(),
        [] as [&String; 0],
        "docs/dependencies.md lacks a line for these"
    );
    assert_eq!(
        explained.difference(&used).collect::<Vec<_>>(),
        [] as [&String; 0],
        "docs/dependencies.md explains these, which nothing uses"
    );
}

/// The packages of a `Cargo.lock`, each with its version.
fn locked(text: &str) -> BTreeSet<(&str, &str)> {
    text.split("[[package]]\n")
        .skip(1)
        .filter_map(|entry| {
            let mut values = entry.split('"').skip(1).step_by(2);
            Some((values.next()?, values.next()?))
        })
        .collect()
}

/// cargo-fuzz is run by hand, where a lock that has fallen behind would build with other
/// libraries than everything else.
#[test]
fn the_fuzzers_lock_follows_the_workspaces() {
    let text = include_str!("../fuzz/libfuzzer/Cargo.lock");
    let hint = "copy Cargo.lock to fuzz/libfuzzer and run `cargo metadata` there";
    let own = locked(text);
    let all = locked(include_str!("../Cargo.lock"));
    let more: Vec<&str> = own.difference(&all).map(|(name, _)| *name).collect();
    let expected = ["arbitrary", "libfuzzer-sys", "lunikernel-libfuzzer"];
    assert_eq!(more, expected, "{hint}");
    // What a crate of ours has begun to use would be missing there.
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let Some((_, entry)) = text.split_once(&format!("name = \"{name}\"\n")) else {
            continue;
        };
        let entry = entry.split("\n\n").next().unwrap();
        for used in package["dependencies"].as_array().unwrap() {
            let is_for_tests = used["kind"] == "dev";
            let used = used["name"].as_str().unwrap();
            let there =
                entry.contains(&format!(" \"{used}\"")) || entry.contains(&format!(" \"{used} "));
            assert!(there || is_for_tests, "{name} uses {used}: {hint}");
        }
    }
}
