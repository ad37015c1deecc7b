//! Whether enough of those whom one trusts say the same, and nobody of them another
//! thing.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use lunikernel_cache::Sha256;
use lunikernel_cache::regular::read_bounded;
use serde::Serialize;

use super::{
    Accepted, AttestError, Claim, Envelope, KeyId, MAX_SIZE, Outcome, Policy, PublicKey, Statement,
    Subject,
};

/// An envelope with the statement in it, before anybody's signature was looked at.
#[derive(Debug, Clone)]
pub struct Attestation {
    /// What messages call it: its file.
    pub file: String,
    /// The envelope.
    pub envelope: Envelope,
    /// What it holds.
    pub statement: Statement,
}

/// What somebody whom one trusts says.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    /// Who: what the key is called.
    pub who: String,
    /// The key.
    pub keyid: KeyId,
    /// The envelope.
    pub file: String,
    /// About what.
    pub subject: Subject,
    /// What.
    pub claim: Claim,
    /// Why it does not count as vouching, where it does not.
    pub discounted: Option<String>,
}

/// An envelope that nobody whom one trusts signed.
#[derive(Debug, Clone, Serialize)]
pub struct Ignored {
    /// The envelope.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// What was agreed on.
#[derive(Debug, Clone, Serialize)]
pub struct Agreement {
    /// The digest that is vouched for.
    pub sha256: Sha256,
    /// How many different keys vouch for it.
    pub vouching: usize,
    /// How many had to.
    pub threshold: usize,
    /// Who says what.
    pub said: Vec<Said>,
    /// Envelopes that nobody whom one trusts signed.
    pub ignored: Vec<Ignored>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} says: ", self.who)?;
        match &self.claim {
            Claim::Provenance(_) => f.write_str("built")?,
            Claim::Verdict(verdict) => write!(f, "{}", verdict.verdict)?,
            Claim::Other { about } => f.write_str(about)?,
        }
        let Subject { name, sha256 } = &self.subject;
        write!(f, ", {name} {sha256} ({})", self.file)?;
        match &self.discounted {
            Some(why) => write!(f, "; {why}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.reason)
    }
}

impl Attestation {
    /// Reads an envelope and the statement in it from a file.
    ///
    /// # Errors
    /// [`AttestError`] where it cannot be read, or is something else.
    pub fn read(path: &Path) -> Result<Self, AttestError> {
        let bytes = read_bounded(path, MAX_SIZE)
            .map_err(|source| AttestError::io("read the envelope", source))?;
        Self::parse(path.display().to_string(), &bytes)
    }

    /// Reads an envelope and the statement in it.
    ///
    /// # Errors
    /// [`AttestError`] where it is something else.
    pub fn parse(file: String, bytes: &[u8]) -> Result<Self, AttestError> {
        let envelope = match Envelope::parse(bytes) {
            Ok(envelope) => envelope,
            Err(flaw) => return Err(AttestError::Envelope { file, flaw }),
        };
        match Statement::parse(envelope.payload()) {
            Ok(statement) => Ok(Self {
                file,
                envelope,
                statement,
            }),
            Err(flaw) => Err(AttestError::Statement { file, flaw }),
        }
    }

