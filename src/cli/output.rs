//! Writing files that the user asked for: whole or not at all.

use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::new_file::folder_of;
use lunikernel_cache::{Existing, NewFile};
use serde::Serializer;

use super::reads::Reads;
use super::workshop::quoted;
use crate::exit::Exit;
use crate::failure::Failure;

/// A file that is to be written, which can be as far as that shows beforehand, and is
/// nothing that is read for it. Made before any work, which else were for nothing.
#[derive(Debug)]
pub(crate) struct Output(PathBuf);

impl Output {
    /// The file at `path`, for a verb that reads `reads`. Where that is the same, `hint` says
    /// what else to do.
    pub(crate) fn new(
        path: impl Into<PathBuf>,
        hint: &str,
        reads: &Reads,
    ) -> Result<Self, Failure> {
        let path = path.into();
        writable(&path)?;
        reads.keep(&path, hint)?;
        Ok(Self(path))
    }

    /// Where it will be.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes `bytes`.
    pub(crate) fn write_whole(&self, bytes: &[u8]) -> Result<(), Failure> {
        self.place(|file| file.write_all(bytes))
    }

    /// Writes what `write` makes, and passes on what it says. Where it fails, its own error
    /// is what went wrong.
    pub(crate) fn write_by<T, E: Into<Failure>>(
        &self,
        write: impl FnOnce(&mut dyn std::io::Write) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let mut made = None;
        let placed = self.place(|file| match made.insert(write(file)) {
            Ok(_) => Ok(()),
            Err(_) => Err(ErrorKind::Other.into()),
        });
        match (made, placed) {
            (Some(Err(error)), _) => Err(error.into()),
            (_, Err(failure)) => Err(failure),
            (Some(Ok(made)), Ok(())) => Ok(made),
            (None, Ok(())) => Err(Failure::new(Exit::Failed, "nothing was written")),
        }
    }

    /// Copies the file `from`.
    pub(crate) fn copy_whole(&self, from: &Path) -> Result<(), Failure> {
        self.place(|file| {
            let mut from = fs::File::open(from)?.into_file();
            // Both ends are files, so the kernel copies without us touching the bytes.
            std::io::copy(&mut from, &mut file.as_file()).map(drop)
        })
    }

    /// Writes it, then gives it its name in one step.
    fn place(
        &self,
        write: impl FnOnce(&mut NewFile) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let path = self.path();
        // Somebody may have put something there meanwhile.
        writable(path)?;
        let attempt = || {
            let mut file = NewFile::create(path)?;
            write(&mut file)?;
            file.place(Existing::Replace)
        };
        attempt().map_err(|error: std::io::Error| {
            let failure = Failure::new(Exit::Failed, format!("could not write {}", path.display()))
                .caused_by(&error);
            match error.kind() {
                ErrorKind::StorageFull => failure.with_hint(format!(
                    "`df -h {}` shows how full it is",
                    quoted(folder_of(path))
                )),
                _ => failure,
            }
        })
    }
}

/// Whether a file can be written to `path`, as far as that shows beforehand.
fn writable(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let wrong =
        |message: String, hint: String| Err(Failure::new(Exit::BadInput, message).with_hint(hint));
    if path == Path::new("-") {
        return wrong(
            "`-` is no file to write to".to_owned(),
            "name a file; the result is bytes, and standard output has its SHA-256".to_owned(),
        );
    }
    let ends_as_folder = path.as_os_str().as_bytes().ends_with(b"/");
    if ends_as_folder || path.file_name().is_none() || path.is_dir() {
        return wrong(
            format!("`{shown}` names a folder, and a file is to be written"),
            format!("name a file in it: {}", quoted(&path.join("FILE"))),
        );
    }
    // Renaming over it would destroy a device, and turn a link into a file.
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return wrong(
            format!("{shown} is there and is not a regular file"),
            "name another file to write to".to_owned(),
        );
    }
    let folder = folder_of(path);
    match fs::metadata(folder) {
        Ok(there) if there.is_dir() => Ok(()),
        Ok(_) => wrong(
            format!("could not write {shown}: {} is no folder", folder.display()),
            "name a file in a folder".to_owned(),
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => wrong(
            format!(
                "could not write {shown}: there is no folder {}",
                folder.display()
            ),
            format!("make it with `mkdir -p {}`", quoted(folder)),
        ),
        // Writing says more.
        Err(_) => Ok(()),
    }
}

/// A path as data have it: JSON is Unicode, and a path need not be.
pub(crate) fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The same for a field of what is written as JSON.
pub(crate) fn lossily<S: Serializer>(
    path: impl AsRef<Path>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.as_ref().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_neither_replaced_nor_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("folder")).unwrap();
        fs::write(path("file"), "old").unwrap();
        fs_err::os::unix::fs::symlink("file", path("link")).unwrap();
        for (name, told) in [
            ("folder", "names a folder"),
            ("link", "is not a regular file"),
            ("none/file", "there is no folder"),
            ("file/file", "is no folder"),
        ] {
            let late = Output(path(name)).write_whole(b"new");
            let early = Output::new(path(name), "", &Reads::default()).map(drop);
            for refused in [early, late] {
                let refused = refused.unwrap_err();
                assert_eq!(refused.exit(), Exit::BadInput, "{name}");
                assert!(refused.to_string().contains(told), "{refused}");
                assert!(refused.hint().is_some(), "{name}");
            }
        }
        assert!(path("link").is_symlink());
        assert_eq!(fs::read(path("file")).unwrap(), b"old");
        // A file is replaced as a whole.
        let output = Output::new(path("file"), "", &Reads::default()).unwrap();
        output.write_whole(b"new").unwrap();
        assert_eq!(fs::read(path("file")).unwrap(), b"new");
    }
}
