//! `luni verify-reproducibility --export`: the rounds' exports are compared too.

use fs_err as fs;
use serde_json::Value;

use super::support::exported::printed;
use super::support::small::Small;
use super::support::{hello, project};

const STEP: &str =
    "  - name: only\n    root: [base, shell]\n    run: echo same > out\n    outputs: [out]\n";

#[test]
fn rounds_are_exported_and_compared() {
    let name = "export::verified::rounds_are_exported_and_compared";
    let pieces = hello::mirror_of(name, "boot-pieces", &project("exporters/pieces"));
    let (Some(pieces), Some(small)) = (pieces, Small::new(name, STEP)) else {
        return;
    };
    let luni = |verb: &str, arguments: &[&str]| {
        let mut command = hello::luni(&small.path("cache"));
        command.current_dir(small.path("")).arg("--offline");
        for mirror in small.mirrors().iter().chain([&pieces]) {
            command.args(["--mirror", mirror]);
        }
        printed(&command.arg(verb).args(arguments).output().unwrap())
    };
    let said = luni(
        "verify-reproducibility",
        &["recipe", "--export", "azure,ec2,iso,kvm,pxe,uki", "--json"],
    );
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["verdict"], "GOOD", "{said}");
    let [one, two] = [0, 1].map(|round| &report["rounds"][round]["exports"]);
    assert_eq!(one, two);
    assert_eq!(one.as_object().unwrap().len(), 10, "{said}");

    luni("build", &["recipe", "-o", "small.luni.zip"]);
    luni(
        "export",
        &["small.luni.zip", "--to", "azure,ec2,iso,kvm,pxe,uki"],
    );
    let manifest = fs::read(small.path("small.export.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    for (file, digest) in one.as_object().unwrap() {
        let exported = &manifest["files"][file];
        let sha256 = exported.get("sha256").unwrap_or(&exported["block_digest"]);
        assert_eq!(digest["sha256"], *sha256, "{file}");
    }
}
