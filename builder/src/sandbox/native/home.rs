//! The command's home: an empty folder of its own.

use std::path::Path;

use fs_err as fs;
use lunikernel_cache::Tree;
use lunikernel_cache::tree::{Entry, is_name};
use rustix::fs::{CWD, FileType, Mode};

use super::owner::Owner;
use super::state::{finish, hide_below};

/// Where the home usually is.
pub(in crate::sandbox) const USUAL: &str = "/root";
/// What is mounted over or filled otherwise.
const TAKEN: &[&str] = &["build", "dev", "proc", "sys", "tmp"];

/// Whether the home can be at `home` in a root. `is_folder` says of a path in it, without
/// the first `/`, whether that is a folder; `None` where nothing is there.
///
/// # Errors
/// Why not.
pub(in crate::sandbox) fn check(
    home: &str,
    is_folder: impl Fn(&str) -> Option<bool>,
) -> Result<(), String> {
    let parts: Vec<&str> = home.split('/').skip(1).collect();
    let named = home.starts_with('/') && parts.iter().all(|part| is_name(part));
    let taken = |first: &&str| TAKEN.contains(first) || (*first == "root" && home != USUAL);
    if !named || parts.first().is_none_or(taken) {
        return Err(format!("there can be no home at `{home}`"));
    }
    for end in 1..=parts.len() {
        let path = parts.get(..end).unwrap_or_default().join("/");
        match is_folder(&path) {
            Some(true) => {}
            // Nothing lies below what is not there.
            None => break,
            Some(false) => {
                return Err(format!(
                    "the step's root has a file or a link on the way to `{home}`"
                ));
            }
        }
    }
    Ok(())
}

/// [`check`] in a root that is unpacked in the folder `lower`.
pub(super) fn check_unpacked(home: &str, lower: &Path) -> Result<(), String> {
    check(home, |path| {
        let found = fs::symlink_metadata(lower.join(path));
        found.ok().map(|meta| meta.is_dir())
    })
}

/// [`check`] in the root `tree`, which then has a folder there, and none at the usual
/// place.
pub(in crate::sandbox) fn place(tree: &mut Tree, home: &str) -> Result<(), String> {
    check(home, |path| {
        let found = tree.get(path);
        found.map(|entry| matches!(entry, Entry::Folder(_)))
    })?;
    if home != USUAL {
        tree.remove(USUAL.trim_start_matches('/'));
    }
    let path = home.trim_start_matches('/');
    if tree.get(path).is_none() {
        tree.insert(path, Entry::Folder(Tree::new()))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Makes the home in the layer `upper`. Where it is not the usual one, that is hidden.
pub(super) fn make(upper: &Path, home: &str, owner: &Owner) -> std::io::Result<()> {
    if home != USUAL {
        let usual = upper.join(USUAL.trim_start_matches('/'));
        // This is how overlays say that something is not there. Kernels before 5.8 let
        // only root say so; there the root's own shows.
        let _ = rustix::fs::mknodat(CWD, &usual, FileType::CharacterDevice, Mode::empty(), 0);
    }
    let path = upper.join(home.trim_start_matches('/'));
    fs::create_dir_all(&path)?;
    hide_below(&path);
    finish(&path, 0o700, owner)?;
    let parents = path.ancestors().skip(1);
    for parent in parents.take_while(|parent| *parent != upper) {
        finish(parent, 0o755, owner)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_lies_in_folders_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let lower = folder.path();
        fs::create_dir_all(lower.join("home/one")).unwrap();
        fs::os::unix::fs::symlink("home", lower.join("linked")).unwrap();
        fs::write(lower.join("file"), "").unwrap();
        for good in ["/root", "/home/one", "/home/two/three", "/new"] {
            assert_eq!(check_unpacked(good, lower), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/",
            "home",
            "/build/x",
            "/proc",
            "/root/x",
            "/a//b",
            "/a/../b",
            "/linked/x",
            "/file",
            "/a\0b",
        ] {
            assert!(check_unpacked(bad, lower).is_err(), "{bad}");
        }
    }
}
