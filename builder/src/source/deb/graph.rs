//! What depends on what, as resolvo asks for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, Dependencies, DependencyProvider, Interner,
    KnownDependencies, NameId, Requirement, SolvableId, SolverCache, StringId, VersionSetId,
    VersionSetUnionId,
};

use super::catalogue::Catalogue;
use super::packages::Package;
use super::relation::{self, Relation};

/// A set of versions of one package, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Versions {
    shown: String,
    members: Vec<SolvableId>,
}

impl VersionSet for Versions {
    type V = Record;
}

impl Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A version of a package.
#[derive(Debug, Clone)]
struct Record {
    /// Its number in the catalogue.
    number: usize,
    version: Box<str>,
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.version)
    }
}

/// The catalogue as a graph of dependencies.
pub(super) struct Graph<'a> {
    catalogue: &'a Catalogue,
    arch: &'static str,
    without: BTreeSet<&'a str>,
    keep: BTreeMap<&'a str, &'a str>,
    pool: Pool<Versions>,
    /// The versions of each package that was asked for, newest first.
    solvables: RefCell<BTreeMap<String, Vec<SolvableId>>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(
        catalogue: &'a Catalogue,
        arch: &'static str,
        without: BTreeSet<&'a str>,
        keep: BTreeMap<&'a str, &'a str>,
    ) -> Self {
        Self {
            catalogue,
            arch,
            without,
            keep,
            pool: Pool::new(),
            solvables: RefCell::default(),
        }
    }

    /// The requirement that stands for a wanted package.
    pub(super) fn root(&self, name: &str, version: Option<&str>) -> Requirement {
        let set = self.set(
            name,
            version.map_or_else(|| "*".to_owned(), |version| format!("(= {version})")),
            |package| version.is_none_or(|version| &*package.version == version),
        );
        Requirement::Single(set)
    }

    /// The packages of a solution that can be reached from `roots`, by number and in
    /// order. A solver may leave more: what it tried on the way, or an alternative
    /// that turned out not to be needed.
    pub(super) fn reachable(&self, roots: &[Requirement], solution: &[SolvableId]) -> Vec<usize> {
        let solution: BTreeSet<SolvableId> = solution.iter().copied().collect();
        let mut open: Vec<Requirement> = roots.to_vec();
        let mut reached = BTreeSet::new();
        while let Some(requirement) = open.pop() {
            let first = self
                .sets_of(requirement)
                .into_iter()
                .flat_map(|set| self.pool.resolve_version_set(set).members.iter())
                .find(|member| solution.contains(member));
            let Some(first) = first else { continue };
            let number = self.pool.resolve_solvable(*first).record.number;
            if reached.insert(number)
                && let Some(package) = self.catalogue.get(number)
                && let Ok(needs) = self.requirements(package)
            {
                open.extend(needs);
            }
        }
        reached.into_iter().collect()
    }

    fn sets_of(&self, requirement: Requirement) -> Vec<VersionSetId> {
        match requirement {
            Requirement::Single(set) => vec![set],
            Requirement::Union(union) => self.pool.resolve_version_set_union(union).collect(),
        }
    }

    /// The versions of a package that can be chosen, newest first.
    pub(super) fn solvables(&self, name: &str) -> Vec<SolvableId> {
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
                let version = package.version.clone();
                self.pool.intern_solvable(id, Record { number, version })
            })
            .collect();
        self.solvables
            .borrow_mut()
            .insert(name.to_owned(), solvables.clone());
        solvables
    }

    fn package(&self, solvable: SolvableId) -> Option<&'a Package> {
        self.catalogue
            .get(self.pool.resolve_solvable(solvable).record.number)
    }

    /// The set of the versions of `name` that `chosen` picks; the preferred first, as
    /// the members of a set are tried in order.
    fn set(
        &self,
        name: &str,
        shown: String,
        mut chosen: impl FnMut(&Package) -> bool,
    ) -> VersionSetId {
        let members = self
            .solvables(name)
            .into_iter()
            .filter(|solvable| self.package(*solvable).is_some_and(&mut chosen))
            .collect();
        let name = self.pool.intern_package_name(name);
        self.pool
            .intern_version_set(name, Versions { shown, members })
    }

    fn is_empty(&self, set: VersionSetId) -> bool {
        self.pool.resolve_version_set(set).members.is_empty()
    }

    /// What a package needs; the error says which relation could not be read.
    fn requirements(&self, package: &Package) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        for field in [&package.pre_depends, &package.depends]
            .into_iter()
            .flatten()
        {
            for alternatives in relation::parse(field)? {
                requirements.extend(self.requirement(&alternatives));
            }
        }
        Ok(requirements)
    }

    /// One relation; `None` where what is taken as present satisfies it.
    fn requirement(&self, alternatives: &[Relation]) -> Option<Requirement> {
        if alternatives
            .iter()
            .any(|relation| self.is_present(relation))
        {
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
        let Some((first, others)) = sets.split_first() else {
            // Nothing satisfies it: an empty set of the first name, so that the message
            // shows the relation as it was written.
            let first = alternatives.first()?;
            let written: Vec<String> = alternatives.iter().map(Relation::to_string).collect();
            let written = written.join(" | ");
            let written = written.strip_prefix(&first.name).unwrap_or(&written).trim();
            let shown = format!("{written}{}", self.what_there_is(alternatives));
            return Some(self.set(&first.name, shown, |_| false).into());
        };
        if others.is_empty() {
            return Some(Requirement::Single(*first));
        }
        let union = self
            .pool
            .intern_version_set_union(*first, others.iter().copied());
        Some(Requirement::Union(union))
    }

    /// The versions that there are of what a relation names, for messages.
    fn what_there_is(&self, alternatives: &[Relation]) -> String {
        let there_is: Vec<String> = alternatives
            .iter()
            .flat_map(|relation| self.catalogue.versions(&relation.name))
            .map(|(_, package)| format!("{} {}", package.name, package.version))
            .collect();
        if there_is.is_empty() {
            return String::new();
        }
        format!(" (there is {})", there_is.join(", "))
    }

    /// The sets that satisfy a relation: versions of the package itself, then those of
    /// packages that provide it, the more important first.
    fn sets(&self, relation: &Relation) -> Vec<VersionSetId> {
        let mut sets = vec![self.set(&relation.name, shown(relation), |package| {
            self.qualifies(relation, package) && relation.admits(&package.parsed)
        })];
        let mut providers: Vec<(bool, u8, &str)> = Vec::new();
        for package in self.providers(relation) {
            let kept = self.keep.contains_key(&*package.name);
            providers.push((!kept, package.priority, &package.name));
        }
        providers.sort_unstable();
        let mut seen = BTreeSet::new();
        for (_, _, provider) in providers {
            if provider != relation.name && seen.insert(provider) {
                let shown = format!("that provides {relation}");
                sets.push(self.set(provider, shown, |package| self.provides(package, relation)));
            }
        }
        sets
    }

    fn providers(&self, relation: &Relation) -> impl Iterator<Item = &'a Package> {
        let catalogue = self.catalogue;
        catalogue
            .provisions(&relation.name)
            .iter()
            .filter(move |provision| relation.admits_provision(provision.version.as_ref()))
            .filter_map(move |provision| catalogue.get(provision.package))
            .filter(move |package| self.qualifies(relation, package))
    }

    fn provides(&self, package: &Package, relation: &Relation) -> bool {
        self.providers(relation)
            .any(|provider| provider.name == package.name && provider.version == package.version)
    }

    /// Whether the part after the colon lets a package of this architecture be meant.
    fn qualifies(&self, relation: &Relation, package: &Package) -> bool {
        match relation.qualifier.as_deref() {
            None | Some("native") => true,
            Some("any") => package.any,
            Some(arch) => arch == self.arch && !package.all,
        }
    }

    /// Whether a package that is taken as present satisfies a relation, in whatever
    /// version that would take.
    fn is_present(&self, relation: &Relation) -> bool {
        self.without.contains(relation.name.as_str())
            || self
                .catalogue
                .provisions(&relation.name)
                .iter()
                .filter_map(|provision| self.catalogue.get(provision.package))
                .any(|package| self.without.contains(&*package.name))
    }

    /// What may not be chosen along with a package, as the sets that may.
    fn constraints(&self, package: &Package) -> Result<Vec<VersionSetId>, String> {
        let mut constraints = Vec::new();
        for field in [&package.conflicts, &package.breaks].into_iter().flatten() {
            for relation in relation::parse(field)?.into_iter().flatten() {
                for excluded in self.sets(&relation) {
                    let name = self.pool.resolve_version_set_package_name(excluded);
                    let name = self.pool.resolve_package_name(name);
                    // A package does not conflict with itself (policy 7.4).
                    if self.is_empty(excluded) || **name == *package.name {
                        continue;
                    }
                    let excluded = &self.pool.resolve_version_set(excluded).members;
                    let members = self
                        .solvables(name)
                        .into_iter()
                        .filter(|solvable| !excluded.contains(solvable))
                        .collect();
                    let shown = format!("other than {relation}");
                    let id = self.pool.intern_package_name(name.as_str());
                    constraints.push(
                        self.pool
                            .intern_version_set(id, Versions { shown, members }),
                    );
                }
            }
        }
        Ok(constraints)
    }
}

