//! Alpine through the binary: real packages over a real base. A repository of our own is in
//! the folder beside this file.

#[path = "alpine/own.rs"]
mod own;
#[path = "alpine/real.rs"]
mod real;
#[path = "alpine/scripts.rs"]
mod scripts;
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use lunikernel_testing::{artefacts, left_out};
use support::exported::Site;
use support::overlaid::laid;
use support::server::{Server, respond};
use support::{hello, project, transcript, varied};

/// The upstream that the recipe names.
const UPSTREAM: &str = "http://dl-cdn.alpinelinux.org/alpine/v3.7/main/x86_64/";

/// What it has, by name and origin.
fn listed(mirror: &Path) -> BTreeMap<(String, String), String> {
    let list = fs::read_to_string(mirror.join("INDEX.tsv")).unwrap();
    list.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [hex, _, name, from] = fields[..] else {
                return None;
            };
            Some(((name.to_owned(), from.to_owned()), hex.to_owned()))
        })
        .collect()
}

/// A proxy that answers for the upstream with what the mirror has of it.
fn upstream(mirror: &Path) -> Server {
    let (listed, mirror) = (listed(mirror), mirror.to_owned());
    Server::start(move |url, stream| {
        let name = url.strip_prefix(UPSTREAM).unwrap_or_default();
        let name = match name {
            "APKINDEX.tar.gz" => "v3.7-main-APKINDEX.tar.gz",
            name => name,
        };
        let from = "alpine v3.7 main x86_64".to_owned();
        match listed.get(&(name.to_owned(), from)) {
            Some(hex) => {
                let bytes = fs::read(mirror.join("sha256").join(hex))?;
                respond(stream, "200 OK", &bytes)
            }
            None => respond(stream, "404 Not Found", b"no such package\n"),
        }
    })
}

fn has_qemu(name: &str) -> bool {
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output();
    if qemu.is_err() {
        left_out(name, "qemu-system-x86_64 is not installed");
    }
    qemu.is_ok()
}

/// A copy of the recipe `tests/alpine/bash`.
fn bash(folder: &Path) -> PathBuf {
    let to = folder.join("recipe");
    fs::create_dir_all(&to).unwrap();
    for file in ["recipe.yaml", "recipe.lock"] {
        fs::copy(project("tests/alpine/bash").join(file), to.join(file)).unwrap();
    }
    to
}

