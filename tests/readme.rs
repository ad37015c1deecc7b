//! README.md and docs/ are true: the tutorial is run as it stands there, verbs and
//! options that are mentioned exist, and links lead somewhere.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use support::{hello, luni, project};

#[test]
fn the_two_commands_are_there() {
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let (_, after) = readme.split_once("```sh\n").unwrap();
    let (commands, _) = after.split_once("```").unwrap();
    let commands: Vec<&str> = commands.lines().collect();
    let first = "cargo run --release --locked -- build recipes/debian/hello";
    assert_eq!(commands, [first, "scripts/test"]);
    assert!(hello::recipe().join("recipe.lock").exists());
    let test = fs::metadata(project("scripts/test")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&test.permissions());
    assert_eq!(mode & 0o111, 0o111, "scripts/test can be executed");
}

#[test]
fn the_digest_shown_is_the_committed_one() {
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let shown = format!("{}  hello.luni.zip\n", hello::golden());
    assert!(readme.contains(&shown), "README.md does not show {shown}");
}

#[test]
fn every_verb_and_option_that_is_mentioned_exists() {
    let mut mentioned = BTreeSet::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        mentioned.extend(commands(&text));
    }
    assert!(mentioned.len() > 15, "{mentioned:?}");
    for command in mentioned {
        let words: Vec<&str> = command.split_whitespace().collect();
        let verb_words = if ["attest", "cache"].contains(&words[0]) {
            2
        } else {
            1
        };
        let verb = &words[..verb_words.min(words.len())];
        let help = luni(&project(""))
            .args(verb)
            .arg("--help")
            .output()
            .unwrap();
        assert!(help.status.success(), "there is no `luni {command}`");
        let help = String::from_utf8(help.stdout).unwrap();
        for option in words.iter().take_while(|word| **word != "--") {
            let Some(name) = option.strip_prefix("--") else {
                continue;
            };
            let listed = help.lines().any(|line| {
                line.split([' ', ','])
                    .any(|word| word == format!("--{name}"))
            });
            assert!(listed, "`luni {command}`: there is no --{name}");
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (_, after) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let target = after.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {target}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} links");
}

/// Runs the tutorial in an empty home, and compares what is printed in shape: numbers,
/// digests and versions are those of the day.
#[test]
fn the_tutorial_is_as_shown() {
    let name = "readme::the_tutorial_is_as_shown";
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let (_, after) = readme.split_once("<!-- tour -->").unwrap();
    let (tour, _) = after.split_once("<!-- end of tour -->").unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut folder = home.path().to_owned();
    let mut mirror = None;
    for Shown { command, expected } in shown(tour) {
        if command == "luni lock" && mirror.is_none() {
            // Most packages are the same as those of the hello recipe.
            mirror = hello::mirror(name);
            if mirror.is_none() {
                return;
            }
        }
        if command.starts_with("luni run ") && !is_program("qemu-system-x86_64") {
            lunikernel_testing::left_out(name, &format!("`{command}`: there is no QEMU"));
            continue;
        }
        let (code, printed) = run(&command, home.path(), &mut folder, mirror.as_deref());
        if command == "luni lock" && code == 5 {
            lunikernel_testing::left_out(
                name,
                &format!(
                    "packages cannot be locked: {}",
                    printed.lines().next().unwrap_or_default()
                ),
            );
            return;
        }
        let fails = expected.iter().any(|line| line.contains("error: "));
        assert_eq!(code != 0, fails, "`{command}` ended with {code}: {printed}");
        let printed = printed.replace(&home.path().display().to_string(), "~");
        let actual: Vec<String> = printed.lines().map(shape).collect();
        let wanted: Vec<String> = expected.iter().map(|line| shape(line)).collect();
        assert!(
            fits(&wanted, &actual),
            "`{command}` does not print what README.md shows.\nshown:\n{}\nprinted:\n{printed}",
            expected.join("\n"),
        );
    }
}

/// A command and the lines that are shown below it.
struct Shown {
    command: String,
    expected: Vec<String>,
}

