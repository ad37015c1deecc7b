//! Where trials are made: builds that share what was unpacked, so that only steps and
//! the sealing are done again, under conditions that are chosen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::{Cache, Digest, Scratch, Silent};

use super::cause::Side;
use super::moment::{Span, now};
use super::report::TrialReport;
use super::round::fresh;
use super::{Conditions, Variation, Verifier, VerifyError};
use crate::build::{Builder, Built, Recall};

/// How many trials there may be. Finding one guilty variation of 22 takes ten.
const MOST_TRIALS: usize = 48;
/// The coarsest time stamps, those of zip files, count two seconds: builds that are to
/// differ by the time must be that far apart.
const APART: Duration = Duration::from_secs(2);

/// One build of a laboratory.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    /// What came of it; nothing where a command failed.
    pub(super) built: Option<Built>,
    /// Which command failed, and how.
    failed: Option<String>,
    pub(super) conditions: Conditions,
    pub(super) span: Span,
    cache: Cache,
}

impl Trial {
    /// What it made.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.built.as_ref().map(|built| built.artefact)
    }

    pub(super) fn artefact(&self) -> Result<Option<Artefact>, VerifyError> {
        self.digest()
            .map(|digest| Ok(Artefact::open(&self.cache.blobs().path(&digest.sha256))?))
            .transpose()
    }

    pub(super) fn side(&self) -> Side<'_> {
        Side {
            conditions: &self.conditions,
            span: self.span,
        }
    }
}

/// Makes trials, and remembers them.
pub(super) struct Laboratory<'v> {
    verifier: &'v Verifier<'v>,
    /// The round whose values are taken for what is varied.
    number: usize,
    /// What the first round made.
    base: Digest,
    /// A cache for each place and order of arrival.
    places: BTreeMap<(u32, bool), (Scratch, Cache)>,
    made: BTreeMap<Vec<Variation>, Trial>,
    /// Each trial that was made, in order.
    pub(super) reports: Vec<TrialReport>,
}

impl<'v> Laboratory<'v> {
    pub(super) fn new(verifier: &'v Verifier<'v>, number: usize, base: Digest) -> Self {
        Self {
            verifier,
            number,
            base,
            places: BTreeMap::new(),
            made: BTreeMap::new(),
            reports: Vec::new(),
        }
    }

    /// A trial with `varied` as the round had it, and all else as in the first round;
    /// the one from before, if there was one. `None` where there were too many.
    pub(super) async fn trial(
        &mut self,
        varied: &[Variation],
    ) -> Result<Option<Trial>, VerifyError> {
        if let Some(trial) = self.made.get(varied) {
            return Ok(Some(trial.clone()));
        }
        let trial = self.again(varied).await?;
        if let Some(trial) = &trial {
            self.made.insert(varied.to_vec(), trial.clone());
        }
        Ok(trial)
    }

    /// The same, made anew in any case.
    pub(super) async fn again(
        &mut self,
        varied: &[Variation],
    ) -> Result<Option<Trial>, VerifyError> {
        if self.reports.len() >= MOST_TRIALS {
            return Ok(None);
        }
        let conditions = Conditions::of_round(self.number, varied);
        let names: Vec<&str> = varied.iter().map(|one| one.name()).collect();
        let what = match names.as_slice() {
            [] => "with nothing varied".to_owned(),
            [one, two, three, _, ..] => {
                format!("with {one}, {two}, {three} and {} more", names.len() - 3)
            }
            _ => format!("with {}", names.join(", ")),
        };
        let label = format!("trial {} {what}", self.reports.len() + 1);
        let task = self.verifier.progress.start("searching", &label, None);
        let trial = self.build(conditions).await?;
        let same = trial.digest() == Some(self.base);
        self.reports.push(TrialReport {
            varied: varied.to_vec(),
            artefact: trial.digest(),
            failed: trial.failed.clone(),
            same,
        });
        task.finish(match (&trial.failed, same) {
            (Some(failed), _) => failed,
            (None, true) => "the same",
            (None, false) => "differs",
        });
        Ok(Some(trial))
    }

    async fn build(&mut self, conditions: Conditions) -> Result<Trial, VerifyError> {
        let verifier = self.verifier;
        let key = (conditions.depth, conditions.reversed);
        let cache = match self.places.get(&key) {
            Some((_, cache)) => cache.clone(),
            None => {
                let (folder, cache) = fresh(verifier.cache, verifier.locked, &conditions)?;
                self.places.insert(key, (folder, cache.clone()));
                cache
            }
        };
        let builder = Builder {
            recall: Recall::Unpacked,
            progress: Arc::new(Silent),
            ..(verifier.make)(cache.clone(), &conditions)?
        };
        let begin = now();
        let mut failed = None;
        let built = match builder.build(verifier.locked).await {
            Ok(built) => Some(built),
            Err(error) if error.command().is_some() => {
                failed = Some(error.to_string());
                None
            }
            Err(source) => return Err(VerifyError::Trial(Box::new(source))),
        };
        Ok(Trial {
            built,
            failed,
            conditions,
            span: Span { begin, end: now() },
            cache,
        })
    }
}

/// Waits until what is built from now on has other time stamps than what was built
/// until `end`.
pub(super) async fn wait_apart(end: u64) {
    let ready = end.saturating_add(APART.as_secs());
    // A clock that was set back must not hold anything up for long.
    let missing = ready.saturating_sub(now()).min(APART.as_secs());
    tokio::time::sleep(Duration::from_secs(missing)).await;
}
