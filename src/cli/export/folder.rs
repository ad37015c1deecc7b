//! The folder that an export is written to.

use std::io::ErrorKind;
use std::path::Path;

use fs_err as fs;
use lunikernel_cache::mask;
use rustix::fs::{Access, access};

use crate::cli::workshop::quoted;
use crate::exit::Exit;
use crate::failure::Failure;

/// A folder that can be made, as far as that shows beforehand, or is there.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    path: &'a Path,
    /// What is not there of it, the innermost first.
    missing: Vec<&'a Path>,
}

impl<'a> Folder<'a> {
    /// Looks at `path` before any work, and makes nothing.
    pub(super) fn look(path: &'a Path) -> Result<Self, Failure> {
        let mut missing = Vec::new();
        for place in path.ancestors() {
            let there = match place == Path::new("") {
                true => Path::new("."),
                false => place,
            };
            match fs::metadata(there) {
                Ok(metadata) if !metadata.is_dir() => return Err(no_folder(path, there)),
                Ok(_) => {
                    // Files are made in it, or folders.
                    access(there, Access::WRITE_OK | Access::EXEC_OK)
                        .map_err(|errno| closed(path, there).caused_by(&errno))?;
                    break;
                }
                Err(error) => match error.kind() {
                    // A link that leads nowhere is in the way of a folder.
                    ErrorKind::NotFound if there.symlink_metadata().is_ok() => {
                        return Err(no_folder(path, there));
                    }
                    ErrorKind::NotFound | ErrorKind::NotADirectory => missing.push(place),
                    _ => return Err(closed(path, there).caused_by(&error)),
                },
            }
        }
        Ok(Self { path, missing })
    }

    /// Makes it for `work`. Where that fails, what was made for it is removed again.
    pub(super) fn with<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let made = mask::create_folder(self.path).map_err(|error| {
            let message = format!("could not create the folder {}", self.path.display());
            Failure::new(Exit::Failed, message).caused_by(&error)
        });
        made.and_then(|()| work()).inspect_err(|_| {
            for folder in &self.missing {
                // What is not empty is somebody's.
                let _ = fs::remove_dir(folder);
            }
        })
    }
}

fn no_folder(path: &Path, there: &Path) -> Failure {
    let message = format!(
        "could not export to {}: {} is no folder",
        path.display(),
        there.display()
    );
    Failure::new(Exit::BadInput, message).with_hint("name a folder with `-o DIR`")
}

fn closed(path: &Path, there: &Path) -> Failure {
    let message = format!("could not export to {}", path.display());
    Failure::new(Exit::BadInput, message).with_hint(format!(
        "name a folder that you may write to with `-o DIR`; `ls -ld {}` shows who may write there",
        quoted(there)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_for_nothing_goes_again() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("a/b");
        let folder = Folder::look(&path).unwrap();
        assert!(!outer.path().join("a").exists());
        let failed = || Failure::new(Exit::Failed, "no");
        folder
            .with(|| {
                assert!(path.is_dir());
                Err::<(), _>(failed())
            })
            .unwrap_err();
        assert!(!outer.path().join("a").exists());
        // What somebody else put there stays, and what was there does.
        let folder = Folder::look(&path).unwrap();
        folder
            .with(|| {
                fs::write(outer.path().join("a/theirs"), "").unwrap();
                Err::<(), _>(failed())
            })
            .unwrap_err();
        assert!(outer.path().join("a/theirs").exists() && !path.exists());
        assert!(Folder::look(outer.path()).unwrap().missing.is_empty());
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let place = |name: &str| outer.path().join(name);
        fs::write(place("file"), "").unwrap();
        fs_err::os::unix::fs::symlink("nowhere", place("link")).unwrap();
        for name in ["file", "file/x", "file/x/y", "link", "link/x"] {
            let refused = Folder::look(&place(name)).unwrap_err();
            assert_eq!(refused.exit(), Exit::BadInput, "{name}");
            assert!(refused.hint().is_some(), "{name}");
        }
    }
}
