//! Statements: in-toto Statement v1, what an envelope holds.

use lunikernel_cache::{Sha256, canonical};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::provenance::{PROVENANCE, Provenance};
use super::verdict::{VERDICT, VerdictPredicate};
use super::{AttestError, json};

/// What a statement says it is.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The longest name, in bytes. File systems have none that is longer.
const MAX_NAME: usize = 255;

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The name of the file, for people: the digest alone says what is meant.
    pub name: String,
    /// The SHA-256 of the file.
    pub sha256: Sha256,
}

/// The digests of something as in-toto writes them: bare hexadecimal, by algorithm.
/// Those by other algorithms than SHA-256 are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DigestSet {
    #[serde(serialize_with = "bare", deserialize_with = "from_bare")]
    pub(super) sha256: Sha256,
}

/// Something that is named by its digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Described {
    pub(super) digest: DigestSet,
}

impl From<Sha256> for Described {
    fn from(sha256: Sha256) -> Self {
        let digest = DigestSet { sha256 };
        Self { digest }
    }
}

fn bare<S: Serializer>(sha256: &Sha256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&sha256.hex())
}

fn from_bare<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sha256, D::Error> {
    let text = String::deserialize(deserializer)?;
    let sha256: Result<Sha256, _> = text.parse();
    match sha256 {
        Ok(sha256) if sha256.hex() == text => Ok(sha256),
        _ => Err(D::Error::custom(
            "a sha256 is not 64 lower-case hexadecimal digits",
        )),
    }
}

/// What a statement says of its subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Claim {
    /// That it was built, from what and by whom.
    Provenance(Provenance),
    /// What verifying it came to.
    Verdict(Box<VerdictPredicate>),
    /// Something else, by its type. It is no reason to trust the subject.
    Other {
        /// The type of the predicate, or of a build that is none of Lunikernel's.
        about: String,
    },
}

/// A statement about one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it is about.
    pub subject: Subject,
    /// What it says.
    pub claim: Claim,
    /// The predicate as it is written.
    predicate: Value,
    predicate_type: String,
}

/// Why a payload is no statement that can be relied on. Each continues "… holds no
/// statement: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementFlaw {
    /// It is no JSON, or lacks a field.
    #[error("{0}")]
    Json(String),
    /// It is of another version, or something else.
    #[error("its type is `{0}`, expected `{STATEMENT}`")]
    Type(String),
    /// It is about nothing, or about several things.
    #[error("it has {0} subjects, expected exactly one")]
    Subjects(usize),
    /// A text is too long, or has what a terminal would act on.
    #[error("its {0} is too long or has control characters")]
    Text(&'static str),
    /// Its predicate lacks a field.
    #[error("its {kind} predicate: {why}")]
    Predicate {
        /// Which kind.
        kind: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<WrittenSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(default)]
    predicate: Value,
}

#[derive(Deserialize)]
struct WrittenSubject {
    #[serde(default)]
    name: String,
    digest: DigestSet,
}

impl Statement {
    /// A statement of ours; it must be one that can be read again.
    pub(super) fn new(
        subject: Subject,
        predicate_type: &str,
        predicate: Value,
    ) -> Result<Self, StatementFlaw> {
        let claim = claim(predicate_type, &predicate, &subject)?;
        check_text("subject's name", &subject.name, MAX_NAME)?;
        Ok(Self {
            subject,
            claim,
            predicate,
            predicate_type: predicate_type.to_owned(),
        })
    }

    /// Reads the payload of an envelope. Fields that are not known are passed over, as
    /// in-toto wants.
    ///
    /// # Errors
    /// [`StatementFlaw`], also where what it says contradicts itself.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementFlaw> {
        let value = json::parse(payload).map_err(StatementFlaw::Json)?;
        let written: Written = json::typed(value).map_err(StatementFlaw::Json)?;
        if written.kind != STATEMENT {
            return Err(StatementFlaw::Type(written.kind.chars().take(80).collect()));
        }
        let [subject] = written.subject.as_slice() else {
            return Err(StatementFlaw::Subjects(written.subject.len()));
        };
        let subject = Subject {
            name: subject.name.clone(),
            sha256: subject.digest.sha256,
        };
        Self::new(subject, &written.predicate_type, written.predicate)
    }

    /// Its canonical JSON (RFC 8785): what is signed.
    ///
    /// # Errors
    /// [`AttestError::Encode`], where a number in it is one that JSON cannot hold.
    pub fn to_canonical(&self) -> Result<Vec<u8>, AttestError> {
        let statement = json!({
            "_type": STATEMENT,
            "subject": [{
                "name": self.subject.name,
                "digest": DigestSet { sha256: self.subject.sha256 },
            }],
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        });
        canonical::to_vec(&statement).map_err(|error| AttestError::Encode(error.to_string()))
    }

    /// The type of its predicate.
    #[must_use]
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }
}

fn claim(kind: &str, predicate: &Value, subject: &Subject) -> Result<Claim, StatementFlaw> {
    let flaw = |kind| move |why| StatementFlaw::Predicate { kind, why };
    match kind {
        PROVENANCE => Ok(
            match Provenance::read(predicate).map_err(flaw("provenance"))? {
                Ok(provenance) => {
                    check_text(
                        "builder's id",
                        &provenance.builder,
                        super::verdict::MAX_TEXT,
                    )?;
                    Claim::Provenance(provenance)
                }
                Err(build_type) => other(&format!("a build of type {build_type}")),
            },
        ),
        VERDICT => {
            let verdict = VerdictPredicate::read(predicate, subject).map_err(flaw("verdict"))?;
            verdict.texts().try_for_each(|text| {
                check_text("verdict's text", text, super::verdict::MAX_TEXT)
            })?;
            Ok(Claim::Verdict(Box::new(verdict)))
        }
        kind => Ok(other(kind)),
    }
}

fn other(kind: &str) -> Claim {
    Claim::Other {
        about: kind
            .chars()
            .take(200)
            .flat_map(char::escape_debug)
            .collect(),
    }
}

/// What is shown to people may not act on their terminal.
fn check_text(what: &'static str, text: &str, most: usize) -> Result<(), StatementFlaw> {
    if text.len() > most || text.chars().any(char::is_control) {
        return Err(StatementFlaw::Text(what));
    }
    Ok(())
}
