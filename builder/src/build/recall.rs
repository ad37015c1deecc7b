//! Remembering what was made from what.

use lunikernel_cache::{CacheError, Digest, KeyLock, reapi};

use super::Builder;
use crate::plan::EncodedAction;

/// What a build takes from earlier ones in the same cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recall {
    /// Everything.
    #[default]
    All,
    /// Packages and toolchains that were unpacked; steps are run and the artefact is
    /// made anew.
    Unpacked,
}

impl Builder {
    /// The output named `output` of an action that was carried out before.
    pub(super) fn recall(
        &self,
        action: &EncodedAction,
        output: &str,
    ) -> Result<Option<Digest>, CacheError> {
        let result = self
            .cache
            .actions()
            .get(&action.digest, self.cache.blobs())?;
        Ok(result.and_then(|result| {
            let file = result
                .output_files
                .iter()
                .find(|file| file.path == output)?;
            Digest::from_reapi(file.digest.as_ref()?)
        }))
    }

    /// The right to carry out an action that nobody else is carrying out meanwhile.
    pub(super) fn turn(&self, action: &Digest, what: &str) -> Result<KeyLock, CacheError> {
        if let Some(turn) = self.cache.try_lock(&action.sha256)? {
            return Ok(turn);
        }
        self.progress
            .note(&format!("waiting for another luni that is at {what}"));
        self.cache.lock(&action.sha256)
    }

    /// Records the one output of an action that `luni` carried out itself.
    pub(super) fn record(
        &self,
        action: &EncodedAction,
        output: &str,
        digest: &Digest,
    ) -> Result<(), CacheError> {
        self.record_result(action, &made(output, digest))
    }

    /// As [`Builder::record`], for many actions: the disk is waited for once.
    pub(super) fn record_all(
        &self,
        records: Vec<(EncodedAction, Digest)>,
        output: &str,
    ) -> Result<(), CacheError> {
        if records.is_empty() {
            return Ok(());
        }
        for (action, _) in &records {
            action.store(self.cache.blobs())?;
        }
        self.cache.sync()?;
        records.iter().try_for_each(|(action, digest)| {
            self.cache
                .actions()
                .put(&action.digest, &made(output, digest))
        })
    }

    /// Records a result, after everything that it names has reached the disk.
    pub(super) fn record_result(
        &self,
        action: &EncodedAction,
        result: &reapi::ActionResult,
    ) -> Result<(), CacheError> {
        action.store(self.cache.blobs())?;
        self.cache.sync()?;
        self.cache.actions().put(&action.digest, result)
    }
}

/// The result of an action that made one file.
fn made(output: &str, digest: &Digest) -> reapi::ActionResult {
    reapi::ActionResult {
        output_files: vec![reapi::OutputFile {
            path: output.to_owned(),
            digest: Some(digest.to_reapi()),
            ..Default::default()
        }],
        ..Default::default()
    }
}
