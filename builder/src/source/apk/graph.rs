//! What depends on what, as resolvo asks for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Display};

use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, Dependencies, DependencyProvider, Interner,
    KnownDependencies, NameId, Requirement, SolvableId, SolverCache, StringId, VersionSetId,
    VersionSetUnionId,
};

use super::catalogue::Catalogue;
use super::dependency::{Dependency, Versions};
use super::index::Package;

/// A set of versions of one package, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Members {
    shown: String,
    solvables: Vec<SolvableId>,
}

impl VersionSet for Members {
    type V = Record;
}

impl Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A version of a package.
#[derive(Debug, Clone)]
struct Record {
    /// Its number in the catalogue.
    number: usize,
    shown: String,
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Why a package is there: who needs it, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    /// The package that needs it, by number; `None` for the recipe.
    pub(super) by: Option<usize>,
    /// The dependency that it satisfies.
    pub(super) word: String,
}

/// The catalogue as a graph of dependencies.
pub(super) struct Graph<'a> {
    catalogue: &'a Catalogue,
    without: BTreeSet<&'a str>,
    keep: BTreeMap<&'a str, &'a str>,
    pool: Pool<Members>,
    /// The versions of each package that was asked for, newest first.
    solvables: RefCell<BTreeMap<String, Vec<SolvableId>>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(
        catalogue: &'a Catalogue,
        without: BTreeSet<&'a str>,
        keep: BTreeMap<&'a str, &'a str>,
    ) -> Self {
        Self {
            catalogue,
            without,
            keep,
            pool: Pool::new(),
            solvables: RefCell::default(),
        }
    }

    /// The set that holds one package and nothing else.
    pub(super) fn exactly(&self, number: usize) -> Option<Requirement> {
        let package = self.catalogue.get(number)?;
        let set = self.set(&package.name, format!("={}", package.version), |other| {
            other.version == package.version
        });
        Some(set.into())
    }

    /// The solvable of a package.
    pub(super) fn solvable(&self, number: usize) -> Option<SolvableId> {
        let package = self.catalogue.get(number)?;
        let all = self.solvables(&package.name);
        all.into_iter()
            .find(|solvable| self.number(*solvable) == number)
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

    fn number(&self, solvable: SolvableId) -> usize {
        self.pool.resolve_solvable(solvable).record.number
    }

    /// The versions of a package that can be chosen, newest first.
    fn solvables(&self, name: &str) -> Vec<SolvableId> {
        if self.without.contains(name) {
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
                let shown = match package.repository {
                    Some(_) => package.version.to_string(),
                    None => format!("{} (of the base)", package.version),
                };
                self.pool.intern_solvable(id, Record { number, shown })
            })
            .collect();
        self.solvables
            .borrow_mut()
            .insert(name.to_owned(), solvables.clone());
        solvables
    }

    fn package(&self, solvable: SolvableId) -> Option<&'a Package> {
        self.catalogue.get(self.number(solvable))
    }

    /// The set of the versions of `name` that `chosen` picks; the preferred first, as
    /// the members of a set are tried in order.
    fn set(
        &self,
        name: &str,
        shown: String,
        mut chosen: impl FnMut(&Package) -> bool,
    ) -> VersionSetId {
        let solvables = self
            .solvables(name)
            .into_iter()
            .filter(|solvable| self.package(*solvable).is_some_and(&mut chosen))
            .collect();
        let name = self.pool.intern_package_name(name);
        self.pool
            .intern_version_set(name, Members { shown, solvables })
    }

    /// What a package needs; the error says which word could not be read. What is
    /// installed has what it needs: that is for those who installed it to see to.
    fn requirements(&self, package: &Package) -> Result<Vec<(Requirement, String)>, String> {
        if package.repository.is_none() {
            return Ok(Vec::new());
        }
        let needs = package.dependencies()?;
        Ok(needs
            .iter()
            .filter(|dependency| !dependency.conflict)
            .filter_map(|dependency| Some((self.requirement(dependency)?, dependency.to_string())))
            .collect())
    }

    /// One dependency; `None` where what is taken as present satisfies it.
    pub(super) fn requirement(&self, dependency: &Dependency) -> Option<Requirement> {
        if self.is_present(dependency) {
            return None;
        }
        let sets: Vec<VersionSetId> = self
            .sets(dependency)
            .into_iter()
            .filter(|set| !self.pool.resolve_version_set(*set).solvables.is_empty())
            .collect();
        let Some((first, others)) = sets.split_first() else {
            // Nothing satisfies it: an empty set, so that the message shows it as it was
            // written.
            let there_is = self.what_there_is(dependency);
            let shown = format!("{} ({there_is})", dependency.versions);
            let shown = shown.trim_start().to_owned();
            return Some(self.set(&dependency.name, shown, |_| false).into());
        };
        if others.is_empty() {
            return Some((*first).into());
        }
        let union = self
            .pool
            .intern_version_set_union(*first, others.iter().copied());
        Some(Requirement::Union(union))
    }

    /// What there is of a name in versions that do not fit, for messages.
    fn what_there_is(&self, dependency: &Dependency) -> String {
        let own = self.catalogue.versions(&dependency.name);
        let own = own.map(|(_, package)| format!("{} {}", package.name, package.version));
        let provisions = self.catalogue.provisions(&dependency.name).iter();
        let provided = provisions.filter_map(|provision| {
            let package = self.catalogue.get(provision.package)?;
            let version = provision.version.as_ref();
            let version = version.map_or("without a version".to_owned(), ToString::to_string);
            Some(format!("{version} of {} {}", package.name, package.version))
        });
        let there_is: Vec<String> = own.chain(provided).take(4).collect();
        if there_is.is_empty() {
            return "neither a repository nor the base has it".to_owned();
        }
        format!("there is {}", there_is.join(", "))
    }

    /// The sets that satisfy a dependency: versions of the package itself, then those of
    /// packages that provide it. Of these, those that are to be kept go first, then what is
    /// installed, then the higher priority, then the newer of what is provided.
    fn sets(&self, dependency: &Dependency) -> Vec<VersionSetId> {
        let shown = match &dependency.versions {
            Versions::Any => "*".to_owned(),
            versions => versions.to_string(),
        };
        let mut sets = vec![self.set(&dependency.name, shown, |package| {
            dependency.admits(&package.version, &package.checksum.to_string())
        })];
        let mut providers: Vec<_> = self
            .catalogue
            .provisions(&dependency.name)
            .iter()
            .filter(|provision| dependency.admits_provided(provision.version.as_ref()))
            .filter_map(|provision| Some((self.catalogue.get(provision.package)?, provision)))
            .filter(|(package, _)| package.name != dependency.name)
            .collect();
        providers.sort_by(|(a, as_a), (b, as_b)| {
            let kept = |package: &Package| self.keep.contains_key(&*package.name);
            kept(b)
                .cmp(&kept(a))
                .then_with(|| a.repository.is_some().cmp(&b.repository.is_some()))
                .then_with(|| b.priority.cmp(&a.priority))
                .then_with(|| as_b.version.cmp(&as_a.version))
                .then_with(|| a.name.cmp(&b.name))
        });
        let mut seen = BTreeSet::new();
        for (package, _) in &providers {
            if seen.insert(&package.name) {
                let shown = format!("that provides {dependency}");
                sets.push(self.set(&package.name, shown, |package| {
                    let is = |other: &Package| {
                        other.name == package.name && other.version == package.version
                    };
                    providers.iter().any(|(other, _)| is(other))
                }));
            }
        }
        sets
    }

    /// Whether a package that is taken as present satisfies a dependency, in whatever
    /// version that would take.
    fn is_present(&self, dependency: &Dependency) -> bool {
        self.without.contains(&*dependency.name)
            || self
                .catalogue
                .provisions(&dependency.name)
                .iter()
                .filter_map(|provision| self.catalogue.get(provision.package))
                .any(|package| self.without.contains(&*package.name))
    }

    /// What may not be chosen along with a package, as the sets that may: what it
    /// conflicts with, and who else has a name or provides it with a version.
    fn constraints(&self, package: &Package) -> Result<Vec<VersionSetId>, String> {
        let mut constraints = Vec::new();
        for dependency in package.dependencies()? {
            if dependency.conflict {
                let excluded = self.catalogue.satisfying(&dependency).collect();
                let shown = format!("other than {}{}", dependency.name, dependency.versions);
                constraints.extend(self.all_but(package, &excluded, &shown));
            }
        }
        let provided = package.provisions();
        let exclusive = provided.filter(|provided| provided.versions.provided().is_some());
        let names = exclusive.map(|provided| provided.name);
        for name in std::iter::once(package.name.clone()).chain(names) {
            let mut excluded: BTreeSet<usize> = self
                .catalogue
                .provisions(&name)
                .iter()
                .filter(|provision| provision.version.is_some())
                .map(|provision| provision.package)
                .collect();
            if name != package.name {
                excluded.extend(self.catalogue.versions(&name).map(|(number, _)| number));
            }
            let shown = format!("that does not have {name}, too");
            constraints.extend(self.all_but(package, &excluded, &shown));
        }
        Ok(constraints)
    }

    /// For each package that is among `excluded`, the set of its other versions.
    fn all_but(
        &self,
        package: &Package,
        excluded: &BTreeSet<usize>,
        shown: &str,
    ) -> Vec<VersionSetId> {
        let names: BTreeSet<&str> = excluded
            .iter()
            .filter_map(|number| self.catalogue.get(*number))
            .map(|package| &*package.name)
            .filter(|name| *name != &*package.name)
            .collect();
        names
            .into_iter()
            .map(|name| {
                let solvables = self
                    .solvables(name)
                    .into_iter()
                    .filter(|solvable| !excluded.contains(&self.number(*solvable)))
                    .collect();
                let id = self.pool.intern_package_name(name);
                let shown = shown.to_owned();
                self.pool
                    .intern_version_set(id, Members { shown, solvables })
            })
            .collect()
    }
}

