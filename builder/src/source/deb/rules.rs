//! What Debian's packages say about each other, for the solver.

use std::cmp::Ordering;

use debversion::Version;

use super::packages::Package;
use super::relation::{self, Comparison, Relation};
use crate::source::solve::{self, Rules};

/// All packages of all releases that take part.
pub(super) type Catalogue = solve::Catalogue<Package>;

impl solve::Package for Package {
    type Version = Version;

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn parsed(&self) -> &Version {
        &self.parsed
    }

    /// Where several releases have the same version, that of the first one stays.
    fn rank(&self, other: &Self) -> Ordering {
        self.release
            .cmp(&other.release)
            .then_with(|| self.filename.cmp(&other.filename))
    }

    fn provisions(&self) -> impl Iterator<Item = (Box<str>, Option<Version>)> {
        let field = self.provides.as_deref();
        let provided = field
            .and_then(|field| relation::parse(field).ok())
            .unwrap_or_default();
        provided.into_iter().flatten().map(|relation| {
            let version = relation
                .version
                .filter(|(comparison, _)| *comparison == Comparison::Equal)
                .map(|(_, version)| version);
            (relation.name.into(), version)
        })
    }
}

impl solve::Relation for Relation {
    fn name(&self) -> &str {
        &self.name
    }
}

/// What relations mean in section 7 of the Debian policy.
pub(super) struct Policy {
    /// The architecture, as Debian calls it.
    pub(super) arch: &'static str,
}

impl Policy {
    /// Whether the part after the colon lets a package of this architecture be meant.
    fn qualifies(&self, relation: &Relation, package: &Package) -> bool {
        match relation.qualifier.as_deref() {
            None | Some("native") => true,
            Some("any") => package.any,
            Some(arch) => arch == self.arch && !package.all,
        }
    }
}

impl Rules for Policy {
    type Package = Package;
    type Relation = Relation;

    const NOWHERE: &'static str = "no release has it";

    fn means(&self, relation: &Relation, package: &Package) -> bool {
        self.qualifies(relation, package) && relation.admits(&package.parsed)
    }

    fn means_provided(
        &self,
        relation: &Relation,
        package: &Package,
        version: Option<&Version>,
    ) -> bool {
        self.qualifies(relation, package) && relation.admits_provision(version)
    }

    /// The more important one.
    fn prefer(
        &self,
        (a, _): (&Package, Option<&Version>),
        (b, _): (&Package, Option<&Version>),
    ) -> Ordering {
        a.priority.cmp(&b.priority)
    }

    fn needs(&self, package: &Package) -> Result<Vec<Vec<Relation>>, String> {
        let fields = [&package.pre_depends, &package.depends];
        let mut needs = Vec::new();
        for field in fields.into_iter().flatten() {
            needs.append(&mut relation::parse(field)?);
        }
        Ok(needs)
    }

    fn conflicts(&self, package: &Package) -> Result<Vec<Relation>, String> {
        let fields = [&package.conflicts, &package.breaks];
        let mut conflicts = Vec::new();
        for field in fields.into_iter().flatten() {
            conflicts.extend(relation::parse(field)?.into_iter().flatten());
        }
        Ok(conflicts)
    }

    /// Any number of packages may provide a name.
    fn claims(&self, _: &Package) -> Vec<Box<str>> {
        Vec::new()
    }

    fn shown_version(&self, version: &Version) -> String {
        version.to_string()
    }
}