fn shown(relation: &Relation) -> String {
    let text = relation.to_string();
    let rest = text.strip_prefix(&relation.name).unwrap_or(&text).trim();
    if rest.is_empty() {
        "*".to_owned()
    } else {
        rest.to_owned()
    }
}

impl Interner for Graph<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let solvable = self.pool.resolve_solvable(solvable);
        format!(
            "{} {}",
            self.pool.resolve_package_name(solvable.name),
            solvable.record
        )
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
            shown.push_str(&solvable.record.version);
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
        let members = &self.pool.resolve_version_set(set).members;
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
            let version = &self.pool.resolve_solvable(*candidate).record.version;
            kept.is_some_and(|kept| **kept == **version)
        });
        (!candidates.is_empty()).then(|| Candidates {
            candidates,
            favored,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        // The catalogue has the newest version of a package first.
        solvables.sort_by_key(|solvable| self.pool.resolve_solvable(*solvable).record.number);
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let Some(package) = self.package(solvable) else {
            return Dependencies::Known(KnownDependencies::default());
        };
        let known = self.requirements(package).and_then(|requirements| {
            Ok(KnownDependencies {
                requirements: requirements.into_iter().map(Into::into).collect(),
                constrains: self.constraints(package)?,
            })
        });
        match known {
            Ok(known) => Dependencies::Known(known),
            Err(why) => Dependencies::Unknown(self.pool.intern_string(why)),
        }
    }
}