    /// Adds the signature by whoever would say `statement` themselves.
    ///
    /// # Errors
    /// [`AttestError::OtherStatement`] where that is not, to the byte, what the envelope
    /// holds: nobody signs what they have not come to themselves.
    pub fn countersign(
        mut self,
        statement: &Statement,
        key: &super::PrivateKey,
    ) -> Result<Envelope, AttestError> {
        if !self.envelope.foreign().is_empty() {
            return Err(AttestError::Foreign {
                file: self.file,
                fields: self.envelope.foreign().to_vec(),
            });
        }
        if self.envelope.payload() != statement.to_canonical()? {
            let (theirs, ours) = (&self.statement, statement);
            let difference = if theirs.subject != ours.subject {
                let (theirs, ours) = (&theirs.subject, &ours.subject);
                format!(
                    "it is about {} {}, not {} {}",
                    theirs.name, theirs.sha256, ours.name, ours.sha256
                )
            } else if theirs.predicate_type() != ours.predicate_type() {
                format!("its predicate is {}", theirs.predicate_type())
            } else {
                "its predicate says other things of the same subject".to_owned()
            };
            return Err(AttestError::OtherStatement {
                file: self.file,
                difference,
            });
        }
        self.envelope.sign(key);
        Ok(self.envelope)
    }
}

/// Weighs `attestations` by `policy`: enough different keys have to vouch for one
/// digest, that of `artefact` where one is at hand, and nobody who is trusted may say
/// another thing.
///
/// # Errors
/// [`AttestError::Conflict`] where somebody does, [`AttestError::TooFew`] where too few
/// vouch for it.
pub fn agree(
    policy: &Policy,
    attestations: &[Attestation],
    artefact: Option<&Subject>,
) -> Result<Agreement, AttestError> {
    let (said, ignored) = hear(policy, attestations);
    let about: Vec<Said> = said.iter().filter(|said| is_about(said)).cloned().collect();
    let digests: BTreeSet<Sha256> = about.iter().map(|said| said.subject.sha256).collect();
    if let Some(artefact) = artefact
        && digests.iter().any(|digest| *digest != artefact.sha256)
    {
        return Err(AttestError::Conflict {
            against: format!("the file: {} is {}", artefact.name, artefact.sha256),
            said: about,
        });
    }
    let differs =
        |said: &Said| matches!(&said.claim, Claim::Verdict(v) if v.verdict == Outcome::Differs);
    let disputed = about.iter().any(differs);
    let against = match (digests.len() > 1, disputed, about.len()) {
        (true, ..) => Some("each other: they name different digests"),
        (false, true, 1) => Some("that it can be reproduced"),
        (false, true, _) => Some("that it can be reproduced, or each other"),
        (false, false, _) => None,
    };
    if let Some(against) = against {
        let against = against.to_owned();
        return Err(AttestError::Conflict {
            against,
            said: about,
        });
    }
    let counted = said.iter().filter(|said| said.discounted.is_none());
    let keys: BTreeSet<KeyId> = counted.map(|said| said.keyid).collect();
    match digests.first() {
        Some(sha256) if keys.len() >= policy.threshold => Ok(Agreement {
            sha256: *sha256,
            vouching: keys.len(),
            threshold: policy.threshold,
            said,
            ignored,
        }),
        _ => Err(AttestError::TooFew {
            vouching: keys.len(),
            needed: policy.threshold,
            said,
            ignored,
        }),
    }
}

/// Everything that is said with a signature by a key of the policy.
fn hear(policy: &Policy, attestations: &[Attestation]) -> (Vec<Said>, Vec<Ignored>) {
    let keys: Vec<&PublicKey> = policy.keys.iter().map(|trusted| &trusted.key).collect();
    let (mut said, mut ignored) = (Vec::new(), Vec::new());
    for attestation in attestations {
        let signers = attestation.envelope.signers(&keys);
        let trusted = signers.iter().filter_map(|place| policy.keys.get(*place));
        said.extend(trusted.map(|trusted| Said {
            who: trusted.name.clone(),
            keyid: trusted.key.id(),
            file: attestation.file.clone(),
            subject: attestation.statement.subject.clone(),
            claim: attestation.statement.claim.clone(),
            discounted: discounted(policy, &attestation.statement.claim),
        }));
        if signers.is_empty() {
            let mut keys = policy.keys.iter();
            let claimed = keys.find(|trusted| attestation.envelope.claims(&trusted.key));
            ignored.push(Ignored {
                file: attestation.file.clone(),
                reason: match claimed {
                    Some(trusted) => format!(
                        "the signature that claims to be by {} is not over this statement",
                        trusted.name
                    ),
                    None => "none of the keys signed it".to_owned(),
                },
            });
        }
    }
    (said, ignored)
}

/// Whether it says of an artefact that it is one thing or another.
fn is_about(said: &Said) -> bool {
    match &said.claim {
        Claim::Provenance(_) => true,
        Claim::Verdict(verdict) => verdict.verdict != Outcome::Failed,
        Claim::Other { .. } => false,
    }
}

/// Why a claim is no vouching.
fn discounted(policy: &Policy, claim: &Claim) -> Option<String> {
    let accepted = |kind| policy.accept.contains(&kind);
    match claim {
        Claim::Provenance(_) if accepted(Accepted::Provenance) => None,
        Claim::Provenance(_) => Some("the policy does not count provenance".to_owned()),
        Claim::Other { .. } => Some("this is no reason to trust it".to_owned()),
        Claim::Verdict(verdict) if verdict.verdict != Outcome::Good => {
            Some("this does not vouch for it".to_owned())
        }
        Claim::Verdict(_) if !accepted(Accepted::Verdict) => {
            Some("the policy does not count verdicts".to_owned())
        }
        Claim::Verdict(verdict) if verdict.rounds() < policy.rounds => Some(format!(
            "it had {} rounds, and the policy wants {}",
            verdict.rounds(),
            policy.rounds
        )),
        Claim::Verdict(verdict) => {
            let missing: Vec<&str> = policy
                .varied
                .difference(&verdict.varied)
                .map(String::as_str)
                .collect();
            let why = format!("it did not vary {}", missing.join(", "));
            (!missing.is_empty()).then_some(why)
        }
    }
}
