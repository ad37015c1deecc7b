//! The closure of the wanted packages under their dependencies.
//!

use std::collections::{BTreeMap, BTreeSet};

use resolvo::Requirement;

use super::error::DebError;
use super::relation::{is_name, parse_version};
use super::rules::{Catalogue, Policy};
use crate::source::solve::{self, Graph, Preferences};

/// What is wanted of the solver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// The suite, for messages.
    pub(super) suite: &'a str,
    /// The architecture, as Debian calls it.
    pub(super) arch: &'static str,
    /// `name` or `name=version`.
    pub(super) packages: &'a [String],
    /// Packages that are taken as present, in whatever version is needed.
    pub(super) without: &'a [String],
    /// Versions that are preferred to newer ones.
    pub(super) keep: &'a [(String, String)],
}

/// The numbers of the packages in the closure, in the catalogue's order.
pub(super) fn solve(catalogue: &Catalogue, request: Request<'_>) -> Result<Vec<usize>, DebError> {
    let without: BTreeSet<&str> = request.without.iter().map(String::as_str).collect();
    let wanted = wanted(catalogue, request, &without)?;
    let policy = Policy { arch: request.arch };
    let preferences = Preferences::new(request.without, request.keep);
    let graph = Graph::new(catalogue, &policy, preferences);
    let root = |(name, version): &(String, Option<String>)| -> (Requirement, String) {
        let shown = match version {
            Some(version) => format!("(= {version})"),
            None => "*".to_owned(),
        };
        let root = graph.any_of(name, shown, |package| {
            version
                .as_deref()
                .is_none_or(|version| *package.version == *version)
        });
        (root, name.clone())
    };
    let roots = wanted.iter().map(root).collect();
    let solution = solve::solve(graph, roots, &BTreeMap::new())?;
    Ok(solution.into_keys().collect())
}

/// The wanted packages, each checked to exist, with the version where one is named.
fn wanted(
    catalogue: &Catalogue,
    request: Request<'_>,
    without: &BTreeSet<&str>,
) -> Result<Vec<(String, Option<String>)>, DebError> {
    let mut wanted = Vec::new();
    for text in request.packages {
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name, Some(version)),
            None => (text.as_str(), None),
        };
        if !is_name(name) || version.is_some_and(|version| parse_version(version).is_none()) {
            return Err(DebError::Request { text: text.clone() });
        }
        if without.contains(name) {
            return Err(DebError::Contradiction {
                name: name.to_owned(),
            });
        }
        let found: Vec<String> = catalogue
            .versions(name)
            .map(|(_, package)| package.version.to_string())
            .collect();
        if found.is_empty() {
            return Err(missing(catalogue, name, request.suite));
        }
        if let Some(version) = version
            && !found.iter().any(|other| other == version)
        {
            return Err(DebError::NoVersion {
                name: name.to_owned(),
                version: version.to_owned(),
                found,
            });
        }
        wanted.push((name.to_owned(), version.map(str::to_owned)));
    }
    wanted.sort();
    wanted.dedup();
    Ok(wanted)
}

fn missing(catalogue: &Catalogue, name: &str, suite: &str) -> DebError {
    let mut providers: Vec<String> = catalogue
        .provisions(name)
        .iter()
        .filter_map(|provision| catalogue.get(provision.package))
        .map(|package| package.name.to_string())
        .collect();
    providers.sort();
    providers.dedup();
    if providers.is_empty() {
        return DebError::NoPackage {
            name: name.to_owned(),
            suite: suite.to_owned(),
            near: catalogue.near(name),
        };
    }
    DebError::Virtual {
        name: name.to_owned(),
        providers,
    }
}

#[cfg(test)]
#[path = "solve_tests.rs"]
mod tests;
