//! Steps that may use the network, pinned: what they were asked for, and what they made.

use std::collections::BTreeMap;

use lunikernel_cache::{Digest, Sha256};
use serde::{Deserialize, Serialize};

use super::error::{LockError, Stale};
use super::file::{LockFile, LockedSource};
use super::resolve::Update;
use crate::recipe::{ApkScripts, Recipe, Step, TczInstall};
use crate::source::file::FileKind;

/// What a step made that may use the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedStep {
    /// Stands for the step as it was then, and for all that it finds: its inputs, and what
    /// its `root` is made of. Only packages in a `root` are not among it: newer ones are to
    /// change nothing.
    pub asked: Sha256,
    /// The folder with its outputs, as a tree.
    pub outputs: Digest,
}

/// What a step is asked for. Limits are not part of it: they change no output.
#[derive(Serialize)]
struct Asked<'a> {
    run: &'a str,
    env: &'a BTreeMap<String, String>,
    root: &'a [String],
    inputs: &'a BTreeMap<String, String>,
    outputs: &'a [String],
    given: BTreeMap<&'a str, Given>,
}

/// What an input is.
#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Given {
    /// What a source is locked to, in its order, and what is made of that.
    Source(Vec<Digest>, How),
    /// What an earlier step, whose outputs are known when it has run, is asked for.
    Step(Sha256),
    /// What an earlier step is pinned to.
    Outputs(Digest),
}

/// What a source's digests do not say of what it becomes.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum How {
    /// Nothing else.
    AsItIs,
    /// Whether a file may be executed.
    File(FileKind),
    /// What packages of Alpine are laid over, and whether their scripts run.
    Apk(Option<Digest>, ApkScripts),
    /// Whether extensions are unpacked.
    Tcz(TczInstall),
}

impl How {
    fn of(source: &LockedSource) -> Self {
        match source {
            LockedSource::File(file) => Self::File(file.kind),
            LockedSource::Apk(apks) => Self::Apk(apks.base, apks.request.scripts),
            LockedSource::Tcz(tczs) => Self::Tcz(tczs.request.install),
            LockedSource::Deb(_)
            | LockedSource::Url(_)
            | LockedSource::Crate(_)
            | LockedSource::Git(_)
            | LockedSource::Oci(_) => Self::AsItIs,
        }
    }
}

/// What each step of `recipe` is asked for, with sources and steps as `lock` has them.
///
/// # Errors
/// [`LockError::Asked`] where that cannot be written down: no digest may stand for what it
/// is not of.
pub(crate) fn asked(
    recipe: &Recipe,
    lock: &LockFile,
) -> Result<BTreeMap<String, Sha256>, LockError> {
    let mut known = Known::new();
    for (name, source) in &lock.sources {
        let given = Given::Source(source.digests(), How::of(source));
        known.insert(name, (given, is_packages(source)));
    }
    let mut all = BTreeMap::new();
    for step in &recipe.steps {
        let digest = asked_of(step, &known)?;
        let given = match lock.steps.get(&step.name) {
            Some(locked) if step.network => Given::Outputs(locked.outputs),
            _ => Given::Step(digest),
        };
        known.insert(&step.name, (given, false));
        all.insert(step.name.clone(), digest);
    }
    Ok(all)
}

/// What sources and earlier steps are, by name, and whether they are packages.
type Known<'a> = BTreeMap<&'a str, (Given, bool)>;

/// Whether newer ones of `source` in a `root` are to change nothing.
fn is_packages(source: &LockedSource) -> bool {
    match source {
        LockedSource::Deb(_) | LockedSource::Apk(_) | LockedSource::Tcz(_) => true,
        LockedSource::Url(_)
        | LockedSource::Crate(_)
        | LockedSource::Git(_)
        | LockedSource::Oci(_)
        | LockedSource::File(_) => false,
    }
}

fn asked_of(step: &Step, known: &Known<'_>) -> Result<Sha256, LockError> {
    let find = |reference| {
        let name = named(reference);
        let (given, packages) = known.get(name)?;
        Some((name, given.clone(), *packages))
    };
    let inputs = step.inputs.values().filter_map(|input| find(input));
    let root = step.root.iter().filter_map(|part| find(part));
    let root = root.filter(|(_, _, packages)| !packages);
    let asked = Asked {
        run: &step.run,
        env: &step.env,
        root: &step.root,
        inputs: &step.inputs,
        outputs: &step.outputs,
        given: (inputs.chain(root))
            .map(|(name, given, _)| (name, given))
            .collect(),
    };
    let bytes = serde_json::to_vec(&asked).map_err(|source| LockError::Asked {
        step: step.name.clone(),
        source,
    })?;
    Ok(Sha256::of(&bytes))
}

