//! `luni completions`: what a shell needs to complete command lines.

use clap_complete::Shell;

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Print a script by which a shell completes command lines of luni.
///
/// For bash, `luni completions bash > ~/.local/share/bash-completion/completions/luni`
/// installs it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "luni", &mut script);
    context.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
