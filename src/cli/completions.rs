//! `luni completions`: what a shell needs to complete command lines.

use clap_complete::Shell;
use serde_json::json;

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
    let script = String::from_utf8_lossy(&script);
    if context.json() {
        let shell = args.shell.to_string();
        context.print_json(&json!({ "shell": shell, "script": script }))?;
    } else {
        context.print(&script)?;
    }
    Ok(Exit::Ok)
}
