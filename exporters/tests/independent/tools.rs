//! Programs that judge what we made.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use lunikernel_exporters::{Existing, Output};

/// Where programs are that only root needs, and that not everyone looks for there.
const MORE: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The program, or `None` after saying that the calling test is left out.
pub(crate) fn need(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(MORE.map(PathBuf::from));
    let found = (folders.map(|it| it.join(name))).find(|it| it.is_file());
    if found.is_none() {
        let reason = format!("there is no program `{name}`");
        lunikernel_testing::left_out(&lunikernel_testing::this_test(), &reason);
    }
    found
}

/// Runs a program that must succeed; gives what it printed.
pub(crate) fn run<I, S>(program: &Path, arguments: I) -> String
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").env("TZ", "UTC");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = text(&output.stdout);
    let status = output.status;
    let errors = text(&output.stderr);
    assert!(status.success(), "{command:?}: {status}\n{printed}{errors}");
    printed + &errors
}

/// Makes a file by a writer.
pub(crate) fn make<E: std::fmt::Debug>(
    path: &Path,
    write: impl FnOnce(&mut Output) -> Result<(), E>,
) {
    let mut output = Output::create(path, Existing::Replace).unwrap();
    write(&mut output).unwrap();
    output.commit().unwrap();
}

/// How many bytes of the disk's room a file takes.
pub(crate) fn room(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs_err::metadata(path).unwrap().blocks() * 512
}
