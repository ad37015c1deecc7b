//! `recipes/debian/hello` for tests: its inputs, fetched once, and its digest.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use lunikernel_builder::assemble::deb::unpack_deb;
use lunikernel_cache::{Cache, NodeKind};

use super::{project, transcript};

/// The recipe's folder.
pub(crate) fn recipe() -> PathBuf {
    project("recipes/debian/hello")
}

/// The committed digest of what the recipe makes.
pub(crate) fn golden() -> String {
    let text = fs::read_to_string(project("tests/golden/debian-hello.sha256")).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

/// A command of the program under test, with a cache of its own and nothing of the
/// user's settings.
pub(crate) fn luni(cache: &Path) -> Command {
    luni_at(Path::new(env!("CARGO_BIN_EXE_luni")), cache)
}

/// The same for a copy of the program.
pub(crate) fn luni_at(program: &Path, cache: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_remove("LUNI_MIRRORS")
        .env("LUNI_CACHE", cache)
        .stdin(std::process::Stdio::null());
    command
}

/// A hashed mirror with every input of the recipe, from which tests build without
/// the network. The first test that asks fetches them, the way a user would; `None`
/// where this machine cannot get Debian packages, with the test `name` left out.
pub(crate) fn mirror(name: &str) -> Option<String> {
    mirror_of(name, "hello", &recipe())
}

/// The same for the recipe in another folder; `called` tells mirrors apart.
pub(crate) fn mirror_of(name: &str, called: &str, recipe: &Path) -> Option<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(called);
    fs::create_dir_all(folder.join("mirror/sha256")).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap().into_file();
    lock.lock().unwrap();
    let cache = folder.join("cache");
    let fetch = luni(&cache).arg("fetch").arg(recipe).output().unwrap();
    if !fetch.status.success() {
        let why = String::from_utf8_lossy(&fetch.stderr).into_owned();
        // Only inputs that cannot be had are the machine's fault (exit code 5).
        assert_eq!(fetch.status.code(), Some(5), "{}", transcript(&fetch));
        lunikernel_testing::left_out(name, &format!("Debian packages cannot be had: {why}"));
        return None;
    }
    for hex in input_digests(recipe) {
        let blob = cache.join("cas-v1").join(&hex[..2]).join(&hex);
        let link = folder.join("mirror/sha256").join(&hex);
        if blob.exists() && !link.exists() {
            fs::hard_link(blob, link).unwrap();
        }
    }
    Some(format!("file://{}", folder.join("mirror").display()))
}

/// The static busybox of Debian; `None` where this machine cannot get it.
pub(crate) fn busybox(test: &str) -> Option<Vec<u8>> {
    let mirror = mirror(test)?;
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let lock = fs::read_to_string(recipe().join("recipe.lock")).unwrap();
    let (_, package) = lock.split_once("- name: busybox-static").unwrap();
    let (_, hex) = package.split_once("sha256: sha256:").unwrap();
    let mirror = mirror.trim_start_matches("file://").replace("%20", " ");
    let bytes = fs::read(Path::new(&mirror).join("sha256").join(&hex[..64])).unwrap();
    let digest = cache.blobs().put(&bytes).unwrap();
    let package = unpack_deb(cache.blobs(), &digest, None).unwrap();
    let found = package
        .root
        .nodes()
        .find(|(path, _)| path.ends_with("bin/busybox"));
    let NodeKind::File { content, .. } = &found.unwrap().1.kind else {
        panic!("busybox is no file");
    };
    Some(cache.blobs().read(content).unwrap())
}

/// Every SHA-256 in the recipe's lock.
fn input_digests(recipe: &Path) -> Vec<String> {
    let text = fs::read_to_string(recipe.join("recipe.lock")).unwrap();
    text.split(|c: char| !c.is_ascii_hexdigit())
        .filter(|word| word.len() == 64)
        .map(str::to_owned)
        .collect()
}

/// The digest that `luni build` printed.
pub(crate) fn built_digest(output: &Output) -> String {
    assert!(output.status.success(), "{}", transcript(output));
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}
