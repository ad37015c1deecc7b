//! `luni verify-reproducibility`: each verdict on what deserves it.

#[path = "verify/compared.rs"]
mod compared;
mod support;

use std::process::Output;

use compared::tampered;
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

/// What a report says of the variation `name`.
fn variation<'r>(report: &'r Value, name: &str) -> &'r Value {
    let variations = report["variations"].as_array().unwrap();
    variations.iter().find(|one| one["name"] == name).unwrap()
}

#[test]
fn what_depends_on_its_surroundings_differs_and_is_pointed_at() {
    let name = "verify::what_depends_on_its_surroundings_differs_and_is_pointed_at";
    let Some(small) = Small::new(name, TELLTALE) else {
        return;
    };
    let same = small.run("verify", &["--vary", "none"]);
    assert_eq!(same.status.code(), Some(0), "{}", transcript(&same));
    let text = stdout(&same);
    assert!(
        text.starts_with("GOOD in 2 rounds over 0 variations\n"),
        "{text}"
    );

    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    for (variation, class, left, right) in [
        ("host-name", "host-name", "lunikernel", "elsewhere-1"),
        ("umask", "umask", "644", "664"),
        (
            "time-zone",
            "time-zone",
            "1980-01-01T00:00:00",
            "1980-01-01T14:00:00",
        ),
        ("locale", "locale", "C.UTF-8", "C"),
        ("cpus", "cpus", "", "1"),
        ("entry-order", "ordering", "", ""),
    ] {
        if variation == "cpus" && processors == 1 {
            lunikernel_testing::left_out(name, "cpus: there is only one processor");
            continue;
        }
        let output = small.run("verify", &["--vary", variation]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
        // The steps' root has no language that sorts in another way, which is said.
        let varied = if variation == "locale" {
            "0 variations"
        } else {
            "1 variation"
        };
        let first = format!("DIFFERS in 2 rounds over {varied}\n");
        assert!(text.starts_with(&first), "{text}");
        // The entry of the zip, the member of the initramfs, the line.
        let place = format!("\nwhere       initramfs.gz: member `made/{variation}`: line ");
        let (_, found) = text.split_once(&place).unwrap_or_else(|| panic!("{text}"));
        for (side, value) in [("left:", left), ("right:", right)] {
            let line = found.lines().find(|line| line.trim().starts_with(side));
            assert!(line.unwrap().contains(value), "{side} {value}: {text}");
        }
        assert!(
            text.contains(&format!("\nwhy         {class} (certain): ")),
            "{text}"
        );
        let enough = format!("- it is enough to vary `{variation}`\n");
        assert!(text.contains(&enough), "{text}");
        assert!(
            text.contains(&format!("\nstep        `{variation}` ")),
            "{text}"
        );
        assert!(text.contains("\nwhat to do  "), "{text}");
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
    assert_eq!(report["causes"], serde_json::json!([]));
    assert_eq!(report["bisection"], Value::Null);
    let variations = report["variations"].as_array().unwrap();
    assert_eq!(variations.len(), 22);
    // With one kind of sandbox it cannot be varied, and that is said.
    assert_eq!(
        variation(&report, "sandbox")["state"],
        "unable",
        "{report:#}"
    );
    // Another name in the third round does not bring the collation that was missing.
    assert_eq!(
        variation(&report, "locale")["state"],
        "unable",
        "{report:#}"
    );
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 3);
    // It is what a build gives, and the rounds were really set apart.
    let built = small.run("build", &["--json"]);
    let built: Value = serde_json::from_slice(&built.stdout).unwrap();
    let mut host_names = std::collections::BTreeSet::new();
    for round in rounds {
        assert_eq!(round["artefact"], built["artefact"], "{report:#}");
        host_names.insert(
            round["conditions"]["surroundings"]["hostname"]
                .as_str()
                .unwrap(),
        );
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
    assert_eq!(report["difference"]["path"][1]["name"], "made/only");
    assert_eq!(report["step"], "only");
    let cause = &report["causes"][0];
    assert_eq!(cause["class"], "host-name", "{report:#}");
    assert_eq!(cause["confidence"], "certain");
    assert_eq!(cause["guilty"], serde_json::json!(["host-name"]));
    let trials = report["bisection"]["trials"].as_array().unwrap();
    // Nothing, the suspect alone, all but the suspect, and nothing again.
    assert_eq!(trials.len(), 4, "{report:#}");
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
        let output = small.run("verify", &["--json"]);
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
        // It can be told as data too, to be signed.
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["verdict"], "FAILED");
        assert_eq!(report["failure"]["round"], round);
        assert_eq!(report["failure"]["step"], "only");
        assert_eq!(report["rounds"].as_array().unwrap().len(), round - 1);
        let page = small.path("failed.html");
        let shown = small.run("verify", &["--report", page.to_str().unwrap()]);
        assert_eq!(shown.status.code(), Some(11), "{}", transcript(&shown));
        assert!(stdout(&shown).starts_with("FAILED: nothing is known\n"));
        assert!(
            fs_err::read_to_string(&page)
                .unwrap()
                .contains("<h1>FAILED</h1>")
        );
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
    assert!(text.starts_with("GOOD in 2 rounds over "), "{text}");
    assert!(
        text.contains(&format!("\nexpected    {digest}\n")),
        "{text}"
    );
    // Its digest in the cache names it as well, whole or only the beginning of it.
    fs_err::remove_file(&zip).unwrap();
    let beginning = &digest.hex()[..12];
    for named in [digest.to_string().as_str(), beginning] {
        let options = ["--vary", "umask", "--no-bisect"];
        let verified = small.luni("verify").arg(named).args(options).output();
        let verified = verified.unwrap();
        assert_eq!(verified.status.code(), Some(0), "{}", transcript(&verified));
    }
    // Somebody put another Lunikernel in its place.
    let cache = lunikernel_cache::Cache::open(&small.path("cache")).unwrap();
    let blob = cache.blobs().path(&digest);
    let other = tampered(&small, &blob);
    fs_err::remove_file(&blob).unwrap();
    fs_err::rename(other, &blob).unwrap();
    for args in [&[beginning][..], &["recipe", "--against", beginning]] {
        let damaged = small.luni("verify").args(args).output().unwrap();
        assert_eq!(damaged.status.code(), Some(3), "{}", transcript(&damaged));
        let text = String::from_utf8_lossy(&damaged.stderr);
        assert!(text.contains("of the cache has the digest"), "{text}");
        assert!(text.contains("luni cache verify"), "{text}");
    }
    let unknown = small
        .luni("verify")
        .arg("0123456789abcdef")
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(3), "{}", transcript(&unknown));
    let text = String::from_utf8_lossy(&unknown.stderr);
    assert!(text.contains("nothing in the cache begins with"), "{text}");
}

