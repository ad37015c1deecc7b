//! `luni cache`: what is in the cache, whether it is whole, and less of it.

mod gc;
mod ls;
mod verify;

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// List, check or collect what the cache holds.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Ls(ls::Args),
    Gc(gc::Args),
    Verify(verify::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match &args.verb {
        Verb::Ls(args) => ls::run(args, context),
        Verb::Gc(args) => gc::run(args, context),
        Verb::Verify(args) => verify::run(args, context),
    }
}
