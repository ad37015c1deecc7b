//! Sandboxes: where actions run.
//!
//! An action is a REAPI message and knows nothing of where it runs. A [`Sandbox`]
//! takes it, shows its command exactly the input root and nothing of the host, and
//! returns the outputs by digest.

pub mod docker;
mod environment;
mod frames;
mod job;
mod lent;
mod locale;
mod log;
pub mod native;
mod surroundings;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lunikernel_cache::{Digest, reapi};
use serde::Serialize;

pub use docker::{Docker, EngineInfo, InDocker};
pub use environment::{environment, fixed_by};
pub use log::LogSink;
pub use native::Native;
pub use surroundings::{EntryOrder, Facet, PathOrder, Surroundings, Unable, UserId};

/// Runs actions.
pub trait Sandbox: Send + Sync {
    /// What it is called on the command line.
    fn name(&self) -> &'static str;

    /// Runs the action with that digest. The action, its command and its input root
    /// are in the store; the outputs are there afterwards. The action cache is
    /// neither read nor written.
    ///
    /// # Errors
    /// [`SandboxError`] where the command could not be run at all. A command that ran
    /// and failed is an [`Outcome`], not an error.
    fn run(&self, action: &Digest, surroundings: &Surroundings) -> Result<Outcome, SandboxError>;
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit code, outputs, and the log (standard output and error together, in the
    /// order in which they came, as `stdout_digest`).
    pub result: reapi::ActionResult,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// How long the command ran.
    pub took: Duration,
    /// What of the surroundings that were asked for it did not have.
    pub unable: Vec<Unable>,
    /// Where the state that a failed command left is kept, for `luni shell`.
    pub kept: Option<PathBuf>,
    /// Where it ran.
    pub place: Place,
}

/// Where a command ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The sandbox, as the command line calls it: never one that chooses another.
    pub sandbox: &'static str,
    /// The engine of a container and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sandbox)?;
        match &self.engine {
            Some(engine) => write!(f, ": {engine}"),
            None => Ok(()),
        }
    }
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It ended with a code other than 0.
    #[error("it ended with exit code {0}")]
    ExitCode(i32),
    /// A signal ended it.
    #[error("signal {0} ended it")]
    Signal(i32),
    /// It took longer than the action allows.
    #[error("it was stopped after {} seconds, its time limit", .0.as_secs())]
    TimedOut(Duration),
    /// It used more memory than the action allows.
    #[error("it was stopped for using more than {0} MiB of memory, its limit")]
    OutOfMemory(u64),
    /// It had more processes and threads at a time than the action allows.
    #[error("it was stopped for having more than {0} processes, its limit")]
    TooManyProcesses(u64),
    /// Its program is not there or cannot be executed.
    #[error("`{program}` could not be started: {why}")]
    CannotStart {
        /// The program, as the action names it.
        program: String,
        /// What the operating system said.
        why: String,
    },
    /// It ended well but did not make an output that the action names.
    #[error("it ended well but made no `{0}`, which is one of its outputs")]
    MissingOutput(String),
    /// It made an output that cannot be kept: a device, a socket, a name that is not UTF-8.
    #[error("its output `{path}` cannot be kept: {why}")]
    BadOutput {
        /// The output, or what in it.
        path: String,
        /// Why not.
        why: String,
    },
}

/// A command could not be run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] lunikernel_cache::CacheError),
    /// The machine does not let a sandbox be set up.
    #[error("could not set up a sandbox: {attempted}")]
    Setup {
        /// What was being done.
        attempted: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
        /// What helps.
        hint: Option<String>,
    },
    /// An engine of containers did not do what it was asked for.
    #[error("could not {attempted}: {engine}")]
    Engine {
        /// What was being done.
        attempted: String,
        /// Where the engine is.
        engine: String,
        /// Why not.
        #[source]
        source: docker::EngineTrouble,
        /// What helps.
        hint: Option<String>,
    },
    /// The action is not one that this sandbox can run.
    #[error("the action {digest} cannot be run: {why}")]
    BadAction {
        /// The action.
        digest: Digest,
        /// What is wrong with it.
        why: String,
    },
}

impl SandboxError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::Setup { hint, .. } | Self::Engine { hint, .. } => hint.clone(),
            Self::BadAction { .. } => None,
        }
    }
}
