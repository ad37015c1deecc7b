//! The first page of help: what this is, the typical way, the verbs by group.

use clap::Command;

/// Which verbs belong together, in the order in which they are used.
const GROUPS: [(&str, &[&str]); 3] = [
    ("recipes", &["new", "check", "lock"]),
    ("builds", &["fetch", "build", "shell"]),
    (
        "results",
        &[
            "inspect",
            "overlay",
            "export",
            "run",
            "verify-reproducibility",
            "attest",
        ],
    ),
];

/// The typical way, as far as the verbs of it exist.
const WAY: [(&str, &str, &str); 5] = [
    (
        "new",
        "new hello && cd hello",
        "write a recipe that works, to change",
    ),
    ("lock", "lock", "pin every input to exact bytes"),
    (
        "build",
        "build",
        "build them, cut off from network and host",
    ),
    ("run", "run hello.luni.zip", "boot the result in QEMU"),
    (
        "verify-reproducibility",
        "verify",
        "build it again, and compare bit by bit",
    ),
];

/// What `luni --help` prints; it fits a terminal of 24 lines of 80 characters.
pub(crate) fn overview(command: &Command) -> String {
    let mut text = format!(
        "luni {}: reproducible builds and images of tiny operating systems\n\n",
        env!("CARGO_PKG_VERSION")
    );
    for (_, line, what) in WAY.iter().filter(|(verb, ..)| has(command, verb)) {
        text += &format!("  luni {line:<28} {what}\n");
    }
    text.push('\n');
    for (group, verbs) in groups(command) {
        let mut label = group;
        for verb in verbs {
            let about = command
                .find_subcommand(verb)
                .and_then(Command::get_about)
                .map(|about| about.to_string())
                .unwrap_or_default();
            text += &format!("{label:<9}{verb:<23} {about}\n");
            label = "";
        }
    }
    // Only by name, so that the page stays one.
    text += &format!("{:<9}{}\n", "more", rest(command).join("  "));
    text += "\nOptions: --cache DIR --mirror URL --offline --sandbox WHICH --jobs N --json -q\n";
    text += "More:    luni help VERB";
    text
}

fn has(command: &Command, verb: &str) -> bool {
    command.find_subcommand(verb).is_some()
}

/// The verbs of each group, as far as they exist.
fn groups(command: &Command) -> Vec<(&'static str, Vec<&str>)> {
    GROUPS
        .iter()
        .map(|(group, verbs)| {
            let verbs = verbs.iter().copied().filter(|verb| has(command, verb));
            (*group, verbs.collect())
        })
        .collect()
}

/// The verbs that are in no group.
fn rest(command: &Command) -> Vec<&str> {
    command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .map(Command::get_name)
        .filter(|name| *name != "help")
        .filter(|name| !GROUPS.iter().any(|(_, verbs)| verbs.contains(name)))
        .collect()
}
