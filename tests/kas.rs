//! `recipes/yocto/minimal`, as far as it goes without BitBake: kas reads its
//! configuration, and a tool of ours goes the way from layers to a deploy directory.

mod support;

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fs_err as fs;
use lunikernel_cache::artefact::{Artefact, SBOM};
use lunikernel_testing::{left_out, this_test};
use serde_json::Value;
use support::server::{Server, respond};
use support::small::Small;
use support::{hello, project, transcript};

/// Commits `files` to the branch `main` of a new repository at `path`; the commit.
fn repository(path: &Path, files: &[(&str, &[u8])]) -> String {
    let repository = git2::Repository::init_bare(path).unwrap();
    repository.set_head("refs/heads/main").unwrap();
    let mut tree = repository.treebuilder(None).unwrap();
    for (name, content) in files {
        let blob = repository.blob(content).unwrap();
        tree.insert(name, blob, 0o100_755).unwrap();
    }
    let tree = repository.find_tree(tree.write().unwrap()).unwrap();
    let when = git2::Time::new(1_717_200_000, 0);
    let author = git2::Signature::new("Test", "test@example.org", &when).unwrap();
    let message = "Add a layer";
    let commit = repository.commit(Some("HEAD"), &author, &author, message, &tree, &[]);
    commit.unwrap().to_string()
}

/// `kas` in a folder of its own.
fn kas(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(project("target/kas-venv/bin/kas"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("KAS_WORK_DIR", folder)
        .output()
        .unwrap()
}

#[track_caller]
fn well(output: &Output) -> String {
    assert!(output.status.success(), "{}", transcript(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn kas_accepts_the_configuration_and_pins_layers() {
    let has_kas = Command::new(project("target/kas-venv/bin/kas"))
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let has_git = Command::new("git").arg("--version").output().is_ok();
    if !has_kas || !has_git {
        left_out(
            &format!("kas::{}", this_test()),
            "kas is not in target/kas-venv (`scripts/test` installs it from PyPI), or git is missing",
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let ours = fs::read_to_string(project("recipes/yocto/minimal/files/kas.yml")).unwrap();
    fs::write(path("kas.yml"), &ours).unwrap();
    fs::create_dir(path("poky")).unwrap();
    let dumped = well(&kas(folder.path(), &["dump", "kas.yml"]));
    for part in ["machine: qemux86-64", "path: poky", "meta-poky"] {
        assert!(dumped.contains(part), "{part} is not in {dumped}");
    }
    // It would notice what is wrong.
    fs::write(path("bad.yml"), ours.replace("machine:", "machines:")).unwrap();
    let refused = kas(folder.path(), &["dump", "bad.yml"]);
    assert!(!refused.status.success(), "{}", transcript(&refused));

    // With an address in place of the recipe's source, it pins the commit itself.
    let commit = repository(&path("layer.git"), &[("README", b"a layer\n")]);
    let url = format!("url: file://{}", path("layer.git").display());
    let remote = format!("{url}\n    branch: main\n    path: layer\n");
    let remote = ours.replace("path: poky\n", &remote);
    fs::write(path("remote.yml"), remote).unwrap();
    well(&kas(folder.path(), &["lock", "remote.yml"]));
    let lock = fs::read_to_string(path("remote.lock.yml")).unwrap();
    assert!(lock.contains(&commit), "{lock}");
}

/// The recipe's steps in small: `url` is where its downloads are.
fn recipe(layer: &Path, url: &str) -> String {
    format!(
        "apiVersion: lunikernel/v1\nname: small\nversion: 1.0.0\nflavour: yocto\nsources:\n\
         \x20 base:\n    deb:\n      suite: bookworm\n      packages: [busybox-static]\n\
         \x20 shell:\n    deb:\n      suite: small\n      packages: [sh-small]\n\
         \x20 layer:\n    git: {{url: \"file://{}\", rev: main}}\n\
         steps:\n\
         \x20 - name: downloads\n    root: [base, shell]\n    inputs: {{layer: layer}}\n\
         \x20   network: true\n\
         \x20   run: |\n      busybox sh layer/bitbake fetch {url}\n\
         \x20     busybox rm downloads/*.done\n\
         \x20   outputs: [downloads]\n\
         \x20 - name: image\n    root: [base, shell]\n\
         \x20   inputs: {{layer: layer, downloads: downloads/downloads}}\n\
         \x20   run: |\n      busybox sh layer/bitbake build\n\
         \x20     busybox mkdir out\n\
         \x20     busybox cp -L deploy/image.tar deploy/bzImage deploy/*.manifest out\n\
         \x20   outputs: [out]\n\
         rootfs:\n  from: [image/out/image.tar]\n  manifest: image/out/image.manifest\n\
         \x20 licences: image/out/license.manifest\n\
         kernel: {{from: image/out/bzImage, modules: []}}\n",
        layer.display()
    )
}

#[test]
fn layers_downloads_and_a_deploy_directory_go_their_way() {
    let name = format!("kas::{}", this_test());
    let Some(small) = Small::new(&name, "  - name: none\n") else {
        return;
    };
    let layer = tempfile::tempdir().unwrap();
    let tool = fs::read(project("tests/yocto/bitbake")).unwrap();
    let conf: &[u8] = b"SOURCE=motd.txt VERSION=2.5 LICENCE=GPL-2.0-or-later\n";
    let files = [("bitbake", tool.as_slice()), ("recipe.conf", conf)];
    let commit = repository(layer.path(), &files);
    let server = Server::start(|_, stream| respond(stream, "200 OK", b"welcome\n"));
    let text = recipe(layer.path(), &server.url());
    fs::write(small.path("recipe/recipe.yaml"), text).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = hello::luni(&small.path("cache"));
        command.current_dir(small.path(""));
        let mirrors = small.mirrors().iter();
        command.args(mirrors.flat_map(|mirror| ["--mirror", mirror.as_str()]));
        command.args(arguments).output().unwrap()
    };
    well(&run(&["lock", "recipe"]));
    assert_eq!(server.asked(), ["/motd.txt"]);
    let lock = fs::read_to_string(small.path("recipe/recipe.lock")).unwrap();
    assert!(lock.contains(&commit), "{lock}");
    assert!(lock.contains("\nsteps:\n  downloads:\n"), "{lock}");

    // From here on neither the server nor the repository is needed.
    drop(server);
    drop(layer);
    let built = ["--offline", "build", "recipe", "-o", "small.luni.zip"];
    well(&run(&built));
    let artefact = Artefact::open(&small.path("small.luni.zip")).unwrap();
    let mut sbom = String::new();
    let mut entry = artefact.entry(SBOM).unwrap();
    entry.read_to_string(&mut sbom).unwrap();
    let sbom: Value = serde_json::from_str(&sbom).unwrap();
    let packages = sbom["packages"].as_array().unwrap();
    let motd = packages.iter().find(|it| it["name"] == "motd").unwrap();
    assert_eq!(motd["versionInfo"], "2.5");
    assert_eq!(motd["licenseDeclared"], "GPL-2.0-or-later");
}
