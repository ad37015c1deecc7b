//! The gzip members that an Alpine package or index consists of, one behind the other.
//!
//! Signatures and checksums are over the compressed bytes of a member, so those are
//! watched as they pass by, and read once.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Passes bytes on and shows them to whoever wants to know what was read.
pub(crate) struct Watched<R> {
    inner: R,
    watch: Watch,
}

/// What is done with the bytes that pass.
pub(crate) enum Watch {
    /// Nothing.
    Nothing,
    /// They are kept, up to so many.
    Keep(Vec<u8>, usize),
    /// Their SHA-256 is taken.
    Hash(Box<ring::digest::Context>),
}

impl Watch {
    pub(crate) fn keep(limit: usize) -> Self {
        Self::Keep(Vec::new(), limit)
    }

    pub(crate) fn hash() -> Self {
        Self::Hash(Box::new(ring::digest::Context::new(&ring::digest::SHA256)))
    }
}

impl<R: BufRead> Watched<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            watch: Watch::Nothing,
        }
    }

    /// Watches what comes next in another way, and returns what was seen so far.
    pub(crate) fn watch(&mut self, watch: Watch) -> Watch {
        std::mem::replace(&mut self.watch, watch)
    }

    /// Reads to the end; what passes is only watched.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        loop {
            let count = self.fill_buf()?.len();
            if count == 0 {
                return Ok(());
            }
            self.take_note(count)?;
            self.inner.consume(count);
        }
    }

    /// Whether there is nothing more.
    pub(crate) fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.fill_buf()?.is_empty())
    }

    fn take_note(&mut self, count: usize) -> io::Result<()> {
        let bytes = self.inner.fill_buf()?.get(..count).unwrap_or_default();
        match &mut self.watch {
            Watch::Nothing => {}
            Watch::Hash(context) => context.update(bytes),
            Watch::Keep(kept, limit) => {
                let room = limit.saturating_sub(kept.len());
                kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Watched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What was filled is there still, so this reads nothing and cannot fail.
        let _ = self.take_note(count);
        self.inner.consume(count);
    }
}

/// One gzip member, decompressed to at most `limit` bytes.
///
/// # Errors
/// What is wrong with it; that it is larger is among it.
pub(crate) fn decompress(reader: &mut impl BufRead, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(reader)
        .take(limit + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it unpacks to more than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// A signature member: which key made it, how, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The file name of the key.
    pub key: String,
    /// How the bytes were hashed.
    pub hash: SignatureHash,
    /// The signature itself.
    pub bytes: Vec<u8>,
}

/// How what is signed was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureHash {
    /// SHA-1 (`.SIGN.RSA.`).
    Sha1,
    /// SHA-256 (`.SIGN.RSA256.`).
    Sha256,
    /// SHA-512 (`.SIGN.RSA512.`).
    Sha512,
}

/// The largest signature, in bytes: RSA with 16384 bits.
const MAX_SIGNATURE: usize = 2048;
/// The most that a signature member unpacks to, in bytes: a few signatures.
pub(crate) const MAX_SIGNATURES: u64 = 64 << 10;

/// The signatures in a decompressed first member; none where it is no signature member.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn signatures(tar: &[u8]) -> Result<Vec<Signature>, String> {
    let mut found = Vec::new();
    let wrong = |error: io::Error| format!("its signature cannot be read: {error}");
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().map_err(wrong)? {
        let mut entry = entry.map_err(wrong)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let Some(rest) = name.strip_prefix(".SIGN.") else {
            // The content begins at once: there is no signature.
            break;
        };
        let kinds = [
            ("RSA.", SignatureHash::Sha1),
            ("RSA256.", SignatureHash::Sha256),
            ("RSA512.", SignatureHash::Sha512),
        ];
        let kind = kinds
            .into_iter()
            .find_map(|(kind, hash)| Some((rest.strip_prefix(kind)?, hash)));
        let Some((key, hash)) = kind else {
            // Of several signatures one that is understood is enough.
            continue;
        };
        if entry.size() > MAX_SIGNATURE as u64 {
            return Err(format!("its signature has {} bytes", entry.size()));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(wrong)?;
        found.push(Signature {
            key: key.to_owned(),
            hash,
            bytes,
        });
    }
    Ok(found)
}
