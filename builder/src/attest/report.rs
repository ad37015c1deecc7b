//! Reports: what `luni verify-reproducibility --json` prints, as far as a verdict is
//! made of it. What else is in one does not matter, so that reports may say more.

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_cache::Sha256;
use serde::Deserialize;
use serde_json::Value;

use super::statement::Described;
use super::verdict::{Failure, NotVaried, Outcome, VERDICT, VerdictPredicate, Verifier};
use super::{AttestError, Maker, Statement, Subject, json};

/// The exit code with which `luni verify-reproducibility` says that there is no verdict.
const UNDECIDED: u64 = 11;

/// What a report says.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    outcome: Outcome,
    expected: Option<Sha256>,
    rounds: Vec<Sha256>,
    varied: BTreeSet<String>,
    not_varied: Vec<NotVaried>,
    cause: Option<Value>,
    failure: Option<Failure>,
    sha256: Sha256,
}

#[derive(Deserialize)]
struct Written {
    verdict: Option<Outcome>,
    #[serde(default)]
    rounds: Vec<WrittenRound>,
    #[serde(default)]
    varied: Vec<Named>,
    #[serde(default)]
    not_varied: Vec<Named>,
    expected: Option<WrittenDigest>,
    cause: Option<Value>,
    #[serde(alias = "failure")]
    error: Option<WrittenError>,
}

#[derive(Deserialize)]
struct WrittenRound {
    artefact: Option<WrittenDigest>,
}

#[derive(Deserialize)]
struct WrittenDigest {
    sha256: Sha256,
}

#[derive(Deserialize)]
struct WrittenError {
    message: String,
    #[serde(default)]
    causes: Vec<String>,
    exit_code: Option<u64>,
}

/// A variation: its name, or an object with it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Name(String),
    With {
        #[serde(alias = "variation")]
        name: String,
        #[serde(alias = "why")]
        reason: Option<String>,
    },
}

impl From<Named> for NotVaried {
    fn from(named: Named) -> Self {
        match named {
            Named::Name(name) => Self { name, reason: None },
            Named::With { name, reason } => Self { name, reason },
        }
    }
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// What is wrong with it, to continue "… is no report: ".
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let written: Written = json::typed(json::parse(bytes)?)?;
        let outcome = match (written.verdict, &written.error) {
            (Some(verdict), _) => verdict,
            // The verb prints an error where it comes to no verdict; other errors, such
            // as a wrong command line, are about something else.
            (None, Some(error)) if error.exit_code == Some(UNDECIDED) => Outcome::Failed,
            (None, Some(_)) => {
                return Err("it is an error that is no verdict".to_owned());
            }
            (None, None) => return Err("it has no `verdict`".to_owned()),
        };
        let mut rounds = Vec::new();
        for (number, round) in written.rounds.into_iter().enumerate() {
            match round.artefact {
                Some(artefact) => rounds.push(artefact.sha256),
                None if outcome == Outcome::Failed => {}
                None => return Err(format!("round {} has no `artefact`", number + 1)),
            }
        }
        Ok(Self {
            outcome,
            expected: written.expected.map(|digest| digest.sha256),
            rounds,
            varied: written
                .varied
                .into_iter()
                .map(|named| NotVaried::from(named).name)
                .collect(),
            not_varied: written.not_varied.into_iter().map(Into::into).collect(),
            cause: written.cause.filter(|cause| !cause.is_null()),
            failure: written.error.map(|error| Failure {
                message: one_line(&error.message),
                causes: error.causes.iter().map(|cause| one_line(cause)).collect(),
            }),
            sha256: Sha256::of(bytes),
        })
    }

    /// What it came to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The verdict about `subject` as a statement.
    ///
    /// # Errors
    /// [`AttestError::Unsayable`] where the report is about something else.
    pub fn verdict(self, subject: Subject, maker: &Maker) -> Result<Statement, AttestError> {
        let predicate = VerdictPredicate {
            verifier: Verifier {
                id: maker.id.clone(),
                version: BTreeMap::from([("luni".to_owned(), maker.version.clone())]),
            },
            time_verified: maker.time.clone(),
            verdict: self.outcome,
            expected: self.expected.map(Described::from),
            rounds: self.rounds.into_iter().map(Described::from).collect(),
            varied: self.varied,
            not_varied: self.not_varied,
            cause: self.cause,
            failure: self.failure,
            report: Described::from(self.sha256),
        };
        let predicate = serde_json::to_value(predicate)
            .map_err(|error| AttestError::Encode(error.to_string()))?;
        Statement::new(subject, VERDICT, predicate).map_err(AttestError::Unsayable)
    }
}

/// A message without what a terminal would act on, line ends among it.
fn one_line(text: &str) -> String {
    let words = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(words).take(1000).collect()
}
