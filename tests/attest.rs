//! `luni attest`: who signs what, who is believed, and that other people's programs see
//! it the same way.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fs_err as fs;
use lunikernel_builder::attest::{Envelope, Maker, PrivateKey, Report, Statement, Subject};
use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::{Sha256, Silent};
use serde_json::{Value, json};
use support::small::Small;
use support::{luni, matches, project, transcript};

/// A folder with two pairs of keys, and a Lunikernel.
struct Farm(tempfile::TempDir);

impl Farm {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let farm = Self(folder);
        for (name, seed) in [("a", 7), ("b", 8)] {
            let key = PrivateKey::from_seed([seed; 32]);
            let private = farm.path(&format!("{name}.key"));
            fs::write(&private, key.to_pem().unwrap()).unwrap();
            let only_owner = std::fs::Permissions::from_mode(0o600);
            fs::set_permissions(&private, only_owner).unwrap();
            let public = key.public().to_pem().unwrap();
            fs::write(farm.path(&format!("{name}.pub")), public).unwrap();
        }
        fs::copy(project("tests/format/good.zip"), farm.path("sample.zip")).unwrap();
        farm
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `luni attest WORDS`.
    fn attest(&self, words: &str) -> Output {
        let mut command = luni(self.0.path());
        let command = command.arg("attest").args(words.split_whitespace());
        command.output().unwrap()
    }

    /// The same, which must end with `code`; gives everything that was printed.
    fn ends(&self, code: i32, words: &str) -> String {
        let output = self.attest(words);
        let text = transcript(&output);
        assert_eq!(output.status.code(), Some(code), "{words}: {text}");
        text
    }

    /// Writes a report that says `verdict` of the sample, whose rounds made it and `other`.
    fn report(&self, verdict: &str, other: Option<Sha256>) {
        let sample = Sha256::of(&fs::read(self.path("sample.zip")).unwrap());
        let artefact = |sha256: Sha256| json!({ "artefact": { "sha256": sha256, "size": 1 } });
        let report = json!({
            "verdict": verdict,
            "rounds": [artefact(sample), artefact(other.unwrap_or(sample))],
            "varied": ["umask"],
        });
        fs::write(self.path("report.json"), report.to_string()).unwrap();
    }
}

/// What the test key signs about the committed sample: after a change that was meant,
/// `UPDATE=1 cargo test --test attest`.
#[test]
fn the_same_statement_and_key_give_the_committed_bytes() {
    let maker = Maker {
        id: "https://farm.example/builder".to_owned(),
        version: "1.2.3".to_owned(),
        time: Some("2026-01-31T12:00:00Z".to_owned()),
    };
    let artefact = Artefact::open(&project("tests/format/good.zip")).unwrap();
    let sha256 = artefact.check(&Silent).unwrap().digest.sha256;
    let name = || "sample.luni.zip".to_owned();
    let report = json!({
        "verdict": "DIFFERS",
        "rounds": [{ "artefact": { "sha256": sha256, "size": 1 } },
                   { "artefact": { "sha256": Sha256::of(b""), "size": 0 } }],
        "variations": [
            { "name": "umask", "state": "varied" },
            { "name": "clock", "state": "unable", "why": "only root may set it" },
        ],
        "causes": [{ "class": "user", "guilty": ["user"] }],
    });
    let report = Report::parse(report.to_string().as_bytes()).unwrap();
    let subject = Subject {
        name: name(),
        sha256,
    };
    let mut golden = String::new();
    for (file, statement) in [
        (
            "provenance.json",
            Statement::provenance(&artefact, name(), sha256, &maker),
        ),
        ("verdict.json", report.verdict(subject, &maker)),
    ] {
        let mut envelope = Envelope::new(statement.unwrap().to_canonical().unwrap());
        envelope.sign(&PrivateKey::from_seed([7; 32]));
        let digest = Sha256::of(&envelope.to_bytes().unwrap());
        golden += &format!("{}  {file}\n", digest.hex());
    }
    assert!(matches(
        &golden,
        &project("tests/golden/attestations.sha256")
    ));
}

