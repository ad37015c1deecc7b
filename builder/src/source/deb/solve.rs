//! The closure of the wanted packages under their dependencies.
//!
//! The search is resolvo's; this module says what depends on what. A relation becomes
//! a list of sets of packages, best first: those of the name itself, then those of each
//! package that provides it. So virtual packages need no packages of their own, and the
//! order in which a maintainer wrote alternatives is the order in which they are tried.

use std::collections::{BTreeMap, BTreeSet};

use resolvo::{Problem, Solver, UnsolvableOrCancelled};

use super::catalogue::Catalogue;
use super::error::DebError;
use super::graph::Graph;
use super::relation::{is_name, parse_version};

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
    let keep: BTreeMap<&str, &str> = request
        .keep
        .iter()
        .map(|(name, version)| (name.as_str(), version.as_str()))
        .collect();
    let graph = Graph::new(catalogue, request.arch, without, keep);
    let roots: Vec<_> = wanted
        .iter()
        .map(|(name, version)| graph.root(name, version.as_deref()))
        .collect();
    let mut solver = Solver::new(graph);
    let problem = Problem::new().requirements(roots.iter().map(|root| (*root).into()).collect());
    let solution = solver.solve(problem).map_err(|error| match error {
        UnsolvableOrCancelled::Unsolvable(conflict) => DebError::Unsolvable {
            why: conflict
                .display_user_friendly(&solver)
                .to_string()
                .trim_end()
                .to_owned(),
        },
        UnsolvableOrCancelled::Cancelled(_) => DebError::Interrupted,
    })?;
    Ok(solver.provider().reachable(&roots, &solution))
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
