//! Writing files that the user asked for: whole or not at all.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;
use tempfile::NamedTempFile;

use crate::exit::Exit;
use crate::failure::Failure;

/// Writes `bytes` to `path`.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    place(path, |file| file.write_all(bytes))
}

/// Writes to `path` what `write` makes, and passes on what it says. Where it fails, its
/// own error is what went wrong.
pub(crate) fn write_by<T, E: Into<Failure>>(
    path: &Path,
    write: impl FnOnce(&mut dyn std::io::Write) -> Result<T, E>,
) -> Result<T, Failure> {
    let mut made = None;
    let placed = place(path, |file| match made.insert(write(file.as_file_mut())) {
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

/// Copies the file `from` to `path`.
pub(crate) fn copy_whole(from: &Path, path: &Path) -> Result<(), Failure> {
    place(path, |file| {
        let mut from = fs::File::open(from)?.into_file();
        // Both ends are files, so the kernel copies without us touching the bytes.
        std::io::copy(&mut from, file.as_file_mut()).map(drop)
    })
}

/// Writes a file beside `path`, then gives it that name in one step.
fn place(
    path: &Path,
    write: impl FnOnce(&mut NamedTempFile) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Renaming over it would destroy a device, and turn a link into a file.
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(Failure::new(
            Exit::BadInput,
            format!("{} is there and is not a regular file", path.display()),
        )
        .with_hint("name another file with `-o FILE`"));
    }
    let attempt = || {
        let mut temp = tempfile::Builder::new()
            .prefix(".luni-")
            .permissions(PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        write(&mut temp)?;
        temp.as_file().sync_all()?;
        temp.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().map_err(|error: std::io::Error| {
        let failure = Failure::new(Exit::Failed, format!("could not write {}", path.display()))
            .caused_by(&error);
        match error.kind() {
            ErrorKind::NotFound => failure.with_hint(format!(
                "make its folder with `mkdir -p {}`",
                folder.display()
            )),
            ErrorKind::StorageFull => {
                failure.with_hint(format!("`df -h {}` shows how full it is", folder.display()))
            }
            _ => failure,
        }
    })
}
