//! Running a recipe's steps.

use std::collections::BTreeMap;
use std::path::Path;

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Tree, reapi};
use prost::Message as _;
use serde::Serialize;

use super::materials::{Material, Materials};
use super::{BuildError, Builder, Recall};
use crate::lock::LockedRecipe;
use crate::plan::{EncodedAction, FixedOutput, Network, StepInputs, step_action};
use crate::recipe::{Arch, Step};
use crate::sandbox::{Facet, Outcome, Place, Unable, fixed_by};

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// The digest of its action.
    pub action: Digest,
    /// The digest of the folder with everything that it made.
    pub outputs: Digest,
    /// Whether its result was known already.
    pub cached: bool,
    /// Whether that is because the lock pins it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Where it ran, if it did.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What of the surroundings it did not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unable: Vec<Unable>,
    /// What of the surroundings its own variables decide, whatever they are otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixed: Vec<Facet>,
}

/// What there is to tell of a step that ran: where, and what it did not have around it.
pub(super) type Ran = (Place, Vec<Unable>);

impl StepReport {
    /// What there is to tell of a step that is not pinned and made `outputs`; without
    /// `ran` its result was known.
    pub(super) fn of(step: &Step, action: Digest, outputs: Digest, ran: Option<Ran>) -> Self {
        let cached = ran.is_none();
        let (place, unable) = ran.unzip();
        Self {
            name: step.name.clone(),
            action,
            outputs,
            cached,
            pinned: false,
            place,
            unable: unable.unwrap_or_default(),
            fixed: fixed_by(&step.env),
        }
    }
}

impl Builder {
    /// Runs `steps`, the first ones of `locked`, in order; what they make joins the
    /// materials. What the lock pins is not run.
    pub(super) fn run_steps(
        &self,
        locked: &LockedRecipe,
        steps: &[Step],
        materials: &mut Materials<'_>,
    ) -> Result<Vec<StepReport>, BuildError> {
        let mut reports = std::mem::take(&mut materials.scripts);
        for step in steps {
            let network = network(locked, step);
            let action = plan(locked.recipe().arch, step, materials, network)?;
            if let Some(pinned) = locked.lock().steps.get(&step.name) {
                materials.insert_step(&step.name, self.pinned(pinned)?);
                reports.push(StepReport {
                    name: step.name.clone(),
                    action: action.digest,
                    outputs: pinned.outputs,
                    cached: true,
                    pinned: true,
                    place: None,
                    unable: Vec::new(),
                    fixed: Vec::new(),
                });
                continue;
            }
            let (result, ran) = match self.known(step, &action)? {
                Some(result) => (result, None),
                None => {
                    // Another recipe may have the same step.
                    let _turn = self.turn(&action.digest, &format!("step `{}`", step.name))?;
                    match self.known(step, &action)? {
                        Some(result) => (result, None),
                        None => {
                            let outcome = self.run_step(locked.path(), step, &action)?;
                            self.record_result(&action, &outcome.result)?;
                            (outcome.result, Some((outcome.place, outcome.unable)))
                        }
                    }
                }
            };
            let outputs = self.outputs(&result, &action.digest)?;
            let digest = outputs.digest();
            materials.insert_step(&step.name, Material::Entry(Entry::Folder(outputs)));
            reports.push(StepReport::of(step, action.digest, digest, ran));
        }
        Ok(reports)
    }

    pub(super) fn known(
        &self,
        step: &Step,
        action: &EncodedAction,
    ) -> Result<Option<reapi::ActionResult>, BuildError> {
        if self.recall == Recall::Unpacked {
            return Ok(None);
        }
        let blobs = self.cache.blobs();
        let known = self.cache.actions().get(&action.digest, blobs)?;
        if known.is_some() {
            let task = self.progress.start("running", &step.name, None);
            task.finish("cached");
        }
        Ok(known)
    }

    /// Runs a step. Its result is not recorded.
    pub(super) fn run_step(
        &self,
        path: &Path,
        step: &Step,
        action: &EncodedAction,
    ) -> Result<Outcome, BuildError> {
        let task = self.progress.start("running", &step.name, None);
        action.store(self.cache.blobs())?;
        // The action has the usual environment in it too, and cannot tell what of it is the
        // author's own.
        let around = self.surroundings.with_usual(&fixed_by(&step.env));
        let outcome = self.sandbox.run(&action.digest, &around)?;
        if let Some(failure) = outcome.failure {
            let log = self.log(&outcome.result, outcome.kept.as_deref());
            return Err(BuildError::StepFailed {
                recipe: path.to_owned(),
                step: step.name.clone(),
                failure,
                tail: log.tail,
                log: log.path,
            });
        }
        task.finish("");
        Ok(outcome)
    }

    /// What a result made, as one folder.
    pub(super) fn outputs(
        &self,
        result: &reapi::ActionResult,
        action: &Digest,
    ) -> Result<Tree, BuildError> {
        let digest_of = |digest: &Option<reapi::Digest>| {
            digest
                .as_ref()
                .and_then(Digest::from_reapi)
                .ok_or(BuildError::BadResult { action: *action })
        };
        let mut tree = Tree::new();
        for file in &result.output_files {
            let entry = Entry::File {
                digest: digest_of(&file.digest)?,
                executable: file.is_executable,
            };
            tree.insert(&file.path, entry)?;
        }
        for folder in &result.output_directories {
            let digest = digest_of(&folder.tree_digest)?;
            let bytes = self.cache.blobs().read(&digest)?;
            let message = reapi::Tree::decode(bytes.as_slice())
                .map_err(|_| BuildError::BadResult { action: *action })?;
            let folder_tree = Tree::from_reapi(&message, &digest)?;
            tree.insert(&folder.path, Entry::Folder(folder_tree))?;
        }
        for link in &result.output_symlinks {
            let entry = Entry::Symlink {
                target: link.target.clone(),
            };
            tree.insert(&link.path, entry)?;
        }
        Ok(tree)
    }
}

/// What `locked` lets a step of it reach.
fn network(locked: &LockedRecipe, step: &Step) -> Network {
    let pinned = locked.lock().steps.get(&step.name);
    pinned.map_or(Network::Off, |pinned| {
        Network::Fixed(FixedOutput::of(pinned))
    })
}

pub(super) fn plan(
    arch: Arch,
    step: &Step,
    materials: &Materials<'_>,
    network: Network,
) -> Result<EncodedAction, BuildError> {
    let mut build = BTreeMap::new();
    for (path, reference) in &step.inputs {
        build.insert(path.clone(), materials.get(reference)?.to_entry()?);
    }
    let inputs = StepInputs {
        root: materials.root(&step.root)?.to_tree()?,
        build,
    };
    Ok(step_action(step, arch, inputs, network)?.encode())
}
