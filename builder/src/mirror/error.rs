//! What can go wrong with a mirror.

use lunikernel_cache::CacheError;

use crate::fetch::{Answer, Attempt, FetchError};

/// A mirror could not be written or listed.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Its address cannot be used.
    #[error("`{mirror}` cannot be used as a mirror: {why}")]
    Address {
        /// The address, without a password.
        mirror: String,
        /// Why not.
        why: String,
    },
    /// A file could not be brought there.
    #[error("could not push to {0}")]
    Push(Attempt),
    /// It would not say what it has.
    #[error("could not list {0}")]
    List(Attempt),
    /// It would not say whether it has something.
    #[error("could not ask for {0}")]
    Ask(Attempt),
    /// Nothing can be listed there: there is no standard way to ask a web server.
    #[error("{mirror} cannot be listed")]
    NoList {
        /// The address, without a password.
        mirror: String,
    },
    /// It would have to be reached over the network, which may not be used.
    #[error("could not push to {mirror}: the network may not be used")]
    NoNetwork {
        /// The address, without a password.
        mirror: String,
    },
    /// Setting up a connection failed.
    #[error(transparent)]
    Fetch(FetchError),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl From<FetchError> for MirrorError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Cache(error) => Self::Cache(error),
            other => Self::Fetch(other),
        }
    }
}

impl MirrorError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Address { .. } => Some(
                "write a folder, `file:///FOLDER`, `https://HOST/PATH`, `s3://BUCKET/PREFIX` or \
                 `gs://BUCKET/PREFIX`"
                    .to_owned(),
            ),
            Self::Ask(attempt) => match &attempt.answer {
                Answer::Status {
                    code: 401 | 403, ..
                } if attempt.place.starts_with("http") => Some(
                    "set LUNI_MIRROR_AUTH to `ADDRESS=bearer:TOKEN` or \
                     `ADDRESS=basic:USER:PASSWORD`"
                        .to_owned(),
                ),
                _ => Some("try again later, or check the address and the connection".to_owned()),
            },
            Self::Push(attempt) | Self::List(attempt) => match &attempt.answer {
                Answer::Status { code, .. } => Some(match code {
                    401 | 403 if attempt.place.starts_with("http") => {
                        "set LUNI_MIRROR_AUTH to `ADDRESS=bearer:TOKEN` or \
                         `ADDRESS=basic:USER:PASSWORD`"
                            .to_owned()
                    }
                    401 | 403 => {
                        "see that the keys in the environment may write to the bucket".to_owned()
                    }
                    404 | 405 | 501 => {
                        "see that the server takes PUT there, as WebDAV does".to_owned()
                    }
                    _ => "run it again: what the mirror has already is passed over".to_owned(),
                }),
                Answer::Unreachable(_) if !attempt.place.starts_with("http") => Some(
                    "see that the bucket's name is right, and its region, keys and endpoint in the \
                     environment"
                        .to_owned(),
                ),
                answer if answer.is_transient() => {
                    Some("run it again: what the mirror has already is passed over".to_owned())
                }
                _ => None,
            },
            Self::NoList { .. } => Some("name the recipes whose inputs are wanted".to_owned()),
            Self::NoNetwork { .. } => Some("leave `--offline` out".to_owned()),
            Self::Fetch(error) => error.hint(),
            Self::Cache(CacheError::Missing { .. }) => {
                Some("get what the lock names with `luni fetch RECIPE`".to_owned())
            }
            Self::Cache(error) => error.hint(),
        }
    }
}
