//! `docs/dependencies.md` says why each library is used that is used.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Names under which the workspace's crates use others, those of the workspace apart.
fn direct_dependencies() -> BTreeSet<String> {
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&asked.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
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
