//! `luni verify-reproducibility --export`: the rounds' exports are compared too.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use fs_err as fs;
use lunikernel_exporters::export::Format;
use serde_json::Value;

use super::ordinary::{self, Theirs, without_sandbox};
use super::support::exported::{Site, printed};
use super::support::small::Small;
use super::support::{hello, project};
use super::{ALL, BUNDLES};

const STEP: &str =
    "  - name: only\n    root: [base, shell]\n    run: echo same > out\n    outputs: [out]\n";
/// What every native sandbox varies, that of an ordinary user too.
const EVERYWHERE: &str = "addresses arrival cache domain-name entry-order environment home \
                          host-name host-path inodes kernel-release path-order process-ids \
                          terminal time-zone umask user-name";

/// The report of a verification that found all to be the same.
fn report(output: &Output) -> Value {
    let said = printed(output);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["verdict"], "GOOD", "{said}");
    let [one, two] = [0, 1].map(|round| &report["rounds"][round]["exports"]);
    assert_eq!(one, two);
    report
}

/// The variations in that state.
fn in_state<'r>(report: &'r Value, state: &str) -> BTreeSet<&'r str> {
    let variations = report["variations"].as_array().unwrap().iter();
    let those = variations.filter(|it| it["state"] == state);
    those.map(|it| it["name"].as_str().unwrap()).collect()
}

/// Whether the files that the rounds made are those of an export into `folder`.
fn are_those_of(report: &Value, folder: &Path, name: &str, files: usize) {
    let manifest = fs::read(folder.join(format!("{name}.export.json"))).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let exports = report["rounds"][0]["exports"].as_object().unwrap();
    assert_eq!(exports.len(), files, "{report:#}");
    assert_eq!(manifest["files"].as_object().unwrap().len(), files);
    for (file, digest) in exports {
        let exported = &manifest["files"][file];
        let sha256 = exported.get("sha256").unwrap_or(&exported["block_digest"]);
        assert_eq!(digest["sha256"], *sha256, "{file}");
    }
}

/// Whether all was varied that can be everywhere, and the rest is named with the reason.
fn were_set_apart(report: &Value) {
    let variations = report["variations"].as_array().unwrap();
    assert_eq!(variations.len(), 22, "{report:#}");
    let varied = in_state(report, "varied");
    for name in EVERYWHERE.split(' ') {
        assert!(varied.contains(name), "{name}: {report:#}");
    }
    for one in variations {
        let named = one["state"] == "unable" && one["why"].is_string();
        assert!(named || one["state"] == "varied", "{one:#}");
    }
}

/// Everything that takes any kernel, in surroundings that have nothing in common.
#[test]
fn rounds_are_exported_and_compared() {
    let name = "export::verified::rounds_are_exported_and_compared";
    let pieces = hello::mirror_of(name, "boot-pieces", &project("exporters/pieces"));
    let (Some(pieces), Some(small)) = (pieces, Small::new(name, STEP)) else {
        return;
    };
    let luni = |arguments: &[&str]| {
        let mut command = hello::luni(&small.path("cache"));
        command.current_dir(small.path("")).arg("--offline");
        for mirror in small.mirrors().iter().chain([&pieces]) {
            command.args(["--mirror", mirror]);
        }
        command.args(arguments).output().unwrap()
    };
    let formats = format!("{ALL},pxe");
    let verified = luni(&["verify", "recipe", "--export", &formats, "--json"]);
    let report = report(&verified);
    were_set_apart(&report);
    printed(&luni(&["build", "recipe", "-o", "small.luni.zip"]));
    let export = ["export", "small.luni.zip", "--force", "--to", &formats];
    printed(&luni(&export));
    are_those_of(&report, &small.path(""), "small", 16);
}

/// The same, where nobody is root.
#[test]
fn an_ordinary_user_verifies_the_same() {
    let name = "export::verified::an_ordinary_user_verifies_the_same";
    let pieces = hello::mirror_of(name, "boot-pieces", &project("exporters/pieces"));
    let (Some(_), Some(small)) = (pieces, Small::new(name, STEP)) else {
        return;
    };
    let own = small.path("mirror");
    let theirs = Theirs::with(&[
        ("pieces", &ordinary::mirror("boot-pieces")),
        ("debian", &ordinary::mirror("hello")),
        ("small", &own),
    ]);
    fs::create_dir(theirs.path("theirs/recipe")).unwrap();
    for file in ["recipe.yaml", "recipe.lock"] {
        let to = theirs.path("theirs/recipe").join(file);
        fs::copy(small.path("recipe").join(file), to).unwrap();
    }
    let mirrors = ["pieces", "debian", "small"];
    let formats = format!("{ALL},pxe");
    let verify = ["verify", "recipe", "--export", &formats, "--json"];
    let verified = theirs.run(&mirrors, &verify);
    if let Some(why) = without_sandbox(&verified) {
        return lunikernel_testing::left_out(name, &why);
    }
    let report = report(&verified);
    were_set_apart(&report);
    // What they make by themselves is that, too.
    let build = ["build", "recipe", "-o", "small.luni.zip"];
    printed(&theirs.run(&mirrors, &build));
    let export = ["export", "small.luni.zip", "--force", "--to", &formats];
    printed(&theirs.run(&mirrors, &export));
    are_those_of(&report, &theirs.path("theirs"), "small", 16);
}

/// What unpacks a kernel needs one.
#[test]
fn bundles_of_a_linux_are_compared() {
    let name = "export::verified::bundles_of_a_linux_are_compared";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let recipe = hello::recipe();
    let verified = site
        .luni(&folder.path().join("cache"))
        .arg("verify")
        .arg(recipe)
        .args(["--export", BUNDLES, "--json"])
        .output()
        .unwrap();
    let report = report(&verified);
    were_set_apart(&report);
    site.made(folder.path(), BUNDLES, &["--force"]);
    are_those_of(&report, folder.path(), "hello", 4);
}

/// What the tests and scripts/nightly name is all that there is for a Linux.
#[test]
fn no_format_is_left_out() {
    let every = Format::ALL.into_iter().filter(|it| *it != Format::Bundle);
    let every: Vec<_> = every.map(Format::name).collect();
    let mut named: Vec<_> = ALL.split(',').chain(BUNDLES.split(',')).collect();
    named.sort_unstable();
    assert_eq!(named, every);
    let nightly = fs::read_to_string(project("scripts/nightly")).unwrap();
    let formats = format!("\nformats={}\n", every.join(","));
    assert!(nightly.contains(&formats), "{formats}");
}
