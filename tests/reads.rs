//! Nothing that a verb writes replaces what it reads.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use fs_err as fs;
use lunikernel_builder::attest::PrivateKey;
use support::{ends, luni, project, transcript};

const RECIPE: &str = "apiVersion: lunikernel/v1
name: r
version: 1.0.0
flavour: debian
sources:
  release: {url: {url: \"file://FOLDER/release.bin\"}}
  main: {file: files/main.c}
  tree: {file: tree}
rootfs:
  from: [tree]
  files:
    /main.c: {from: main}
    /tree: {from: tree}
kernel: {from: release, modules: []}
";

/// A folder with a locked recipe, a Lunikernel, overlays, a key and a report.
fn world() -> (tempfile::TempDir, PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    // Paths as they are: nothing above is a link.
    let folder = fs::canonicalize(outer.path()).unwrap().join("w");
    let write = |path: &str, content: &[u8]| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let recipe = RECIPE.replace("FOLDER", folder.to_str().unwrap());
    write("r/recipe.yaml", recipe.as_bytes());
    write("r/files/main.c", b"int main;\n");
    write("r/tree/file", b"in a tree\n");
    write("ov/etc/motd", b"Welcome\n");
    write("release.bin", &support::bzimage());
    for zip in ["base.zip", "ov.zip"] {
        fs::copy(project("tests/format/good.zip"), folder.join(zip)).unwrap();
    }
    let key = PrivateKey::from_seed([7; 32]);
    write("k.key", key.to_pem().unwrap().as_bytes());
    let only_owner = std::fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("k.key"), only_owner).unwrap();
    let sha256 = lunikernel_cache::Sha256::of(&fs::read(folder.join("base.zip")).unwrap());
    let round = serde_json::json!({ "artefact": { "sha256": sha256, "size": 1 } });
    let report = serde_json::json!({"verdict": "GOOD", "rounds": [round, round], "varied": []});
    write("report.json", report.to_string().as_bytes());
    fs::os::unix::fs::symlink("w", outer.path().join("link")).unwrap();
    let locked = run(&folder, "lock r");
    assert!(locked.status.success(), "{}", transcript(&locked));
    let archived = run(&folder, "fetch r --archive inputs.tar");
    assert!(archived.status.success(), "{}", transcript(&archived));
    (outer, folder)
}

fn run(folder: &Path, words: &str) -> Output {
    let words = words.replace("FOLDER", folder.to_str().unwrap());
    let mut command = luni(folder);
    // Its cache is not among what is looked at.
    command.env("LUNI_CACHE", folder.parent().unwrap().join("cache"));
    command.args(words.split_whitespace()).output().unwrap()
}

/// Every file below `folder`.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

#[test]
fn no_verb_writes_over_what_it_reads() {
    let (_outer, folder) = world();
    let name = lunikernel_cache::artefact::Artefact::open(&folder.join("base.zip"))
        .unwrap()
        .manifest()
        .name
        .clone();
    let disk = format!("{name}.raw");
    fs::copy(folder.join("base.zip"), folder.join(&disk)).unwrap();
    let before = files(&folder);
    let export = format!("export {disk} --to raw --force -o .");
    let own = [
        "r/recipe.yaml",
        "r/recipe.lock",
        "r/files/main.c",
        "r/tree/file",
        "r/tree/new",
        "release.bin",
        "../link/r/recipe.lock",
    ];
    let of_recipe = own.into_iter().flat_map(|path| {
        [
            format!("fetch r --archive {path}"),
            format!("build r -o {path}"),
            format!("verify r --report {path}"),
        ]
    });
    let others = [
        "build base.zip -o ../link/base.zip",
        "build inputs.tar -o inputs.tar",
        "fetch inputs.tar --archive inputs.tar",
        "--mirror inputs.tar fetch r --archive inputs.tar",
        "verify base.zip --report base.zip",
        "verify base.zip --rounds 0 --against ov.zip --report ov.zip",
        "verify base.zip --rounds 0 --against file://FOLDER/release.bin --report release.bin",
        "overlay base.zip ov -o base.zip",
        "overlay file://FOLDER/base.zip ov -o base.zip",
        "overlay base.zip ov.zip -o ov.zip",
        "overlay base.zip ov -o ov/etc/z.zip",
        "attest sign --key k.key base.zip -o k.key",
        "attest sign --key k.key base.zip -o base.zip",
        "attest sign --key k.key base.zip --report report.json -o report.json",
        &export,
    ];
    for words in of_recipe.chain(others.map(str::to_owned)) {
        let output = run(&folder, &words);
        ends(&output, 3, &["hint: name another"]);
        let told = transcript(&output);
        assert!(
            told.contains("would be replaced, and it is") || told.contains("all of which is read"),
            "{words}: {told}"
        );
        assert!(files(&folder) == before, "{words}: {told}");
    }
}

#[test]
fn what_is_not_read_is_replaced() {
    let (_outer, folder) = world();
    for words in [
        "fetch r --archive inputs.tar",
        "attest sign --key k.key base.zip -o e.json",
        "attest sign --key k.key base.zip -o e.json",
        "attest sign --key k.key base.zip --add e.json -o e.json",
    ] {
        ends(&run(&folder, words), 0, &[]);
    }
}

#[test]
fn a_lock_that_is_current_is_not_touched() {
    let (_outer, folder) = world();
    let lock = folder.join("r/recipe.lock");
    let real = folder.join("real.lock");
    fs::rename(&lock, &real).unwrap();
    fs::os::unix::fs::symlink("../real.lock", &lock).unwrap();
    fs::set_permissions(&real, std::fs::Permissions::from_mode(0o400)).unwrap();
    for words in ["lock r", "lock r --update"] {
        ends(&run(&folder, words), 0, &["is current; nothing changed"]);
    }
    assert!(fs::symlink_metadata(&lock).unwrap().is_symlink());
    fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).unwrap();
    // The same with other words is written as locks are.
    fs::remove_file(&lock).unwrap();
    let text = fs::read_to_string(&real).unwrap();
    fs::write(&lock, format!("# mine\n{text}")).unwrap();
    ends(&run(&folder, "lock r"), 0, &["it says the same"]);
    assert_eq!(fs::read_to_string(&lock).unwrap(), text);
    ends(&run(&folder, "lock r"), 0, &["nothing changed"]);
    // What the recipe reads is not where its lock goes.
    let recipe = fs::read_to_string(folder.join("r/recipe.yaml")).unwrap();
    let recipe = recipe.replace("files/main.c", "recipe.lock");
    fs::write(folder.join("r/recipe.yaml"), recipe).unwrap();
    ends(&run(&folder, "lock r"), 3, &["would be replaced"]);
    assert_eq!(fs::read_to_string(&lock).unwrap(), text);
}
