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
