//! What is made of the description of the command line: completions and manual pages.

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use support::{luni, transcript};

#[test]
fn completions_are_scripts_that_know_the_verbs() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let made = luni(folder.path())
            .args(["completions", shell])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", transcript(&made));
        let script = String::from_utf8(made.stdout).unwrap();
        for word in ["verify-reproducibility", "mirror"] {
            assert!(script.contains(word), "{word} in that of {shell}");
        }
        if shell == "bash" {
            let mut check = Command::new("bash")
                .args(["-n"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = check.stdin.take().unwrap();
            input.write_all(script.as_bytes()).unwrap();
            drop(input);
            assert!(check.wait().unwrap().success(), "{script}");
        }
    }
}

#[test]
fn every_verb_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let made = luni(folder.path()).args(["man", "."]).output().unwrap();
    assert!(made.status.success(), "{}", transcript(&made));
    let page = |name: &str| fs_err::read_to_string(folder.path().join(name)).unwrap();
    let all = page("luni.1");
    assert!(all.contains(".TH luni 1"), "{all}");
    assert!(all.contains(".SH ENVIRONMENT"), "{all}");
    assert!(all.contains("LUNI_IDLE_TIMEOUT"), "{all}");
    let verbs = [
        "new",
        "check",
        "schema",
        "lock",
        "fetch",
        "build",
        "shell",
        "inspect",
        "overlay",
        "export",
        "diff",
        "verify-reproducibility",
        "attest",
        "attest-sign",
        "run",
        "cache",
        "cache-gc",
        "doctor",
    ];
    for verb in verbs {
        let text = page(&format!("luni-{verb}.1"));
        assert!(text.contains(".SH OPTIONS"), "{text}");
        assert!(
            text.contains("exit codes") || text.contains("Exit codes") || verb.contains('-'),
            "{text}"
        );
    }
    // As reproducible as all else.
    let again = tempfile::tempdir().unwrap();
    luni(again.path()).args(["man", "."]).output().unwrap();
    assert_eq!(
        fs_err::read_to_string(again.path().join("luni.1")).unwrap(),
        all
    );
    // A folder that is not there is made.
    let made = luni(folder.path()).args(["man", "new/man1"]).output();
    assert!(made.unwrap().status.success());
    assert_eq!(page("new/man1/luni.1"), all);
}
