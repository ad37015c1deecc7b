//! Which packages of a solution are there for more than what they provide without a
//! version.
//!
//! apk decides about names in turn, and those first that leave no choice. Whoever is there
//! by then has what it provides, and a name that is provided without a version asks for
//! nobody else.

use std::collections::BTreeSet;

use super::dependency::Dependency;
use super::error::ApkSourceError;
use super::rules::{Apk, Catalogue};
use crate::source::solve::{MAX_STEPS, SolveError};

/// Which packages of a solution are there for more than what they provide without a version.
pub(super) struct Chosen {
    /// Their names.
    pub(super) names: BTreeSet<Box<str>>,
    /// What was needed and is but a tag of packages that nobody chose.
    pub(super) undecided: Option<ApkSourceError>,
}

/// A dependency that only what is provided without a version satisfies.
struct Loose {
    /// Whose it is; `None` for the recipe's.
    by: Option<usize>,
    dependency: Dependency,
    /// Who of the solution provides it.
    members: Vec<usize>,
}

/// Going through a solution.
struct Search<'a> {
    catalogue: &'a Catalogue,
    /// The packages of the solution.
    solution: BTreeSet<usize>,
    chosen: BTreeSet<usize>,
    /// Dependencies that are yet to be looked at, each with whose it is.
    open: Vec<(Option<usize>, Dependency)>,
    loose: Vec<Loose>,
    steps: u64,
}

impl Chosen {
    /// Goes from what is `wanted` and what is installed to whatever that needs, and to what
    /// comes `along` with it. Where that leaves something to be decided that is provided
    /// without a version, the highest priority decides, if there is one.
    pub(super) fn of(
        catalogue: &Catalogue,
        wanted: &[Dependency],
        solution: BTreeSet<usize>,
        along: &BTreeSet<usize>,
    ) -> Result<Self, ApkSourceError> {
        let open = wanted.iter().map(|dependency| (None, dependency.clone()));
        let mut search = Search {
            catalogue,
            solution,
            chosen: BTreeSet::new(),
            open: open.collect(),
            loose: Vec::new(),
            steps: MAX_STEPS,
        };
        for number in search.solution.clone() {
            let package = catalogue.get(number);
            if package.is_some_and(|package| package.repository.is_none()) {
                search.take(number);
            }
        }
        let mut decided = 0;
        loop {
            search.follow(along)?;
            let Some(loose) = search.loose.get(decided) else {
                break;
            };
            if let Some(number) = search.decide(loose) {
                search.take(number);
            }
            decided += 1;
        }
        let undecided = search.loose.iter().find(|loose| !search.is_met(loose));
        let name = |number: &usize| catalogue.get(*number).map(|package| package.name.clone());
        Ok(Self {
            undecided: undecided.map(|loose| search.undecided(loose)),
            names: search.chosen.iter().filter_map(name).collect(),
        })
    }
}

impl Search<'_> {
    /// Takes a package, whose needs are then to be looked at.
    fn take(&mut self, number: usize) {
        let package = self.catalogue.get(number);
        let Some(package) = package.filter(|_| self.chosen.insert(number)) else {
            return;
        };
        if package.repository.is_some() {
            let needs = package.dependencies().unwrap_or_default().into_iter();
            let needs = needs.filter(|dependency| !dependency.conflict);
            self.open.extend(needs.map(|need| (Some(number), need)));
        }
    }

    /// Takes whatever leaves no choice.
    fn follow(&mut self, along: &BTreeSet<usize>) -> Result<(), SolveError> {
        loop {
            while let Some((by, dependency)) = self.open.pop() {
                self.look_at(by, dependency)?;
            }
            for number in along {
                if !self.chosen.contains(number) && self.comes_along(*number)? {
                    self.take(*number);
                }
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    fn look_at(&mut self, by: Option<usize>, dependency: Dependency) -> Result<(), SolveError> {
        let catalogue = self.catalogue;
        let provisions = catalogue.provisions(&dependency.name);
        self.count(1 + provisions.len() as u64)?;
        let any = Apk::default();
        let members = catalogue.satisfying(&any, &dependency);
        let members: Vec<usize> = members
            .filter(|number| self.solution.contains(number))
            .collect();
        let is_loose = |number: &usize| {
            let package = catalogue.get(*number);
            let of_it = provisions.iter().filter(|one| one.package == *number);
            let mut of_it = of_it.filter(|one| dependency.admits_provided(one.version.as_ref()));
            package.is_some_and(|package| {
                package.repository.is_some()
                    && *package.name != *dependency.name
                    && of_it.all(|one| one.version.is_none())
            })
        };
        let firm: Vec<usize> = members.iter().copied().filter(|n| !is_loose(n)).collect();
        if firm.is_empty() && !members.is_empty() {
            self.loose.push(Loose {
                by,
                dependency,
                members,
            });
        }
        firm.into_iter().for_each(|number| self.take(number));
        Ok(())
    }

    /// Whether all that a package comes along with was taken.
    fn comes_along(&mut self, number: usize) -> Result<bool, SolveError> {
        let package = self.catalogue.get(number);
        let conditions = package.map(|package| Dependency::list(&package.install_if));
        let any = Apk::default();
        for condition in conditions.and_then(Result::ok).unwrap_or_default() {
            let provided = self.catalogue.provisions(&condition.name).len();
            self.count(1 + provided as u64)?;
            let mut fitting = self.catalogue.satisfying(&any, &condition);
            if fitting.any(|number| self.chosen.contains(&number)) == condition.conflict {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_met(&self, loose: &Loose) -> bool {
        (loose.members.iter()).any(|number| self.chosen.contains(number))
    }

    /// Who is taken for a dependency that nobody who was taken meets.
    fn decide(&self, loose: &Loose) -> Option<usize> {
        let members = loose.members.iter().filter(|_| !self.is_met(loose));
        let with_priority = members.filter_map(|number| {
            let priority = self.catalogue.get(*number)?.priority;
            (priority > 0).then_some((priority, std::cmp::Reverse(*number)))
        });
        with_priority.max().map(|(_, number)| number.0)
    }

    fn undecided(&self, loose: &Loose) -> ApkSourceError {
        let label = |number: usize| self.catalogue.get(number);
        let provisions = self.catalogue.provisions(&loose.dependency.name).iter();
        let providers: BTreeSet<String> = provisions
            .filter_map(|provision| Some(label(provision.package)?.name.to_string()))
            .collect();
        let by = loose.by.and_then(label);
        ApkSourceError::Undecided {
            name: loose.dependency.name.to_string(),
            providers: providers.into_iter().collect(),
            by: by.map_or_else(
                || "the recipe".to_owned(),
                |package| format!("{} {}", package.name, package.version),
            ),
        }
    }

    fn count(&mut self, steps: u64) -> Result<(), SolveError> {
        self.steps = self.steps.saturating_sub(steps);
        match self.steps {
            0 => Err(SolveError::Endless),
            _ => Ok(()),
        }
    }
}
