//! What goes wrong with engines.

use std::io;

use bollard::errors::Error;

use super::connect::Address;
use crate::sandbox::SandboxError;

/// Why an engine did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum EngineTrouble {
    /// There is none.
    #[error("nothing answers at {}", tried.join(", "))]
    None {
        /// Where one was looked for.
        tried: Vec<String>,
    },
    /// Its socket is not there, or nobody listens on it.
    #[error("nothing answers there")]
    Absent(#[source] io::Error),
    /// This user may not use its socket.
    #[error("this user may not use its socket")]
    NotPermitted(#[source] io::Error),
    /// An address that cannot be used.
    #[error("{0}")]
    Address(String),
    /// Its API is older than what is needed.
    #[error("its API has version {found}; version {needed} or newer is needed")]
    TooOld {
        /// What it has.
        found: String,
        /// What is needed.
        needed: &'static str,
    },
    /// It runs on another kind of processor, or another system.
    #[error("it runs {found}; this program is for {needed}")]
    OtherMachine {
        /// What it runs.
        found: String,
        /// What this program is for.
        needed: String,
    },
    /// It refused.
    #[error("it refused: {message}")]
    Refused {
        /// What it said.
        message: String,
    },
    /// Its disk is full.
    #[error("its disk is full: {message}")]
    Full {
        /// What it said.
        message: String,
    },
    /// It makes no network for containers.
    #[error("the container has no network but its loopback interface")]
    NoNetwork,
    /// It stopped answering, or answered with something else.
    #[error("it does not answer as an engine does")]
    Broken(#[source] Box<Error>),
    /// It answered with something that cannot be right.
    #[error("{0}")]
    Wrong(String),
}

impl EngineTrouble {
    fn hint(&self, address: &Address) -> Option<String> {
        let restart = "see whether the engine runs, with `docker info` or `podman info`; what it kept of this build is removed by the next one, and by `luni cache gc`";
        Some(match self {
            Self::None { .. } | Self::Absent(_) => {
                "start an engine, or name its socket: `DOCKER_HOST=unix:///run/docker.sock`; without one, `--sandbox native` builds too".to_owned()
            }
            Self::NotPermitted(_) => {
                "add this user to the socket's group (`sudo usermod -aG docker $USER`, then log in again), or use `--sandbox native`".to_owned()
            }
            Self::Address(_) => {
                "write `unix:///PATH` or `tcp://HOST:PORT`; for an engine behind ssh forward its socket: `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`".to_owned()
            }
            Self::TooOld { .. } => "update the engine: Docker 20.10 and Podman 4 are new enough".to_owned(),
            Self::OtherMachine { .. } => {
                "use an engine on a machine of the same kind, or `--sandbox native`".to_owned()
            }
            Self::Full { .. } => {
                "free some space where the engine keeps its files, for example with `docker system prune`".to_owned()
            }
            Self::NoNetwork => {
                "let the engine have its bridge, or name one of its networks: `LUNI_ENGINE_NETWORK=host`; `--sandbox native` uses this machine's".to_owned()
            }
            Self::Broken(_) => restart.to_owned(),
            Self::Refused { .. } | Self::Wrong(_) => {
                return address.is_remote().then(|| restart.to_owned());
            }
        })
    }

    /// The error of what was attempted.
    pub(super) fn at(self, attempted: impl Into<String>, address: &Address) -> SandboxError {
        SandboxError::Engine {
            attempted: attempted.into(),
            engine: address.to_string(),
            hint: self.hint(address),
            source: self,
        }
    }
}

impl From<Error> for EngineTrouble {
    fn from(error: Error) -> Self {
        let text = match &error {
            Error::DockerResponseServerError { message, .. } => message.clone(),
            Error::DockerStreamError { error } => error.clone(),
            Error::IOError { err } if err.kind() == io::ErrorKind::StorageFull => err.to_string(),
            _ => return Self::Broken(Box::new(error)),
        };
        let message: String = text.trim().chars().take(2000).collect();
        // Engines pass on what their system says (ENOSPC, EDQUOT), as text.
        let full = ["no space left on device", "quota exceeded"];
        if full
            .iter()
            .any(|said| message.to_lowercase().contains(said))
        {
            Self::Full { message }
        } else {
            Self::Refused { message }
        }
    }
}
