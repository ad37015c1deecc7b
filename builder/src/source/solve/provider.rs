//! The graph as `resolvo` asks for it.

use std::any::Any;
use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, Dependencies, DependencyProvider, Interner,
    KnownDependencies, NameId, SolvableId, SolverCache, StringId, VersionSetId, VersionSetUnionId,
};

use super::graph::ROUND;
use super::{Graph, Package, Rules};

impl<R: Rules> Interner for Graph<'_, R> {
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

impl<R: Rules> DependencyProvider for Graph<'_, R> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        self.count(candidates.len() as u64);
        let members = &self.pool.resolve_version_set(set).solvables;
        candidates
            .iter()
            .copied()
            .filter(|candidate| members.binary_search(candidate).is_ok() != inverse)
            .collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let name = self.pool.resolve_package_name(name);
        let candidates = self.solvables(name);
        let kept = self.preferences.keep.get(name.as_str());
        let favored = kept.and_then(|kept| {
            candidates.iter().copied().find(|candidate| {
                let package = self.package(*candidate);
                package.is_some_and(|package| package.version() == *kept)
            })
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

    fn should_cancel_with_value(&self) -> Option<Box<dyn Any>> {
        self.count(ROUND);
        self.is_exhausted().then(|| Box::new(()) as Box<dyn Any>)
    }
}
