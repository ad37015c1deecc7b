//! All packages of all releases that take part, found by name and by what they provide.

use std::collections::BTreeMap;

use debversion::Version;

use super::packages::Package;
use super::relation;

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
    /// The version that it provides.
    pub(super) version: Option<Version>,
}

impl Catalogue {
    /// Puts packages in order. Where several releases have the same version of a
    /// package, that of the first release stays.
    pub(super) fn new(mut packages: Vec<Package>) -> Self {
        packages.sort_by(|a, b| {
            a.name
                .cmp(&b.name)
                .then_with(|| b.parsed.cmp(&a.parsed))
                .then_with(|| a.version.cmp(&b.version))
                .then_with(|| a.release.cmp(&b.release))
                .then_with(|| a.filename.cmp(&b.filename))
        });
        packages
            .dedup_by(|later, first| later.name == first.name && later.version == first.version);
        let mut provisions: BTreeMap<Box<str>, Vec<Provision>> = BTreeMap::new();
        for (number, package) in packages.iter().enumerate() {
            // A field that cannot be read provides nothing; whoever needs it will say so.
            let provided = package
                .provides
                .as_deref()
                .and_then(|field| relation::parse(field).ok())
                .unwrap_or_default();
            for relation in provided.into_iter().flatten() {
                provisions
                    .entry(relation.name.into())
                    .or_default()
                    .push(Provision {
                        package: number,
                        version: relation
                            .version
                            .filter(|(comparison, _)| *comparison == relation::Comparison::Equal)
                            .map(|(_, version)| version),
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

    /// The names of packages that `name` may be a misspelling of, the likeliest first.
    pub(super) fn near(&self, name: &str) -> Vec<String> {
        let allowed = 1 + name.len() / 5;
        let mut near: Vec<(usize, &str)> = Vec::new();
        for package in &self.packages {
            let other = &*package.name;
            if near.last().is_some_and(|(_, last)| *last == other) {
                continue;
            }
            // A name that is longer by a whole part is likely what was meant, too.
            let longer = other.starts_with(name) || other.ends_with(name);
            let distance = distance(name, other, allowed);
            if let Some(distance) = distance.or_else(|| longer.then_some(allowed + 1)) {
                near.push((distance, other));
            }
        }
        near.sort_by_key(|(distance, other)| (*distance, other.len(), *other));
        near.dedup();
        near.into_iter()
            .take(4)
            .map(|(_, name)| name.to_owned())
            .collect()
    }
}

/// How many letters must be changed, added, removed or swapped with their neighbour to
/// make `a` of `b`, where that is at most `most`.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut best = at(&last, column) + usize::from(letter != other);
            best = best
                .min(at(&last, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && a.get(row - 1) == Some(other)
                && b.get(column - 1) == Some(letter);
            if swapped {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            current.push(best);
        }
        if current.iter().all(|distance| *distance > most) {
            return None;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().filter(|distance| *distance <= most)
}
