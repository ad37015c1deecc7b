//! Verifying that a recipe and its lock give the same bits, whatever is around them.
//!
//! A round is a cold build in a cache of its own: the locked inputs are copied into it
//! and hashed again on the way, nothing else is shared, and no result is recalled.
//! What an honest build must not depend on differs from round to round.

pub mod compare;
mod round;
mod variation;

use std::collections::BTreeSet;
use std::fmt;

use lunikernel_cache::artefact::{Artefact, ArtefactError};
use lunikernel_cache::{Cache, CacheError, Digest, Silent};
use serde::Serialize;

pub use compare::{CompareError, Difference, compare};
pub use round::{MakeBuilder, Round, round};
pub use variation::{Conditions, Variation};

use crate::build::BuildError;
use crate::lock::LockedRecipe;
use crate::sandbox::Unable;

/// What verifying came to. Where it cannot be decided there is an error instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every round gave the same bytes.
    Good,
    /// Two rounds gave different bytes.
    Differs,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "GOOD",
            Self::Differs => "DIFFERS",
        })
    }
}

/// What verifying found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What it came to.
    pub verdict: Verdict,
    /// The artefact of each round.
    pub rounds: Vec<RoundReport>,
    /// What was varied.
    pub varied: Vec<Variation>,
    /// The artefact that the rounds were to make, where one was given.
    pub expected: Option<Digest>,
    /// The first difference that was found: between the expected artefact, or else the
    /// first round, and the first round that differs from it.
    pub difference: Option<Difference>,
}

/// One round.
#[derive(Debug, Clone, Serialize)]
pub struct RoundReport {
    /// The artefact that it made.
    pub artefact: Digest,
    /// Under which conditions.
    pub conditions: Conditions,
    /// What of them could not be had.
    pub unable: Vec<Unable>,
}

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
    /// An artefact that was just built cannot be read.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// Two artefacts differ, but could not be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
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
            Self::Artefact(error) => error.hint(),
            Self::Compare(_) | Self::Prepare(_) => None,
            Self::TooFewRounds(_) => Some("leave `--rounds` out for two of them".to_owned()),
        }
    }
}

/// Builds `locked` in `rounds` cold rounds, with `varied` different from round to round,
/// and compares what comes out, with one another and with `expected`, if there is one. The
/// inputs must be in `main` already.
///
/// # Errors
/// [`VerifyError`] where a round could not be built: then there is no verdict.
pub async fn verify(
    main: &Cache,
    locked: &LockedRecipe,
    rounds: usize,
    varied: &[Variation],
    expected: Option<&Artefact>,
    make: MakeBuilder<'_>,
) -> Result<Report, VerifyError> {
    if rounds < 2 {
        return Err(VerifyError::TooFewRounds(rounds));
    }
    let mut reports = Vec::new();
    let mut difference = None;
    let expected = match expected {
        Some(artefact) => Some((artefact, artefact.check(&Silent)?.digest)),
        None => None,
    };
    let mut first: Option<Round> = None;
    for number in 0..rounds {
        let conditions = Conditions::of_round(number, varied);
        let this = round(main, locked, number, conditions, make).await?;
        reports.push(RoundReport {
            artefact: this.built.artefact,
            conditions: this.conditions.clone(),
            unable: this.built.unable(),
        });
        if let Some((artefact, digest)) = expected
            && difference.is_none()
            && digest != this.built.artefact
        {
            difference = compare(artefact, &this.artefact()?)?;
        }
        match &first {
            None => first = Some(this),
            Some(first) if difference.is_none() && first.built.artefact != this.built.artefact => {
                difference = compare(&first.artefact()?, &this.artefact()?)?;
            }
            Some(_) => {}
        }
    }
    let mut made: BTreeSet<Digest> = reports.iter().map(|round| round.artefact).collect();
    made.extend(expected.map(|(_, digest)| digest));
    Ok(Report {
        expected: expected.map(|(_, digest)| digest),
        verdict: if made.len() == 1 {
            Verdict::Good
        } else {
            Verdict::Differs
        },
        rounds: reports,
        varied: varied.to_vec(),
        difference,
    })
}
