//! `luni verify-reproducibility`: each verdict on what deserves it.

mod support;

use std::process::Output;

use serde_json::Value;
use support::small::Small;
use support::transcript;

/// One step for each variation; it writes down what the variation changes, and is
/// called like it.
const TELLTALE: &str = "  - name: host-name
    root: [base, shell]
    run: busybox hostname > out
    outputs: [out]
  - name: umask
    root: [base, shell]
    run: busybox touch file && busybox stat -c %a file > out
    outputs: [out]
  - name: time-zone
    root: [base, shell]
    run: busybox date -d \"@$SOURCE_DATE_EPOCH\" +%FT%T > out
    outputs: [out]
  - name: locale
    root: [base, shell]
    run: echo \"$LC_ALL\" > out
    outputs: [out]
  - name: cpus
    root: [base, shell]
    run: busybox nproc > out
    outputs: [out]
  - name: many
    root: [base, shell]
    run: busybox mkdir out && echo 1 > out/one && echo 2 > out/two && echo 3 > out/three
    outputs: [out]
  - name: entry-order
    root: [base, shell]
    inputs:
      many: many/out
    run: busybox find many > out
    outputs: [out]
";

/// One step that fails or not, by what `run` does.
fn one_step(run: &str) -> String {
    format!("  - name: only\n    root: [base, shell]\n    run: '{run}'\n    outputs: [out]\n")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_depends_on_its_surroundings_differs_and_is_pointed_at() {
    let name = "verify::what_depends_on_its_surroundings_differs_and_is_pointed_at";
    let Some(small) = Small::new(name, TELLTALE) else {
        return;
    };
    let same = small.run("verify", &["--vary", "none"]);
    assert_eq!(same.status.code(), Some(0), "{}", transcript(&same));
    assert!(stdout(&same).ends_with("\nGOOD\n"), "{}", transcript(&same));

    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    for (variation, left, right) in [
        ("host-name", "lunikernel", "elsewhere-1"),
        ("umask", "644", "664"),
        ("time-zone", "1980-01-01T00:00:00", "1980-01-01T14:00:00"),
        ("locale", "C.UTF-8", "C"),
        ("cpus", "", "1"),
        ("entry-order", "", ""),
    ] {
        if variation == "cpus" && processors == 1 {
            lunikernel_testing::left_out(name, "cpus: there is only one processor");
            continue;
        }
        let output = small.run("verify", &["--vary", variation]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
        assert!(text.ends_with("\nDIFFERS\n"), "{text}");
        assert!(text.contains(&format!("varied   {variation}\n")), "{text}");
        // The entry of the zip, the member of the initramfs, the line.
        let place = format!("\ninitramfs.gz: member `made/{variation}`: line ");
        let (_, found) = text.split_once(&place).unwrap_or_else(|| panic!("{text}"));
        for (side, value) in [("left:", left), ("right:", right)] {
            let line = found.lines().find(|line| line.trim().starts_with(side));
            assert!(line.unwrap().contains(value), "{side} {value}: {text}");
        }
    }
}

#[test]
fn what_depends_on_nothing_is_good_whatever_varies() {
    let name = "verify::what_depends_on_nothing_is_good_whatever_varies";
    let Some(small) = Small::new(name, &one_step("echo the same > out")) else {
        return;
    };
    let output = small.run("verify", &["--rounds", "3", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "GOOD", "{report:#}");
    assert_eq!(report["difference"], Value::Null);
    assert_eq!(report["varied"].as_array().unwrap().len(), 6);
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 3);
    // It is what a build gives, and the rounds were really set apart.
    let built = small.run("build", &["--json"]);
    let built: Value = serde_json::from_slice(&built.stdout).unwrap();
    let mut host_names = std::collections::BTreeSet::new();
    for round in rounds {
        assert_eq!(round["artefact"], built["artefact"], "{report:#}");
        host_names.insert(round["surroundings"]["hostname"].as_str().unwrap());
    }
    assert_eq!(host_names.len(), 3, "{report:#}");
}

#[test]
fn a_difference_as_json_has_its_place() {
    let name = "verify::a_difference_as_json_has_its_place";
    let steps = one_step("busybox hostname > out");
    let Some(small) = Small::new(name, &steps) else {
        return;
    };
    let output = small.run("verify", &["--vary", "host-name,umask", "--json"]);
    assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "DIFFERS");
    let found = &report["difference"]["found"];
    assert_eq!(report["difference"]["entry"], "initramfs.gz", "{report:#}");
    assert_eq!(found["kind"], "line", "{report:#}");
    let place = report["difference"]["path"].as_array().unwrap().last();
    assert_eq!(place.unwrap()["name"], "made/only", "{report:#}");
    let digests: Vec<_> = report["rounds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|round| &round["artefact"])
        .collect();
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn without_two_builds_there_is_no_verdict() {
    let name = "verify::without_two_builds_there_is_no_verdict";
    for (run, round) in [
        ("test $(busybox hostname) = lunikernel; echo > out", 2),
        ("echo never; false", 1),
    ] {
        let Some(small) = Small::new(name, &one_step(run)) else {
            return;
        };
        let output = small.run("verify", &[]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(11), "{}", transcript(&output));
        assert!(
            text.contains(&format!("could not build round {round}")),
            "{text}"
        );
        assert!(
            text.contains("step `only` failed: it ended with exit code 1"),
            "{text}"
        );
        assert!(!stdout(&output).contains("GOOD"), "{}", transcript(&output));
    }
}

#[test]
fn a_variation_that_there_is_not_is_a_wrong_command_line() {
    let name = "verify::a_variation_that_there_is_not_is_a_wrong_command_line";
    let Some(small) = Small::new(name, &one_step("echo > out")) else {
        return;
    };
    let output = small.run("verify", &["--vary", "moon"]);
    assert_eq!(output.status.code(), Some(2), "{}", transcript(&output));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("no variation `moon`"), "{text}");
    assert!(text.contains("host-name"), "{text}");
}

#[test]
fn a_lunikernel_alone_is_enough_to_verify_it() {
    let name = "verify::a_lunikernel_alone_is_enough_to_verify_it";
    let Some(small) = Small::new(name, &one_step("echo same > out")) else {
        return;
    };
    let built = small.run("build", &[]);
    assert!(built.status.success(), "{}", transcript(&built));
    // Elsewhere, and without the recipe.
    let zip = small.path("alone.zip");
    fs_err::rename(small.path("small.luni.zip"), &zip).unwrap();
    fs_err::remove_dir_all(small.path("recipe")).unwrap();
    let verified = small.luni("verify").arg(&zip).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", transcript(&verified));
    let digest = lunikernel_cache::Sha256::of(&fs_err::read(&zip).unwrap());
    let text = stdout(&verified);
    assert!(text.starts_with(&format!("expected {digest}\n")), "{text}");
    assert!(text.ends_with("GOOD\n"), "{text}");
}
