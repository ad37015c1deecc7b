//! What verifying found, as `--json` prints it. Names of fields are kept from version
//! to version; docs/reproducibility.md has them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lunikernel_cache::Digest;
use serde::Serialize;

use super::{Cause, Conditions, Difference, Variation};
use crate::build::StepReport;
use crate::sandbox::Unable;

/// What verifying came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every round gave the same bytes.
    Good,
    /// Two rounds gave different bytes.
    Differs,
    /// A round could not be built, so nothing is known.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "GOOD",
            Self::Differs => "DIFFERS",
            Self::Failed => "FAILED",
        })
    }
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Which form the report has: [`Report::FORMAT`].
    pub format: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// What was built again; `None` where two artefacts were only compared.
    pub subject: Option<Subject>,
    /// The artefact that was only compared, and not built again.
    pub given: Option<Digest>,
    /// The artefact that the rounds were to make, or that was compared with.
    pub expected: Option<Digest>,
    /// Each round that was finished.
    pub rounds: Vec<RoundReport>,
    /// Each thing that can be varied, and whether it was.
    pub variations: Vec<VariationReport>,
    /// The first difference that was found: between the first round and the first one
    /// that differs from it, or else between what was expected and the rounds.
    pub difference: Option<Difference>,
    /// The first step that made different things of the same inputs.
    pub step: Option<String>,
    /// Why they differ, as far as it can be told: what has to be mended first comes first.
    pub causes: Vec<Cause>,
    /// How the guilty variations were searched for.
    pub bisection: Option<Bisection>,
    /// The round that could not be built, where one could not: why there is no verdict,
    /// unless the rounds before it differ already.
    pub failure: Option<FailureReport>,
}

/// What was built again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The recipe's text.
    pub recipe: Digest,
    /// The lock's text.
    pub lock: Digest,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoundReport {
    /// The artefact that it made.
    pub artefact: Digest,
    /// The sandbox that ran the steps.
    pub sandbox: String,
    /// The engine of their containers and its version, where they ran in any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Under which conditions.
    pub conditions: Conditions,
    /// What of them could not be had.
    pub unable: Vec<Unable>,
    /// Each step.
    pub steps: Vec<StepReport>,
    /// What the artefact was exported to, by the names of files. A raw disk has its block
    /// digest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exports: BTreeMap<String, Digest>,
}

impl RoundReport {
    /// Whether a step ran in it; one that is taken as locked does not.
    #[must_use]
    pub fn ran(&self) -> bool {
        !self.steps.iter().all(|step| step.pinned)
    }

    /// The sandbox, and with it the engine where there is one.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.engine {
            Some(engine) => format!("{}: {engine}", self.sandbox),
            None => self.sandbox.clone(),
        }
    }
}

/// Something that can be varied, and whether it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VariationReport {
    /// What.
    pub name: Variation,
    /// Whether it was.
    #[serde(flatten)]
    pub state: State,
}

/// Whether something was varied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// It was.
    Varied {
        /// What it was in each round.
        values: Vec<String>,
        /// The steps whose own variables decide it, so that it was the same for them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        fixed_by: Vec<String>,
    },
    /// It was to be, but each step that ran has variables that decide it: the recipe
    /// rules it out.
    Fixed {
        /// These steps.
        fixed_by: Vec<String>,
    },
    /// It was to be, and could not.
    Unable {
        /// Why not.
        why: String,
    },
    /// It was not to be.
    NotAsked,
}

/// How the guilty variations were searched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bisection {
    /// Each build of the search.
    pub trials: Vec<TrialReport>,
    /// What came of it.
    pub outcome: Outcome,
}

/// One build of the search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrialReport {
    /// What was varied; nothing where the first round was repeated.
    pub varied: Vec<Variation>,
    /// What it made, or nothing where a command failed.
    pub artefact: Option<Digest>,
    /// What failed, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Whether that is what the first round made.
    pub same: bool,
}

/// What came of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The variations that it takes were found.
    Found,
    /// It differs although nothing is varied.
    DiffersByItself,
    /// It differs although nothing is varied, unless there is one processor only.
    DiffersInParallel,
    /// All that was varied together made no difference this time.
    NotAgain,
    /// There would have been too many trials.
    GaveUp,
}

