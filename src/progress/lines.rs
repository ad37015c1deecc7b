//! Progress as plain lines, for logs: one when a task ends, and notes as they come.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use lunikernel_cache::{Progress, Silent, Task};

/// Progress as plain lines.
#[derive(Debug)]
pub(super) struct Lines;

struct LineTask {
    verb: &'static str,
    what: Mutex<String>,
    bytes: AtomicU64,
    begun: Instant,
}

impl Progress for Lines {
    fn start(&self, verb: &'static str, what: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(LineTask {
            verb,
            what: Mutex::new(what.to_owned()),
            bytes: AtomicU64::new(0),
            begun: Instant::now(),
        })
    }

    /// A log is read afterwards: the whole is worth a line there, its parts are not.
    fn part(&self, _verb: &'static str, _what: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(Silent)
    }

    fn note(&self, text: &str) {
        write_line(text);
    }
}

impl Task for LineTask {
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn rename(&self, what: &str) {
        what.clone_into(&mut self.what.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn finish(self: Box<Self>, outcome: &str) {
        write_line(&super::finished(
            self.verb,
            &self.what.lock().unwrap_or_else(PoisonError::into_inner),
            self.bytes.load(Ordering::Relaxed),
            self.begun.elapsed(),
            outcome,
        ));
    }
}

/// A log that cannot be written to must not end a build.
fn write_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
