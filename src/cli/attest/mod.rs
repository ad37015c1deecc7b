//! `luni attest`: sign what was built or verified, and weigh what others signed.

mod keygen;
mod sign;
mod verify;

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Sign what was built or verified; check who did.
///
/// Attestations are in-toto statements in DSSE envelopes, signed with Ed25519 keys;
/// other programs read and write them too.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Keygen(keygen::Args),
    Sign(sign::Args),
    Verify(verify::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    match &args.verb {
        Verb::Keygen(args) => keygen::run(args, context),
        Verb::Sign(args) => sign::run(args, context),
        Verb::Verify(args) => verify::run(args, context),
    }
}
