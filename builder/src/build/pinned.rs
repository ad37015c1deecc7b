//! Steps that may use the network: run to be pinned in a lock, and run again where what
//! they made is nowhere to be had.

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_cache::rootfs::join;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Tree};

use super::materials::Material;
use super::steps::plan;
use super::{BuildError, Builder};
use crate::fetch::trees::{self, FromMirrors};
use crate::fetch::{Answer, Attempt, FetchError, Missing};
use crate::lock::{LockFile, LockedRecipe, LockedStep, Update, asked, kept, named};
use crate::plan::{FixedOutput, Network};
use crate::recipe::{ReadRecipe, Recipe, Step};

/// How many differences between what a step made and what it should are told.
const MOST_TOLD: usize = 10;

impl Builder {
    /// Pins what each step of `recipe` makes that may use the network: `lock`, which has
    /// the sources, with the steps. What `old` has and `update` does not name stays,
    /// unless the step or an input of it has changed; the others are run, with all that
    /// they need.
    ///
    /// # Errors
    /// [`BuildError`] where a step fails or something that it needs cannot be had; for
    /// steps that would have to run, [`FetchError::NoNetwork`] where there may be none.
    pub async fn lock_steps(
        &self,
        recipe: &ReadRecipe,
        old: Option<&LockFile>,
        update: &Update,
        mut lock: LockFile,
    ) -> Result<LockFile, BuildError> {
        for (position, step) in recipe.recipe.steps.iter().enumerate() {
            if !step.network {
                continue;
            }
            let Some(asked) = asked(&recipe.recipe, &lock)?.remove(&step.name) else {
                continue;
            };
            let locked = match kept(step, asked, old, update) {
                Some(locked) => locked,
                None => LockedStep {
                    asked,
                    outputs: self.pin(recipe, position, step, &lock).await?,
                },
            };
            lock.steps.insert(step.name.clone(), locked);
        }
        Ok(lock)
    }

    /// Runs a step for the first time, and says what it made.
    async fn pin(
        &self,
        recipe: &ReadRecipe,
        position: usize,
        step: &Step,
        lock: &LockFile,
    ) -> Result<Digest, BuildError> {
        self.may_run(step)?;
        let mut before = recipe.clone();
        before.recipe.steps.truncate(position);
        let before = LockedRecipe::with(before, lock.clone(), &self.cache)?;
        let part = before.part(&needed(before.recipe(), step));
        Box::pin(self.fetch(&part)).await?;
        let made = tokio::task::block_in_place(|| {
            self.on_threads(|| self.run_fixed(&part, step, FixedOutput::to_be_locked()))
        })?;
        self.keep(&made)
    }

    /// Whether a step may run that uses the network.
    fn may_run(&self, step: &Step) -> Result<(), FetchError> {
        if self.fetcher.options().offline {
            return Err(FetchError::NoNetwork {
                place: format!("what step `{}` makes", step.name),
            });
        }
        Ok(())
    }

    /// Runs a step of `locked` that may use the network, whether or not what it made is at
    /// hand, and compares what it makes with the lock. A step without the network is left
    /// alone.
    ///
    /// # Errors
    /// [`BuildError::OtherOutputs`] where it makes something else than the lock says, or
    /// whatever keeps it from running.
    pub async fn check_step(&self, locked: &LockedRecipe, step: &Step) -> Result<(), BuildError> {
        let Some(pinned) = locked.lock().steps.get(&step.name) else {
            return Ok(());
        };
        self.may_run(step)?;
        let part = locked.part(&needed(locked.recipe(), step));
        Box::pin(self.fetch(&part)).await?;
        tokio::task::block_in_place(|| self.run_again(locked, step, pinned))
    }

