//! The log of a step that failed.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use lunikernel_cache::{Digest, reapi};

use super::Builder;

/// How many of a failed step's last lines are shown.
const TAIL_LINES: usize = 20;
/// How much of the end of a log is looked at for them.
const TAIL_BYTES: u64 = 16 * 1024;

/// What there is to show of a log. What cannot be read is left out: it must not hide
/// why the step failed.
#[derive(Default)]
pub(super) struct Log {
    /// Its last lines.
    pub(super) tail: Vec<String>,
    /// Where all of it is.
    pub(super) path: Option<PathBuf>,
}

impl Builder {
    /// The log of a result. All of it goes beside the state that the step left in
    /// `kept`, where people look, and is collected together with that.
    pub(super) fn log(&self, result: &reapi::ActionResult, kept: Option<&Path>) -> Log {
        let digest = result.stdout_digest.as_ref();
        let Some(digest) = digest.and_then(Digest::from_reapi) else {
            return Log::default();
        };
        let blob = self.cache.blobs().path(&digest.sha256);
        let beside = kept.map(|folder| folder.join("log"));
        let path = beside.filter(|path| fs_err::copy(&blob, path).is_ok());
        Log {
            tail: self.tail(&digest).unwrap_or_default(),
            path: path.or(Some(blob)),
        }
    }

    fn tail(&self, log: &Digest) -> Option<Vec<String>> {
        let mut file = self.cache.blobs().open(log).ok()?;
        let start = log.size.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
        // What a step prints is not to move the cursor of whoever reads it.
        let plain = |line: &&str| {
            line.chars()
                .filter(|c| !c.is_control() || *c == '\t')
                .collect()
        };
        Some(last.map(plain).collect())
    }
}