#[test]
fn a_difference_stays_known_when_a_later_round_fails() {
    let name = "verify::a_difference_stays_known_when_a_later_round_fails";
    let steps = one_step("test $(busybox hostname) != elsewhere-2; busybox hostname > out");
    let Some(small) = Small::new(name, &steps) else {
        return;
    };
    let options = ["--rounds", "4", "--vary", "host-name", "--json"];
    let output = small.run("verify", &options);
    assert_eq!(output.status.code(), Some(10), "{}", transcript(&output));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("could not build round 3"), "{told}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "DIFFERS");
    assert_eq!(report["failure"]["round"], 3);
    assert_eq!(report["rounds"].as_array().unwrap().len(), 2);
    assert_eq!(report["difference"]["entry"], "initramfs.gz", "{report:#}");
    assert_eq!(report["causes"][0]["class"], "host-name", "{report:#}");
}

#[test]
fn what_cannot_be_varied_does_not_count_as_passed() {
    let name = "verify::what_cannot_be_varied_does_not_count_as_passed";
    let Some(small) = Small::new(name, &one_step("echo the same > out")) else {
        return;
    };
    // There is one kind of sandbox to run it in.
    let vary = ["--vary", "umask,sandbox"];
    let usual = small.run("verify", &vary);
    assert_eq!(usual.status.code(), Some(0), "{}", transcript(&usual));
    let text = stdout(&usual);
    let line = "GOOD in 2 rounds over 1 variation; 1 could not be varied: sandbox\n";
    assert!(text.starts_with(line), "{text}");
    assert!(
        text.contains("\nnot varied  sandbox: only one kind"),
        "{text}"
    );
    let strict = small.run("verify", &[&vary[..], &["--strict"]].concat());
    assert_eq!(strict.status.code(), Some(14), "{}", transcript(&strict));
    let all_had = small.run("verify", &["--vary", "umask", "--strict"]);
    assert_eq!(all_had.status.code(), Some(0), "{}", transcript(&all_had));
}

