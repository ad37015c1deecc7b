//! Who is believed, and when; and what is refused before anybody is asked.

mod reading;

use serde_json::{Value, json};

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn maker() -> Maker {
    Maker {
        id: "https://farm.example/".to_owned(),
        version: "1.2.3".to_owned(),
        time: None,
    }
}

fn subject(hex: &str) -> Subject {
    Subject {
        name: "small.luni.zip".to_owned(),
        sha256: hex.parse().unwrap(),
    }
}

/// A report whose rounds made `made`.
fn report(verdict: &str, made: &[&str]) -> Value {
    let artefact = |hex: &&str| json!({ "artefact": { "sha256": hex, "size": 7 }, "new": 1 });
    json!({
        "verdict": verdict,
        "rounds": made.iter().map(artefact).collect::<Vec<_>>(),
        "variations": [
            { "name": "umask", "state": "varied", "values": ["022", "002"] },
            { "name": "time-zone", "state": "varied", "new": [] },
            { "name": "clock", "state": "unable", "why": "only root may set it" },
            { "name": "user", "state": "not-asked" },
        ],
        "expected": null,
        "difference": { "entry": "kernel" },
        "causes": [{ "class": "timestamp", "difference": { "entry": "kernel" } }],
        "something": { "else": [1, 2.5] },
    })
}

fn verdict(report: &Value, about: &str) -> Result<Statement, AttestError> {
    let report = Report::parse(report.to_string().as_bytes()).unwrap();
    report.verdict(subject(about), &maker())
}

fn good(hex: &str) -> Statement {
    verdict(&report("GOOD", &[hex, hex]), hex).unwrap()
}

fn provenance(hex: &str) -> Statement {
    let predicate = json!({
        "buildDefinition": { "buildType": BUILD_TYPE, "externalParameters": {} },
        "runDetails": { "builder": { "id": "x:y" } },
    });
    Statement::new(subject(hex), PROVENANCE, predicate).unwrap()
}

fn key(number: u8) -> PrivateKey {
    PrivateKey::from_seed([number; 32])
}

/// `statement` in an envelope that the keys with these numbers signed.
fn signed(file: &str, statement: &Statement, by: &[u8]) -> Attestation {
    let mut envelope = Envelope::new(statement.to_canonical().unwrap());
    by.iter().for_each(|number| envelope.sign(&key(*number)));
    Attestation::parse(file.to_owned(), &envelope.to_bytes().unwrap()).unwrap()
}

fn trusting(numbers: &[u8], threshold: usize) -> Policy {
    let trusted = |number: &u8| TrustedKey {
        name: format!("farm-{number}"),
        key: key(*number).public(),
    };
    Policy::of_keys(numbers.iter().map(trusted).collect(), Some(threshold)).unwrap()
}

fn refusal(policy: &Policy, attestations: &[Attestation], artefact: Option<&str>) -> String {
    let artefact = artefact.map(subject);
    agree(policy, attestations, artefact.as_ref())
        .unwrap_err()
        .to_string()
}

#[test]
fn enough_keys_that_say_the_same_are_believed() {
    let policy = trusting(&[1, 2, 3], 2);
    let one = signed("1", &good(A), &[1]);
    let two = signed("2", &provenance(A), &[2]);
    let agreement = agree(&policy, &[one.clone(), two], Some(&subject(A))).unwrap();
    assert_eq!(agreement.sha256.hex(), A);
    assert_eq!((agreement.vouching, agreement.said.len()), (2, 2));
    // In one envelope as well, with a stranger's signature beside theirs.
    let both = signed("both", &good(A), &[1, 2, 9]);
    assert_eq!(agree(&policy, &[both], None).unwrap().vouching, 2);
    // That one has nothing to say does not take away from the others.
    let failed = json!({ "error": { "message": "no\ndisk", "exit_code": 11 } });
    let failed = signed("3", &verdict(&failed, A).unwrap(), &[3]);
    let three = [one, signed("2", &good(A), &[2]), failed];
    assert_eq!(agree(&policy, &three, None).unwrap().vouching, 2);
}

#[test]
fn one_key_counts_once_however_often_it_signs() {
    let policy = trusting(&[1, 2], 2);
    let envelopes = [
        signed("1", &good(A), &[1]),
        signed("2", &good(A), &[1]),
        signed("3", &provenance(A), &[1]),
    ];
    let text = refusal(&policy, &envelopes, None);
    assert!(
        text.starts_with("too few vouch for it: 1 of the 2 keys"),
        "{text}"
    );
    // Nor does it become two by being named twice, or by signing an envelope twice.
    let twice = vec![policy.keys[0].clone(), policy.keys[0].clone()];
    assert_eq!(Policy::of_keys(twice.clone(), None).unwrap().threshold, 1);
    let error = Policy::of_keys(twice, Some(2)).unwrap_err();
    assert!(matches!(
        error,
        AttestError::Threshold { needed: 2, keys: 1 }
    ));
    let written = envelopes[0].envelope.to_bytes().unwrap();
    let mut written: Value = serde_json::from_slice(&written).unwrap();
    let mut again = written["signatures"][0].clone();
    again["keyid"] = json!("another");
    written["signatures"].as_array_mut().unwrap().push(again);
    let doubled = Attestation::parse("d".to_owned(), written.to_string().as_bytes()).unwrap();
    assert_eq!(doubled.envelope.signatures().len(), 2);
    assert!(refusal(&policy, &[doubled], None).contains("1 of the 2 keys"));
    assert!(Policy::of_keys(Vec::new(), None).is_err());
}

