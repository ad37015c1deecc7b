//! Laying a file over a Lunikernel of any flavour.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{luni, transcript};

/// Lays `content` at `path` over the Lunikernel `base`, and returns the result, which is
/// beside it, and the first line of what `luni diff` says of the two.
pub(crate) fn laid(base: &Path, path: &str, content: &str) -> (PathBuf, String) {
    let folder = base.parent().unwrap();
    let file = folder.join("overlay").join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
    let run = |args: &[&str], code: i32| {
        let output = luni(folder).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", transcript(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let base = base.to_str().unwrap();
    run(&["overlay", base, "overlay", "-o", "laid.zip"], 0);
    let told = run(&["diff", base, "laid.zip"], 10);
    let first = told.lines().next().unwrap_or_default().to_owned();
    (folder.join("laid.zip"), first)
}
