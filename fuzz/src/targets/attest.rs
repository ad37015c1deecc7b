//! What others sign, and what decides whether they are believed.

use lunikernel_builder::attest::{
    Attestation, Envelope, Maker, Policy, PrivateKey, Report, Statement, Subject,
};
use lunikernel_cache::Sha256;

use super::recipe::check_complaints;

/// All that the seeds' key has ever signed.
const SIGNED: [&[u8]; 2] = [
    include_bytes!("../../seeds/attestation/provenance.json"),
    include_bytes!("../../seeds/attestation/verdict.json"),
];

/// An envelope with a statement: what is accepted is read back from what it is written
/// as, and nobody but the key's owner can have signed it.
pub(crate) fn attestation(data: &[u8]) -> bool {
    let Ok(read) = Attestation::parse("it".to_owned(), data) else {
        return false;
    };
    let written = read
        .envelope
        .to_bytes()
        .expect("what was read can be written");
    let again = Envelope::parse(&written).expect("what was written can be read");
    assert_eq!(again.payload(), read.envelope.payload());
    assert_eq!(again.signatures(), read.envelope.signatures());
    let owner = PrivateKey::from_seed([7; 32]).public();
    if !read.envelope.signers(&[&owner]).is_empty() {
        let is_it = |seed: &&[u8]| {
            Envelope::parse(seed).is_ok_and(|seed| seed.payload() == read.envelope.payload())
        };
        assert!(SIGNED.iter().any(is_it), "somebody else signed");
    }
    check_statement(&read.statement);
    true
}

/// A report: what is accepted makes a verdict that others accept, or none.
pub(crate) fn report(data: &[u8]) -> bool {
    let Ok(report) = Report::parse(data) else {
        return false;
    };
    let subject = Subject {
        name: "it".to_owned(),
        sha256: Sha256::of(b"a"),
    };
    let maker = Maker {
        id: "x:y".to_owned(),
        version: "1".to_owned(),
        time: None,
    };
    if let Ok(statement) = report.verdict(subject, &maker) {
        check_statement(&statement);
    }
    true
}

/// A policy: about one that is refused there is a complaint with a place that exists.
pub(crate) fn policy(data: &[u8]) -> bool {
    match Policy::parse(data, "policy.yaml", None) {
        Ok(policy) => {
            assert!((1..=policy.keys().len()).contains(&policy.threshold()));
            true
        }
        Err(complaints) => {
            check_complaints(data, &complaints);
            false
        }
    }
}

/// It has one canonical form. A number that JSON cannot hold has none.
fn check_statement(statement: &Statement) {
    let Ok(canonical) = statement.to_canonical() else {
        return;
    };
    let again = Statement::parse(&canonical).expect("what was written can be read");
    assert_eq!(again.subject, statement.subject);
    assert_eq!(again.to_canonical().ok(), Some(canonical));
}
