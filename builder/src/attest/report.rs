//! Reports: what `luni verify-reproducibility --json` prints, as far as a verdict is
//! made of it. What else is in one does not matter, so that reports may say more.

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_cache::Sha256;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::statement::Described;
use super::verdict::{Failure, NotVaried, Outcome, VERDICT, VerdictPredicate, Verifier};
use super::{AttestError, Maker, Statement, Subject, json};

/// The exit code with which `luni verify-reproducibility` says that there is no verdict.
const UNDECIDED: u64 = 11;

/// What a report says.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    outcome: Outcome,
    given: Option<Sha256>,
    expected: Option<Sha256>,
    rounds: Vec<Sha256>,
    as_locked: BTreeSet<String>,
    varied: BTreeSet<String>,
    not_varied: Vec<NotVaried>,
    causes: Vec<Value>,
    failure: Option<Failure>,
    sha256: Sha256,
}

#[derive(Deserialize)]
struct Written {
    verdict: Option<Outcome>,
    #[serde(default)]
    rounds: Vec<WrittenRound>,
    /// What was varied, in reports that say no more of it.
    #[serde(default)]
    varied: Vec<String>,
    /// What became of each variation.
    variations: Option<Vec<WrittenVariation>>,
    /// What was only compared, and not built again.
    given: Option<WrittenDigest>,
    expected: Option<WrittenDigest>,
    #[serde(default)]
    causes: Vec<Map<String, Value>>,
    #[serde(alias = "failure")]
    error: Option<WrittenError>,
}

#[derive(Deserialize)]
struct WrittenRound {
    artefact: Option<WrittenDigest>,
    /// What was to be around it and was not.
    #[serde(default)]
    unable: Vec<WrittenUnable>,
    #[serde(default)]
    steps: Vec<WrittenStep>,
}

#[derive(Deserialize)]
struct WrittenStep {
    name: String,
    /// Whether it was taken as the lock has it, and did not run.
    #[serde(default)]
    pinned: bool,
}

#[derive(Deserialize)]
struct WrittenUnable {
    facet: String,
    why: String,
}

#[derive(Deserialize)]
struct WrittenVariation {
    name: String,
    /// What became of it: `varied`, `unable`, or something that does not count.
    state: String,
    why: Option<String>,
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

/// What was varied, and what was to be and could not.
fn variations(written: &Written) -> (BTreeSet<String>, Vec<NotVaried>) {
    let mut varied: BTreeSet<String> = written.varied.iter().cloned().collect();
    let mut unable: BTreeMap<String, Option<String>> = BTreeMap::new();
    match &written.variations {
        Some(variations) => {
            for WrittenVariation { name, state, why } in variations {
                match state.as_str() {
                    "varied" => {
                        varied.insert(name.clone());
                    }
                    "unable" => {
                        unable.insert(name.clone(), why.clone());
                    }
                    _ => {}
                }
            }
        }
        None => {
            let all = written.rounds.iter().flat_map(|round| &round.unable);
            unable.extend(all.map(|it| (it.facet.clone(), Some(it.why.clone()))));
        }
    }
    // What could not be varied in one round never counts as varied.
    varied.retain(|name| !unable.contains_key(name));
    let not_varied = unable.into_iter().map(|(name, reason)| NotVaried {
        name,
        reason: reason.map(|reason| one_line(&reason)),
    });
    (varied, not_varied.collect())
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
        let (varied, not_varied) = variations(&written);
        let steps = written.rounds.iter().flat_map(|round| &round.steps);
        let as_locked = steps
            .filter(|step| step.pinned)
            .map(|step| one_line(&step.name))
            .collect();
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
            given: written.given.map(|digest| digest.sha256),
            expected: written.expected.map(|digest| digest.sha256),
            rounds,
            as_locked,
            varied,
            not_varied,
            causes: written.causes.into_iter().map(without_bytes).collect(),
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
            given: self.given.map(Described::from),
            expected: self.expected.map(Described::from),
            rounds: self.rounds.into_iter().map(Described::from).collect(),
            as_locked: self.as_locked,
            varied: self.varied,
            not_varied: self.not_varied,
            causes: self.causes,
            failure: self.failure,
            report: Described::from(self.sha256),
        };
        let predicate = serde_json::to_value(predicate)
            .map_err(|error| AttestError::Encode(error.to_string()))?;
        Statement::new(subject, VERDICT, predicate).map_err(AttestError::Unsayable)
    }
}

/// A cause without the bytes that it shows in: they are in the report.
fn without_bytes(mut cause: Map<String, Value>) -> Value {
    cause.remove("difference");
    Value::Object(cause)
}

/// A message without what a terminal would act on, line ends among it.
fn one_line(text: &str) -> String {
    let words = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(words).take(1000).collect()
}
