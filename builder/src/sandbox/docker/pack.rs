//! Trees as tar, on their way to an engine.

use std::io::{self, Write};

use bytes::Bytes;
use futures::Stream;
use lunikernel_cache::checkout::EPOCH;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, CacheError, Tree};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How much is handed on at once.
const CHUNK: usize = 128 << 10;
/// How many chunks may wait: the engine is the slower side.
const WAITING: usize = 8;
/// The longest link that a header holds; longer ones take one of their own.
const SHORT_LINK: usize = 100;

/// Writes a tar archive on a thread of its own while the stream is read. What `write`
/// returns comes out of the handle.
pub(super) fn stream<T: Send + 'static>(
    write: impl FnOnce(&mut Builder<Sending>) -> Result<T, CacheError> + Send + 'static,
) -> (
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    JoinHandle<Result<T, CacheError>>,
) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let writing = tokio::task::spawn_blocking(move || {
        let mut builder = Builder::new(Sending {
            sender,
            chunk: Vec::with_capacity(CHUNK),
        });
        let made = write(&mut builder)?;
        let sent = builder.into_inner().and_then(|mut rest| rest.flush());
        sent.map_err(CacheError::io(SEND))?;
        Ok(made)
    });
    let stream = futures::stream::unfold(receiver, |mut receiver| async {
        let chunk = receiver.recv().await?;
        Some((Ok(chunk), receiver))
    });
    (stream, writing)
}

const SEND: &str = "send files to the engine";

/// The writing end of a stream.
pub(super) struct Sending {
    sender: mpsc::Sender<Bytes>,
    chunk: Vec<u8>,
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.sender
            .blocking_send(chunk.into())
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Appends `tree` with what is below it, at `at`: sorted, everything root's and of 1980,
/// modes as the native sandbox gives them.
pub(super) fn append_tree<W: Write>(
    builder: &mut Builder<W>,
    blobs: &BlobStore,
    tree: &Tree,
    at: &str,
) -> Result<(), CacheError> {
    let io = || CacheError::io(SEND);
    for (name, entry) in tree.entries() {
        let path = format!("{at}{name}");
        match entry {
            Entry::Folder(tree) => {
                let mut header = header(EntryType::Directory, 0o755, 0);
                builder
                    .append_data(&mut header, format!("{path}/"), io::empty())
                    .map_err(io())?;
                append_tree(builder, blobs, tree, &format!("{path}/"))?;
            }
            Entry::File { digest, executable } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                let file = blobs.open(digest)?;
                let mut header = header(EntryType::Regular, mode, digest.size);
                builder
                    .append_data(&mut header, &path, file)
                    .map_err(io())?;
            }
            Entry::Symlink { target } => {
                let mut header = header(EntryType::Symlink, 0o777, 0);
                if target.len() <= SHORT_LINK {
                    header.set_link_name_literal(target).map_err(io())?;
                    builder.append_data(&mut header, &path, io::empty())
                } else {
                    builder.append_link(&mut header, &path, target)
                }
                .map_err(io())?;
            }
        }
    }
    Ok(())
}

/// Appends a file whose content is in memory.
pub(super) fn append_bytes<W: Write>(
    builder: &mut Builder<W>,
    path: &str,
    mode: u32,
    content: &[u8],
) -> Result<(), CacheError> {
    let mut header = header(EntryType::Regular, mode, content.len() as u64);
    builder
        .append_data(&mut header, path, content)
        .map_err(CacheError::io(SEND))
}

/// Appends an empty folder.
pub(super) fn append_folder<W: Write>(
    builder: &mut Builder<W>,
    path: &str,
    mode: u32,
) -> Result<(), CacheError> {
    let mut header = header(EntryType::Directory, mode, 0);
    builder
        .append_data(&mut header, path, io::empty())
        .map_err(CacheError::io(SEND))
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(EPOCH.unsigned_abs());
    header
}
