//! What can go wrong while fetching, and what each place answered.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lunikernel_cache::{CacheError, Digest, Sha256};
use url::Url;

/// Why a place did not give what was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It has nothing there: HTTP 404 or 410, or no such file.
    NotThere,
    /// It answered with another HTTP status than 200 or 206.
    Status {
        /// The status.
        code: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// No connection could be made, or the exchange broke before an answer came.
    Unreachable(String),
    /// There is no server of its name, as whoever knows the names said for certain.
    NoSuchName(String),
    /// Nothing, or next to nothing, came for that long.
    Stalled(Duration),
    /// The connection ended before the end of the file.
    Cut {
        /// How many bytes of the file there are now.
        got: u64,
        /// How many there should be, where that is known.
        expected: Option<u64>,
    },
    /// It leads to somewhere that is not followed.
    Redirect(String),
    /// What it has is of another size.
    WrongSize {
        /// The size that it has, at least.
        actual: u64,
        /// The size that is wanted, or the limit.
        expected: u64,
    },
    /// What it has are other bytes.
    WrongBytes(Digest),
    /// It is a local file that cannot be read, or an address that cannot be used.
    Unusable(String),
    /// It is a repository out of which a commit cannot be had, or a registry that does not
    /// say where it has something.
    Repository {
        /// What git says, or what is wrong with the registry.
        why: String,
        /// What the user can do about it.
        hint: Option<String>,
    },
}

impl Answer {
    /// Whether the same place may answer better in a while.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Stalled(_) | Self::Cut { .. } => true,
            Self::Status { code, .. } => matches!(code, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }

    /// Whether it is the whole server that fails, so that its other files are better
    /// looked for elsewhere first.
    #[must_use]
    pub fn is_about_server(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::NoSuchName(_) | Self::Stalled(_)
        )
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => write!(f, "it is not there"),
            Self::Status { code, .. } => write!(f, "it answered with HTTP status {code}"),
            Self::Unreachable(why) | Self::NoSuchName(why) => {
                write!(f, "it cannot be reached: {why}")
            }
            Self::Stalled(time) => write!(f, "it stalled for {} s", time.as_secs()),
            Self::Cut { got, expected } => match expected {
                Some(expected) => write!(f, "it stopped after {got} of {expected} bytes"),
                None => write!(f, "it stopped after {got} bytes"),
            },
            Self::Redirect(why) => write!(f, "its redirect is not followed: {why}"),
            Self::WrongSize { actual, expected } => {
                write!(
                    f,
                    "it has {actual} bytes or more, but {expected} were expected"
                )
            }
            Self::WrongBytes(digest) => write!(f, "it has other bytes: {digest}"),
            Self::Unusable(why) | Self::Repository { why, .. } => f.write_str(why),
        }
    }
}

/// A place that was tried, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The place, without a password.
    pub place: String,
    /// Its last answer.
    pub answer: Answer,
    /// How often it was tried.
    pub tries: u32,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.answer)?;
        if self.tries > 1 {
            write!(f, " (tried {} times)", self.tries)?;
        }
        Ok(())
    }
}

/// An input that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What people call it.
    pub name: String,
    /// What it must be.
    pub sha256: Sha256,
    /// Every place that was tried, best first.
    pub attempts: Vec<Attempt>,
}

/// For so many inputs it is told in full that places cannot be reached; without a
/// network it is the same for all that follow.
const TOLD_IN_FULL: usize = 2;

/// So many inputs are named; of more it is only said how many there are.
const NAMED: usize = 10;

/// Inputs as lines of a message.
struct List<'a>(&'a [Missing]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, missing) in self.0.iter().take(NAMED).enumerate() {
            write!(f, "\n  {} ({})", missing.name, missing.sha256)?;
            for attempt in &missing.attempts {
                if number < TOLD_IN_FULL || !attempt.answer.is_about_server() {
                    write!(f, "\n    {attempt}")?;
                }
            }
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

fn inputs(missing: &[Missing]) -> String {
    match missing.len() {
        1 => "1 input".to_owned(),
        count => format!("{count} inputs"),
    }
}

/// Something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// It is not there.
    #[error("{} is not there", shown(url))]
    NotFound {
        /// The address.
        url: Url,
    },
    /// A local file could not be read.
    #[error("could not read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// What was to be fetched by its address alone could not be had.
    #[error("could not fetch {0}")]
    Failed(Attempt),
    /// It would have to come over the network, which may not be used.
    #[error("could not fetch {place}: the network may not be used")]
    NoNetwork {
        /// The address, without a password.
        place: String,
    },
    /// No place had these inputs.
    #[error("could not fetch {}:{}", inputs(.0), List(.0))]
    Unavailable(Vec<Missing>),
    /// These inputs are not in the cache, and the network may not be used.
    #[error("the network may not be used and the cache lacks {}:{}", inputs(.0), List(.0))]
    Offline(Vec<Missing>),
    /// No client for HTTP could be made.
    #[error("could not set up HTTP: {0}")]
    Client(String),
    /// A helper thread died.
    #[error("a helper thread ended while fetching: {0}")]
    Thread(String),
}