#[test]
fn a_signature_does_not_depend_on_where_and_when() {
    let farm = Farm::new();
    let sign = |zone: &str, from: &Path, to: &str| {
        let signed = luni(from)
            .env("TZ", zone)
            .args(["attest", "sign", "--key"])
            .args([farm.path("a.key"), farm.path("sample.zip")])
            .args(["-o", to])
            .output()
            .unwrap();
        assert!(signed.status.success(), "{}", transcript(&signed));
    };
    sign("UTC", farm.0.path(), "one.json");
    sign(
        "<+14>-14",
        Path::new("/"),
        farm.path("two.json").to_str().unwrap(),
    );
    let bytes = fs::read(farm.path("one.json")).unwrap();
    assert_eq!(fs::read(farm.path("two.json")).unwrap(), bytes);
    // Standard output gets the same.
    let printed = farm.attest("sign --key a.key sample.zip");
    assert_eq!(printed.stdout, bytes);
    let timed = farm.attest("sign --key a.key --time 2026-01-31T12:00:00Z sample.zip");
    assert!(timed.status.success() && timed.stdout != bytes);
}

#[test]
fn a_new_pair_is_for_its_owner_and_replaces_none() {
    let farm = Farm::new();
    let text = farm.ends(0, "keygen farm");
    assert!(text.contains("attest sign --key farm.key"), "{text}");
    let mode = |name| fs::metadata(farm.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("farm.key"), mode("farm.pub")), (0o600, 0o644));
    let private = fs::read_to_string(farm.path("farm.key")).unwrap();
    assert!(
        private.starts_with("-----BEGIN PRIVATE KEY-----\n"),
        "{private}"
    );
    farm.ends(0, "sign --key farm.key sample.zip -o e.json");
    let told = farm.ends(0, "verify e.json --key farm.pub --artefact sample.zip");
    assert!(
        told.contains("vouched for by 1 of at least 1 keys"),
        "{told}"
    );

    let told = farm.ends(3, "keygen farm");
    assert!(told.contains("farm.key is there already"), "{told}");
    fs::remove_file(farm.path("farm.key")).unwrap();
    farm.ends(3, "keygen farm");
    assert!(!farm.path("farm.key").exists(), "half a pair was left");
    let json = farm.attest("keygen other --json");
    let made: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(made["keyid"].as_str().unwrap().len(), 64);
    // Somebody else could have signed with a key that others may read.
    let everybody = std::fs::Permissions::from_mode(0o644);
    fs::set_permissions(farm.path("other.key"), everybody).unwrap();
    let told = farm.ends(0, "sign --key other.key sample.zip");
    assert!(told.contains("warning: others than you may read"), "{told}");
}

