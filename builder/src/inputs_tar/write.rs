//! Writing an archive.

use std::io::{self, Read as _, Write};
use std::path::Path;

use lunikernel_cache::{BlobStore, Digest, Hasher, Progress};

use super::header::{BLOCK, header, padding};
use super::{BLOBS, InputsTarError, LOCK, MAX_TEXT, RECIPE};

/// Writes the archive of a recipe's text, its lock's text and `blobs`, which are read
/// from `store` and hashed again on the way. `path` is only for messages. Equal content
/// makes equal bytes: the order of `blobs` does not matter.
///
/// # Errors
/// [`InputsTarError::Cache`] where a blob is missing or damaged, [`InputsTarError::Io`] where
/// `out` cannot be written.
pub fn write(
    out: &mut impl Write,
    path: &Path,
    texts: (&str, &str),
    blobs: &[Digest],
    store: &BlobStore,
    progress: &dyn Progress,
) -> Result<(), InputsTarError> {
    let io = |source| InputsTarError::Io {
        attempted: "write",
        path: path.to_owned(),
        source,
    };
    let mut blobs = blobs.to_vec();
    blobs.sort_unstable();
    blobs.dedup();
    let total = blobs.iter().map(|blob| blob.size).sum();
    let task = progress.start("archiving", "inputs", Some(total));
    for (name, text) in [(RECIPE, texts.0), (LOCK, texts.1)] {
        let size = text.len() as u64;
        if size > MAX_TEXT {
            return Err(InputsTarError::Unfit {
                what: format!("a {name} of {size} bytes"),
                why: format!("at most {MAX_TEXT} are read back"),
            });
        }
        out.write_all(header(name, size).map_err(io)?.as_bytes())
            .and_then(|()| out.write_all(text.as_bytes()))
            .and_then(|()| zeros(out, padding(size)))
            .map_err(io)?;
    }
    for blob in &blobs {
        let name = format!("{BLOBS}/{}", blob.sha256.hex());
        out.write_all(header(&name, blob.size).map_err(io)?.as_bytes())
            .map_err(io)?;
        copy(out, &name, blob, store, &io, &mut |bytes| {
            task.advance(bytes)
        })?;
        zeros(out, padding(blob.size)).map_err(io)?;
    }
    zeros(out, 2 * BLOCK)
        .and_then(|()| out.flush())
        .map_err(io)?;
    task.finish("");
    Ok(())
}

fn copy(
    out: &mut impl Write,
    name: &str,
    blob: &Digest,
    store: &BlobStore,
    failed: &impl Fn(io::Error) -> InputsTarError,
    advance: &mut impl FnMut(u64),
) -> Result<(), InputsTarError> {
    // A file that grows meanwhile must not break the headers after it.
    let mut reader = store.open(blob)?.take(blob.size);
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(
                    lunikernel_cache::CacheError::io("read a blob of the cache")(error).into(),
                );
            }
        };
        let piece = buffer.get(..count).unwrap_or_default();
        hasher.update(piece);
        out.write_all(piece).map_err(failed)?;
        advance(count as u64);
    }
    let actual = hasher.finish();
    if actual == *blob {
        return Ok(());
    }
    Err(lunikernel_cache::CacheError::Mismatch {
        what: format!("{name} in the cache"),
        expected: *blob,
        actual,
    }
    .into())
}

fn zeros(out: &mut impl Write, count: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(count), out).map(drop)
}