#[test]
fn a_contradiction_is_told_with_who_says_what() {
    let policy = trusting(&[1, 2, 3], 1);
    let (one, other) = (
        signed("one.json", &good(A), &[1]),
        signed("other.json", &good(B), &[2]),
    );
    let text = refusal(&policy, &[one.clone(), other.clone()], None);
    let expected = format!(
        "the attestations contradict each other: they name different digests\n  \
         farm-1 says: GOOD, small.luni.zip sha256:{A} (one.json)\n  \
         farm-2 says: GOOD, small.luni.zip sha256:{B} (other.json)"
    );
    assert_eq!(text, expected);
    // One who cannot reproduce it outweighs any number of those who can.
    let differs = verdict(&report("DIFFERS", &[A, B]), A).unwrap();
    let differs = signed("d", &differs, &[3]);
    let two = signed("two", &good(A), &[2]);
    let text = refusal(&policy, &[one.clone(), two, differs.clone()], Some(A));
    assert!(text.contains("farm-3 says: DIFFERS"), "{text}");
    assert!(refusal(&policy, &[differs], None).contains("DIFFERS"));
    // The file at hand has the last word.
    let text = refusal(&policy, std::slice::from_ref(&other), Some(A));
    assert!(
        text.starts_with("the attestations contradict the file"),
        "{text}"
    );
    // What a stranger says is no contradiction, nor is it a reason.
    let policy = trusting(&[1], 1);
    let agreement = agree(&policy, &[one, other.clone()], None).unwrap();
    assert_eq!(agreement.ignored[0].reason, "none of the keys signed it");
    assert!(refusal(&policy, &[other], None).contains("0 of the 1 keys"));
}

#[test]
fn what_is_no_reason_to_trust_does_not_count() {
    let policy = trusting(&[1], 1);
    let foreign = json!({
        "buildDefinition": { "buildType": "https://example.com/make" },
        "runDetails": { "builder": { "id": "x:y" } },
    });
    let foreign = Statement::new(subject(A), PROVENANCE, foreign).unwrap();
    let sbom = Statement::new(subject(A), "https://spdx.dev/Document", json!({})).unwrap();
    for statement in [foreign, sbom] {
        let text = refusal(&policy, &[signed("x", &statement, &[1])], Some(A));
        assert!(text.contains("no reason to trust it"), "{text}");
    }
    let strict = |set: fn(&mut Policy)| {
        let mut policy = trusting(&[1], 1);
        set(&mut policy);
        refusal(&policy, &[signed("x", &good(A), &[1])], None)
    };
    let text = strict(|policy| policy.rounds = 3);
    assert!(
        text.contains("it had 2 rounds, and the policy wants 3"),
        "{text}"
    );
    let text = strict(|policy| policy.varied.extend(["umask".into(), "locale".into()]));
    assert!(text.contains("it did not vary locale"), "{text}");
    let text = strict(|policy| policy.accept.retain(|it| *it != Accepted::Verdict));
    assert!(text.contains("does not count verdicts"), "{text}");
    let policy = Policy {
        accept: [Accepted::Verdict].into(),
        ..trusting(&[1], 1)
    };
    let text = refusal(&policy, &[signed("x", &provenance(A), &[1])], None);
    assert!(text.contains("does not count provenance"), "{text}");
}

#[test]
fn a_signature_over_something_else_is_named() {
    let policy = trusting(&[1], 1);
    let mut moved = signed("x", &good(B), &[1]);
    moved.statement = good(A);
    moved.envelope = {
        let mut envelope = Envelope::new(good(A).to_canonical().unwrap());
        envelope.sign(&key(1));
        let text = String::from_utf8(envelope.to_bytes().unwrap()).unwrap();
        let other = String::from_utf8(moved.envelope.to_bytes().unwrap()).unwrap();
        let signatures = |text: &str| text.split_once("\"signatures\"").unwrap().1.to_owned();
        let text = text.replace(&signatures(&text), &signatures(&other));
        Envelope::parse(text.as_bytes()).unwrap()
    };
    let text = refusal(&policy, &[moved], None);
    assert!(
        text.contains("claims to be by farm-1 is not over this"),
        "{text}"
    );
}

#[test]
fn only_the_same_statement_is_countersigned() {
    let theirs = signed("t", &provenance(A), &[1]);
    let both = theirs.clone().countersign(&provenance(A), &key(2)).unwrap();
    assert_eq!(both.signers(&[&key(1).public(), &key(2).public()]), [0, 1]);
    let again = Attestation {
        envelope: both.clone(),
        ..theirs.clone()
    };
    assert_eq!(again.countersign(&provenance(A), &key(2)).unwrap(), both);
    for (other, expected) in [
        (provenance(B), "it is about"),
        (good(A), "its predicate is https://slsa.dev"),
        (
            Statement::new(subject(A), PROVENANCE, json!({
                "buildDefinition": { "buildType": "x" }, "runDetails": { "builder": { "id": "z" } },
            })).unwrap(),
            "other things of the same subject",
        ),
    ] {
        let error = theirs.clone().countersign(&other, &key(2)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let text = String::from_utf8(theirs.envelope.to_bytes().unwrap()).unwrap();
    let more = text.replacen('{', "{\"more\":1,", 1);
    let more = Attestation::parse("m".to_owned(), more.as_bytes()).unwrap();
    let error = more.countersign(&provenance(A), &key(2)).unwrap_err();
    assert!(error.to_string().contains("would be lost: more"), "{error}");
}