#[test]
fn exit_codes_tell_who_is_believed() {
    let farm = Farm::new();
    let other = Sha256::of(b"other");
    farm.ends(0, "sign --key a.key sample.zip -o a.json");
    farm.report("GOOD", None);
    farm.ends(
        0,
        "sign --key b.key --report report.json sample.zip -o b.json",
    );
    farm.report("DIFFERS", Some(other));
    farm.ends(
        0,
        "sign --key b.key --report report.json sample.zip -o differs.json",
    );
    farm.report("FAILED", Some(other));
    farm.ends(
        0,
        "sign --key b.key --report report.json sample.zip -o failed.json",
    );
    farm.ends(0, "sign --key b.key --add a.json sample.zip -o ab.json");

    let both = "--key a.pub --key b.pub --artefact sample.zip";
    let told = farm.ends(0, &format!("verify a.json b.json {both}"));
    assert!(
        told.contains("b.pub says: GOOD") && told.contains("a.pub says: built"),
        "{told}"
    );
    farm.ends(0, &format!("verify ab.json {both}"));
    farm.ends(
        0,
        &format!("verify a.json failed.json {both} --threshold 1"),
    );
    for envelopes in ["a.json", "b.json", "a.json failed.json", "a.json a.json"] {
        let told = farm.ends(12, &format!("verify {envelopes} {both}"));
        assert!(told.contains("1 of the 2 keys"), "{told}");
    }
    farm.ends(12, "verify a.json --key b.pub");
    farm.ends(2, "verify a.json --key a.pub --key a.pub --threshold 2");
    farm.ends(2, "verify a.json");
    let told = farm.ends(13, &format!("verify a.json differs.json {both}"));
    assert!(told.contains("b.pub says: DIFFERS"), "{told}");
    fs::write(farm.path("other.zip"), "other").unwrap();
    let told = farm.ends(13, "verify a.json --key a.pub --artefact other.zip");
    assert!(told.contains(&format!("other.zip is {other}")), "{told}");

    let json = farm.attest(&format!("verify a.json differs.json {both} --json"));
    let error: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(error["error"]["exit_code"], 13);
    let json = farm.attest(&format!("verify a.json b.json {both} --json"));
    let agreement: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&agreement["vouching"], &agreement["threshold"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(agreement["said"][1]["claim"]["verdict"], "GOOD");
}

#[test]
fn a_policy_decides_and_is_complained_about() {
    let farm = Farm::new();
    let policy = "apiVersion: lunikernel-policy/v1\nkeys:\n  north: {file: a.pub}\n  \
                  south: {file: b.pub}\nthreshold: 2\naccept: [provenance]\n";
    fs::create_dir(farm.path("trust")).unwrap();
    for name in ["a.pub", "b.pub"] {
        fs::copy(farm.path(name), farm.path("trust").join(name)).unwrap();
    }
    fs::write(farm.path("trust/policy.yaml"), policy).unwrap();
    farm.ends(0, "sign --key a.key sample.zip -o a.json");
    farm.ends(0, "sign --key b.key --builder-id x:b sample.zip -o b.json");
    let told = farm.ends(0, "verify a.json b.json --policy trust/policy.yaml");
    assert!(told.contains("south says: built"), "{told}");
    farm.ends(12, "verify a.json --policy trust/policy.yaml");
    farm.ends(2, "verify a.json --policy trust/policy.yaml --key a.pub");
    fs::write(
        farm.path("trust/policy.yaml"),
        policy.replace("accept", "acept"),
    )
    .unwrap();
    let told = farm.ends(3, "verify a.json --policy trust/policy.yaml");
    for part in [
        "trust/policy.yaml:6:1",
        "unknown key `acept`",
        "did you mean `accept`?",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn the_policy_of_the_page_is_right() {
    let farm = Farm::new();
    let page = fs::read_to_string(project("docs/attestations.md")).unwrap();
    let (_, after) = page.split_once("```yaml\n").unwrap();
    let (policy, _) = after.split_once("```").unwrap();
    fs::write(farm.path("policy.yaml"), policy).unwrap();
    fs::create_dir(farm.path("keys")).unwrap();
    fs::copy(farm.path("b.pub"), farm.path("keys/north.pub")).unwrap();
    farm.ends(0, "keygen keys/west");
    farm.ends(0, "sign --key keys/west.key sample.zip -o w.json");
    farm.ends(0, "sign --key b.key sample.zip -o n.json");
    farm.ends(12, "verify w.json --policy policy.yaml");
    farm.ends(0, "verify w.json n.json --policy policy.yaml");
}

#[test]
fn what_cannot_be_signed_or_read_is_refused() {
    let farm = Farm::new();
    farm.report("GOOD", None);
    farm.ends(0, "sign --key a.key sample.zip -o a.json");
    fs::write(farm.path("other.zip"), "other").unwrap();
    let told = farm.ends(
        3,
        "sign --key a.key --report report.json other.zip -o x.json",
    );
    assert!(
        told.contains("GOOD of") && told.contains("hint: name the artefact"),
        "{told}"
    );
    farm.ends(3, "sign --key a.key other.zip -o x.json");
    farm.ends(3, "sign --key a.pub sample.zip -o x.json");
    farm.ends(3, "sign --key a.key --report a.json sample.zip -o x.json");
    let told = farm.ends(
        3,
        "sign --key b.key --add a.json --report report.json sample.zip -o x.json",
    );
    assert!(told.contains("holds another statement"), "{told}");
    farm.ends(2, "sign --key a.key --time today sample.zip");
    farm.ends(2, "sign --key a.key --builder-id me sample.zip");
    assert!(
        !farm.path("x.json").exists(),
        "something was written all the same"
    );
    farm.ends(3, "verify sample.zip --key a.pub");
    farm.ends(3, "verify a.json --key sample.zip");
    farm.ends(3, "verify nothing.json --key a.pub");
    let large = vec![b' '; (16 << 20) + 1];
    fs::write(farm.path("large.json"), large).unwrap();
    let told = farm.ends(3, "verify large.json --key a.pub");
    assert!(told.contains("more than 16 MiB"), "{told}");
}

/// From a recipe to three verdicts that are believed, or not.
#[test]
fn every_verdict_of_a_real_verification_can_be_signed() {
    let name = "attest::every_verdict_of_a_real_verification_can_be_signed";
    let farm = Farm::new();
    for (run, verdict, code) in [
        ("echo same > out", "GOOD", 0),
        ("busybox hostname > out", "DIFFERS", 13),
        (
            "test $(busybox hostname) = lunikernel; echo > out",
            "FAILED",
            12,
        ),
    ] {
        let steps = format!(
            "  - name: only\n    root: [base, shell]\n    run: '{run}'\n    outputs: [out]\n"
        );
        let Some(small) = Small::new(name, &steps) else {
            return;
        };
        let built = small.run("build", &[]);
        assert!(built.status.success(), "{}", transcript(&built));
        let mut verifying = small.luni("verify");
        let mut verifying = verifying
            .args(["--json", "--vary", "host-name", "small.luni.zip"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let report = verifying.stdout.take().unwrap();
        let signed = small
            .luni("attest")
            .args([
                "sign",
                "--report",
                "-",
                "small.luni.zip",
                "-o",
                "e.json",
                "--key",
            ])
            .arg(farm.path("a.key"))
            .stdin(report)
            .output()
            .unwrap();
        verifying.wait().unwrap();
        assert!(signed.status.success(), "{}", transcript(&signed));
        let verified = small
            .luni("attest")
            .args(["verify", "e.json", "--artefact", "small.luni.zip", "--key"])
            .arg(farm.path("a.pub"))
            .output()
            .unwrap();
        let text = transcript(&verified);
        assert_eq!(verified.status.code(), Some(code), "{text}");
        assert!(
            text.contains(&format!("says: {verdict}, small.luni.zip")),
            "{text}"
        );
    }
}

/// The Python of `scripts/test`, with the libraries that are asked.
fn python() -> Option<PathBuf> {
    let python = project("target/attest-venv/bin/python");
    let imports = "import in_toto_attestation, securesystemslib, cryptography";
    let has_them = Command::new(&python)
        .args(["-c", imports])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    has_them.then_some(python)
}

#[test]
fn another_implementation_agrees() {
    let Some(python) = python() else {
        lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            "securesystemslib is not in target/attest-venv (`scripts/test` installs it from PyPI)",
        );
        return;
    };
    let farm = Farm::new();
    let theirs = |words: &str| {
        let mut command = Command::new(&python);
        let command = command.current_dir(farm.0.path());
        let command = command.arg(project("tests/attest/independent.py"));
        command.args(words.split_whitespace()).output().unwrap()
    };
    farm.report("DIFFERS", Some(Sha256::of(b"other")));
    farm.ends(
        0,
        "sign --key a.key --report report.json sample.zip -o verdict.json",
    );
    farm.ends(
        0,
        "sign --key a.key --time 2026-01-31T12:00:00Z sample.zip -o one.json",
    );
    farm.ends(
        0,
        "sign --key b.key --time 2026-01-31T12:00:00Z --add one.json sample.zip -o both.json",
    );

    // They believe ours, and only those that signed.
    for words in ["check verdict.json a.pub", "check both.json a.pub b.pub"] {
        let output = theirs(words);
        assert!(output.status.success(), "{}", transcript(&output));
    }
    let statement = theirs("check both.json a.pub").stdout;
    let read: Value = serde_json::from_slice(&statement).unwrap();
    assert_eq!(read["predicateType"], "https://slsa.dev/provenance/v1");
    assert!(!theirs("check verdict.json b.pub").status.success());

    // And we believe theirs: another form of JSON, and of the key's id.
    fs::write(farm.path("statement"), statement).unwrap();
    let signed = theirs("sign statement b.key");
    assert!(signed.status.success(), "{}", transcript(&signed));
    fs::write(farm.path("theirs.json"), signed.stdout).unwrap();
    let told = farm.ends(
        0,
        "verify theirs.json one.json --key a.pub --key b.pub --artefact sample.zip",
    );
    assert!(told.contains("b.pub says: built, sample.zip"), "{told}");
    farm.ends(12, "verify theirs.json --key a.pub");
    let text = fs::read_to_string(farm.path("theirs.json")).unwrap();
    let mut forged: Value = serde_json::from_str(&text).unwrap();
    let ours = fs::read(farm.path("verdict.json")).unwrap();
    let ours: Value = serde_json::from_slice(&ours).unwrap();
    forged["payload"] = ours["payload"].clone();
    fs::write(farm.path("forged.json"), forged.to_string()).unwrap();
    farm.ends(12, "verify forged.json --key b.pub");
}