#[test]
fn bash_is_locked_through_its_signed_index() {
    let name = "alpine::bash_is_locked_through_its_signed_index";
    let Some(mirror) = artefacts(name) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let recipe = bash(folder.path());
    let proxy = upstream(&mirror);
    let lock = |more: &[&str]| {
        hello::luni(&folder.path().join("cache"))
            .env("http_proxy", proxy.url())
            .args(["--mirror", &format!("file://{}", mirror.display()), "lock"])
            .arg(&recipe)
            .args(more)
            .output()
            .unwrap()
    };
    // The base is pinned by the recipe, and so are the packages by the index.
    let text = fs::read_to_string(recipe.join("recipe.lock")).unwrap();
    let without = |text: &str| {
        let begin = text.find("  alpine:\n").unwrap();
        let end = text.find("  linux:\n").unwrap();
        format!("{}{}", &text[..begin], &text[end..])
    };
    fs::write(recipe.join("recipe.lock"), without(&text)).unwrap();
    let preview = lock(&["--dry-run"]);
    assert!(preview.status.success(), "{}", transcript(&preview));
    let said = transcript(&preview);
    assert!(said.contains("+ alpine: bash 4.4.12-r2"), "{said}");
    assert!(
        proxy
            .asked()
            .iter()
            .all(|path| path.ends_with("APKINDEX.tar.gz"))
    );
    let unchanged = fs::read_to_string(recipe.join("recipe.lock")).unwrap();
    assert_eq!(unchanged, without(&text));
    let locked = lock(&[]);
    assert!(locked.status.success(), "{}", transcript(&locked));
    assert_eq!(
        fs::read_to_string(recipe.join("recipe.lock")).unwrap(),
        text
    );
    // nginx of that release wants a library that cannot be had.
    let yaml = fs::read_to_string(recipe.join("recipe.yaml")).unwrap();
    let yaml = yaml.replace("packages: [bash, pcre]", "packages: [nginx]");
    fs::write(recipe.join("recipe.yaml"), yaml).unwrap();
    let refused = lock(&[]);
    let said = transcript(&refused);
    assert_eq!(refused.status.code(), Some(5), "{said}");
    for expected in [
        "could not get the package libressl2.6-libcrypto 2.6.3-r0",
        "needed by nginx 1.12.2-r3: `so:libcrypto.so.42`",
        "needed by the recipe: `nginx`",
        "hint: ",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

/// `tests/alpine/bash`, built; `None` where that cannot be here.
fn built(name: &str, folder: &Path) -> Option<(PathBuf, [String; 2])> {
    let mirror = artefacts(name)?;
    let debian = hello::mirror(name)?;
    let mirrors = [debian, format!("file://{}", mirror.display())];
    let zip = folder.join("bash.luni.zip");
    let build = hello::luni(&folder.join("cache"))
        .args([
            "--offline",
            "--mirror",
            &mirrors[0],
            "--mirror",
            &mirrors[1],
        ])
        .arg("build")
        .arg(project("tests/alpine/bash"))
        .arg("-o")
        .arg(&zip)
        .output()
        .unwrap();
    let golden = fs::read_to_string(project("tests/golden/alpine-bash.sha256")).unwrap();
    let golden = golden.split_whitespace().next().unwrap();
    assert_eq!(hello::built_digest(&build), golden);
    Some((zip, mirrors))
}

#[test]
fn bash_boots_and_apk_knows_what_is_installed() {
    let name = "alpine::bash_boots_and_apk_knows_what_is_installed";
    let folder = tempfile::tempdir().unwrap();
    if !has_qemu(name) {
        return;
    }
    let Some((zip, _)) = built(name, folder.path()) else {
        return;
    };
    let (_, changed) = laid(&zip, "etc/mine", "mine\n");
    let expected = "initramfs.gz: member `etc/mine`: only the right one has it";
    assert_eq!(changed, expected);
    let ran = hello::luni(&folder.path().join("cache"))
        .args(["run", "--accel", "tcg", "--expect", "told all"])
        .arg(zip)
        .output()
        .unwrap();
    let said = transcript(&ran);
    assert_eq!(ran.status.code(), Some(0), "{said}");
    for expected in [
        // 14 packages of the base and 7 others.
        "bash 4.4.12 knows 21 packages",
        // What its post-install script did, and busybox's trigger.
        "shells: 1, links: /bin/busybox",
        "/bin/bash is owned by bash-4.4.12-r2",
        // No file of a package is other than the database says.
        "changed files: 0",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// After a change that was meant: `UPDATE=1 cargo test --test alpine exports`.
#[test]
fn exports_are_the_committed_ones() {
    let name = "alpine::exports_are_the_committed_ones";
    let folder = tempfile::tempdir().unwrap();
    let Some((zip, _)) = built(name, folder.path()) else {
        return;
    };
    if let Some(site) = Site::of_hello(name) {
        let more = "cloud-hypervisor,firecracker,pxe,xen";
        site.has_golden_exports(&zip, more, "alpine-bash-exports.sha256");
    }
}

#[test]
fn bash_is_the_same_in_all_surroundings() {
    let name = "alpine::bash_is_the_same_in_all_surroundings";
    let folder = tempfile::tempdir().unwrap();
    let Some((_, mirrors)) = built(name, folder.path()) else {
        return;
    };
    let verified = hello::luni(&folder.path().join("cache"))
        .args([
            "--offline",
            "--mirror",
            &mirrors[0],
            "--mirror",
            &mirrors[1],
        ])
        .args(["verify-reproducibility", "--json"])
        .arg(project("tests/alpine/bash"))
        .output()
        .unwrap();
    let said = transcript(&verified);
    assert_eq!(verified.status.code(), Some(0), "{said}");
    let report = serde_json::from_slice(&verified.stdout).unwrap();
    // Scripts have a search path of their own, in a root whose folders are links to where
    // the step's outputs are: another home cannot be below them.
    let [locale, sandbox] = varied::SANDBOX_AND_LOCALE;
    let (home, path) = (
        ("home", "on the way to"),
        ("path-order", "scripts of alpine"),
    );
    varied::all_but(name, &report, &[locale, sandbox, home, path]);
}
