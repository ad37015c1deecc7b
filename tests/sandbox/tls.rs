//! An engine that is reached by TLS, and takes only clients with a certificate.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fs_err as fs;
use serde_json::Value;

use crate::engines::made_by;
use crate::own_engine::OwnEngine;
use crate::support::small::Small;
use crate::support::transcript;

/// Makes an authority, a certificate of it for the engine, and one for a client. Another
/// authority and what it signs are in `other`.
const CERTIFICATES: &str = r#"
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@"; }
authority() {
    new -x509 -days 2 -subj "/CN=$1" -keyout "$1/ca-key.pem" -out "$1/ca.pem"
}
signed() {
    new -subj "/CN=$2" -keyout "$1/$2key.pem" -out "$1/$2.csr"
    printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >"$1/extensions"
    openssl x509 -req -days 2 -in "$1/$2.csr" -extfile "$1/extensions" \
        -CA "$1/ca.pem" -CAkey "$1/ca-key.pem" -CAcreateserial -out "$1/$2cert.pem"
}
set -e
mkdir own other
for authority in own other; do
    authority $authority
    signed $authority server-
    signed $authority ""
done
"#;

/// The folder with `own` and `other`; `None` where there is no openssl, with the test
/// left out.
fn certificates() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("sh")
        .args(["-c", CERTIFICATES])
        .current_dir(folder.path())
        .output()
        .unwrap();
    if Command::new("openssl").arg("version").output().is_err() {
        let test = lunikernel_testing::this_test();
        lunikernel_testing::left_out(&test, "there is no openssl to make certificates with");
        return None;
    }
    assert!(made.status.success(), "{}", transcript(&made));
    Some(folder)
}

/// A folder with these files of `from`.
fn with(from: &Path, files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        fs::copy(from.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// A configuration of Docker's client whose current context is the engine at `host`. That
/// client writes it, where there is one.
fn context(host: &str, certificates: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path();
    let file = |name: &str| certificates.join(name).display().to_string();
    let endpoint = format!(
        "host=tcp://{host},ca={},cert={},key={}",
        file("ca.pem"),
        file("cert.pem"),
        file("key.pem")
    );
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker")
            .args(arguments)
            .env("DOCKER_CONFIG", config)
            .env_remove("DOCKER_HOST")
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    if !docker(&["context", "create", "farm", "--docker", &endpoint])
        || !docker(&["context", "use", "farm"])
    {
        by_hand(config, host, certificates);
    }
    folder
}

/// The same as Docker's client writes it.
fn by_hand(config: &Path, host: &str, certificates: &Path) {
    let key = lunikernel_cache::Sha256::of(b"farm").hex();
    let (meta, tls) = (
        config.join("contexts/meta").join(&key),
        config.join("contexts/tls").join(&key).join("docker"),
    );
    fs::create_dir_all(&meta).unwrap();
    fs::create_dir_all(&tls).unwrap();
    let text = format!(
        r#"{{"Name":"farm","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"tcp://{host}","SkipTLSVerify":false}}}}}}"#
    );
    fs::write(meta.join("meta.json"), text).unwrap();
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        fs::copy(certificates.join(name), tls.join(name)).unwrap();
    }
    fs::write(config.join("config.json"), r#"{"currentContext":"farm"}"#).unwrap();
}

/// How a build goes whose engine the variables `set` name, and which process it was.
fn build(small: &Small, set: &[(&str, PathBuf)]) -> (Output, u32) {
    let mut command = small.luni("build");
    command
        .args(["recipe", "--json"])
        .env("LUNI_SANDBOX", "docker");
    for name in [
        "DOCKER_HOST",
        "DOCKER_TLS_VERIFY",
        "DOCKER_CERT_PATH",
        "DOCKER_CONTEXT",
    ] {
        command.env_remove(name);
    }
    // Nothing of it was built before.
    command.env("LUNI_CACHE", small.path(&format!("cache of {}", set.len())));
    command.env("DOCKER_CONFIG", small.path("no configuration"));
    for (name, value) in set {
        command.env(name, value);
    }
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    (child.wait_with_output().unwrap(), pid)
}

fn by_environment(host: &str, certificates: &Path) -> Vec<(&'static str, PathBuf)> {
    vec![
        ("DOCKER_HOST", format!("tcp://{host}").into()),
        ("DOCKER_TLS_VERIFY", "1".into()),
        ("DOCKER_CERT_PATH", certificates.to_owned()),
    ]
}

const STEP: &str =
    "  - name: only\n    root: [base, shell]\n    run: echo same > out\n    outputs: [out]\n";

#[test]
fn an_engine_behind_tls_builds_for_those_who_have_a_certificate() {
    let Some(folder) = certificates() else {
        return;
    };
    let own = folder.path().join("own");
    let Some(small) = Small::new(&lunikernel_testing::this_test(), STEP) else {
        return;
    };
    let Some(engine) = OwnEngine::with_tls(&own) else {
        return;
    };
    let host = engine.secure();
    let native = small.run("build", &["--json"]);
    assert!(native.status.success(), "{}", transcript(&native));
    let native: Value = serde_json::from_slice(&native.stdout).unwrap();

    let client = with(&own, &["ca.pem", "cert.pem", "key.pem"]);
    let config = context(&host, client.path());
    for set in [
        by_environment(&host, client.path()),
        vec![("DOCKER_CONFIG", config.path().to_owned())],
    ] {
        let (output, pid) = build(&small, &set);
        assert!(output.status.success(), "{set:?}: {}", transcript(&output));
        let built: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(built["artefact"], native["artefact"], "{set:?}");
        assert_eq!(built["steps"][0]["cached"], false, "{built:#}");
        assert_eq!(made_by(&engine.address(), pid), Vec::<String>::new());
    }

    refused(&small, &host, folder.path());
}

/// What is said to clients that the engine does not take, or that do not take it.
fn refused(small: &Small, host: &str, certificates: &Path) {
    let (own, other) = (certificates.join("own"), certificates.join("other"));
    let nothing = with(&own, &["ca.pem"]);
    let no_authority = with(&own, &["cert.pem", "key.pem"]);
    let stranger = with(&own, &["ca.pem"]);
    let mistaken = with(&other, &["ca.pem"]);
    for name in ["cert.pem", "key.pem"] {
        fs::copy(other.join(name), stranger.path().join(name)).unwrap();
        fs::copy(own.join(name), mistaken.path().join(name)).unwrap();
    }
    let in_the_clear = vec![("DOCKER_HOST", format!("tcp://{host}").into())];
    let refused = "it does not take this client: ";
    let untrusted = "its certificate is not to be trusted: ";
    let of = |folder: &tempfile::TempDir| by_environment(host, folder.path());
    for (set, said, hint) in [
        (of(&nothing), refused, "`cert.pem` and `key.pem`"),
        (of(&stranger), refused, "`cert.pem` and `key.pem`"),
        (of(&mistaken), untrusted, "`ca.pem` in `"),
        (of(&no_authority), untrusted, "`ca.pem` in `"),
        (
            in_the_clear,
            "it does not speak as it was spoken to",
            "`DOCKER_TLS_VERIFY=1`",
        ),
    ] {
        let (output, _) = build(small, &set);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{set:?}: {text}");
        assert!(text.contains(&format!("tcp://{host}")), "{text}");
        assert!(text.contains(said), "{set:?}: {text}");
        let (_, hints) = text
            .split_once("hint: ")
            .unwrap_or_else(|| panic!("{text}"));
        assert!(hints.replace('\n', " ").contains(hint), "{set:?}: {text}");
    }
}
