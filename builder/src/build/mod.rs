//! Building: from a locked recipe to an artefact.
//!
//! The order of [`Builder::build`] is the order of the data: recall, fetch, unpack,
//! run the steps, compose the system that is booted, seal.

mod alpine;
mod archives;
mod compose;
mod enter;
mod error;
mod extensions;
mod follow;
mod images;
mod licence;
mod listed;
mod log;
mod materials;
mod parts;
mod pinned;
mod recall;
mod sbom;
mod seal;
mod steps;
mod system;
mod unpack;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::{Cache, Digest, Progress, Sha256};
use serde::Serialize;

pub use alpine::AlpineError;
pub use error::{BuildError, Command};
pub use materials::Material;
pub use recall::Recall;
pub(crate) use sbom::purl;
pub use steps::StepReport;

use crate::fetch::{Attempt, Fetcher, Missing, Want};
use crate::flavour::{self, Flavour};
use crate::lock::{LockedRecipe, LockedSource};
use crate::plan::{EncodedAction, artefact_action};
use crate::sandbox::{Sandbox, Surroundings, Unable};
use crate::source::deb::AptConfig;
use crate::source::{git, krate, oci};

/// Everything that a build needs beside its recipe.
#[derive(Clone)]
pub struct Builder {
    /// Where blobs and results are kept.
    pub cache: Cache,
    /// Gets what is missing.
    pub fetcher: Fetcher,
    /// Runs the steps.
    pub sandbox: Arc<dyn Sandbox>,
    /// Hears what is being done.
    pub progress: Arc<dyn Progress>,
    /// The folder below which `etc/apt` says where packages come from: `/` for the
    /// machine's own sources.
    pub apt_root: PathBuf,
    /// The address of an archive of snapshots, with `@ARCHIVE@` and `@SNAPSHOTID@` in
    /// it, where someone named one.
    pub snapshots: Option<String>,
    /// How many threads unpack and compress.
    pub threads: usize,
    /// What the steps run among.
    pub surroundings: Surroundings,
    /// What is taken from earlier builds.
    pub recall: Recall,
    /// Whether steps that use the network are run again where what they made is nowhere
    /// to be had. It is then a missing input otherwise.
    pub network_steps: bool,
}

/// What came of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Built {
    /// The name of the file that it should be: `NAME.luni.zip`.
    pub file_name: String,
    /// The artefact, in the cache's store.
    pub artefact: Digest,
    /// The action that stands for the whole build: what the result is kept under.
    pub action: Digest,
    /// Whether nothing had to be done.
    pub cached: bool,
    /// How many inputs were fetched now.
    pub fetched: usize,
    /// How many inputs there are.
    pub inputs: usize,
    /// What each step of the recipe took.
    pub steps: Vec<StepReport>,
    /// How long all of it took.
    #[serde(skip)]
    pub took: Duration,
}

impl Built {
    /// What of the surroundings the steps did not have, each once.
    #[must_use]
    pub fn unable(&self) -> Vec<Unable> {
        let all = self.steps.iter().flat_map(|step| step.unable.clone());
        all.collect::<BTreeSet<Unable>>().into_iter().collect()
    }
}

impl Builder {
    /// Builds `locked`, or finds that it was built before.
    ///
    /// # Errors
    /// [`BuildError`]; nothing half-made is kept under a final name.
    pub async fn build(&self, locked: &LockedRecipe) -> Result<Built, BuildError> {
        let start = Instant::now();
        let action = self.artefact_action(locked)?;
        let mut built = Built {
            file_name: Built::file_name(locked),
            artefact: action.digest,
            action: action.digest,
            cached: true,
            fetched: 0,
            inputs: locked.inputs().count(),
            steps: Vec::new(),
            took: Duration::ZERO,
        };
        if !self.find(&action, &mut built)? {
            // Someone else may be at it: then wait, and take theirs.
            let _turn = tokio::task::block_in_place(|| self.turn(&action.digest, "this build"))?;
            if !self.find(&action, &mut built)? {
                built.cached = false;
                built.fetched = self.fetch(locked).await?;
                let made = tokio::task::block_in_place(|| self.on_threads(|| self.make(locked)))?;
                self.record(&action, &built.file_name, &made.artefact)?;
                built.steps = made.steps;
                built.artefact = made.artefact;
            }
        }
        built.took = start.elapsed();
        Ok(built)
    }

    /// Looks for an artefact that was built before. One that a failing disk has damaged
    /// is thrown away.
    fn find(&self, action: &EncodedAction, built: &mut Built) -> Result<bool, BuildError> {
        if self.recall == Recall::Unpacked {
            return Ok(false);
        }
        let Some(artefact) = self.recall(action, &built.file_name)? else {
            return Ok(false);
        };
        let path = self.cache.blobs().path(&artefact.sha256);
        if let Err(error) = Artefact::open(&path).and_then(|artefact| artefact.skim()) {
            self.progress
                .note(&format!("building again, as the cache is damaged: {error}"));
            self.cache.blobs().discard(&artefact)?;
            return Ok(false);
        }
        built.artefact = artefact;
        Ok(true)
    }

