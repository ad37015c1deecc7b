//! What the outside tells the inside, and what comes back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::sandbox::{Surroundings, Unable};

/// All that the inside must know, besides its current folder (the cache's).
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) argv: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    /// Relative to the inside's root.
    pub(super) workdir: String,
    /// The root's read-only layer, relative to the cache's folder.
    pub(super) lower: PathBuf,
    /// The folder with `upper`, `work` and `mnt`, relative to the cache's folder.
    pub(super) state: PathBuf,
    /// What is to be around the command, besides the environment.
    pub(super) around: Surroundings,
    pub(super) timeout_ms: Option<u64>,
    pub(super) memory_mib: u64,
    pub(super) processes: u64,
    /// Whether the network is the one outside.
    pub(super) network: bool,
    /// Whether it is remembered whom the command gives files to.
    pub(super) keeps_owners: bool,
    /// Whether a person sits at its terminal; a descriptor of its input comes along.
    pub(super) interactive: bool,
}

/// What the inside reports.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The namespaces are there; the user may be mapped.
    Unshared,
    /// All is set up; with a memory file system as `/build`, a descriptor of it comes along.
    Ready,
    /// Something of the surroundings cannot be had.
    Unable(Unable),
    /// The command ended.
    Ended(End),
    /// Setting up failed.
    Failed(Trouble),
}

/// The outside's answer to [`Report::Unshared`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mapped;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum End {
    Exit(i32),
    Signal(i32),
    TimedOut,
    OutOfMemory,
    TooManyProcesses,
    /// The program could not be executed, with the system's error number.
    CannotStart(i32),
}

/// A step of setting up that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Trouble {
    pub(super) attempted: String,
    /// The system's error number, or 0 where `text` says more.
    pub(super) errno: i32,
    pub(super) text: String,
}

impl Trouble {
    /// For `map_err`: what was attempted, with the system's error.
    pub(super) fn at<E: Into<std::io::Error>>(
        attempted: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let attempted = attempted.into();
        move |error| {
            let error = error.into();
            Self {
                attempted,
                errno: error.raw_os_error().unwrap_or(0),
                text: error.to_string(),
            }
        }
    }

    /// What was attempted, and the error.
    pub(in crate::sandbox) fn split(self) -> (String, std::io::Error) {
        let error = match self.errno {
            0 => std::io::Error::other(self.text),
            errno => std::io::Error::from_raw_os_error(errno),
        };
        (self.attempted, error)
    }
}
