//! All downloads of one call together, as a person sees them.

use std::collections::BTreeSet;
use std::sync::Arc;

use lunikernel_cache::{Progress, Sha256, Task};

use super::Want;

/// The task of all downloads, to which each adds what it got.
pub(super) type Shared = Arc<Box<dyn Task>>;

/// Tells the user how many files there are, and how far they are.
pub(super) struct All {
    task: Shared,
    waiting: BTreeSet<Sha256>,
    count: usize,
}

impl All {
    /// `total` is the size of all in bytes, where that is known.
    pub(super) fn start(
        progress: &dyn Progress,
        waiting: BTreeSet<Sha256>,
        total: Option<u64>,
    ) -> Self {
        let count = waiting.len();
        Self {
            task: Arc::new(progress.start("fetching", &name(count), total)),
            count,
            waiting,
        }
    }

    pub(super) fn share(&self) -> Shared {
        Arc::clone(&self.task)
    }

    /// One of them is done, or cannot be had.
    pub(super) fn passed(&mut self, want: &Want) {
        if self.waiting.remove(&want.sha256) {
            let done = self.count - self.waiting.len();
            self.task.rename(&format!("{done} of {}", name(self.count)));
        }
    }

    /// All are done.
    pub(super) fn finish(self) {
        self.task.rename(&name(self.count));
        if let Some(task) = Arc::into_inner(self.task) {
            task.finish("");
        }
    }
}

fn name(files: usize) -> String {
    match files {
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    }
}
