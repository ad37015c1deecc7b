//! Attestations: signed statements about an artefact, and whether enough of those whom
//! one trusts say the same.
//!
//! A [`Statement`] (in-toto Statement v1) says something of one subject: by a
//! [`Provenance`] (SLSA v1) what it was built from, by a [`VerdictPredicate`] what
//! verifying it came to. An [`Envelope`] (DSSE v1) holds its bytes and Ed25519 signatures
//! over them. [`agree`] weighs several of them against a [`Policy`].
//!
//! What is written follows from what it is about alone: no clock, no chance, one form.
//! `docs/attestations.md` describes all of it for other implementations.

mod agree;
mod envelope;
mod error;
mod json;
mod key;
mod policy;
mod provenance;
mod report;
mod statement;
mod verdict;

use std::io;
use std::path::Path;

use lunikernel_cache::regular::open_regular;
use lunikernel_cache::{Digest, HashingReader};

pub use agree::{Agreement, Attestation, Ignored, Said, agree};
pub use envelope::{Envelope, EnvelopeFlaw, PAYLOAD_TYPE, Signature, pae};
pub use error::AttestError;
pub use key::{KeyFlaw, KeyId, PrivateKey, PublicKey};
pub use policy::{Accepted, Policy, TrustedKey};
pub use provenance::{BUILD_TYPE, PROVENANCE, Provenance};
pub use report::Report;
pub use statement::{Claim, STATEMENT, Statement, StatementFlaw, Subject};
pub use verdict::{Outcome, VERDICT, VerdictPredicate};

/// Who says it where nobody said otherwise: this program, wherever it runs.
pub const LUNI: &str = "urn:lunikernel:builder:luni";

/// The largest envelope, report or payload, in bytes. A statement about ten thousand
/// inputs has three million; it bounds the memory that reading one takes.
pub const MAX_SIZE: u64 = 16 << 20;

/// Who makes a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// What one trusts when one trusts it: a URI.
    pub id: String,
    /// The version of `luni`.
    pub version: String,
    /// When, if that is to be said: a time as RFC 3339 has it.
    pub time: Option<String>,
}

/// The digest of a file, which is read once.
///
/// # Errors
/// [`AttestError::Io`] where it cannot be read.
pub fn digest_of(path: &Path) -> Result<Digest, AttestError> {
    let hash = || {
        let mut reader = HashingReader::new(open_regular(path)?);
        io::copy(&mut reader, &mut io::sink())?;
        Ok(reader.finish())
    };
    hash().map_err(|source| AttestError::io("hash the artefact", source))
}

#[cfg(test)]
mod tests;