    /// Gets every input of `locked` that is not in the cache, and says how many. What
    /// pinned steps made is among them; where no mirror has it they are run.
    ///
    /// # Errors
    /// [`BuildError::Fetch`] with all of those that cannot be had,
    /// [`BuildError::OtherOutputs`] where a step makes something else than is pinned.
    pub async fn fetch(&self, locked: &LockedRecipe) -> Result<usize, BuildError> {
        let taken = oci::take(&self.fetcher, locked).await?;
        let mut wants = locked.missing(
            self.cache.blobs(),
            || match self.fetcher.options().only_mirrors {
                // Nobody would go where it leads.
                true => Ok(AptConfig::default()),
                false => AptConfig::read(&self.apt_root),
            },
            self.snapshots.as_deref(),
        )?;
        let (crates, refused) = krate::wants(&self.fetcher, locked.lock()).await;
        let refused = refused.iter().flat_map(|attempt| {
            let each = |want: &Want| (want.sha256, attempt.clone());
            crates.iter().map(each)
        });
        let refused: Vec<(Sha256, Attempt)> = taken.refused.into_iter().chain(refused).collect();
        wants.extend(crates);
        let (report, mut missing) = self.fetcher.fetch_what_there_is(&wants).await?;
        self.tell(refused, &mut missing);
        let mut fetched = report.fetched + taken.count;
        for (name, source) in &locked.lock().sources {
            // All of a tree is looked for: what is not whole may have its top folder.
            if let LockedSource::Git(locked) = source {
                match git::fetch(&self.fetcher, locked).await {
                    Ok(new) => fetched += usize::from(new),
                    Err(error) => {
                        missing.push(error.missing(name, locked).map_err(|source| {
                            BuildError::Git {
                                source_name: name.clone(),
                                source,
                            }
                        })?);
                    }
                }
            }
        }
        let steps = self.missing_steps(locked).await?;
        let options = self.fetcher.options();
        let kept_off = options.offline || options.only_mirrors;
        if kept_off || !self.network_steps {
            let steps = steps.iter();
            missing.extend(steps.map(|(step, locked)| match kept_off {
                true => pinned::as_missing(step, locked),
                false => pinned::as_not_run(step, locked),
            }));
        }
        self.fetcher.accept(missing)?;
        for (step, pinned) in &steps {
            tokio::task::block_in_place(|| self.run_again(locked, step, pinned))?;
        }
        Ok(fetched + steps.len())
    }

    /// Says why a place gave nothing: with the input where nobody else had it either, so
    /// that the error says it, or else in a note.
    fn tell(&self, refused: Vec<(Sha256, Attempt)>, missing: &mut [Missing]) {
        let mut told = BTreeSet::new();
        for (sha256, attempt) in refused {
            match missing.iter_mut().find(|it| it.sha256 == sha256) {
                Some(missing) => missing.attempts.insert(0, attempt),
                None if told.insert(attempt.to_string()) => {
                    self.progress.note(&attempt.to_string());
                }
                None => {}
            }
        }
    }

    /// The action that stands for the whole build.
    fn artefact_action(&self, locked: &LockedRecipe) -> Result<EncodedAction, BuildError> {
        let blobs = self.cache.blobs();
        let recipe = blobs.put(locked.recipe_text().as_bytes())?;
        let lock = blobs.put(locked.lock_text().as_bytes())?;
        let action = artefact_action(&Built::file_name(locked), &recipe, &lock, locked.files())?;
        Ok(action.encode())
    }

    /// Does `work` on as many threads as asked for. Nothing that comes out may depend on
    /// their number.
    fn on_threads<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, BuildError> + Send,
    ) -> Result<T, BuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .map_err(|error| BuildError::Threads(error.to_string()))?;
        pool.install(work)
    }

    /// Everything between the inputs and the artefact.
    fn make(&self, locked: &LockedRecipe) -> Result<Made, BuildError> {
        let recipe = locked.recipe();
        let mut materials = self.unpack(locked)?;
        let steps = self.run_steps(locked, &recipe.steps, &mut materials)?;
        let system = match flavour::of(recipe.flavour) {
            Flavour::Linux(linux) => self.linux(recipe, linux, &materials)?,
            Flavour::Unikernel(unikernel) => self.unikernel(recipe, unikernel, &materials)?,
        };
        let artefact = self.seal(locked, system, &materials)?;
        Ok(Made { artefact, steps })
    }
}

/// What [`Builder::make`] made.
struct Made {
    artefact: Digest,
    steps: Vec<StepReport>,
}

impl Built {
    /// What the artefact of `locked` is called.
    #[must_use]
    pub fn file_name(locked: &LockedRecipe) -> String {
        format!("{}.luni.zip", locked.recipe().name)
    }
}
