//! What Alpine's packages say about each other, for the solver.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::dependency::Dependency;
use super::index::Package;
use super::version::Version;
use crate::source::solve::{self, Crowded, Relation, Rules};

/// All packages of all repositories that take part and of the base.
pub(super) type Catalogue = solve::Catalogue<Package>;

/// Puts packages in order. What is installed stays as it is: other versions of it cannot
/// be chosen. Where several repositories have the same version of a package, that of the
/// first one stays.
pub(super) fn catalogue(mut packages: Vec<Package>) -> Result<Catalogue, Crowded> {
    let installed: BTreeSet<Box<str>> = packages
        .iter()
        .filter(|package| package.repository.is_none())
        .map(|package| package.name.clone())
        .collect();
    packages.retain(|package| package.repository.is_none() || !installed.contains(&package.name));
    Catalogue::new(packages)
}

impl solve::Package for Package {
    type Version = Version;

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        self.version.as_str()
    }

    fn parsed(&self) -> &Version {
        &self.version
    }

    fn rank(&self, other: &Self) -> Ordering {
        self.repository.cmp(&other.repository)
    }

    fn provisions(&self) -> impl Iterator<Item = (Box<str>, Option<Version>)> {
        Package::provisions(self).map(|provided| {
            let version = provided.versions.provided().cloned();
            (provided.name, version)
        })
    }
}

impl Relation for Dependency {
    fn name(&self) -> &str {
        &self.name
    }
}

/// What dependencies mean to apk.
#[derive(Default)]
pub(super) struct Apk {
    /// The packages, by name, that are there for more than what they provide without a
    /// version; nothing where that is not known yet. They come before others that provide
    /// the same, and no others may provide what is a mere tag of theirs: apk chooses none
    /// for its tags alone.
    pub(super) chosen: Option<BTreeSet<Box<str>>>,
}

impl Package {
    /// Whether what it provides in that version, or without one, is a mere tag: someone who
    /// needs it has to say whom they mean.
    pub(super) fn is_tag(&self, version: Option<&Version>) -> bool {
        version.is_none() && self.priority == 0 && self.repository.is_some()
    }
}

impl Rules for Apk {
    type Package = Package;
    type Relation = Dependency;

    const OWN_FIRST: bool = false;

    const NOWHERE: &'static str = "neither a repository nor the base has it";

    fn means(&self, dependency: &Dependency, package: &Package) -> bool {
        dependency.admits(&package.version, &package.checksum)
    }

    fn means_provided(
        &self,
        dependency: &Dependency,
        package: &Package,
        version: Option<&Version>,
    ) -> bool {
        let may = |chosen: &BTreeSet<Box<str>>| {
            !package.is_tag(version) || chosen.contains(&package.name)
        };
        dependency.admits_provided(version) && self.chosen.as_ref().is_none_or(may)
    }

    /// What is installed, then what is there anyway, then the newer of what is provided, and
    /// then the higher priority.
    fn prefer(
        &self,
        (a, as_a): (&Package, Option<&Version>),
        (b, as_b): (&Package, Option<&Version>),
    ) -> Ordering {
        let is_there = |package: &Package| {
            let chosen = self.chosen.as_ref();
            chosen.is_some_and(|chosen| chosen.contains(&package.name))
        };
        a.repository
            .is_some()
            .cmp(&b.repository.is_some())
            .then_with(|| is_there(b).cmp(&is_there(a)))
            .then_with(|| as_b.cmp(&as_a))
            .then_with(|| b.priority.cmp(&a.priority))
    }

    /// What is installed has what it needs: that is for those who installed it to see to.
    fn needs(&self, package: &Package) -> Result<Vec<Vec<Dependency>>, String> {
        if package.repository.is_none() {
            return Ok(Vec::new());
        }
        if let Some(letter) = package.unknown {
            return Err(format!(
                "its entry has the field `{letter}:`, which is of a later format: apk would not \
                 install it either"
            ));
        }
        let needs = package.dependencies()?.into_iter();
        Ok(needs
            .filter(|dependency| !dependency.conflict)
            .map(|dependency| vec![dependency])
            .collect())
    }

    fn conflicts(&self, package: &Package) -> Result<Vec<Dependency>, String> {
        let conflicts = package.dependencies()?.into_iter();
        Ok(conflicts
            .filter(|dependency| dependency.conflict)
            .map(|dependency| Dependency {
                conflict: false,
                ..dependency
            })
            .collect())
    }

    /// A name with a version is had by one package at a time.
    fn claims(&self, package: &Package) -> Vec<Box<str>> {
        let provided = package
            .provisions()
            .filter(|provided| provided.versions.provided().is_some());
        std::iter::once(package.name.clone())
            .chain(provided.map(|provided| provided.name))
            .collect()
    }

    fn shown(&self, package: &Package) -> String {
        match package.repository {
            Some(_) => package.version.to_string(),
            None => format!("{} (of the base)", package.version),
        }
    }

    fn shown_version(&self, version: &Version) -> String {
        version.to_string()
    }
}
