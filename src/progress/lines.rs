//! Progress as plain lines, for logs: one when a task ends, and notes as they come.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lunikernel_cache::{Progress, Task};

/// Progress as plain lines.
#[derive(Debug)]
pub(super) struct Lines;

struct LineTask {
    verb: &'static str,
    what: String,
    bytes: AtomicU64,
    begun: Instant,
}

impl Progress for Lines {
    fn start(&self, verb: &'static str, what: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(LineTask {
            verb,
            what: what.to_owned(),
            bytes: AtomicU64::new(0),
            begun: Instant::now(),
        })
    }

    fn note(&self, text: &str) {
        write_line(text);
    }
}

impl Task for LineTask {
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn finish(self: Box<Self>, outcome: &str) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        write_line(&super::finished(
            self.verb,
            &self.what,
            bytes,
            self.begun.elapsed(),
            outcome,
        ));
    }
}

/// A log that cannot be written to must not end a build.
fn write_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
