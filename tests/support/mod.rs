//! What tests of the command line share: running it, and comparing what it prints.

#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod booted;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod debs;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod exported;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod hello;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod images;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod kernels;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod overlaid;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod server;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod small;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod upstream;
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) mod varied;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lunikernel_builder::assemble::unpack;
use lunikernel_cache::Rootfs;
use lunikernel_cache::artefact::{Artefact, INITRAMFS};

/// `luni` with a clean environment, in `folder`.
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) fn luni(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luni"));
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A path in the project.
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Everything that a command printed, and how it ended, as one text.
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) fn transcript(output: &Output) -> String {
    let mut text = format!("exit code: {}\n", output.status.code().unwrap_or(-1));
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            text += &format!("----- {name} -----\n{}", String::from_utf8_lossy(bytes));
        }
    }
    text
}

/// Requires that a command ended with `code` and printed each of `texts`.
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
#[track_caller]
pub(crate) fn ends(output: &Output, code: i32, texts: &[&str]) {
    let told = transcript(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for text in texts {
        assert!(told.contains(text), "no {text:?} in {told}");
    }
}

/// What is in the initramfs of the Lunikernel at `zip`.
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) fn root_of(zip: &Path) -> Rootfs {
    let artefact = Artefact::open(zip).unwrap();
    let mut bytes = Vec::new();
    let mut entry = artefact.entry(INITRAMFS).unwrap();
    entry.read_to_end(&mut bytes).unwrap();
    unpack::fuzz(&bytes).unwrap().unwrap()
}

/// As much of a kernel as is looked at before it boots.
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) fn bzimage() -> Vec<u8> {
    [&[0; 0x202][..], b"HdrS"].concat()
}

/// Compares a text with a committed one; with `UPDATE=1` writes it instead. Returns
/// whether it is the same.
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) fn matches(actual: &str, file: &Path) -> bool {
    let expected = fs_err::read_to_string(file).unwrap_or_default();
    if expected != actual && std::env::var_os("UPDATE").is_some() {
        fs_err::write(file, actual).expect("the snapshot can be written");
        return true;
    }
    if expected != actual {
        eprintln!(
            "{} differs; expected:\n{expected}\nactual:\n{actual}",
            file.display()
        );
    }
    expected == actual
}

/// Every recipe in `recipes/`.
#[allow(dead_code, reason = "each test file is a crate; not each uses it")]
pub(crate) fn recipes() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let folders = |path: PathBuf| -> Vec<PathBuf> {
        fs_err::read_dir(path)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("the folder can be read").path())
            .collect()
    };
    for flavour in folders(project("recipes")) {
        let recipes = folders(flavour)
            .into_iter()
            .map(|folder| folder.join("recipe.yaml"));
        found.extend(recipes.filter(|path| path.is_file()));
    }
    found.sort();
    found
}
