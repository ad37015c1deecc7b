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
    /// The certificate that it shows is none of those that `ca.pem` vouches for.
    #[error("its certificate is not to be trusted: {why}")]
    Untrusted {
        /// What is wrong with it.
        why: String,
    },
    /// It takes only clients with a certificate that it trusts.
    #[error("it does not take this client: {why}")]
    ClientRefused {
        /// What it said.
        why: String,
    },
    /// It speaks TLS where it was asked in the clear, or the other way round.
    #[error("it does not speak as it was spoken to: {why}")]
    OtherSpeech {
        /// What it said.
        why: String,
    },
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
            Self::Untrusted { .. } => format!(
                "`ca.pem`{} has to be that of who signed the engine's certificate, which has to be valid today and for the name or number that the address has",
                place(address)
            ),
            Self::ClientRefused { .. } => format!(
                "put a certificate that the engine's own authority signed and its key as `cert.pem` and `key.pem`{}; `DOCKER_CERT_PATH` names another folder",
                place(address)
            ),
            Self::OtherSpeech { .. } => match address {
                Address::Tls(..) => "an engine without TLS is reached by `tcp://HOST:PORT` and without `DOCKER_TLS_VERIFY`".to_owned(),
                _ => "an engine with TLS is reached with `DOCKER_TLS_VERIFY=1`, and `DOCKER_CERT_PATH` as the folder of `ca.pem`, `cert.pem` and `key.pem`".to_owned(),
            },
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
        let this = self.of_tls(address);
        SandboxError::Engine {
            attempted: attempted.into(),
            engine: address.to_string(),
            hint: this.hint(address),
            source: this,
        }
    }

    /// The same; whom an engine hung up on without saying why is told where it is
    /// known.
    fn of_tls(self, address: &Address) -> Self {
        match (self, address) {
            (Self::Broken(error), Address::Tls(_, folder))
                if !folder.join("cert.pem").exists() && hung_up(&error) =>
            {
                let why = "it hung up, and there is no certificate to show".to_owned();
                Self::ClientRefused { why }
            }
            (this, _) => this,
        }
    }
}

/// Where certificates are looked for, as part of a sentence.
fn place(address: &Address) -> String {
    match address {
        Address::Tls(_, folder) => format!(" in `{}`", folder.display()),
        Address::Unix(_) | Address::Tcp(_) => String::new(),
    }
}

/// Every error in the chain, those inside of [`io::Error`] included, which leave
/// themselves out.
fn chain<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> Vec<&'e (dyn std::error::Error + 'static)> {
    let mut all = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        all.push(error);
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    all
}

fn hung_up(error: &Error) -> bool {
    let hung_up = [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::UnexpectedEof,
    ];
    let io = |error: &&(dyn std::error::Error + 'static)| {
        error.downcast_ref::<io::Error>().map(io::Error::kind)
    };
    chain(error)
        .iter()
        .filter_map(io)
        .any(|kind| hung_up.contains(&kind))
}

/// What TLS has to say of it.
fn of_tls(error: &Error) -> Option<EngineTrouble> {
    use rustls::{AlertDescription as Alert, Error as Tls};
    let found = chain(error)
        .into_iter()
        .find_map(|error| error.downcast_ref::<Tls>())?;
    let why = found.to_string();
    Some(match found {
        Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented => {
            EngineTrouble::Untrusted { why }
        }
        Tls::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::AccessDenied
            | Alert::HandshakeFailure,
        ) => EngineTrouble::ClientRefused { why },
        _ => EngineTrouble::OtherSpeech { why },
    })
}

impl From<Error> for EngineTrouble {
    fn from(error: Error) -> Self {
        let text = match &error {
            Error::DockerResponseServerError { message, .. } => message.clone(),
            Error::DockerStreamError { error } => error.clone(),
            Error::IOError { err } if err.kind() == io::ErrorKind::StorageFull => err.to_string(),
            Error::CertPathError { path } => {
                let why = format!("{} cannot be read", path.display());
                return Self::Untrusted { why };
            }
            _ => return of_tls(&error).unwrap_or_else(|| Self::Broken(Box::new(error))),
        };
        let message: String = text.trim().chars().take(2000).collect();
        // As Go's servers say it (net/http).
        if message.contains("an HTTP request to an HTTPS server") {
            return Self::OtherSpeech { why: message };
        }
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
