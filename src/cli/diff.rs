//! `luni diff`: say what is different between two.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lunikernel_builder::verify::compare::{self, Difference};
use lunikernel_cache::artefact::{Artefact, ArtefactError};
use serde::Serialize;

use super::{Context, verify};
use crate::exit::Exit;
use crate::failure::Failure;

/// Say what differs between two Lunikernels or files, down to the byte.
///
/// Given two Lunikernels, it descends from the entry to the member of the initramfs,
/// and further into archives, compressed files, ELF sections and lines of text. Given
/// other files, it compares these in the same way. Exit code 0 says that they are the
/// same, 10 that they differ.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The one: a Lunikernel or any file, its address, or the first digits (at least 8) of
    /// the SHA-256 of one in the cache
    #[arg(value_name = "LEFT")]
    left: PathBuf,

    /// The other
    #[arg(value_name = "RIGHT")]
    right: PathBuf,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Answer {
    same: bool,
    difference: Option<Difference>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let difference = difference(&args.left, &args.right, context)?;
    let same = difference.is_none();
    if context.json() {
        context.print_json(&Answer { same, difference })?;
    } else {
        let text = difference.map_or_else(|| "the same".to_owned(), |it| it.to_string());
        context.print(&format!("{text}\n"))?;
    }
    Ok(if same { Exit::Ok } else { Exit::Differs })
}

fn difference(left: &Path, right: &Path, context: &Context) -> Result<Option<Difference>, Failure> {
    let (left, right) = (find(left, context)?, find(right, context)?);
    let (Some(one), Some(two)) = (lunikernel(&left)?, lunikernel(&right)?) else {
        return Ok(compare::compare_files(&left, &right)?);
    };
    let difference = compare::compare(&one, &two)?;
    if difference.is_none() {
        // Their manifests agree; that their contents are what these say is to be seen.
        for artefact in [&one, &two] {
            artefact.check(context.progress().as_ref())?;
        }
    }
    Ok(difference)
}

/// Where the file is that `named` stands for.
fn find(named: &Path, context: &Context) -> Result<PathBuf, Failure> {
    let path = verify::find(named, context)?.path;
    let wrong =
        |message: String, hint: &str| Err(Failure::new(Exit::BadInput, message).with_hint(hint));
    match fs_err::metadata(&path) {
        Ok(there) if there.is_dir() => wrong(
            format!("{} is a folder, and files are compared", path.display()),
            "name two Lunikernels or other files; `diff -r` compares folders",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => wrong(
            format!("there is no file {}", path.display()),
            "name two files, or Lunikernels in the cache by the SHA-256 that `luni cache ls` shows",
        ),
        _ => Ok(path),
    }
}

/// Opens a Lunikernel; `None` where a file is none, or is damaged: then its bytes are
/// compared as any file's.
fn lunikernel(path: &Path) -> Result<Option<Artefact>, Failure> {
    match Artefact::open(path) {
        Ok(artefact) => Ok(Some(artefact)),
        Err(error @ ArtefactError::Io { .. }) => Err(error.into()),
        Err(_) => Ok(None),
    }
}
