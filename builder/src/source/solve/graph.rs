//! What depends on what: relations as sets of packages.
//!
//! A relation becomes a list of sets of packages, best first: those of the name itself,
//! then those of each package that provides it. So what is provided needs no packages of
//! its own, and the order in which alternatives are written is that in which they are
//! tried.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use resolvo::utils::Pool;
use resolvo::{Requirement, SolvableId, VersionSetId};

use super::sets::{Members, Record};
use super::{Catalogue, Package, Relation, Rules};

/// How many steps a search may take: packages that are looked at to tell whether they
/// belong to a set, and [`ROUND`] for each round of the solver. The largest real ones take
/// some hundred thousand. Steps are counted, as time would let a search end on one machine
/// and not on another.
pub(in crate::source) const MAX_STEPS: u64 = 100_000_000;
/// How many steps a round of the solver counts for.
pub(super) const ROUND: u64 = 100;

/// Why a package is there: who needs it, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) struct Reason {
    /// The package that needs it, by number; `None` for what was wanted itself.
    pub(in crate::source) by: Option<usize>,
    /// The relation that it satisfies.
    pub(in crate::source) word: String,
}

/// What is to be preferred, and what is not to be chosen.
#[derive(Debug, Clone, Default)]
pub(in crate::source) struct Preferences<'a> {
    without: BTreeSet<&'a str>,
    pub(super) keep: BTreeMap<&'a str, &'a str>,
}

impl<'a> Preferences<'a> {
    /// `without` are taken as present, in whatever version is needed; of `keep` (names and
    /// versions) each is preferred to newer ones.
    pub(in crate::source) fn new(without: &'a [String], keep: &'a [(String, String)]) -> Self {
        let keep = keep.iter();
        Self {
            without: without.iter().map(String::as_str).collect(),
            keep: keep
                .map(|(name, version)| (name.as_str(), version.as_str()))
                .collect(),
        }
    }
}

/// The catalogue as a graph of dependencies.
pub(in crate::source) struct Graph<'a, R: Rules> {
    pub(super) catalogue: &'a Catalogue<R::Package>,
    pub(super) rules: &'a R,
    pub(super) preferences: Preferences<'a>,
    pub(super) pool: Pool<Members>,
    /// The versions of each package that was asked for, newest first.
    solvables: RefCell<BTreeMap<Box<str>, Vec<SolvableId>>>,
    /// How many steps the search may still take.
    steps: Cell<u64>,
}

impl<'a, R: Rules> Graph<'a, R> {
    /// The graph of a catalogue by the rules of its flavour.
    pub(in crate::source) fn new(
        catalogue: &'a Catalogue<R::Package>,
        rules: &'a R,
        preferences: Preferences<'a>,
    ) -> Self {
        Self {
            catalogue,
            rules,
            preferences,
            pool: Pool::new(),
            solvables: RefCell::default(),
            steps: Cell::new(MAX_STEPS),
        }
    }

    /// The same graph, for a search of so many steps.
    #[cfg(test)]
    pub(super) fn with_steps(self, steps: u64) -> Self {
        self.steps.set(steps);
        self
    }

    /// The set of the versions of `name` that `chosen` picks.
    pub(in crate::source) fn any_of(
        &self,
        name: &str,
        shown: String,
        chosen: impl FnMut(&R::Package) -> bool,
    ) -> Requirement {
        self.set(name, shown, chosen).into()
    }

    /// The set that holds one package and nothing else.
    pub(in crate::source) fn exactly(&self, number: usize) -> Option<Requirement> {
        let package = self.catalogue.get(number)?;
        let shown = format!("={}", package.version());
        Some(self.any_of(package.name(), shown, |other| {
            other.version() == package.version()
        }))
    }

    /// The solvable of a package.
    pub(super) fn solvable(&self, number: usize) -> Option<SolvableId> {
        let name = self.catalogue.get(number)?.name();
        let begin = self.catalogue.numbers(name).start;
        let at = number.checked_sub(begin)?;
        self.solvables(name).get(at).copied()
    }

    /// The packages of a solution that can be reached from `roots`, by number and with the
    /// shortest way there. A solver may leave more: what it tried on the way, or an
    /// alternative that turned out not to be needed.
    pub(super) fn reachable(
        &self,
        roots: Vec<(Requirement, String)>,
        solution: &[SolvableId],
    ) -> BTreeMap<usize, Reason> {
        let solution: BTreeSet<SolvableId> = solution.iter().copied().collect();
        let mut open: VecDeque<(Requirement, String, Option<usize>)> = roots
            .into_iter()
            .map(|(requirement, word)| (requirement, word, None))
            .collect();
        let mut reached = BTreeMap::new();
        while let Some((requirement, word, by)) = open.pop_front() {
            let first = self
                .sets_of(requirement)
                .into_iter()
                .flat_map(|set| self.pool.resolve_version_set(set).solvables.iter())
                .find(|member| solution.contains(member));
            let Some(first) = first else { continue };
            let number = self.number(*first);
            if reached.contains_key(&number) {
                continue;
            }
            reached.insert(number, Reason { by, word });
            if let Some(package) = self.catalogue.get(number)
                && let Ok(needs) = self.requirements(package)
            {
                let needs = needs.into_iter();
                open.extend(needs.map(|(need, word)| (need, word, Some(number))));
            }
        }
        reached
    }

