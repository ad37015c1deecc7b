//! Who is believed, and when; and what is refused before anybody is asked.

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

#[test]
fn a_verdict_must_follow_from_its_digests() {
    let failed =
        |expected: &str| json!({ "verdict": "FAILED", "expected": { "sha256": expected } });
    let with = |mut report: Value, expected: &str| {
        report["expected"] = json!({ "sha256": expected, "size": 7 });
        report
    };
    // As `--rounds 0` has it.
    let compared = |given: &str, expected: &str| {
        let mut report = with(report("DIFFERS", &[]), expected);
        report["given"] = json!({ "sha256": given, "size": 7 });
        report
    };
    for right in [
        with(report("GOOD", &[A, A, A]), A),
        report("DIFFERS", &[A, B]),
        with(report("DIFFERS", &[B, B]), A),
        compared(A, B),
        compared(B, A),
        failed(A),
    ] {
        let statement = verdict(&right, A).unwrap();
        let again = Statement::parse(&statement.to_canonical().unwrap());
        assert_eq!(again, Ok(statement));
    }
    for wrong in [
        report("GOOD", &[A]),
        report("GOOD", &[A, B]),
        report("GOOD", &[B, B]),
        with(report("GOOD", &[A, A]), B),
        report("DIFFERS", &[A, A]),
        compared(A, A),
        report("DIFFERS", &[B, B.replace("bb", "bc").as_str()]),
        failed(B),
    ] {
        let error = verdict(&wrong, A).unwrap_err();
        assert!(matches!(error, AttestError::Unsayable(_)), "{error}");
    }
    // What somebody signed in spite of that is not believed either.
    let text = String::from_utf8(good(A).to_canonical().unwrap()).unwrap();
    let forged = text.replacen(A, B, 1);
    let error = Statement::parse(forged.as_bytes()).unwrap_err();
    assert!(matches!(error, StatementFlaw::Predicate { .. }), "{error}");
}

