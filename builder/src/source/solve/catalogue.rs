//! All packages of all repositories that take part, found by name and by what they
//! provide.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Package, Relation as _, Rules};

/// How many versions of one package there may be. Archives have a handful of each.
const MAX_VERSIONS: usize = 10_000;
/// How many packages may provide one name. Debian's most common has a few hundred.
const MAX_PROVIDERS: usize = 10_000;
/// How many names all packages together may provide. Debian's provide some 200,000.
const MAX_PROVISIONS: usize = 4_000_000;

/// All packages that can be chosen from.
#[derive(Debug)]
pub(in crate::source) struct Catalogue<P: Package> {
    /// By name, newest version first.
    packages: Vec<P>,
    provisions: BTreeMap<Box<str>, Vec<Provision<P::Version>>>,
}

/// That a package provides a name.
#[derive(Debug, Clone)]
pub(in crate::source) struct Provision<V> {
    /// The package, by number.
    pub(in crate::source) package: usize,
    /// The version that it provides.
    pub(in crate::source) version: Option<V>,
}

/// There is more of something than any honest repository has: whoever makes such lists
/// wants those who read them to be at it for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// A package has too many versions.
    #[error(
        "there are {found} versions of the package `{name}`, and at most {MAX_VERSIONS} are read"
    )]
    Versions {
        /// The package.
        name: String,
        /// How many there are.
        found: usize,
    },
    /// A name is provided by too many.
    #[error("more than {MAX_PROVIDERS} packages provide `{name}`")]
    Providers {
        /// The name.
        name: String,
    },
    /// Too many names are provided.
    #[error(
        "packages provide more than {MAX_PROVISIONS} names; that of `{package}` is one too many"
    )]
    Provisions {
        /// The package that provides the first that is too many.
        package: String,
    },
}

impl<P: Package> Catalogue<P> {
    /// Puts packages in order: by name, the newest version first. Of several with the same
    /// version that stays which ranks first.
    ///
    /// # Errors
    /// [`Crowded`] where there is more of something than could be gone through.
    pub(in crate::source) fn new(mut packages: Vec<P>) -> Result<Self, Crowded> {
        packages.sort_by(|a, b| {
            a.name()
                .cmp(b.name())
                .then_with(|| b.parsed().cmp(a.parsed()))
                .then_with(|| a.version().cmp(b.version()))
                .then_with(|| a.rank(b))
        });
        packages.dedup_by(|later, first| {
            later.name() == first.name() && later.version() == first.version()
        });
        for versions in packages.chunk_by(|a, b| a.name() == b.name()) {
            if let ([first, ..], true) = (versions, versions.len() > MAX_VERSIONS) {
                return Err(Crowded::Versions {
                    name: first.name().to_owned(),
                    found: versions.len(),
                });
            }
        }
        let mut provisions: BTreeMap<Box<str>, Vec<Provision<P::Version>>> = BTreeMap::new();
        let mut total = 0;
        for (number, package) in packages.iter().enumerate() {
            for (name, version) in package.provisions() {
                total += 1;
                if total > MAX_PROVISIONS {
                    let package = package.name().to_owned();
                    return Err(Crowded::Provisions { package });
                }
                let of_name = provisions.entry(name).or_default();
                let package = number;
                of_name.push(Provision { package, version });
            }
        }
        for (name, of_name) in &provisions {
            if of_name.len() > MAX_PROVIDERS {
                let name = name.to_string();
                return Err(Crowded::Providers { name });
            }
        }
        Ok(Self {
            packages,
            provisions,
        })
    }

    /// How many packages there are.
    pub(in crate::source) fn len(&self) -> usize {
        self.packages.len()
    }

    /// A package by its number.
    pub(in crate::source) fn get(&self, number: usize) -> Option<&P> {
        self.packages.get(number)
    }

    /// All packages with their numbers.
    pub(in crate::source) fn all(&self) -> impl Iterator<Item = (usize, &P)> {
        self.packages.iter().enumerate()
    }

    /// The names of all packages, each as often as it has versions.
    pub(in crate::source) fn names(&self) -> impl Iterator<Item = &str> {
        self.packages.iter().map(Package::name)
    }

    /// The numbers of the versions of a package, newest first.
    pub(super) fn numbers(&self, name: &str) -> Range<usize> {
        let begin = self
            .packages
            .partition_point(|package| package.name() < name);
        let rest = self.packages.get(begin..).unwrap_or_default();
        begin..begin + rest.partition_point(|package| package.name() == name)
    }

    /// The versions of a package with their numbers, newest first.
    pub(in crate::source) fn versions(&self, name: &str) -> impl Iterator<Item = (usize, &P)> {
        let numbers = self.numbers(name);
        let versions = self.packages.get(numbers.clone()).unwrap_or_default();
        numbers.zip(versions)
    }

    /// Who provides a name.
    pub(in crate::source) fn provisions(&self, name: &str) -> &[Provision<P::Version>] {
        self.provisions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The packages that satisfy a relation, by number: those of its name, then those that
    /// provide it.
    pub(in crate::source) fn satisfying<R: Rules<Package = P>>(
        &self,
        rules: &R,
        relation: &R::Relation,
    ) -> impl Iterator<Item = usize> {
        let own = self.versions(relation.name());
        let own = own.filter(|(_, package)| rules.means(relation, package));
        let provisions = self.provisions(relation.name()).iter();
        let others = provisions.filter(|provision| {
            let version = provision.version.as_ref();
            self.get(provision.package)
                .is_some_and(|package| rules.means_provided(relation, package, version))
        });
        own.map(|(number, _)| number)
            .chain(others.map(|provision| provision.package))
    }
}
