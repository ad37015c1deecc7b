//! `luni man`: manual pages.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use serde_json::json;

use super::Context;
use super::environment::VARIABLES;
use super::output::{Output, lossy};
use super::reads::Reads;
use crate::exit::Exit;
use crate::failure::Failure;

/// Write a manual page for luni and for each of its verbs.
///
/// `man -l luni-build.1` shows one; in `~/.local/share/man/man1` they are found by name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder that they are written to; it is made where it is not there
    folder: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut written = Vec::new();
    // Its flattened copy has the options that are the same for every verb.
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    lunikernel_cache::mask::create_folder(&args.folder).map_err(|error| {
        let message = format!("could not make the folder {}", args.folder.display());
        let exit = match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => Exit::BadInput,
            _ => Exit::Failed,
        };
        let hint = "name a folder that you may write to, such as `luni man ./man`";
        Failure::new(exit, message)
            .caused_by(&error)
            .with_hint(hint)
    })?;
    write(&args.folder, &command, &mut written)?;
    if context.json() {
        let (folder, pages) = (lossy(&args.folder), &written);
        context.print_json(&json!({ "folder": folder, "pages": pages }))?;
    }
    context.say(&format!(
        "{} pages are in {}",
        written.len(),
        args.folder.display()
    ));
    Ok(Exit::Ok)
}

/// Writes the page of `command` and those of what is below it.
fn write(folder: &Path, command: &Command, written: &mut Vec<String>) -> Result<(), Failure> {
    let man = Man::new(command.clone());
    let path = folder.join(man.get_filename());
    let is_first = written.is_empty();
    Output::new(path, "name another folder", &Reads::default())?.write_by(|file| {
        man.render(&mut &mut *file).map_err(unwritten)?;
        match is_first {
            true => file.write_all(environment().as_bytes()).map_err(unwritten),
            false => Ok(()),
        }
    })?;
    written.push(man.get_filename());
    let below = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    for verb in below {
        write(folder, verb, written)?;
    }
    Ok(())
}

/// The section on variables, in roff, for the page of luni itself.
fn environment() -> String {
    let mut text = ".SH ENVIRONMENT\n".to_owned();
    for (name, about) in VARIABLES {
        text += &format!(".TP\n\\fB{name}\\fR\n{}\n", about.replace('-', "\\-"));
    }
    text
}

fn unwritten(error: std::io::Error) -> Failure {
    Failure::new(Exit::Failed, "could not make a manual page").caused_by(&error)
}
