//! `luni cache`: what is in the cache, whether it is whole, less of it, and copies of it
//! elsewhere.

mod gc;
mod ls;
mod pull;
mod push;
mod verify;

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// List, check, collect, push or pull what the cache holds.
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
    Push(push::Args),
    Pull(pull::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match &args.verb {
        Verb::Ls(args) => ls::run(args, context),
        Verb::Gc(args) => gc::run(args, context),
        Verb::Verify(args) => verify::run(args, context),
        Verb::Push(args) => push::run(args, context),
        Verb::Pull(args) => pull::run(args, context),
    }
}
