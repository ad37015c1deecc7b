//! What can go wrong while verifying.

use lunikernel_cache::CacheError;
use lunikernel_cache::artefact::ArtefactError;

use super::CompareError;
use crate::build::BuildError;

/// No verdict was reached.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store failed, or holds an input that is not what the lock says.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A round could not be built.
    #[error("could not build round {round}")]
    Build {
        /// Which, counted from 1.
        round: usize,
        /// Why not.
        #[source]
        source: Box<BuildError>,
    },
    /// A trial of the search for the cause could not be built.
    #[error("could not make a trial to find out why rounds differ")]
    Trial(#[source] Box<BuildError>),
    /// An artefact that was just built cannot be read.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// Two artefacts differ, but could not be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// What a round built could not be exported.
    #[error("could not export what a round built: {0}")]
    Export(String),
    /// A builder could not be made.
    #[error("could not prepare a round: {0}")]
    Prepare(String),
    /// Fewer than two rounds compare nothing.
    #[error("{0} rounds compare nothing: expected at least 2")]
    TooFewRounds(usize),
}

impl VerifyError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::Build { source, .. } => source.hint(),
            Self::Trial(_) => Some("with `--no-bisect` rounds are only compared".to_owned()),
            Self::Artefact(error) => error.hint(),
            Self::Compare(error) => error.hint(),
            Self::Prepare(_) | Self::Export(_) => None,
            Self::TooFewRounds(_) => Some("leave `--rounds` out for two of them".to_owned()),
        }
    }
}