    fn sets_of(&self, requirement: Requirement) -> Vec<VersionSetId> {
        match requirement {
            Requirement::Single(set) => vec![set],
            Requirement::Union(union) => self.pool.resolve_version_set_union(union).collect(),
        }
    }

    /// Counts steps of the search.
    pub(super) fn count(&self, steps: u64) {
        self.steps.set(self.steps.get().saturating_sub(steps));
    }

    /// Whether the search has taken more steps than any honest one. Sets that are made
    /// from then on are empty, and what was found is worth nothing.
    pub(super) fn is_exhausted(&self) -> bool {
        self.steps.get() == 0
    }

    pub(super) fn number(&self, solvable: SolvableId) -> usize {
        self.pool.resolve_solvable(solvable).record.number
    }

    pub(super) fn package(&self, solvable: SolvableId) -> Option<&'a R::Package> {
        self.catalogue.get(self.number(solvable))
    }

    /// The versions of a package that can be chosen, newest first.
    pub(super) fn solvables(&self, name: &str) -> Vec<SolvableId> {
        if self.preferences.without.contains(name) || self.is_exhausted() {
            return Vec::new();
        }
        if let Some(known) = self.solvables.borrow().get(name) {
            return known.clone();
        }
        let id = self.pool.intern_package_name(name);
        let solvables: Vec<SolvableId> = self
            .catalogue
            .versions(name)
            .map(|(number, package)| {
                let shown = self.rules.shown(package);
                self.pool.intern_solvable(id, Record { number, shown })
            })
            .collect();
        self.solvables
            .borrow_mut()
            .insert(name.into(), solvables.clone());
        solvables
    }

    /// The set of the versions of `name` that `chosen` picks.
    fn set(
        &self,
        name: &str,
        shown: String,
        mut chosen: impl FnMut(&R::Package) -> bool,
    ) -> VersionSetId {
        let all = self.solvables(name);
        self.count(all.len() as u64 + 1);
        let solvables = all
            .into_iter()
            .filter(|solvable| self.package(*solvable).is_some_and(&mut chosen))
            .collect();
        let name = self.pool.intern_package_name(name);
        self.pool
            .intern_version_set(name, Members { shown, solvables })
    }

    fn is_empty(&self, set: VersionSetId) -> bool {
        self.pool.resolve_version_set(set).solvables.is_empty()
    }

    /// What a package needs, each with the relation as it was written; the error says
    /// which could not be read.
    pub(super) fn requirements(
        &self,
        package: &R::Package,
    ) -> Result<Vec<(Requirement, String)>, String> {
        let needs = self.rules.needs(package)?;
        Ok(needs
            .iter()
            .filter_map(|need| Some((self.requirement(need)?, written(need))))
            .collect())
    }

    /// A relation with its alternatives; `None` where what is taken as present satisfies
    /// it.
    pub(in crate::source) fn requirement(
        &self,
        alternatives: &[R::Relation],
    ) -> Option<Requirement> {
        let first = alternatives.first()?;
        if alternatives.iter().any(|one| self.is_present(one)) {
            return None;
        }
        let mut sets: Vec<VersionSetId> = Vec::new();
        for relation in alternatives {
            sets.extend(
                self.sets(relation)
                    .into_iter()
                    .filter(|set| !self.is_empty(*set)),
            );
        }
        let Some((best, others)) = sets.split_first() else {
            // Nothing satisfies it: an empty set of the first name, so that the message
            // shows the relation as it was written.
            let written = written(alternatives);
            let written = behind(&written, first.name());
            let shown = format!("{written} ({})", self.what_there_is(alternatives));
            let shown = shown.trim_start().to_owned();
            return Some(self.set(first.name(), shown, |_| false).into());
        };
        if others.is_empty() {
            return Some((*best).into());
        }
        let union = self
            .pool
            .intern_version_set_union(*best, others.iter().copied());
        Some(Requirement::Union(union))
    }

    /// What there is of the names of a relation in versions that do not fit, for messages.
    fn what_there_is(&self, alternatives: &[R::Relation]) -> String {
        let mut there_is = alternatives.iter().flat_map(|relation| {
            let own = self.catalogue.versions(relation.name());
            let own = own.map(|(_, package)| format!("{} {}", package.name(), package.version()));
            let provisions = self.catalogue.provisions(relation.name()).iter();
            let provided = provisions.filter_map(|provision| {
                let package = self.catalogue.get(provision.package)?;
                let version = provision.version.as_ref();
                let version = version.map_or("without a version".to_owned(), |version| {
                    self.rules.shown_version(version)
                });
                let (name, of) = (package.name(), package.version());
                Some(format!("{version} of {name} {of}"))
            });
            own.chain(provided)
        });
        let some: Vec<String> = there_is.by_ref().take(4).collect();
        match (some.is_empty(), there_is.count()) {
            (true, _) => R::NOWHERE.to_owned(),
            (false, 0) => format!("there is {}", some.join(", ")),
            (false, more) => format!("there is {}, and {more} more", some.join(", ")),
        }
    }

    /// The sets that satisfy a relation: versions of the package itself, and those of
    /// packages that provide it. Those that are to be kept go first, and the package itself
    /// before them where the rules have it so.
    fn sets(&self, relation: &R::Relation) -> Vec<VersionSetId> {
        let text = relation.to_string();
        let shown = match behind(&text, relation.name()) {
            "" => "*".to_owned(),
            versions => versions.to_owned(),
        };
        let is_own = |package: &R::Package| package.name() == relation.name();
        let own = self.catalogue.versions(relation.name());
        let own = own.filter(|(_, package)| self.rules.means(relation, package));
        let own = own.map(|(number, package)| (package, Some(package.parsed()), number));
        let all = self.catalogue.provisions(relation.name());
        self.count(all.len() as u64);
        let others = all
            .iter()
            .filter_map(|provision| {
                let package = self.catalogue.get(provision.package)?;
                Some((package, provision.version.as_ref(), provision.package))
            })
            .filter(|(package, version, _)| {
                !is_own(package) && self.rules.means_provided(relation, package, *version)
            });
        let mut providers: Vec<_> = own.chain(others).collect();
        let meant: BTreeSet<usize> = providers.iter().map(|(.., number)| *number).collect();
        providers.sort_by(|(a, as_a, _), (b, as_b, _)| {
            let own = |package: &R::Package| R::OWN_FIRST && is_own(package);
            let kept = |package: &R::Package| self.preferences.keep.contains_key(package.name());
            own(b)
                .cmp(&own(a))
                .then_with(|| kept(b).cmp(&kept(a)))
                .then_with(|| self.rules.prefer((a, *as_a), (b, *as_b)))
                .then_with(|| a.name().cmp(b.name()))
        });
        let mut seen = BTreeSet::new();
        let mut sets = Vec::new();
        for (package, ..) in providers {
            if seen.insert(package.name()) {
                let shown = if is_own(package) {
                    shown.clone()
                } else {
                    format!("that provides {text}")
                };
                let mut numbers = self.catalogue.numbers(package.name());
                sets.push(self.set(package.name(), shown, |_| {
                    // The versions of a package are asked about in their order.
                    numbers.next().is_some_and(|number| meant.contains(&number))
                }));
            }
        }
        sets
    }

    /// Whether a package that is taken as present satisfies a relation, in whatever
    /// version that would take.
    fn is_present(&self, relation: &R::Relation) -> bool {
        let without = &self.preferences.without;
        if without.is_empty() {
            return false;
        }
        let provisions = self.catalogue.provisions(relation.name());
        self.count(provisions.len() as u64);
        without.contains(relation.name())
            || provisions
                .iter()
                .filter_map(|provision| self.catalogue.get(provision.package))
                .any(|package| without.contains(package.name()))
    }

    /// What may not be chosen along with a package, as the sets that may: what it
    /// conflicts with, and who else has a name that it claims for itself.
    pub(super) fn constraints(&self, package: &R::Package) -> Result<Vec<VersionSetId>, String> {
        let mut constraints = Vec::new();
        for relation in self.rules.conflicts(package)? {
            let excluded = self.catalogue.satisfying(self.rules, &relation).collect();
            let shown = format!("other than {relation}");
            constraints.extend(self.all_but(package, &excluded, &shown));
        }
        for name in self.rules.claims(package) {
            let mut excluded: BTreeSet<usize> = self
                .catalogue
                .provisions(&name)
                .iter()
                .filter(|provision| provision.version.is_some())
                .map(|provision| provision.package)
                .collect();
            if *name != *package.name() {
                excluded.extend(self.catalogue.numbers(&name));
            }
            let shown = format!("that does not have {name}, too");
            constraints.extend(self.all_but(package, &excluded, &shown));
        }
        Ok(constraints)
    }

    /// For each package that is among `excluded`, the set of its other versions. A package
    /// does not keep itself away.
    fn all_but(
        &self,
        package: &R::Package,
        excluded: &BTreeSet<usize>,
        shown: &str,
    ) -> Vec<VersionSetId> {
        self.count(excluded.len() as u64);
        let names: BTreeSet<&str> = excluded
            .iter()
            .filter_map(|number| self.catalogue.get(*number))
            .map(Package::name)
            .filter(|name| *name != package.name())
            .collect();
        names
            .into_iter()
            .map(|name| {
                let mut numbers = self.catalogue.numbers(name);
                self.set(name, shown.to_owned(), |_| {
                    numbers
                        .next()
                        .is_some_and(|number| !excluded.contains(&number))
                })
            })
            .collect()
    }
}

/// A relation with its alternatives as it was written.
fn written<T: Relation>(alternatives: &[T]) -> String {
    let each: Vec<String> = alternatives.iter().map(T::to_string).collect();
    each.join(" | ")
}

/// What is behind the name in a relation as it was written.
fn behind<'a>(text: &'a str, name: &str) -> &'a str {
    text.strip_prefix(name).unwrap_or(text).trim()
}
