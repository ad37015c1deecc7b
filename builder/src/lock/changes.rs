//! What a new lock changes, for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::file::{LockFile, LockedSource};

/// One line of difference between two locks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The source or step of the recipe.
    pub source: String,
    /// The package, file or repository; of a step its `outputs`.
    pub name: String,
    /// What it was locked to, if it was.
    pub from: Option<String>,
    /// What it is locked to, if it is.
    pub to: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            name,
            from,
            to,
        } = self;
        match (from, to) {
            (None, Some(to)) => write!(f, "+ {source}: {name} {to}"),
            (Some(from), None) => write!(f, "- {source}: {name} {from}"),
            (Some(from), Some(to)) => write!(f, "~ {source}: {name} {from} -> {to}"),
            (None, None) => write!(f, "  {source}: {name}"),
        }
    }
}

/// What a change of what a step makes is called.
pub(super) const OUTPUTS: &str = "outputs";

/// What is pinned, by source or step and name, with what tells two pins apart.
pub(super) type Pins = BTreeMap<(String, String), String>;

/// What differs from `old` to `new`, sorted by source or step, and name.
#[must_use]
pub fn changes(old: &LockFile, new: &LockFile) -> Vec<Change> {
    between(&flatten(old), &flatten(new))
}

/// What would differ if there were what was `chosen` beside what `new` has.
pub(super) fn changes_with(old: &LockFile, new: &LockFile, chosen: Pins) -> Vec<Change> {
    let mut new = flatten(new);
    new.extend(chosen);
    between(&flatten(old), &new)
}

fn between(old: &Pins, new: &Pins) -> Vec<Change> {
    let mut keys: Vec<&(String, String)> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| old.get(key) != new.get(key))
        .map(|key| Change {
            source: key.0.clone(),
            name: key.1.clone(),
            from: old.get(key).cloned(),
            to: new.get(key).cloned(),
        })
        .collect()
}

/// Everything pinned, by source and name, with what tells two pins apart.
fn flatten(lock: &LockFile) -> Pins {
    let mut pins = BTreeMap::new();
    for (source, locked) in &lock.sources {
        let mut pin = |name: &str, to: String| {
            pins.insert((source.clone(), name.to_owned()), to);
        };
        match locked {
            LockedSource::Deb(debs) => {
                for package in &debs.packages {
                    pin(&package.name, package.version.clone());
                }
            }
            LockedSource::Apk(apks) => {
                for package in &apks.packages {
                    pin(&package.name, package.version.clone());
                }
            }
            LockedSource::Url(url) => pin(&url.url, short(&url.sha256.hex())),
            LockedSource::Crate(krate) => pin(&krate.name, krate.version.clone()),
            LockedSource::Git(git) => pin(&git.url, short(&git.commit)),
            LockedSource::Oci(oci) => {
                pin(oci.request.name(), short(&oci.manifest.sha256.hex()));
            }
            LockedSource::Tcz(tczs) => {
                for extension in &tczs.extensions {
                    pin(&extension.name, short(&extension.sha256.hex()));
                }
            }
            LockedSource::File(file) => pin(&file.path, short(&file.digest.sha256.hex())),
        }
    }
    for (step, locked) in &lock.steps {
        let key = (step.clone(), OUTPUTS.to_owned());
        pins.insert(key, short(&locked.outputs.sha256.hex()));
    }
    pins
}

fn short(hex: &str) -> String {
    hex.chars().take(12).collect()
}