#[test]
fn a_report_is_read_whatever_else_it_says() {
    let statement = verdict(&report("DIFFERS", &[A, B]), A).unwrap();
    let written: Value = serde_json::from_slice(&statement.to_canonical().unwrap()).unwrap();
    let predicate = &written["predicate"];
    assert_eq!(predicate["varied"], json!(["time-zone", "umask"]));
    let not_varied = json!([{ "name": "clock", "reason": "only root may set it" }]);
    assert_eq!(predicate["notVaried"], not_varied);
    assert_eq!(predicate["causes"], json!([{ "class": "timestamp" }]));
    assert_eq!(predicate.get("asLocked"), None);
    let mut pinned = report("GOOD", &[A, A]);
    let steps = json!([{ "name": "get", "pinned": true }, { "name": "use", "cached": true }]);
    pinned["rounds"][0]["steps"] = steps.clone();
    pinned["rounds"][1]["steps"] = steps;
    let pinned = verdict(&pinned, A).unwrap().to_canonical().unwrap();
    let pinned: Value = serde_json::from_slice(&pinned).unwrap();
    assert_eq!(pinned["predicate"]["asLocked"], json!(["get"]));
    // What a round could not have counts as not varied there too.
    let mut unable = report("GOOD", &[A, A]);
    unable["variations"] = Value::Null;
    unable["varied"] = json!(["umask", "clock"]);
    unable["rounds"][1]["unable"] = json!([{ "facet": "clock", "why": "no" }]);
    let unable = verdict(&unable, A).unwrap().to_canonical().unwrap();
    let unable: Value = serde_json::from_slice(&unable).unwrap();
    let unable = &unable["predicate"];
    assert_eq!(unable["varied"], json!(["umask"]));
    assert_eq!(
        unable["notVaried"],
        json!([{ "name": "clock", "reason": "no" }])
    );
    assert_eq!(predicate["rounds"][1], json!({ "digest": { "sha256": B } }));
    assert_eq!(predicate.get("timeVerified"), None);
    for (wrong, expected) in [
        (json!({ "rounds": [] }), "no `verdict`"),
        (json!({ "verdict": "good" }), "unknown variant"),
        (
            json!({ "verdict": "GOOD", "rounds": [{}] }),
            "round 1 has no `artefact`",
        ),
        (
            json!({ "verdict": "GOOD", "rounds": [{ "artefact": { "sha256": "x" } }] }),
            "no SHA-256",
        ),
        (
            json!({ "error": { "message": "no", "exit_code": 2 } }),
            "an error that is no verdict",
        ),
        (json!([]), "no JSON object"),
    ] {
        let error = Report::parse(wrong.to_string().as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(Report::parse(br#"{"verdict":"GOOD","verdict":"GOOD"}"#).is_err());
}

#[test]
fn hostile_statements_are_refused() {
    let text = String::from_utf8(provenance(A).to_canonical().unwrap()).unwrap();
    let subjects =
        format!("[{{\"digest\":{{\"sha256\":\"{A}\"}}}},{{\"digest\":{{\"sha256\":\"{B}\"}}}}]");
    let (head, _) = text.split_once("\"subject\":").unwrap();
    for (written, expected) in [
        (
            text.replace("Statement/v1", "Statement/v0.1"),
            "its type is",
        ),
        (format!("{head}\"subject\":[]}}"), "it has 0 subjects"),
        (
            format!("{head}\"subject\":{subjects}}}"),
            "it has 2 subjects",
        ),
        (
            text.replace(A, &A.to_uppercase()),
            "64 lower-case hexadecimal",
        ),
        (
            text.replace(A, &format!("sha256:{A}")),
            "64 lower-case hexadecimal",
        ),
        (
            text.replace("\"sha256\"", "\"sha512\""),
            "missing field `sha256`",
        ),
        (
            text.replace("small.luni.zip", "\\u001b[2J"),
            "control characters",
        ),
        (text.replace("small.luni.zip", &"x".repeat(256)), "too long"),
        (text.replace("x:y", "\\u0007"), "control characters"),
        (text.replace("x:y", ""), "the builder has no id"),
        (
            text.replace("\"builder\"", "\"maker\""),
            "missing field `builder`",
        ),
        (text.replacen('{', "{\"_type\":1,", 1), "a second time"),
        ("nonsense".to_owned(), "expected ident"),
    ] {
        let error = Statement::parse(written.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let more = text.replacen('{', "{\"more\":{\"a\":1},", 1);
    assert_eq!(Statement::parse(more.as_bytes()), Ok(provenance(A)));
}

#[test]
fn a_policy_is_read_and_its_flaws_are_placed() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(
        folder.path().join("a.pub"),
        key(1).public().to_pem().unwrap(),
    )
    .unwrap();
    fs_err::write(folder.path().join("a.key"), key(1).to_pem().unwrap()).unwrap();
    let pem = key(2).public().to_pem().unwrap().replace('\n', "\n      ");
    let right = format!(
        "apiVersion: lunikernel-policy/v1\nkeys:\n  farm-a: {{file: a.pub}}\n  farm-b:\n    \
         pem: |\n      {pem}\nthreshold: 2\nvaried: [umask]\nrounds: 3\n"
    );
    let read = |text: &str| Policy::parse(text.as_bytes(), "p.yaml", Some(folder.path()));
    let policy = read(&right).unwrap();
    assert_eq!((policy.threshold, policy.rounds), (2, 3));
    let names: Vec<&str> = policy.keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["farm-a", "farm-b"]);
    assert_eq!(policy.keys[1].key, key(2).public());
    assert_eq!(policy.accept.len(), 2);
    for (from, to, place, message) in [
        (
            "threshold: 2",
            "threshold: 3",
            "10:12",
            "3 keys have to agree",
        ),
        ("threshold: 2", "threshold: 0", "10:12", "out of range"),
        ("threshold: 2", "", "1:1", "the policy has no `threshold`"),
        (
            "threshold: 2",
            "treshold: 2",
            "10:1",
            "unknown key `treshold`",
        ),
        ("a.pub", "b.pub", "3:18", "cannot be read"),
        ("a.pub", "a.key", "3:18", "it is a private key"),
        ("file: a.pub", "url: x", "3:12", "unknown key `url`"),
        ("farm-a:", "farm a:", "3:3", "no name for a key"),
        ("rounds: 3", "rounds: 1", "12:9", "out of range"),
        ("rounds: 3", "accept: []", "12:9", "is empty"),
        ("rounds: 3", "accept: [sbom]", "12:10", "not known"),
        ("rounds: 3", "rounds: 3\nrounds: 3", "13:1", "a second time"),
        ("policy/v1", "policy/v2", "1:13", "not known"),
    ] {
        assert!(right.contains(from), "{from}");
        let complaints = read(&right.replacen(from, to, 1)).unwrap_err();
        let shown: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        let wanted =
            |text: &String| text.contains(&format!("p.yaml:{place}\n")) && text.contains(message);
        assert!(
            shown.iter().any(wanted),
            "{place} {message}: {}",
            shown.concat()
        );
    }
    let same = right.replace(
        "file: a.pub",
        &format!("pem: {:?}", key(2).public().to_pem().unwrap()),
    );
    let complaints = read(&same).unwrap_err();
    assert!(
        complaints[0]
            .message
            .contains("`farm-b` is the same key as `farm-a`")
    );
    assert!(
        read("").unwrap_err()[0]
            .message
            .contains("the policy is empty")
    );
    assert!(Policy::parse(right.as_bytes(), "p", None).is_err());
}
