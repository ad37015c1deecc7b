//! `luni inspect`: look into a Lunikernel and check every digest.

use std::path::PathBuf;

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use lunikernel_builder::inspect::inspect;
use lunikernel_cache::artefact::Artefact;

/// Show what is in one, and check every digest.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Lunikernel: a zip
    #[arg(value_name = "LUNIKERNEL")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let artefact = Artefact::open(&args.file)?;
    let inspection = inspect(&artefact, context.progress().as_ref())?;
    if context.json() {
        context.print_json(&inspection)?;
    } else {
        context.print(&format!("{inspection}\n"))?;
    }
    Ok(Exit::Ok)
}