/// The commands of the `console` blocks, but for those that are marked as done by hand.
fn shown(text: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    let blocks = text.split("```console\n");
    let mut by_hand = true;
    for block in blocks {
        let (inside, after) = block.split_once("```").unwrap_or(("", block));
        for line in inside.lines().filter(|_| !by_hand) {
            match (line.strip_prefix("$ "), all.last_mut()) {
                (Some(command), _) => all.push(Shown {
                    command: command.to_owned(),
                    expected: Vec::new(),
                }),
                (None, Some(last)) => last.expected.push(line.to_owned()),
                (None, None) => panic!("output without a command: {line}"),
            }
        }
        by_hand = after.trim_end().ends_with("<!-- by hand -->");
    }
    assert!(all.len() > 10, "the tutorial has its commands");
    all
}

/// Runs a line as a shell does, and remembers the folder that it ended in.
fn run(line: &str, home: &Path, folder: &mut PathBuf, mirror: Option<&str>) -> (i32, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_luni")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let state = home.join(".folder");
    let script = format!(
        "exec 2>&1\n{line}\ncode=$?\npwd > '{}'\nexit $code",
        state.display()
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&*folder)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("LUNI_CACHE")
        .env("HOME", home)
        .env("PATH", format!("{}:{path}", program.display()))
        .env("LUNI_MIRRORS", mirror.unwrap_or_default())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    *folder = PathBuf::from(fs::read_to_string(state).unwrap().trim_end());
    let code = output.status.code().unwrap_or(-1);
    (code, String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A line without what differs from day to day: digests, numbers, versions, widths.
fn shape(line: &str) -> String {
    // `+ SOURCE: PACKAGE VERSION`
    let line = match line.rsplit_once(' ') {
        Some((before, _)) if line.starts_with("+ ") => before,
        _ => line,
    };
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let mut shape = String::new();
        for part in word.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let (text, end) = match part.char_indices().last() {
                Some((at, c)) if !c.is_ascii_alphanumeric() => part.split_at(at),
                _ => (part, ""),
            };
            if text.len() >= 12 && text.chars().all(|c| c.is_ascii_hexdigit()) {
                shape.push('#');
            } else {
                for c in text.chars() {
                    match c {
                        '0'..='9' if shape.ends_with('#') => {}
                        '0'..='9' => shape.push('#'),
                        other => shape.push(other),
                    }
                }
            }
            shape += end;
        }
        words.push(shape);
    }
    words.join(" ")
}

/// Whether lines are as shown, where `…` stands for any number of them.
fn fits(shown: &[String], lines: &[String]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..]))
        }
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, others)| line == first && fits(rest, others)),
    }
}

#[test]
fn shapes_differ_where_words_do() {
    assert_eq!(shape("built in 1.8 s"), shape("built  in 12.0 s"));
    assert_ne!(shape("built in 1.8 s"), shape("made in 1.8 s"));
    let lines = |text: &str| text.lines().map(shape).collect::<Vec<_>>();
    assert!(fits(&lines("a\n…\nd"), &lines("a\nb\nc\nd")));
    assert!(!fits(&lines("a\n…\nd"), &lines("a\nb\nc")));
    assert!(!fits(&lines("a"), &lines("a\nb")));
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).exists())
}

/// README.md, CONTRIBUTING.md, SECURITY.md and all of docs/.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![
        project("README.md"),
        project("CONTRIBUTING.md"),
        project("SECURITY.md"),
    ];
    for entry in fs::read_dir(project("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages
}

/// What follows `luni` in code, in lines of commands and in running text.
fn commands(text: &str) -> Vec<String> {
    let spans = text.split('`').skip(1).step_by(2);
    let lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
    let bare = text.lines().filter(|line| line.starts_with("luni "));
    spans
        .chain(lines)
        .chain(bare)
        .flat_map(|code| code.split("&&"))
        .filter_map(|code| code.trim().strip_prefix("luni "))
        .filter_map(|code| code.lines().next())
        .map(|code| code.split("  ").next().unwrap_or(code).to_owned())
        // `luni help VERB`, `luni … > file` stand for any verb.
        .filter(|code| {
            code.starts_with(|c: char| c.is_ascii_lowercase()) && !code.starts_with("help")
        })
        .collect()
}