/// The source or step that a reference (`NAME` or `NAME/PATH`) is about.
pub(crate) fn named(reference: &str) -> &str {
    reference
        .split_once('/')
        .map_or(reference, |(name, _)| name)
}

/// What `old` has for `step`, which is `asked` for now, if that stays as it is.
pub(crate) fn kept(
    step: &Step,
    asked: Sha256,
    old: Option<&LockFile>,
    update: &Update,
) -> Option<LockedStep> {
    let before = old?.steps.get(&step.name)?;
    (before.asked == asked && !update.names(&step.name)).then_some(*before)
}

/// In which ways the steps of `lock` were pinned for another recipe.
///
/// # Errors
/// As [`asked`].
pub(super) fn stale(recipe: &Recipe, lock: &LockFile) -> Result<Vec<Stale>, LockError> {
    let asked = asked(recipe, lock)?;
    let mut reasons = Vec::new();
    let pinned = recipe.steps.iter().filter(|step| step.network);
    for step in pinned.clone() {
        match lock.steps.get(&step.name) {
            None => reasons.push(Stale::StepMissing(step.name.clone())),
            Some(locked) if asked.get(&step.name) != Some(&locked.asked) => {
                reasons.push(Stale::StepChanged(step.name.clone()));
            }
            Some(_) => {}
        }
    }
    for name in lock.steps.keys() {
        if !pinned.clone().any(|step| step.name == *name) {
            reasons.push(Stale::StepExtra(name.clone()));
        }
    }
    Ok(reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step that may use the network, with other words at some places.
    fn step(changed: &[(&str, &str)]) -> Step {
        let mut text = "{name: get, root: [tools], inputs: {list: list}, run: get list, \
                        env: {A: b}, outputs: [got], network: true, timeout_seconds: 60}"
            .to_owned();
        for (old, new) in changed {
            assert!(text.contains(old));
            text = text.replace(old, new);
        }
        serde_yaml::from_str(&text).unwrap()
    }

    fn packages() -> Given {
        Given::Source(vec![Digest::of(b"package")], How::AsItIs)
    }

    fn file(text: &str, kind: FileKind) -> Given {
        Given::Source(vec![Digest::of(text.as_bytes())], How::File(kind))
    }

    /// What the step is asked for where its input is `list`, and its root those packages.
    fn asked(step: &Step, list: Given, tools: Given, are_packages: bool) -> Sha256 {
        let known = Known::from([("list", (list, false)), ("tools", (tools, are_packages))]);
        asked_of(step, &known).unwrap()
    }

    #[test]
    fn whatever_may_change_what_it_makes_counts() {
        let list = || file("list", FileKind::File);
        let usual = asked(&step(&[]), list(), packages(), true);
        for changed in [
            ("run: get list", "run: get list all"),
            ("A: b", "A: c"),
            ("outputs: [got]", "outputs: [got, more]"),
            ("root: [tools]", "root: [tools/part]"),
            ("inputs: {list", "inputs: {lists"),
        ] {
            let other = asked(&step(&[changed]), list(), packages(), true);
            assert_ne!(other, usual, "{changed:?}");
        }
        for other in [
            file("other", FileKind::File),
            file("list", FileKind::Executable),
            Given::Step(Sha256::of(b"list")),
            Given::Outputs(Digest::of(b"list")),
        ] {
            assert_ne!(asked(&step(&[]), other, packages(), true), usual);
        }
        // Limits change nothing, and neither do newer packages in the root.
        let limited = step(&[("timeout_seconds: 60", "timeout_seconds: 61")]);
        assert_eq!(asked(&limited, list(), packages(), true), usual);
        let newer = || Given::Source(vec![Digest::of(b"newer")], How::AsItIs);
        assert_eq!(asked(&step(&[]), list(), newer(), true), usual);
        let tree = asked(&step(&[]), list(), packages(), false);
        assert_ne!(asked(&step(&[]), list(), newer(), false), tree);
    }

    #[test]
    fn what_was_pinned_stays_unless_something_else_is_asked_for() {
        let (was, now) = (Sha256::of(b"was"), Sha256::of(b"now"));
        let locked = LockedStep {
            asked: was,
            outputs: Digest::of(b"outputs"),
        };
        let mut lock = LockFile::new();
        lock.steps.insert("get".to_owned(), locked);
        let kept = |asked, update| kept(&step(&[]), asked, Some(&lock), &update);
        let named = |name: &str| Update::Named([name.to_owned()].into());
        assert_eq!(kept(was, Update::Nothing), Some(locked));
        assert_eq!(kept(was, named("other")), Some(locked));
        assert_eq!(kept(now, Update::Nothing), None);
        assert_eq!(kept(was, named("get")), None);
    }
}
