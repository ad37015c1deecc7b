//! A recipe with a source of every kind that can be served here, built and verified years
//! later.

use std::path::Path;
use std::process::Command;

use fs_err as fs;
use git2::{Oid, Repository};
use lunikernel_testing::apk::{self, Apk};
use md5::{Digest as _, Md5};
use serde_json::Value;

use super::alone;
use super::support::hello::{self, built_digest, luni};
use super::support::images::Image;
use super::support::small::Small;
use super::support::transcript;

/// What a step makes, which may depend on no clock.
const STEP: &str = "  - name: joined\n    root: [image]\n    inputs: {code: code, page: page}\n    \
                    run: busybox cat code/own code/part/inner page /etc/word > out\n    outputs: [out]\n";

/// A repository with one file, and with a commit of another where `part` names one.
fn repository(path: &Path, file: &str, part: Option<Oid>) -> Oid {
    let repository = Repository::init_bare(path).unwrap();
    repository.set_head("refs/heads/main").unwrap();
    let mut tree = repository.treebuilder(None).unwrap();
    let content = format!("{file} of a repository\n");
    let blob = repository.blob(content.as_bytes()).unwrap();
    tree.insert(file, blob, 0o100_644).unwrap();
    if let Some(part) = part {
        let modules = b"[submodule \"part\"]\n\tpath = part\n\turl = ../part.git\n";
        let modules = repository.blob(modules).unwrap();
        tree.insert(".gitmodules", modules, 0o100_644).unwrap();
        tree.insert("part", part, 0o160_000).unwrap();
    }
    let tree = repository.find_tree(tree.write().unwrap()).unwrap();
    let when = git2::Time::new(1_717_200_000, 0);
    let author = git2::Signature::new("Test", "test@example.org", &when).unwrap();
    let commit = repository.commit(Some("HEAD"), &author, &author, "Add it", &tree, &[]);
    commit.unwrap()
}

/// A mirror of TinyCore's extensions in `folder`: `app.tcz`, which wants `lib.tcz`. False
/// where there is no program to make them with.
fn extensions(folder: &Path) -> bool {
    for (name, depends) in [("lib", ""), ("app", "lib.tcz\n")] {
        let content = folder.join(name).join("usr/local/share");
        fs::create_dir_all(&content).unwrap();
        fs::write(content.join(name), format!("{name} of an extension\n")).unwrap();
        let made = Command::new("mksquashfs")
            .args([name, &format!("{name}.tcz")])
            .args(["-all-root", "-no-progress", "-quiet", "-mkfs-time", "0"])
            .current_dir(folder)
            .output();
        let Ok(made) = made else { return false };
        assert!(made.status.success(), "{}", transcript(&made));
        let bytes = fs::read(folder.join(format!("{name}.tcz"))).unwrap();
        let sum = Md5::digest(bytes);
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        let put = |ending: &str, text: &str| {
            fs::write(folder.join(format!("{name}.tcz{ending}")), text).unwrap();
        };
        put(".md5.txt", &format!("{sum}  {name}.tcz\n"));
        if !depends.is_empty() {
            put(".dep", depends);
        }
    }
    true
}

/// The recipe with all that it is made of, locked; `None` where the test is left out.
fn locked(name: &str) -> Option<Small> {
    let small = Small::new(name, STEP)?;
    let shell = hello::busybox(name)?;
    let upstream = small.path("upstream");
    fs::create_dir(&upstream).unwrap();
    if !extensions(&upstream) {
        lunikernel_testing::left_out(name, "there is no program `mksquashfs`");
        return None;
    }
    let part = repository(&upstream.join("part.git"), "inner", None);
    repository(&upstream.join("code.git"), "own", Some(part));
    let greeting = Apk::new("greeting", "1.0-r0")
        .depends("words")
        .file("srv/", 0o755, "")
        .file("srv/greeting", 0o644, "a greeting of a package\n");
    let words =
        Apk::new("words", "2.0-r1")
            .file("srv/", 0o755, "")
            .file("srv/words", 0o644, "words\n");
    apk::repository(&upstream, &[greeting, words]);
    let key = upstream.join(apk::SIGNER);
    fs::copy(key, small.path("recipe").join(apk::SIGNER)).unwrap();
    fs::write(upstream.join("page"), "a page of an upstream\n").unwrap();
    fs::write(small.path("recipe/note"), "a note beside the recipe\n").unwrap();
    let image = Image::new(&shell, "a word of an image\n", "amd64");
    image.lay(&small.path("recipe/image"));

    let url = format!("file://{}", upstream.display()).replace(' ', "%20");
    let sources = format!(
        "  page: {{url: {{url: '{url}/page'}}}}
  note: {{file: note}}
  code: {{git: {{url: '{url}/code.git', rev: main}}}}
  image: {{oci: {{layout: image}}}}
  extensions: {{tcz: {{mirror: '{url}/', extensions: [app.tcz]}}}}
  packages: {{apk: {{repositories: ['{url}'], keys: [{key}], packages: [greeting]}}}}
steps:
",
        key = apk::SIGNER,
    );
    let path = small.path("recipe/recipe.yaml");
    let yaml = fs::read_to_string(&path).unwrap();
    let yaml = yaml.replace("steps:\n", &sources).replace(
        "  from: [base]\n  files:\n",
        "  from: [base, packages, extensions]\n  files:\n    /srv/note: {from: note}\n",
    );
    fs::write(path, yaml).unwrap();
    let output = small.run("lock", &[]);
    assert!(output.status.success(), "{}", transcript(&output));
    Some(small)
}

#[test]
fn every_kind_of_source_is_built_and_verified_years_later_from_the_archive_alone() {
    let name =
        "inputs_tar::every_kind_of_source_is_built_and_verified_years_later_from_the_archive_alone";
    let Some(small) = locked(name) else {
        return;
    };
    let built = small.run("build", &["-o", "first.luni.zip"]);
    let first = built_digest(&built);
    let archived = small.run("fetch", &["--archive", "inputs.tar"]);
    assert!(archived.status.success(), "{}", transcript(&archived));

    // Only the archive is left: neither upstreams and mirrors nor the recipe and its cache.
    let left = tempfile::tempdir().unwrap();
    fs::rename(small.path("inputs.tar"), left.path().join("inputs.tar")).unwrap();
    drop(small);
    let later = |ahead: bool, arguments: &[&str]| {
        let mut command = luni(&left.path().join("cache"));
        if ahead {
            command = super::ahead(&command)?;
        }
        alone(&mut command, &left);
        Some(command.args(arguments).output().unwrap())
    };
    match later(true, &["build", "inputs.tar"]) {
        Some(built) => assert_eq!(built_digest(&built), first, "{}", transcript(&built)),
        None => lunikernel_testing::left_out(name, "faketime is not installed"),
    }
    // Its second round has the clock of its steps five years ahead, which no library that is
    // loaded into the program can do.
    fs::remove_dir_all(left.path().join("cache")).ok();
    let verify = ["verify", "inputs.tar", "--vary", "clock", "--json"];
    let verified = later(false, &verify).unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", transcript(&verified));
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    let variations = report["variations"].as_array().unwrap();
    let clock = variations.iter().find(|it| it["name"] == "clock").unwrap();
    match clock["state"].as_str() {
        Some("unable") => {
            lunikernel_testing::left_out(name, &format!("the clock: {}", clock["why"]));
        }
        _ => assert_eq!(clock["values"][0], "now", "{report:#}"),
    }
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        assert_eq!(
            round["artefact"]["sha256"],
            format!("sha256:{first}"),
            "{report:#}"
        );
    }
}