impl Interner for Graph<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let solvable = self.pool.resolve_solvable(solvable);
        let name = self.pool.resolve_package_name(solvable.name);
        format!("{name} {}", solvable.record)
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.pool.resolve_package_name(name).as_str()
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        self.pool.resolve_version_set(set).shown.as_str()
    }

    fn display_merged_solvables(&self, solvables: &[SolvableId]) -> impl Display + '_ {
        let mut shown = String::new();
        for (at, solvable) in solvables.iter().enumerate() {
            let solvable = self.pool.resolve_solvable(*solvable);
            if at == 0 {
                shown.push_str(self.pool.resolve_package_name(solvable.name));
            } else {
                shown.push_str(" or");
            }
            shown.push(' ');
            shown.push_str(&solvable.record.shown);
        }
        shown
    }

    fn display_string(&self, string: StringId) -> impl Display + '_ {
        self.pool.resolve_string(string)
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.pool.resolve_version_set_package_name(set)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.pool.resolve_solvable(solvable).name
    }

    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.pool.resolve_version_set_union(union)
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.pool.resolve_condition(condition).clone()
    }
}

impl DependencyProvider for Graph<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let members = &self.pool.resolve_version_set(set).solvables;
        candidates
            .iter()
            .copied()
            .filter(|candidate| members.contains(candidate) != inverse)
            .collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let name = self.pool.resolve_package_name(name);
        let candidates = self.solvables(name);
        let kept = self.keep.get(name.as_str());
        let favored = candidates.iter().copied().find(|candidate| {
            let package = self.package(*candidate);
            kept.is_some_and(|kept| package.is_some_and(|p| p.version.as_str() == *kept))
        });
        (!candidates.is_empty()).then(|| Candidates {
            candidates,
            favored,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        // The catalogue has the newest version of a package first.
        solvables.sort_by_key(|solvable| self.number(*solvable));
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let Some(package) = self.package(solvable) else {
            return Dependencies::Known(KnownDependencies::default());
        };
        let known = self.requirements(package).and_then(|requirements| {
            Ok(KnownDependencies {
                requirements: requirements
                    .into_iter()
                    .map(|(requirement, _)| requirement.into())
                    .collect(),
                constrains: self.constraints(package)?,
            })
        });
        match known {
            Ok(known) => Dependencies::Known(known),
            Err(why) => Dependencies::Unknown(self.pool.intern_string(why)),
        }
    }
}
