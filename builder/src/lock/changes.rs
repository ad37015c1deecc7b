//! What a new lock changes, for people.

mod fields;

use std::collections::{BTreeMap, BTreeSet};
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

/// What differs from `old` to `new`, sorted by source or step, and name. Locks that are not
/// equal have a difference here: where a source has the same packages, it is what else the
/// lock says of it.
#[must_use]
pub fn changes(old: &LockFile, new: &LockFile) -> Vec<Change> {
    changes_with(old, new, Pins::new())
}

/// What would differ if there were what was `chosen` beside what `new` has.
pub(super) fn changes_with(old: &LockFile, new: &LockFile, chosen: Pins) -> Vec<Change> {
    let mut pins = flatten(new);
    pins.extend(chosen);
    let mut changes = between(&flatten(old), &pins);
    let told: BTreeSet<String> = changes.iter().map(|it| it.source.clone()).collect();
    changes.extend(beneath(&old.sources, &new.sources, &told));
    changes.extend(beneath(&old.steps, &new.steps, &told));
    changes.sort_by(|a, b| (&a.source, &a.name).cmp(&(&b.source, &b.name)));
    changes
}

/// What differs in what both have under the same name, but for those that something was
/// told of.
fn beneath<T: PartialEq + Serialize>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    told: &BTreeSet<String>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, new) in new.iter().filter(|(name, _)| !told.contains(*name)) {
        let differing = old.get(name).filter(|old| *old != new);
        if let Some(old) = differing {
            changes.extend(fields::differing(name, old, new));
        }
    }
    changes
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

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "lockfile: lunikernel-lock/1
sources:
  t:
    tcz:
      request:
        mirror: http://mirror.example/
        extensions: [bash]
      extensions:
      - name: bash.tcz
        sha256: sha256:0000000000000000000000000000000000000000000000000000000000000000
        size: 1
        md5: 00000000000000000000000000000000
        depends: [readline.tcz]
  u:
    url:
      url: http://mirror.example/file
      sha256: sha256:0000000000000000000000000000000000000000000000000000000000000000
      size: 1
steps:
  s:
    asked: sha256:0000000000000000000000000000000000000000000000000000000000000000
    outputs:
      sha256: sha256:0000000000000000000000000000000000000000000000000000000000000000
      size: 1
";

    #[test]
    fn locks_that_differ_in_anything_have_changes() {
        let old = LockFile::parse(LOCK).unwrap();
        assert_eq!(changes(&old, &old), []);
        for (from, to, said) in [
            (
                "[readline.tcz]",
                "[a.tcz, b.tcz]",
                "~ t: bash.tcz depends readline.tcz -> a.tcz, b.tcz",
            ),
            ("[readline.tcz]", "[]", "- t: bash.tcz depends readline.tcz"),
            (
                "        size: 1\n        md5",
                "        size: 2\n        md5",
                "~ t: bash.tcz size 1 -> 2",
            ),
            (
                "file\n      sha256: sha256:00",
                "file\n      sha256: sha256:01",
                "~ u: http://mirror.example/file 000000000000 -> 010000000000",
            ),
            (
                "asked: sha256:00",
                "asked: sha256:01",
                "~ s: asked 000000000000 -> 010000000000",
            ),
        ] {
            let changed = LOCK.replacen(from, to, 1);
            assert_ne!(changed, LOCK, "{from}");
            let new = LockFile::parse(&changed).unwrap();
            let found: Vec<String> = changes(&old, &new).iter().map(Change::to_string).collect();
            assert_eq!(found, [said]);
        }
    }
}
