//! The log of a command, on its way into the store.

use std::io::{self, Write as _};
use std::sync::Arc;

use lunikernel_cache::{BlobStore, BlobWriter, CacheError, Digest};

/// Most that is kept of a log: enough for the longest of builds, and little enough
/// that a command that writes without end does not fill the disk.
pub(super) const MAX_LOG: u64 = 64 << 20;

/// Gets a command's output while it runs, in the pieces in which it comes.
pub type LogSink = Arc<dyn Fn(&[u8]) + Send + Sync>;

pub(super) struct Log<'a> {
    writer: BlobWriter<'a>,
    sink: Option<&'a LogSink>,
    cut: bool,
}

impl<'a> Log<'a> {
    pub(super) fn new(blobs: &'a BlobStore, sink: Option<&'a LogSink>) -> Result<Self, CacheError> {
        Ok(Self {
            writer: blobs.writer()?,
            sink,
            cut: false,
        })
    }

    /// Takes a piece. What goes beyond the limit is dropped, so that the command
    /// can go on.
    pub(super) fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        let left = usize::try_from(MAX_LOG.saturating_sub(self.writer.written())).unwrap_or(0);
        let kept = piece.get(..left).unwrap_or(piece);
        self.cut |= kept.len() < piece.len();
        if let Some(sink) = self.sink {
            sink(kept);
        }
        self.writer.write_all(kept)
    }

    pub(super) fn store(mut self) -> Result<Digest, CacheError> {
        if self.cut {
            let note = format!("\n[the log was cut here, after {} MiB]\n", MAX_LOG >> 20);
            self.writer
                .write_all(note.as_bytes())
                .map_err(CacheError::io("write a log to the cache"))?;
        }
        self.writer.commit()
    }
}