/// Why a round could not be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureReport {
    /// Which round failed, counted from 1.
    pub round: usize,
    /// The step that failed, if it was one.
    pub step: Option<String>,
    /// The script of a package that failed, if it was one, with the package's name and
    /// version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// What went wrong, and what caused that.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Report {
    /// The form of the report. Fields may be added to it; one that has other names or
    /// meanings is called otherwise.
    pub const FORMAT: &'static str = "lunikernel-verification/1";

    /// The names of exports that are not the same in every round.
    pub fn unlike_exports(&self) -> impl Iterator<Item = &str> {
        let (first, others) = match self.rounds.split_first() {
            Some((first, others)) => (Some(&first.exports), others),
            None => (None, &[] as &[RoundReport]),
        };
        let names = first.into_iter().flat_map(BTreeMap::iter);
        let unlike = names.filter(|(name, digest)| {
            let same = |round: &RoundReport| round.exports.get(*name) == Some(*digest);
            !others.iter().all(same)
        });
        unlike.map(|(name, _)| name.as_str())
    }

    /// The steps that were taken as the lock has them, and ran in no round.
    #[must_use]
    pub fn as_locked(&self) -> BTreeSet<&str> {
        let steps = self.rounds.iter().flat_map(|round| &round.steps);
        let pinned = steps.filter(|step| step.pinned);
        pinned.map(|step| step.name.as_str()).collect()
    }

    /// What was varied.
    pub fn varied(&self) -> impl Iterator<Item = (Variation, &[String])> {
        self.variations.iter().filter_map(|one| match &one.state {
            State::Varied { values, .. } => Some((one.name, values.as_slice())),
            State::Fixed { .. } | State::Unable { .. } | State::NotAsked => None,
        })
    }

    /// What steps decide by their own variables, and which steps do; last, whether there
    /// is no other step for which it varied.
    pub fn fixed(&self) -> impl Iterator<Item = (Variation, &[String], bool)> {
        self.variations.iter().filter_map(|one| match &one.state {
            State::Fixed { fixed_by } => Some((one.name, fixed_by.as_slice(), true)),
            State::Varied { fixed_by, .. } if !fixed_by.is_empty() => {
                Some((one.name, fixed_by.as_slice(), false))
            }
            _ => None,
        })
    }

    /// What was to be varied and could not, and why.
    pub fn unable(&self) -> impl Iterator<Item = (Variation, &str)> {
        self.variations.iter().filter_map(|one| match &one.state {
            State::Unable { why } => Some((one.name, why.as_str())),
            State::Varied { .. } | State::Fixed { .. } | State::NotAsked => None,
        })
    }

    /// What was not to be varied.
    pub fn not_asked(&self) -> impl Iterator<Item = Variation> {
        let names = self.variations.iter();
        names.filter_map(|one| matches!(one.state, State::NotAsked).then_some(one.name))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Found => "it takes what was found to be guilty, and no less",
            Self::DiffersByItself => {
                "it differs although nothing is varied: time, chance or addresses"
            }
            Self::DiffersInParallel => {
                "it differs although nothing is varied, but not with one processor: \
                 what runs in parallel"
            }
            Self::NotAgain => {
                "everything varied together made no difference this time: \
                 it does not happen each time, or only in an empty cache"
            }
            Self::GaveUp => "given up after too many trials",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_that_are_unlike_are_named() {
        let round = |exports: &[(&str, &[u8])]| RoundReport {
            artefact: Digest::of(b"the same"),
            sandbox: "native".to_owned(),
            engine: None,
            conditions: Conditions::of_round(0, &[]),
            unable: Vec::new(),
            steps: Vec::new(),
            exports: (exports.iter())
                .map(|(name, bytes)| ((*name).to_owned(), Digest::of(bytes)))
                .collect(),
        };
        let same = round(&[("a.efi", b"1"), ("a.raw", b"2")]);
        let unlike = |rounds: Vec<RoundReport>| {
            let report = Report {
                rounds,
                ..Report::empty()
            };
            let names: Vec<_> = report.unlike_exports().map(str::to_owned).collect();
            names
        };
        assert_eq!(unlike(Vec::new()), [] as [&str; 0]);
        assert_eq!(unlike(vec![same.clone(), same.clone()]), [] as [&str; 0]);
        let other = round(&[("a.efi", b"1"), ("a.raw", b"3")]);
        let missing = round(&[("a.raw", b"2")]);
        assert_eq!(unlike(vec![same.clone(), same.clone(), other]), ["a.raw"]);
        assert_eq!(unlike(vec![same, missing]), ["a.efi"]);
    }
}