impl FetchError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::NotFound { .. } => Some("check the address".to_owned()),
            Self::Failed(attempt) if !attempt.answer.is_transient() && !attempt.answer.is_about_server() => {
                Some("check the address".to_owned())
            }
            Self::Failed(_) => {
                Some("try again later, or check the address and the connection".to_owned())
            }
            Self::Unavailable(missing) if missing.iter().any(Missing::has_wrong_bytes) => Some(
                "a place now has other bytes than were locked: find out why before you lock anew \
                 with `luni lock --update`, or name a mirror that has the old ones with `--mirror URL`"
                    .to_owned(),
            ),
            Self::Unavailable(missing) if missing.iter().any(Missing::has_no_trust) => Some(
                "this machine trusts no authority that vouches for the server: install its \
                 certificates, in Debian the package `ca-certificates`"
                    .to_owned(),
            ),
            Self::Unavailable(missing) if missing.iter().all(Missing::is_out_of_reach) => Some(
                "see that this machine is connected, or name a mirror on disk with \
                 `--mirror file:///FOLDER`"
                    .to_owned(),
            ),
            Self::Unavailable(missing) => {
                missing.iter().find_map(Missing::hint).or_else(|| {
                    let usual = match missing.iter().any(Missing::may_come) {
                        false => "check the addresses, or name a mirror that has them with `--mirror URL`",
                        true => "try again later, or name a mirror that has them with `--mirror URL`",
                    };
                    Some(usual.to_owned())
                })
            }
            Self::NoNetwork { .. } => {
                Some("it is not in the cache: leave `--offline` out".to_owned())
            }
            Self::Offline(_) => Some(
                "fetch them first, without `--offline`: `luni fetch`; or name a mirror on disk with \
                 `--mirror file:///FOLDER`"
                    .to_owned(),
            ),
            Self::File { .. } | Self::Client(_) | Self::Thread(_) => None,
        }
    }
}

impl Missing {
    /// Whether no place could be reached at all.
    #[must_use]
    pub fn is_out_of_reach(&self) -> bool {
        let mut attempts = self.attempts.iter();
        !self.attempts.is_empty() && attempts.all(|attempt| attempt.answer.is_about_server())
    }

    /// Whether a place may have it in a while.
    fn may_come(&self) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|it| it.answer.is_transient() || it.answer.is_about_server())
    }

    /// What one of the places has to say about it.
    fn hint(&self) -> Option<String> {
        self.attempts
            .iter()
            .find_map(|attempt| match &attempt.answer {
                Answer::Repository { hint, .. } => hint.clone(),
                _ => None,
            })
    }

    fn has_no_trust(&self) -> bool {
        self.attempts.iter().any(|attempt| {
            matches!(&attempt.answer, Answer::Unreachable(why) if why.contains("UnknownIssuer"))
        })
    }

    fn has_wrong_bytes(&self) -> bool {
        self.attempts.iter().any(|attempt| {
            matches!(
                attempt.answer,
                Answer::WrongBytes(_) | Answer::WrongSize { .. }
            )
        })
    }
}

/// What ends one try: a place's answer, after which the next place is tried, or an
/// error of our own, after which nothing is.
pub(crate) enum Trouble {
    Answer(Answer),
    Fatal(FetchError),
}

impl From<Answer> for Trouble {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        Self::Fatal(error)
    }
}

impl From<CacheError> for Trouble {
    fn from(error: CacheError) -> Self {
        Self::Fatal(error.into())
    }
}

/// An address as people may see it: without the password that it may carry.
#[must_use]
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Fails only for addresses that cannot have a password.
        let _ = url.set_password(None);
    }
    url.to_string()
}
