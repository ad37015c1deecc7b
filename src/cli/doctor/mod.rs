//! `luni doctor`: what this machine can do, and what mends what it cannot.

mod boot;
mod inputs;
mod machine;
mod sandbox;

use std::path::PathBuf;

use serde::Serialize;

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Say what this machine can do, and what it lacks.
///
/// Everything is tried rather than looked up: a sandbox is set up, an engine is asked,
/// a kernel is booted where one can be had. Exit code 0 means that recipes can be built
/// here, whatever else is missing; 1 that they cannot.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A kernel to try hardware virtualisation with [default: the newest readable one
    /// in /boot]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It works.
    #[serde(rename = "ok")]
    Works,
    /// It does not, and something that is not needed for building does without.
    Limited,
    /// It does not, and recipes cannot be built.
    Broken,
    /// It could not be found out.
    Unknown,
}

impl State {
    fn label(self) -> &'static str {
        match self {
            Self::Works => "ok",
            Self::Limited => "limited",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    /// The thing.
    what: &'static str,
    /// How it is.
    state: State,
    /// What was seen.
    seen: String,
    /// What mends it, with a command where one does.
    mend: Option<String>,
}

impl Finding {
    fn works(what: &'static str, seen: impl Into<String>) -> Self {
        Self {
            what,
            state: State::Works,
            seen: seen.into(),
            mend: None,
        }
    }

    fn gap(what: &'static str, state: State, seen: impl Into<String>) -> Self {
        Self {
            state,
            ..Self::works(what, seen)
        }
    }

    fn mended_by(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    fn text(&self) -> String {
        let Self { what, seen, .. } = self;
        let mut text = format!("{:<9}{what:<16} {seen}\n", self.state.label());
        if let Some(mend) = &self.mend {
            text += &format!("{:<9}{:<16} mend it: {mend}\n", "", "");
        }
        text
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let mut findings = vec![machine::processors(), machine::memory(), machine::clock()];
    findings.push(machine::disk(context));
    findings.extend(sandbox::all(context));
    findings.push(sandbox::tracing(context));
    findings.extend(inputs::packages());
    findings.push(inputs::network(context));
    findings.extend(inputs::mirrors(context));
    findings.extend(boot::all(args.kernel.as_deref(), context));
    let broken = findings.iter().any(|found| found.state == State::Broken);
    if context.json() {
        context.print_json(&findings)?;
    } else {
        let mut text: String = findings.iter().map(Finding::text).collect();
        text += if broken {
            "\nrecipes cannot be built here before what is broken is mended\n"
        } else {
            "\nrecipes can be built here\n"
        };
        context.print(&text)?;
    }
    Ok(if broken { Exit::Failed } else { Exit::Ok })
}
