//! Repositories in memory for the tests of the solver.

use super::error::ApkSourceError;
use super::index;
use super::rules::{self, Catalogue};
use super::solve::{Request, solve};

/// Packages as `name version; D:…; p:…` a line; a line that begins with `*` is installed
/// in the base.
pub(super) fn catalogue(lines: &str) -> Catalogue {
    let mut packages = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (repository, line) = match line.strip_prefix('*') {
            Some(line) => (None, line),
            None => (Some(0), line),
        };
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let mut text = format!(
            "C:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nP:{}\nV:{version}\nA:x86_64\nS:1\n",
            name.trim()
        );
        for field in parts {
            text.push_str(field);
            text.push('\n');
        }
        packages.extend(index::parse(&text, repository).unwrap());
    }
    rules::catalogue(packages).unwrap()
}

/// The names and versions that are chosen for `wanted`.
pub(super) fn chosen(lines: &str, wanted: &str) -> Result<Vec<String>, ApkSourceError> {
    chosen_with(lines, wanted, "", &[])
}

/// The same, with packages taken as present, and with versions that are preferred.
pub(super) fn chosen_with(
    lines: &str,
    wanted: &str,
    without: &str,
    keep: &[(String, String)],
) -> Result<Vec<String>, ApkSourceError> {
    let catalogue = catalogue(lines);
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let request = Request {
        packages: &words(wanted),
        without: &words(without),
        keep,
    };
    let solution = solve(&catalogue, request)?;
    Ok(solution
        .keys()
        .filter_map(|number| catalogue.get(*number))
        .map(|package| format!("{} {}", package.name, package.version))
        .collect())
}
