//! Removing folders, whatever a build has made of them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use fs_err as fs;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

/// Deepest nesting that is followed down before folders are moved up instead: a
/// command can nest them without end, and each level holds a descriptor and stack.
const MAX_NESTING: usize = 64;

/// Removes a folder and all below it, even where a build took the permissions from
/// parts of it or nested them deeper than a path can say. No link is followed.
///
/// # Errors
/// What the operating system says where even that does not help; the message names
/// the folder.
pub fn remove_tree(path: &Path) -> std::io::Result<()> {
    let top = match open_folder(CWD, path) {
        Err(Errno::NOENT) => return Ok(()),
        // No folder but a file or a link; anything else is met again here.
        Err(_) => return fs::remove_file(path),
        Ok(top) => top,
    };
    let named = |errno: Errno| std::io::Error::other(format!("{}: {errno}", path.display()));
    let mut moved = 0;
    // Each pass brings what was too deep one stretch nearer.
    loop {
        let before = moved;
        empty(&top, &top, 0, &mut moved).map_err(named)?;
        if moved == before {
            break;
        }
    }
    fs::remove_dir(path)
}

fn empty(top: &OwnedFd, folder: &OwnedFd, depth: usize, moved: &mut u64) -> Result<(), Errno> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {}
            other => {
                other?;
                continue;
            }
        }
        let inner = open_folder(folder, name)?;
        if depth < MAX_NESTING {
            empty(top, &inner, depth + 1, moved)?;
            match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
                // What was moved up from deeper down may have come here.
                Err(Errno::NOTEMPTY) => {}
                other => other?,
            }
        } else {
            let place = format!("luni-too-deep-{moved}");
            *moved += 1;
            rustix::fs::renameat(folder, name, top, place)?;
        }
    }
    Ok(())
}

/// Opens a folder without following a link, and gives its owner all permissions.
fn open_folder(at: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(&at, name, flags | OFlags::RDONLY, Mode::empty());
    let folder = match open() {
        Err(Errno::ACCESS) => {
            // It is a folder: nothing else is refused for its permissions when it is
            // opened only to be named.
            drop(rustix::fs::openat(
                &at,
                name,
                flags | OFlags::PATH,
                Mode::empty(),
            )?);
            rustix::fs::chmodat(&at, name, Mode::RWXU, AtFlags::empty())?;
            open()?
        }
        other => other?,
    };
    match rustix::fs::fchmod(&folder, Mode::RWXU) {
        // Another user's: whether it can be emptied, removing shows.
        Err(Errno::PERM) | Ok(()) => Ok(folder),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn closed_folders_and_links_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let (top, outside) = (place.path().join("top"), place.path().join("outside"));
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        fs::write(top.join("a/b/f"), "").unwrap();
        fs::os::unix::fs::symlink(&outside, top.join("a/b/link")).unwrap();
        fs::os::unix::fs::symlink("nowhere", top.join("dangling")).unwrap();
        for path in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(top.join(path), PermissionsExt::from_mode(0o000)).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists() && outside.join("kept").exists());
        remove_tree(&top).unwrap();

        fs::os::unix::fs::symlink(&outside, &top).unwrap();
        remove_tree(&top).unwrap();
        assert!(!top.is_symlink() && outside.join("kept").exists());
    }

    #[test]
    fn nesting_without_end_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().join("top");
        fs::create_dir(&top).unwrap();
        let mut at = open_folder(CWD, top.as_path()).unwrap();
        for level in 0..500 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&at, "e", Mode::RWXU).unwrap();
            let next = open_folder(&at, "d").unwrap();
            if level % 50 == 0 {
                rustix::fs::fchmod(&at, Mode::empty()).unwrap();
            }
            at = next;
        }
        drop(at);
        remove_tree(&top).unwrap();
        assert!(!top.exists());
    }
}
