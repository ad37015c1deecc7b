//! All downloads of one call together, as a person sees them.

use std::collections::BTreeMap;

use lunikernel_cache::{Progress, Sha256, Task};

use super::Want;

/// Tells the user how many files there are, and how far they are.
pub(super) struct All {
    task: Box<dyn Task>,
    /// What is not done yet, with its size where that is known.
    waiting: BTreeMap<Sha256, Option<u64>>,
    count: usize,
}

impl All {
    pub(super) fn start(progress: &dyn Progress, files: BTreeMap<Sha256, Option<u64>>) -> Self {
        // Where one size is not known, neither is their sum.
        let total = files.values().copied().sum();
        Self {
            task: progress.start("fetching", &name(files.len()), total),
            count: files.len(),
            waiting: files,
        }
    }

    /// One of them is done, or cannot be had.
    pub(super) fn passed(&mut self, want: &Want) {
        if let Some(size) = self.waiting.remove(&want.sha256) {
            self.task.advance(size.unwrap_or(0));
            let done = self.count - self.waiting.len();
            self.task.rename(&format!("{done} of {}", name(self.count)));
        }
    }

    pub(super) fn finish(self) {
        self.task.rename(&name(self.count));
        self.task.finish("");
    }
}

fn name(files: usize) -> String {
    match files {
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    }
}
