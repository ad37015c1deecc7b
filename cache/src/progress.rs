//! How libraries report what they are doing; the command line decides how it looks.

use std::fmt;

/// Takes reports of progress. Implementations must be cheap: they are called for
/// every piece of a download.
pub trait Progress: Send + Sync {
    /// Begins a task: `verb` is a present participle (`fetching`), `what` its
    /// object (`gcc-12_12.2.0-14_amd64.deb`), `total` its size in bytes, where known.
    fn start(&self, verb: &'static str, what: &str, total: Option<u64>) -> Box<dyn Task>;

    /// Begins a part of a task that is reported as well: one download of many. It is
    /// worth seeing while it runs, and not afterwards.
    fn part(&self, verb: &'static str, what: &str, total: Option<u64>) -> Box<dyn Task> {
        self.start(verb, what, total)
    }

    /// Something that a command under way printed, in the pieces in which it comes: its
    /// last line shows that it is alive. The log keeps all of it.
    fn output(&self, _piece: &[u8]) {}

    /// Something worth a line that is not an error: a mirror that failed and was
    /// passed over, a fallback that was taken.
    fn note(&self, text: &str);
}

/// A task under way. Dropped without [`Task::finish`], it has failed.
pub trait Task: Send + Sync {
    /// `bytes` more are done.
    fn advance(&self, bytes: u64);
    /// What is being done is better called `what` from now on: `toolchain, 3 of 29`.
    fn rename(&self, _what: &str) {}
    /// It is done; `outcome` says how where that is worth knowing (`cached`).
    fn finish(self: Box<Self>, outcome: &str);
}

/// Reports nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _verb: &'static str, _what: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(Self)
    }
    fn note(&self, _text: &str) {}
}

impl Task for Silent {
    fn advance(&self, _bytes: u64) {}
    fn finish(self: Box<Self>, _outcome: &str) {}
}

impl fmt::Debug for dyn Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}
