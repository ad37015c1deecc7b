//! `luni inspect`: look into a Lunikernel and check every digest.

use std::path::PathBuf;

use super::{Context, verify};
use crate::exit::Exit;
use crate::failure::Failure;
use lunikernel_builder::inspect::inspect;

/// Show what is in a Lunikernel; check all of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Lunikernel: a zip, its address (file, http or https), or the first digits (at
    /// least 8) of the SHA-256 of one in the cache
    #[arg(value_name = "LUNIKERNEL")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let artefact = verify::artefact(&args.file, context)?;
    let inspection = inspect(&artefact, context.progress().as_ref())?;
    if context.json() {
        context.print_json(&inspection)?;
    } else {
        context.print(&format!("{inspection}\n"))?;
    }
    Ok(Exit::Ok)
}
