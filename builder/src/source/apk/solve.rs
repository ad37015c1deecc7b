//! The closure of the wanted packages under their dependencies.
//!
//! Packages that come along on their own (`install_if`) are added once all that they ask
//! for is there, and asked for softly: where one of them does not fit, it is left out.

use std::collections::{BTreeMap, BTreeSet};

use resolvo::Requirement;

use super::chosen::Chosen;
use super::dependency::Dependency;
use super::error::ApkSourceError;
use super::rules::{Apk, Catalogue};
use crate::source::solve::{self, Graph, MAX_STEPS, Preferences, Reason, SolveError};

/// How often packages may bring along others that bring along others. Those of the
/// documentation and the translations of what came along are the fourth.
const MAX_ROUNDS: usize = 32;
/// Why such packages are there.
const ALONG: &str = "comes along with others";

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
    let mut solution = solve_by(catalogue, request, &wanted, &Apk::default())?;
    let chosen = chosen(catalogue, &wanted, &solution)?;
    if chosen.undecided.is_some() || chosen.names.len() < solution.len() {
        // Who is there for another reason is who is meant by what it provides.
        let names = Some(chosen.names);
        let again = solve_by(catalogue, request, &wanted, &Apk { chosen: names });
        solution = match (again, chosen.undecided) {
            (Ok(again), _) => match self::chosen(catalogue, &wanted, &again)?.undecided {
                None => again,
                Some(undecided) => return Err(undecided),
            },
            (Err(_), Some(undecided)) => return Err(undecided),
            (Err(_), None) => solution,
        };
    }
    solution.retain(|number, _| {
        let package = catalogue.get(*number);
        package.is_some_and(|package| package.repository.is_some())
    });
    Ok(solution)
}

/// Which packages of a solution are there for more than what they provide without a version.
fn chosen(
    catalogue: &Catalogue,
    wanted: &[Dependency],
    solution: &BTreeMap<usize, Reason>,
) -> Result<Chosen, ApkSourceError> {
    let along = solution
        .iter()
        .filter(|(_, reason)| reason.by.is_none() && reason.word == ALONG)
        .map(|(number, _)| *number)
        .collect();
    Chosen::of(
        catalogue,
        wanted,
        solution.keys().copied().collect(),
        &along,
    )
}

/// A solution by these rules, with what comes along on its own and what is installed.
fn solve_by(
    catalogue: &Catalogue,
    request: Request<'_>,
    wanted: &[Dependency],
    rules: &Apk,
) -> Result<BTreeMap<usize, Reason>, ApkSourceError> {
    let mut along = BTreeMap::new();
    let mut last: Vec<usize> = Vec::new();
    let mut steps = MAX_STEPS;
    for _ in 0..MAX_ROUNDS {
        let solution = solve_with(catalogue, request, wanted, &along, rules)?;
        let mut more = coming_along(catalogue, request, &solution, &mut steps)?;
        more.retain(|number| !along.contains_key(number));
        if more.is_empty() {
            return Ok(solution);
        }
        last = more.iter().copied().take(3).collect();
        along.extend(more.into_iter().map(|number| (number, ALONG.to_owned())));
    }
    let last = last.into_iter().filter_map(|number| catalogue.get(number));
    Err(ApkSourceError::Along {
        rounds: MAX_ROUNDS,
        last: last.map(|package| package.name.to_string()).collect(),
    })
}

/// A solution with `along` if that can be.
fn solve_with(
    catalogue: &Catalogue,
    request: Request<'_>,
    wanted: &[Dependency],
    along: &BTreeMap<usize, String>,
    rules: &Apk,
) -> Result<BTreeMap<usize, Reason>, ApkSourceError> {
    let graph = Graph::new(
        catalogue,
        rules,
        Preferences::new(request.without, request.keep),
    );
    let mut roots: Vec<(Requirement, String)> = Vec::new();
    for (number, package) in catalogue.all() {
        let is_left_out = request.without.iter().any(|name| **name == *package.name);
        if package.repository.is_none() && !is_left_out {
            let root = graph.exactly(number);
            roots.extend(root.map(|root| (root, "the base".to_owned())));
        }
    }
    for dependency in wanted {
        let root = graph.requirement(std::slice::from_ref(dependency));
        roots.extend(root.map(|root| (root, dependency.to_string())));
    }
    Ok(solve::solve(graph, roots, along)?)
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
                near: catalogue.near(name),
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
    steps: &mut u64,
) -> Result<BTreeSet<usize>, SolveError> {
    let names: BTreeSet<&str> = solution
        .keys()
        .filter_map(|number| catalogue.get(*number))
        .map(|package| &*package.name)
        .collect();
    let any = Apk::default();
    let mut along = BTreeSet::new();
    let mut last = "";
    for (number, package) in catalogue.all() {
        // Of each package the newest of those versions that come along.
        if *last == *package.name || package.install_if.is_empty() || names.contains(&*package.name)
        {
            continue;
        }
        if request.without.iter().any(|name| **name == *package.name) {
            continue;
        }
        let Ok(conditions) = Dependency::list(&package.install_if) else {
            continue;
        };
        let mut met = |condition: &Dependency| {
            let provided = catalogue.provisions(&condition.name).len();
            *steps = steps.saturating_sub(1 + provided as u64);
            if *steps == 0 {
                return false;
            }
            let mut fitting = catalogue.satisfying(&any, condition);
            fitting.any(|number| solution.contains_key(&number)) != condition.conflict
        };
        if conditions.iter().all(&mut met) {
            along.insert(number);
            last = &package.name;
        }
        if *steps == 0 {
            return Err(SolveError::Endless);
        }
    }
    Ok(along)
}