    /// Gets what pinned steps made and is not in the cache: from mirrors, or by running
    /// them. Returns how many there were, or what would have to be run and must not.
    pub(super) async fn missing_steps<'l>(
        &self,
        locked: &'l LockedRecipe,
    ) -> Result<Vec<(&'l Step, LockedStep)>, BuildError> {
        let mut missing = Vec::new();
        for step in &locked.recipe().steps {
            let Some(pinned) = locked.lock().steps.get(&step.name) else {
                continue;
            };
            if !trees::is_cached(&self.cache, &pinned.outputs)
                && !matches!(
                    trees::from_mirrors(&self.fetcher, &pinned.outputs, &what(step)).await?,
                    FromMirrors::All
                )
            {
                missing.push((step, *pinned));
            }
        }
        Ok(missing)
    }

    /// Runs a pinned step again. Its inputs are in the cache.
    ///
    /// # Errors
    /// [`BuildError::OtherOutputs`] where it makes something else than the lock says.
    pub(super) fn run_again(
        &self,
        locked: &LockedRecipe,
        step: &Step,
        pinned: &LockedStep,
    ) -> Result<(), BuildError> {
        let part = locked.part(&needed(locked.recipe(), step));
        let made = self.on_threads(|| self.run_fixed(&part, step, FixedOutput::of(pinned)))?;
        let actual = made.digest();
        if actual != pinned.outputs {
            let known = Tree::load(self.cache.blobs(), &pinned.outputs).ok();
            return Err(BuildError::OtherOutputs {
                recipe: locked.path().to_owned(),
                step: step.name.clone(),
                expected: pinned.outputs,
                actual,
                differences: known.map(|known| differences(&known, &made)),
            });
        }
        self.keep(&made).map(drop)
    }

    /// Runs `step` with the network, after the steps of `before`, and returns what it made.
    fn run_fixed(
        &self,
        before: &LockedRecipe,
        step: &Step,
        output: FixedOutput,
    ) -> Result<Tree, BuildError> {
        let mut materials = self.unpack(before)?;
        self.run_steps(before, &before.recipe().steps, &mut materials)?;
        let network = Network::Fixed(output);
        let action = plan(before.recipe().arch, step, &materials, network)?;
        self.remember_run(before.recipe_text(), step, &action.digest)?;
        let _turn = self.turn(&action.digest, &format!("step `{}`", step.name))?;
        let outcome = self.run_step(before.path(), step, &action)?;
        self.outputs(&outcome.result, &action.digest)
    }

    fn keep(&self, made: &Tree) -> Result<Digest, BuildError> {
        let digest = made.store(self.cache.blobs())?;
        self.cache.sync()?;
        Ok(digest)
    }

    /// What a pinned step made, as the lock says.
    pub(super) fn pinned(&self, step: &LockedStep) -> Result<Material, BuildError> {
        let tree = Tree::load(self.cache.blobs(), &step.outputs)?;
        Ok(Material::Entry(Entry::Folder(tree)))
    }
}

/// A pinned step's outputs as an input that is missing.
pub(super) fn as_missing(step: &Step, pinned: &LockedStep) -> Missing {
    Missing {
        name: what(step),
        sha256: pinned.outputs.sha256,
        attempts: Vec::new(),
    }
}

/// The same where the step was not to be run for it.
pub(super) fn as_not_run(step: &Step, pinned: &LockedStep) -> Missing {
    let answer = Answer::Unusable(
        "a step of a packed recipe is run with the network only where that is allowed: \
         `luni fetch --run-network-steps` does"
            .to_owned(),
    );
    Missing {
        attempts: vec![Attempt {
            place: "running it again".to_owned(),
            answer,
            tries: 1,
        }],
        ..as_missing(step, pinned)
    }
}

fn what(step: &Step) -> String {
    format!("what step `{}` made", step.name)
}

/// The sources and earlier steps that `step` needs, and what these need.
pub(super) fn needed<'r>(recipe: &'r Recipe, step: &'r Step) -> BTreeSet<&'r str> {
    let steps: BTreeMap<&str, &Step> = recipe
        .steps
        .iter()
        .map(|step| (step.name.as_str(), step))
        .collect();
    let mut all = BTreeSet::new();
    let mut open = vec![step];
    while let Some(step) = open.pop() {
        let inputs = step.inputs.values().map(String::as_str);
        let names = step.root.iter().map(String::as_str).chain(inputs);
        for name in names.map(named) {
            if all.insert(name)
                && let Some(earlier) = steps.get(name)
            {
                open.push(earlier);
            }
        }
    }
    all
}

/// What is not the same in two folders, by path.
fn differences(expected: &Tree, actual: &Tree) -> Vec<String> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten(expected, "", &mut old);
    flatten(actual, "", &mut new);
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut told: Vec<String> = paths
        .into_iter()
        .filter_map(|path| match (old.get(path), new.get(path)) {
            (Some(old), Some(new)) if old == new => None,
            (Some(_), Some(_)) => Some(format!("{path}: other content")),
            (Some(_), None) => Some(format!("{path}: no longer there")),
            _ => Some(format!("{path}: new")),
        })
        .collect();
    if let Some(more) = told.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        told.truncate(MOST_TOLD);
        told.push(format!("and {more} more"));
    }
    told
}

fn flatten(tree: &Tree, folder: &str, all: &mut BTreeMap<String, Entry>) {
    for (name, entry) in tree.entries() {
        let path = join(folder, name);
        match entry {
            Entry::Folder(tree) if !tree.is_empty() => flatten(tree, &path, all),
            other => drop(all.insert(path, other.clone())),
        }
    }
}