#[test]
fn where_no_step_runs_nothing_around_steps_counts_as_varied() {
    let name = "verify::where_no_step_runs_nothing_around_steps_counts_as_varied";
    let Some(small) = Small::new(name, &one_step("echo > out")) else {
        return;
    };
    let path = small.path("recipe/recipe.yaml");
    let mut recipe = fs_err::read_to_string(&path).unwrap();
    for (begin, end) in [("steps:\n", "rootfs:\n"), ("  files:\n", "kernel:\n")] {
        let (begin, end) = (recipe.find(begin).unwrap(), recipe.find(end).unwrap());
        recipe.replace_range(begin..end, "");
    }
    fs_err::write(&path, recipe).unwrap();
    let output = small.run("verify", &["--vary", "umask,arrival", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let umask = variation(&report, "umask");
    assert_eq!(umask["why"], "no step ran that could notice");
    assert_eq!(
        variation(&report, "arrival")["state"],
        "varied",
        "{report:#}"
    );
}

#[test]
fn what_a_step_decides_by_its_own_variables_is_fixed_and_not_varied() {
    let name = "verify::what_a_step_decides_by_its_own_variables_is_fixed_and_not_varied";
    // The usual values count as much as others, once the recipe says so.
    let steps = "  - name: own\n    root: [base, shell]\n    \
        env: {TZ: UTC, LC_ALL: C, HOME: /root, PATH: /bin, USER: me, LOGNAME: me}\n    \
        run: 'echo $TZ $LC_ALL $HOME $PATH $USER > out; busybox ls -d ~ >> out'\n    \
        outputs: [out]\n";
    let Some(small) = Small::new(name, steps) else {
        return;
    };
    let fixed = ["user-name", "time-zone", "locale", "home", "path-order"];
    let vary = format!("umask,{}", fixed.join(","));
    let vary = ["--vary", vary.as_str()];
    let page = small.path("fixed.html");
    let args = [&vary[..], &["--strict", "--report", page.to_str().unwrap()]].concat();
    let output = small.run("verify", &args);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    let first = format!(
        "GOOD in 2 rounds over 1 variation; 5 fixed by the recipe: {}\n",
        fixed.join(", ")
    );
    assert!(text.starts_with(&first), "{text}");
    assert!(text.contains("\nvaried      umask\n"), "{text}");
    assert!(
        text.contains("\nfixed       user-name: by the recipe's step `own`\n"),
        "{text}"
    );
    let page = fs_err::read_to_string(&page).unwrap();
    let shown = "fixed by the recipe's step <code>own</code>";
    assert_eq!(page.matches(shown).count(), 5, "{page}");

    let report = small.run("verify", &[&vary[..], &["--json"]].concat());
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    for name in fixed {
        let one = variation(&report, name);
        assert_eq!(one["state"], "fixed", "{report:#}");
        assert_eq!(one["fixed_by"], serde_json::json!(["own"]));
    }

    // With a step that leaves one of them open it varies, though not for the first.
    let more =
        "  - name: open\n    root: [base, shell]\n    run: 'echo > out'\n    outputs: [out]\n";
    let Some(small) = Small::new(name, &format!("{steps}{more}")) else {
        return;
    };
    let output = small.run("verify", &["--vary", "time-zone", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", transcript(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let zone = variation(&report, "time-zone");
    assert_eq!(zone["state"], "varied", "{report:#}");
    assert_eq!(zone["fixed_by"], serde_json::json!(["own"]));
    let output = small.run("verify", &["--vary", "time-zone"]);
    let told = "\nfixed       time-zone: by the recipe's step `own`; varied for the others\n";
    assert!(stdout(&output).contains(told), "{}", stdout(&output));
}
