//! What a verification has to have varied, all and exactly.

use serde_json::Value;

/// Every variation that there is.
const ALL: [&str; 22] = [
    "host-name",
    "domain-name",
    "user-id",
    "user-name",
    "umask",
    "time-zone",
    "locale",
    "home",
    "path-order",
    "cpus",
    "entry-order",
    "inodes",
    "process-ids",
    "clock",
    "kernel-release",
    "terminal",
    "addresses",
    "environment",
    "host-path",
    "cache",
    "arrival",
    "sandbox",
];

/// What a machine may be unable to vary whatever the recipe is, and how it says so.
const MACHINES: [(&str, &str); 9] = [
    ("user-id", "only root can run commands as another user"),
    ("cpus", "there is only one processor"),
    ("cpus", "may be used here anyway"),
    ("clock", "commands cannot be traced here"),
    ("kernel-release", "commands cannot be traced here"),
    ("kernel-release", "only uname(2) says another"),
    ("terminal", "no terminal can be made here"),
    ("addresses", "this machine forbids personality(2)"),
    ("addresses", "random addresses are off here"),
];

/// What cannot be varied with one kind of sandbox, where the root of the steps has one
/// language only.
pub(crate) const SANDBOX_AND_LOCALE: [(&str, &str); 2] =
    [("locale", ""), ("sandbox", "only one kind of sandbox")];

/// What can be varied where no step runs: what surrounds the program itself.
pub(crate) const WITHOUT_STEPS: [&str; 3] = ["host-path", "cache", "arrival"];

/// Checks that `report`, the JSON of a verification that was to vary everything, is GOOD,
/// and that it varied all but `never`: names, each with a part of why not, or of what fixes
/// it. What this
/// machine cannot vary leaves the test `name` out as far as that goes.
#[track_caller]
pub(crate) fn all_but(name: &str, report: &Value, never: &[(&str, &str)]) {
    assert_eq!(report["verdict"], "GOOD", "{report:#}");
    let found = report["variations"].as_array().unwrap();
    let names: Vec<&str> = found
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ALL);
    for (variation, about) in names.iter().zip(found) {
        let state = about["state"].as_str().unwrap();
        let why = about["why"].as_str().unwrap_or_default();
        let says = |(of, part): &&(&str, &str)| of == variation && why.contains(part);
        if let Some((_, part)) = never.iter().find(|(of, _)| of == variation) {
            let by = about["fixed_by"].to_string();
            let expected =
                state == "unable" && why.contains(part) || state == "fixed" && by.contains(part);
            assert!(expected, "`{variation}` is {state} ({why}): {report:#}");
        } else if state == "unable" && MACHINES.iter().any(|known| says(&known)) {
            lunikernel_testing::left_out(name, &format!("`{variation}` is not varied: {why}"));
        } else {
            assert_eq!(state, "varied", "`{variation}`: {report:#}");
        }
    }
}

/// The same for a recipe without steps.
#[track_caller]
pub(crate) fn without_steps(name: &str, report: &Value) {
    let noticed = |of: &&str| !WITHOUT_STEPS.contains(of);
    let never: Vec<(&str, &str)> = ALL
        .into_iter()
        .filter(|of| noticed(of))
        .map(|of| match of {
            "sandbox" => (of, "only one kind of sandbox"),
            of => (of, ""),
        })
        .collect();
    all_but(name, report, &never);
}
