//! Reports, statements and policies as they are read.

use super::*;

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
