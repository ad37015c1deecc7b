//! The verdict: what verifying an artefact came to, as a predicate of our own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lunikernel_cache::Sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::statement::Described;
use super::{Subject, json};

/// The type of the predicate.
pub const VERDICT: &str = "urn:lunikernel:verdict:v1";

/// The longest text in one, in bytes.
pub(super) const MAX_TEXT: usize = 4 << 10;

/// What verifying came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// Every round gave the same bytes.
    Good,
    /// Two rounds gave different bytes.
    Differs,
    /// It could not be decided.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "GOOD",
            Self::Differs => "DIFFERS",
            Self::Failed => "FAILED",
        })
    }
}

/// What verifying an artefact came to, and how that was found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictPredicate {
    /// Who verified.
    pub(super) verifier: Verifier,
    /// When, if that was said: a time as RFC 3339 has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) time_verified: Option<String>,
    /// What it came to.
    pub verdict: Outcome,
    /// The artefact that was only compared, and not built again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) given: Option<Described>,
    /// The artefact that the rounds were to make, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expected: Option<Described>,
    /// What each round made.
    pub(super) rounds: Vec<Described>,
    /// The steps that ran in no round, as the lock pins what they make.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) as_locked: BTreeSet<String>,
    /// What differed from round to round, by name.
    pub varied: BTreeSet<String>,
    /// What was to differ and could not, and why not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) not_varied: Vec<NotVaried>,
    /// The causes of a difference as the report has them, where they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) causes: Vec<Value>,
    /// Why a round could not be built, and with it why there is no verdict, unless it is
    /// DIFFERS already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<Failure>,
    /// The report that says more.
    pub(super) report: Described,
}

/// Who verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verifier {
    pub(super) id: String,
    #[serde(default)]
    pub(super) version: BTreeMap<String, String>,
}

/// What could not be varied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NotVaried {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) message: String,
    #[serde(default)]
    pub(super) causes: Vec<String>,
}

impl VerdictPredicate {
    /// Reads a predicate about `subject`.
    pub(super) fn read(predicate: &Value, subject: &Subject) -> Result<Self, String> {
        let verdict: Self = json::typed(predicate.clone())?;
        verdict.check(&subject.sha256)?;
        Ok(verdict)
    }

    /// Who verified: a URI.
    #[must_use]
    pub fn verifier(&self) -> &str {
        &self.verifier.id
    }

    /// How many rounds there were.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// Everything in it that is shown to people.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let not_varied = self.not_varied.iter();
        let failure = self.failure.iter();
        [self.verifier.id.as_str()]
            .into_iter()
            .chain(self.as_locked.iter().map(String::as_str))
            .chain(self.varied.iter().map(String::as_str))
            .chain(
                not_varied
                    .flat_map(|it| [Some(it.name.as_str()), it.reason.as_deref()])
                    .flatten(),
            )
            .chain(failure.map(|it| it.message.as_str()))
    }

    /// Whether the digests bear the verdict out. A signature shows who said a thing, not
    /// that it makes sense.
    fn check(&self, subject: &Sha256) -> Result<(), String> {
        if self.verifier.id.is_empty() {
            return Err("the verifier has no id".to_owned());
        }
        let rounds = self.rounds.iter().map(|round| round.digest.sha256);
        let made: Vec<Sha256> = rounds.collect();
        let expected = self.expected.map(|expected| expected.digest.sha256);
        let given = self.given.map(|given| given.digest.sha256);
        let all: BTreeSet<Sha256> = made.iter().copied().chain(expected).chain(given).collect();
        match self.verdict {
            Outcome::Good => {
                if made.len() < 2 {
                    return Err(format!("GOOD takes two rounds, and it has {}", made.len()));
                }
                match all.iter().find(|digest| *digest != subject) {
                    Some(other) => Err(format!("GOOD of {subject}, but {other} is among it")),
                    None => Ok(()),
                }
            }
            Outcome::Differs if all.len() < 2 => {
                Err("DIFFERS, but all its digests are the same".to_owned())
            }
            Outcome::Differs if !all.contains(subject) => Err(format!(
                "DIFFERS of {subject}, which is not among its digests"
            )),
            Outcome::Failed if expected.is_some_and(|expected| expected != *subject) => Err(
                format!("FAILED of {subject}, but another artefact was expected"),
            ),
            Outcome::Differs | Outcome::Failed => Ok(()),
        }
    }
}
