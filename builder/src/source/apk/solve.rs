//! The closure of the wanted packages under their dependencies.
//!
//! The search is resolvo's; [`Graph`] says what depends on what. Packages that come along
//! on their own (`install_if`) are added once all that they ask for is there, and asked
//! for softly: where one of them does not fit, it is left out.

use std::collections::{BTreeMap, BTreeSet};

use resolvo::{Problem, Requirement, SolvableId, Solver, UnsolvableOrCancelled};

use super::catalogue::Catalogue;
use super::dependency::Dependency;
use super::error::ApkSourceError;
use super::graph::{Graph, Reason};

/// What is wanted of the solver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// Names, possibly with versions.
    pub(super) packages: &'a [String],
    /// Packages that are taken as present, in whatever version is needed.
    pub(super) without: &'a [String],
    /// Names and versions that are preferred to newer ones.
    pub(super) keep: &'a [(String, String)],
}

/// The numbers of the packages that have to be installed beside those that are, each with
/// why it is there.
pub(super) fn solve(
    catalogue: &Catalogue,
    request: Request<'_>,
) -> Result<BTreeMap<usize, Reason>, ApkSourceError> {
    let wanted = wanted(catalogue, request)?;
    let mut along = BTreeSet::new();
    loop {
        let solution = solve_with(catalogue, request, &wanted, &along)?;
        let more = coming_along(catalogue, request, &solution);
        if more.iter().all(|number| along.contains(number)) {
            return Ok(solution
                .into_iter()
                .filter(|(number, _)| {
                    let package = catalogue.get(*number);
                    package.is_some_and(|package| package.repository.is_some())
                })
                .collect());
        }
        along.extend(more);
    }
}

/// A solution with `along` if that can be.
fn solve_with(
    catalogue: &Catalogue,
    request: Request<'_>,
    wanted: &[Dependency],
    along: &BTreeSet<usize>,
) -> Result<BTreeMap<usize, Reason>, ApkSourceError> {
    let without: BTreeSet<&str> = request.without.iter().map(String::as_str).collect();
    let keep = request.keep.iter();
    let keep = keep.map(|(name, version)| (name.as_str(), version.as_str()));
    let graph = Graph::new(catalogue, without, keep.collect());
    let mut roots: Vec<(Requirement, String)> = Vec::new();
    for (number, package) in catalogue.all() {
        let is_left_out = request.without.iter().any(|name| **name == *package.name);
        if package.repository.is_none() && !is_left_out {
            let root = graph.exactly(number);
            roots.extend(root.map(|root| (root, "the base".to_owned())));
        }
    }
    for dependency in wanted {
        let root = graph.requirement(dependency);
        roots.extend(root.map(|root| (root, dependency.to_string())));
    }
    let soft: Vec<SolvableId> = along
        .iter()
        .filter_map(|number| graph.solvable(*number))
        .collect();
    let mut solver = Solver::new(graph);
    let problem = Problem::new()
        .requirements(roots.iter().map(|(root, _)| (*root).into()).collect())
        .soft_requirements(soft.clone());
    let solution = solver.solve(problem).map_err(|error| match error {
        UnsolvableOrCancelled::Unsolvable(conflict) => ApkSourceError::Unsolvable {
            why: conflict
                .display_user_friendly(&solver)
                .to_string()
                .trim_end()
                .to_owned(),
        },
        UnsolvableOrCancelled::Cancelled(_) => ApkSourceError::Interrupted,
    })?;
    let graph = solver.provider();
    for number in along {
        if let Some(solvable) = graph.solvable(*number)
            && solution.contains(&solvable)
        {
            let root = graph.exactly(*number);
            roots.extend(root.map(|root| (root, "comes along with others".to_owned())));
        }
    }
    Ok(graph.reachable(roots, &solution))
}

/// The wanted packages, each checked to be something that there is.
fn wanted(catalogue: &Catalogue, request: Request<'_>) -> Result<Vec<Dependency>, ApkSourceError> {
    let mut wanted = Vec::new();
    for text in request.packages {
        let dependency = Dependency::parse(text).map_err(|why| ApkSourceError::Request { why })?;
        if dependency.conflict {
            let why = format!("`{text}` says what must not be there: write that in `without`");
            return Err(ApkSourceError::Request { why });
        }
        let name = &*dependency.name;
        if request.without.iter().any(|without| **without == *name) {
            return Err(ApkSourceError::Contradiction {
                name: name.to_owned(),
            });
        }
        let known = catalogue.versions(name).next().is_some();
        if !known && catalogue.provisions(name).is_empty() {
            return Err(ApkSourceError::NoPackage {
                name: name.to_owned(),
                near: catalogue.near(name).map(str::to_owned),
            });
        }
        wanted.push(dependency);
    }
    Ok(wanted)
}

/// The packages that come along with a solution: those not in it, of which all that they
/// ask for is.
fn coming_along(
    catalogue: &Catalogue,
    request: Request<'_>,
    solution: &BTreeMap<usize, Reason>,
) -> BTreeSet<usize> {
    let names: BTreeSet<&str> = solution
        .keys()
        .filter_map(|number| catalogue.get(*number))
        .map(|package| &*package.name)
        .collect();
    let mut along = BTreeSet::new();
    let mut last = "";
    for (number, package) in catalogue.all() {
        // Of each package the newest version only.
        let is_newest = *last != *package.name;
        last = &package.name;
        if !is_newest || package.install_if.is_empty() || names.contains(&*package.name) {
            continue;
        }
        if request.without.iter().any(|name| **name == *package.name) {
            continue;
        }
        let Ok(conditions) = Dependency::list(&package.install_if) else {
            continue;
        };
        let met = |condition: &Dependency| {
            let mut fitting = catalogue.satisfying(condition);
            fitting.any(|number| solution.contains_key(&number)) != condition.conflict
        };
        if conditions.iter().all(met) {
            along.insert(number);
        }
    }
    along
}
