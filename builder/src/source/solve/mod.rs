//! Choosing packages of a distribution: what all package managers have in common.
//!
//! A flavour of packages says what its packages are ([`Package`]), what a relation between
//! them means and which of several is to be preferred ([`Rules`]). Everything else is here:
//! the [`Catalogue`] of what there is, the [`Graph`] in which relations are sets of
//! packages, the view of it that the solver `resolvo` has, and the words in which it is
//! told why packages cannot be had together.

mod catalogue;
mod graph;
mod near;
mod provider;
mod sets;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Display;

use resolvo::{Problem, Requirement, Solver, UnsolvableOrCancelled};

pub(super) use catalogue::Catalogue;
pub use catalogue::Crowded;
pub(super) use graph::{Graph, MAX_STEPS, Preferences, Reason};

/// A package that can be chosen.
pub(super) trait Package {
    /// Versions, in the order in which one is newer than the other.
    type Version: Ord + Clone;

    /// Its name.
    fn name(&self) -> &str;

    /// Its version as it is written. Of packages with the same name and the same version
    /// only one is in a catalogue.
    fn version(&self) -> &str;

    /// The same, to be compared.
    fn parsed(&self) -> &Self::Version;

    /// Which of two packages with the same name and version is taken: the lesser one.
    fn rank(&self, other: &Self) -> Ordering;

    /// What it provides beside its name, and in which version. What cannot be read
    /// provides nothing; whoever needs it says so.
    fn provisions(&self) -> impl Iterator<Item = (Box<str>, Option<Self::Version>)>;
}

/// A relation between packages: a name, possibly with a condition. It is shown as it was
/// written, beginning with the name.
pub(super) trait Relation: Display {
    /// The name.
    fn name(&self) -> &str;
}

/// The version in which packages of some rules are provided.
type VersionOf<R> = <<R as Rules>::Package as Package>::Version;

/// What a flavour's relations mean.
pub(super) trait Rules {
    /// Its packages.
    type Package: Package;
    /// Its relations.
    type Relation: Relation;

    /// Whether packages of a name go before those that provide it, whichever is preferred.
    const OWN_FIRST: bool = true;

    /// What is said of a name that nothing in the catalogue has.
    const NOWHERE: &'static str;

    /// Whether a relation means a package of its name.
    fn means(&self, relation: &Self::Relation, package: &Self::Package) -> bool;

    /// Whether a relation means a package that provides its name in that version.
    fn means_provided(
        &self,
        relation: &Self::Relation,
        package: &Self::Package,
        version: Option<&VersionOf<Self>>,
    ) -> bool;

    /// Which of two packages that have or provide the same name, each in some version, comes
    /// first; those that are equal go by their names.
    fn prefer(
        &self,
        one: (&Self::Package, Option<&VersionOf<Self>>),
        other: (&Self::Package, Option<&VersionOf<Self>>),
    ) -> Ordering;

    /// What a package needs: for each of the lists one of its alternatives, the first that
    /// can be had. The error says which relation cannot be read.
    fn needs(&self, package: &Self::Package) -> Result<Vec<Vec<Self::Relation>>, String>;

    /// What must not be there along with it.
    fn conflicts(&self, package: &Self::Package) -> Result<Vec<Self::Relation>, String>;

    /// The names that it provides and nothing else may have or provide beside it.
    fn claims(&self, package: &Self::Package) -> Vec<Box<str>>;

    /// Its version, for messages.
    fn shown(&self, package: &Self::Package) -> String {
        package.version().to_owned()
    }

    /// A version that is provided, for messages.
    fn shown_version(&self, version: &VersionOf<Self>) -> String;
}

/// Why packages could not be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// They cannot be installed together.
    #[error("the packages cannot be installed together:\n{0}")]
    Conflict(
        /// The chain of reasons: who wants what, and why it cannot be had.
        String,
    ),
    /// There is more to choose from than could be gone through.
    #[error(transparent)]
    Crowded(#[from] Crowded),
    /// The search took more steps than any honest one.
    #[error(
        "choosing packages took more than {MAX_STEPS} steps, and the largest systems take a hundredth of that"
    )]
    Endless,
}

impl SolveError {
    /// What the user can do about it; `conflict` is what a flavour says of conflicts.
    pub(super) fn hint(&self, conflict: &str) -> String {
        match self {
            Self::Conflict(_) => conflict.to_owned(),
            Self::Crowded(_) => {
                "no archive is like this: do not trust whoever serves and signs it".to_owned()
            }
            Self::Endless => "leave out what is not needed, or name the versions that are wanted; \
                              else do not trust whoever serves and signs this archive"
                .to_owned(),
        }
    }
}

/// The packages that `roots` need, by number and with the reason for each; `along` are
/// taken, too, where that is possible.
pub(super) fn solve<R: Rules>(
    graph: Graph<'_, R>,
    mut roots: Vec<(Requirement, String)>,
    along: &BTreeMap<usize, String>,
) -> Result<BTreeMap<usize, Reason>, SolveError> {
    let soft: Vec<_> = along
        .keys()
        .filter_map(|number| graph.solvable(*number))
        .collect();
    let mut solver = Solver::new(graph);
    let problem = Problem::new()
        .requirements(roots.iter().map(|(root, _)| (*root).into()).collect())
        .soft_requirements(soft);
    let solution = solver.solve(problem).map_err(|error| match error {
        UnsolvableOrCancelled::Unsolvable(conflict) => SolveError::Conflict(
            conflict
                .display_user_friendly(&solver)
                .to_string()
                .trim_end()
                .to_owned(),
        ),
        UnsolvableOrCancelled::Cancelled(_) => SolveError::Endless,
    })?;
    let graph = solver.provider();
    for (number, why) in along {
        if let Some(solvable) = graph.solvable(*number)
            && solution.contains(&solvable)
        {
            let root = graph.exactly(*number);
            roots.extend(root.map(|root| (root, why.clone())));
        }
    }
    let reached = graph.reachable(roots, &solution);
    if graph.is_exhausted() {
        return Err(SolveError::Endless);
    }
    Ok(reached)
}
