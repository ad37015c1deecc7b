//! Running a recipe's steps.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Tree, reapi};
use prost::Message as _;
use serde::Serialize;

use super::materials::{Material, Materials};
use super::{BuildError, Builder};
use crate::plan::{EncodedAction, StepInputs, step_action};
use crate::recipe::{Recipe, Step};
use crate::sandbox::Outcome;

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// The digest of its action.
    pub action: Digest,
    /// Whether its result was known already.
    pub cached: bool,
}

/// How many of a failed step's last lines are shown.
const TAIL_LINES: usize = 20;
/// How much of the end of a log is looked at for them.
const TAIL_BYTES: u64 = 16 * 1024;

impl Builder {
    /// Runs the steps of the recipe at `path` in order; what they make joins the materials.
    pub(super) fn run_steps(
        &self,
        path: &Path,
        recipe: &Recipe,
        materials: &mut Materials,
    ) -> Result<Vec<StepReport>, BuildError> {
        let mut reports = Vec::new();
        for step in &recipe.steps {
            let action = plan(recipe, step, materials)?;
            let known = self
                .cache
                .actions()
                .get(&action.digest, self.cache.blobs())?;
            let cached = known.is_some();
            let result = match known {
                Some(result) => {
                    let task = self.progress.start("running", &step.name, None);
                    task.finish("cached");
                    result
                }
                None => self.run_step(path, recipe, step, &action)?,
            };
            let outputs = self.outputs(&result, &action.digest)?;
            materials.insert(&step.name, Material::Entry(Entry::Folder(outputs)));
            reports.push(StepReport {
                name: step.name.clone(),
                action: action.digest,
                cached,
            });
        }
        Ok(reports)
    }

    /// The action of the step called `name`, stored and with everything that it needs,
    /// so that a shell can be opened in it.
    ///
    /// # Errors
    /// [`BuildError::NoSuchStep`], or whatever keeps the steps before it from running.
    pub fn prepare_step(
        &self,
        locked: &crate::lock::LockedRecipe,
        name: &str,
    ) -> Result<Digest, BuildError> {
        let recipe = locked.recipe();
        let position = recipe
            .steps
            .iter()
            .position(|step| step.name == name)
            .ok_or_else(|| BuildError::NoSuchStep {
                name: name.to_owned(),
                steps: recipe.steps.iter().map(|s| s.name.clone()).collect(),
            })?;
        let mut before = recipe.clone();
        before.steps.truncate(position);
        let mut materials = self.unpack(locked)?;
        self.run_steps(locked.path(), &before, &mut materials)?;
        let action = plan(recipe, &recipe.steps[position], &materials)?;
        action.store(self.cache.blobs())?;
        Ok(action.digest)
    }

    fn run_step(
        &self,
        path: &Path,
        recipe: &Recipe,
        step: &Step,
        action: &EncodedAction,
    ) -> Result<reapi::ActionResult, BuildError> {
        let task = self.progress.start("running", &step.name, None);
        action.store(self.cache.blobs())?;
        let outcome = self.sandbox.run(&action.digest, &self.surroundings)?;
        if outcome.failure.is_some() {
            return Err(self.step_failed(path, recipe, step, outcome));
        }
        self.record_result(action, &outcome.result)?;
        task.finish("");
        Ok(outcome.result)
    }

    /// What a result made, as one folder.
    fn outputs(&self, result: &reapi::ActionResult, action: &Digest) -> Result<Tree, BuildError> {
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

    fn step_failed(
        &self,
        recipe_path: &Path,
        recipe: &Recipe,
        step: &Step,
        outcome: Outcome,
    ) -> BuildError {
        let Some(failure) = outcome.failure else {
            return BuildError::NoSuchStep {
                name: step.name.clone(),
                steps: Vec::new(),
            };
        };
        let log = outcome
            .result
            .stdout_digest
            .as_ref()
            .and_then(Digest::from_reapi);
        let (tail, path) = log.map_or((Vec::new(), None), |log| {
            (self.tail(&log), self.keep_log(recipe, step, &log))
        });
        BuildError::StepFailed {
            recipe: recipe_path.to_owned(),
            step: step.name.clone(),
            failure,
            tail,
            log: path,
        }
    }

    /// The last lines of a log. What cannot be read is left out: it must not hide the failure.
    fn tail(&self, log: &Digest) -> Vec<String> {
        let read = || -> Option<Vec<u8>> {
            let mut file = self.cache.blobs().open(log).ok()?;
            let start = log.size.saturating_sub(TAIL_BYTES);
            file.seek(SeekFrom::Start(start)).ok()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).ok()?;
            Some(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines
            .iter()
            .skip(lines.len().saturating_sub(TAIL_LINES))
            .map(|line| {
                line.chars()
                    .filter(|c| !c.is_control() || *c == '\t')
                    .collect()
            })
            .collect()
    }

    /// Puts the whole log where people find it.
    fn keep_log(&self, recipe: &Recipe, step: &Step, log: &Digest) -> Option<PathBuf> {
        let folder = self.cache.root().join("logs");
        fs_err::create_dir_all(&folder).ok()?;
        let path = folder.join(format!("{}-{}.log", recipe.name, step.name));
        let _ = fs_err::remove_file(&path);
        fs_err::copy(self.cache.blobs().path(&log.sha256), &path).ok()?;
        Some(path)
    }
}

fn plan(recipe: &Recipe, step: &Step, materials: &Materials) -> Result<EncodedAction, BuildError> {
    let mut build = BTreeMap::new();
    for (path, reference) in &step.inputs {
        build.insert(path.clone(), materials.get(reference)?.to_entry()?);
    }
    let inputs = StepInputs {
        root: materials.root(&step.root)?.to_tree()?,
        build,
    };
    Ok(step_action(step, recipe.arch, inputs)?.encode())
}
