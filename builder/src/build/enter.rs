//! Where a shell for a step is opened.

use lunikernel_cache::Digest;

use super::pinned::needed;
use super::steps::plan;
use super::{BuildError, Builder};
use crate::lock::LockedRecipe;
use crate::plan::{FixedOutput, Network, last_run_action};
use crate::recipe::{ReadRecipe, Step};

impl Builder {
    /// The action of the step called `name`, stored and with everything that it needs,
    /// so that a shell can be opened in it. The step itself is not run, and the lock need
    /// not fit it, nor what comes after it. `is_kept` says whether the state that the
    /// failed command of an action left is still there: that is preferred, and of a step
    /// that uses the network it takes no lock, as it may have failed while that was made.
    ///
    /// # Errors
    /// [`BuildError::NoSuchStep`], or whatever keeps the steps before it from running.
    pub async fn enter(
        &self,
        recipe: &ReadRecipe,
        name: &str,
        is_kept: &(dyn Fn(&Digest) -> bool + Sync),
    ) -> Result<Digest, BuildError> {
        let steps = &recipe.recipe.steps;
        let found = steps.iter().enumerate().find(|(_, step)| step.name == name);
        let (position, step) = found.ok_or_else(|| BuildError::NoSuchStep {
            name: name.to_owned(),
            steps: steps.iter().map(|step| step.name.clone()).collect(),
        })?;
        if let Some(action) = self.last_run(&recipe.text, step)?.filter(is_kept) {
            return Ok(action);
        }
        let (before, pinned) = LockedRecipe::before(recipe.clone(), position, &self.cache)?;
        let part = before.part(&needed(before.recipe(), step));
        self.fetch(&part).await?;
        let network = match (step.network, &pinned) {
            (false, _) => Network::Off,
            (true, Some(pinned)) => Network::Fixed(FixedOutput::of(pinned)),
            (true, None) => Network::Fixed(FixedOutput::to_be_locked()),
        };
        tokio::task::block_in_place(|| {
            self.on_threads(|| {
                let mut materials = self.unpack(&part)?;
                self.run_steps(&part, &part.recipe().steps, &mut materials)?;
                let action = plan(part.recipe().arch, step, &materials, network)?;
                action.store(self.cache.blobs())?;
                Ok(action.digest)
            })
        })
    }

    /// Remembers which action a step with the network is about to run as.
    pub(super) fn remember_run(
        &self,
        recipe: &str,
        step: &Step,
        action: &Digest,
    ) -> Result<(), BuildError> {
        let recipe = self.cache.blobs().put(recipe.as_bytes())?;
        let json = serde_json::to_vec(action).map_err(BuildError::Json)?;
        let json = self.cache.blobs().put(&json)?;
        let run = last_run_action(&recipe, &step.name).encode();
        Ok(self.record(&run, &step.name, &json)?)
    }

    /// What the step ran as when it last ran with the network.
    fn last_run(&self, recipe: &str, step: &Step) -> Result<Option<Digest>, BuildError> {
        if !step.network {
            return Ok(None);
        }
        let run = last_run_action(&Digest::of(recipe.as_bytes()), &step.name).encode();
        let Some(json) = self.recall(&run, &step.name)? else {
            return Ok(None);
        };
        let json = self.cache.blobs().read(&json)?;
        Ok(serde_json::from_slice(&json).ok())
    }
}
