//! All packages of all repositories that take part and of the base, found by name and by
//! what they provide.

use std::collections::{BTreeMap, BTreeSet};

use super::dependency::Dependency;
use super::index::Package;
use super::version::Version;
use crate::recipe::nearest;

/// All packages that can be chosen from.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// By name, newest version first.
    packages: Vec<Package>,
    provisions: BTreeMap<Box<str>, Vec<Provision>>,
}

/// That a package provides a name.
#[derive(Debug, Clone)]
pub(super) struct Provision {
    /// The package, by number.
    pub(super) package: usize,
    /// The version that it provides. Of those who provide a name with a version, only one
    /// can be installed.
    pub(super) version: Option<Version>,
}

impl Catalogue {
    /// Puts packages in order. What is installed stays as it is: other versions of it
    /// cannot be chosen. Where several repositories have the same version of a package,
    /// that of the first one stays.
    pub(super) fn new(mut packages: Vec<Package>) -> Self {
        let installed: BTreeSet<Box<str>> = packages
            .iter()
            .filter(|package| package.repository.is_none())
            .map(|package| package.name.clone())
            .collect();
        packages
            .retain(|package| package.repository.is_none() || !installed.contains(&package.name));
        packages.sort_by(|a, b| {
            a.name
                .cmp(&b.name)
                .then_with(|| b.version.cmp(&a.version))
                .then_with(|| a.repository.cmp(&b.repository))
        });
        packages
            .dedup_by(|later, first| later.name == first.name && later.version == first.version);
        let mut provisions: BTreeMap<Box<str>, Vec<Provision>> = BTreeMap::new();
        for (number, package) in packages.iter().enumerate() {
            for provided in package.provisions() {
                let version = provided.versions.provided().cloned();
                let list = provisions.entry(provided.name).or_default();
                list.push(Provision {
                    package: number,
                    version,
                });
            }
        }
        Self {
            packages,
            provisions,
        }
    }

    /// How many packages there are.
    pub(super) fn len(&self) -> usize {
        self.packages.len()
    }

    /// A package by its number.
    pub(super) fn get(&self, number: usize) -> Option<&Package> {
        self.packages.get(number)
    }

    /// All packages with their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Package)> {
        self.packages.iter().enumerate()
    }

    /// The versions of a package with their numbers, newest first.
    pub(super) fn versions(&self, name: &str) -> impl Iterator<Item = (usize, &Package)> {
        let begin = self
            .packages
            .partition_point(|package| &*package.name < name);
        self.packages
            .iter()
            .enumerate()
            .skip(begin)
            .take_while(move |(_, package)| &*package.name == name)
    }

    /// Who provides a name.
    pub(super) fn provisions(&self, name: &str) -> &[Provision] {
        self.provisions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The packages that satisfy a dependency, by number: those of that name, newest
    /// first, and then those that provide it.
    pub(super) fn satisfying<'a>(
        &'a self,
        dependency: &'a Dependency,
    ) -> impl Iterator<Item = usize> + 'a {
        let own = self
            .versions(&dependency.name)
            .filter(|(_, package)| {
                dependency.admits(&package.version, &package.checksum.to_string())
            })
            .map(|(number, _)| number);
        let others = self
            .provisions(&dependency.name)
            .iter()
            .filter(|provision| dependency.admits_provided(provision.version.as_ref()))
            .map(|provision| provision.package);
        own.chain(others)
    }

    /// The name of a package that `name` may be a misspelling of.
    pub(super) fn near(&self, name: &str) -> Option<&str> {
        let names = self.packages.iter().map(|package| &*package.name);
        nearest(name, names)
    }
}
