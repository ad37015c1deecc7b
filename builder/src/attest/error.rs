//! What keeps something from being attested, or from being believed.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::{fmt, io};

use super::agree::Said;
use super::{EnvelopeFlaw, KeyFlaw, StatementFlaw};
use crate::recipe::Complaint;

/// Something cannot be attested, or is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// A file cannot be read.
    #[error("could not {attempted}")]
    Io {
        /// What was attempted.
        attempted: &'static str,
        /// What the operating system said; it names the file.
        #[source]
        source: io::Error,
    },
    /// There are no random numbers for a key.
    #[error("could not get random numbers for a key")]
    Random(#[source] io::Error),
    /// Something cannot be written down.
    #[error("could not encode it: {0}")]
    Encode(String),
    /// A file is no key, or one that proves nothing.
    #[error("{name} is no {half} key: {flaw}")]
    Key {
        /// Which half was asked for.
        half: &'static str,
        /// The file.
        name: String,
        /// Why it is none.
        flaw: KeyFlaw,
    },
    /// A file is no envelope.
    #[error("{file} is no envelope: {flaw}")]
    Envelope {
        /// The file.
        file: String,
        /// Why it is none.
        flaw: EnvelopeFlaw,
    },
    /// An envelope holds something else than a statement.
    #[error("{file} holds no statement: {flaw}")]
    Statement {
        /// The file.
        file: String,
        /// Why it is none.
        flaw: StatementFlaw,
    },
    /// A file is no report of a verification.
    #[error("{file} is no report of `luni verify-reproducibility --json`: {why}")]
    Report {
        /// The file.
        file: String,
        /// Why it is none.
        why: String,
    },
    /// What was to be signed would be no statement that others accept.
    #[error("there is nothing to sign: {0}")]
    Unsayable(StatementFlaw),
    /// A Lunikernel without a recipe has no provenance.
    #[error(
        "{0} does not say what it was built from: expected a recipe and a lock in it, and nothing laid over it"
    )]
    NotBuilt(String),
    /// An envelope that was to get a signature more holds another statement.
    #[error("{file} holds another statement than the one to be signed: {difference}")]
    OtherStatement {
        /// The file.
        file: String,
        /// What differs.
        difference: String,
    },
    /// An envelope that was to get a signature more has fields that would get lost.
    #[error("{file} has fields that would be lost: {}", fields.join(", "))]
    Foreign {
        /// The file.
        file: String,
        /// Their names.
        fields: Vec<String>,
    },
    /// A policy is wrong.
    #[error("{} is wrong", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the order of the file.
        complaints: Vec<Complaint>,
    },
    /// There are fewer keys than have to agree.
    #[error("{needed} keys have to agree, and there are {keys} different ones")]
    Threshold {
        /// How many have to agree.
        needed: usize,
        /// How many there are.
        keys: usize,
    },
    /// Those whom one trusts contradict each other, or the file at hand.
    #[error("the attestations contradict {against}{}", lines(said))]
    Conflict {
        /// What they contradict.
        against: String,
        /// Who says what.
        said: Vec<Said>,
    },
    /// Too few of those whom one trusts vouch for it.
    #[error(
        "too few vouch for it: {vouching} of the {needed} keys that have to agree{}{}",
        lines(said),
        lines(ignored)
    )]
    TooFew {
        /// How many do.
        vouching: usize,
        /// How many have to.
        needed: usize,
        /// Who says what.
        said: Vec<Said>,
        /// Envelopes that none of the keys signed.
        ignored: Vec<super::Ignored>,
    },
}

fn lines(all: &[impl fmt::Display]) -> String {
    all.iter().map(|one| format!("\n  {one}")).collect()
}

impl AttestError {
    pub(super) fn io(attempted: &'static str, source: io::Error) -> Self {
        Self::Io { attempted, source }
    }

    /// What is wrong with a policy, place by place.
    #[must_use]
    pub fn complaints(&self) -> &[Complaint] {
        match self {
            Self::Policy { complaints, .. } => complaints,
            _ => &[],
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Key { flaw, .. } => return flaw.hint(),
            Self::Io { attempted, source } if source.kind() == ErrorKind::NotFound => {
                match attempted.contains("private key") {
                    true => "name one that is there, or make a pair with `luni attest keygen NAME`",
                    false => "name a file that is there",
                }
                .into()
            }
            Self::Io { .. } | Self::Random(_) | Self::Encode(_) | Self::Statement { .. } => {
                return None;
            }
            Self::Envelope { .. } => {
                "an envelope is what `luni attest sign` writes, or another program for DSSE".into()
            }
            Self::Report { .. } => {
                "write one with `luni verify-reproducibility --json > report.json`".into()
            }
            Self::Unsayable(_) => {
                "name the artefact that the report is about: the one expected, or that of a round"
                    .into()
            }
            Self::NotBuilt(_) => {
                "only what `luni build` made has a provenance; a verdict can be signed about \
                 any file, with `--report`"
                    .into()
            }
            Self::OtherStatement { .. } => {
                "sign an envelope of its own, without `--add`: `luni attest verify` takes several"
                    .into()
            }
            Self::Foreign { .. } => "sign an envelope of its own, without `--add`".into(),
            Self::Policy { .. } => "mend it; docs/attestations.md has an example".into(),
            Self::Threshold { .. } => "name more keys, or a smaller threshold".into(),
            Self::Conflict { .. } => {
                "do not use it before you know why; `luni verify-reproducibility` tells who is right"
                    .into()
            }
            Self::TooFew { .. } => {
                "name the envelopes of the others too, or ask for fewer with `--threshold` or \
                 the policy's `threshold`"
                    .into()
            }
        })
    }
}
