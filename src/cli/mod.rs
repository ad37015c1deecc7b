//! The command line: one file per verb, each with its `Args` and its `run`.

mod attest;
mod build;
mod cache;
mod check;
mod cmdline;
mod completions;
mod context;
mod diff;
mod doctor;
mod environment;
mod export;
mod fetch;
mod help;
mod inspect;
mod lock;
mod man;
mod new;
mod output;
mod overlay;
mod reads;
mod run;
mod sandbox;
mod schema;
mod shell;
mod signals;
mod size;
mod verify;
mod workshop;

pub(crate) use context::Context;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::exit::Exit;
use crate::failure::Failure;

#[derive(Debug, Parser)]
#[command(name = "luni", version, about, after_help = exit_codes())]
struct Cli {
    #[command(flatten)]
    options: context::Options,
    #[command(subcommand)]
    verb: Verb,
}

/// What to do. The first line of each verb's `Args` is what `luni --help` says of it.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    New(new::Args),
    Check(check::Args),
    Schema(schema::Args),
    Lock(lock::Args),
    Fetch(fetch::Args),
    Build(build::Args),
    Shell(shell::Args),
    Inspect(inspect::Args),
    Overlay(overlay::Args),
    Export(export::Args),
    Diff(diff::Args),
    #[command(name = "verify-reproducibility", visible_alias = "verify")]
    Verify(verify::Args),
    Attest(attest::Args),
    Run(run::Args),
    Cache(cache::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::New(args) => new::run(args, context),
            Self::Check(args) => check::run(args, context),
            Self::Schema(args) => schema::run(args, context),
            Self::Lock(args) => lock::run(args, context),
            Self::Fetch(args) => fetch::run(args, context),
            Self::Build(args) => build::run(args, context),
            Self::Shell(args) => shell::run(args, context),
            Self::Inspect(args) => inspect::run(args, context),
            Self::Overlay(args) => overlay::run(args, context),
            Self::Export(args) => export::run(args, context),
            Self::Diff(args) => diff::run(args, context),
            Self::Verify(args) => verify::run(args, context),
            Self::Attest(args) => attest::run(args, context),
            Self::Cache(args) => cache::run(args, context),
            Self::Run(args) => run::run(args, context),
            Self::Doctor(args) => doctor::run(args, context),
            Self::Completions(args) => completions::run(args, context),
            Self::Man(args) => man::run(args, context),
        }
    }
}

/// Reads the command line.
pub(crate) fn parse() -> Result<(Verb, Context), clap::Error> {
    let cli = Cli::from_arg_matches(&command().try_get_matches()?)?;
    Ok((cli.verb, Context::new(cli.options)))
}

/// The command line as clap has it: for help, completions and manual pages.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let overview = help::overview(&command);
    command
        .override_help(overview)
        .mut_subcommands(|verb| verb.after_help(exit_codes()))
}

/// The exit codes, as they stand below the help of every verb.
fn exit_codes() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        text += &format!("  {:>2}  {}\n", exit.code(), exit.meaning());
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_fits_a_screen_and_names_every_verb() {
        let help = command().render_help().to_string();
        assert!(help.lines().count() <= 24, "{help}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
        for verb in command().get_subcommands() {
            let named = help
                .lines()
                .any(|line| line.split_whitespace().any(|word| word == verb.get_name()));
            assert!(
                named || verb.is_hide_set(),
                "{} in\n{help}",
                verb.get_name()
            );
        }
    }

    #[test]
    fn exit_codes_are_documented() {
        let page = include_str!("../../docs/exit-codes.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(page.contains(&row), "docs/exit-codes.md lacks: {row}");
        }
    }
}
