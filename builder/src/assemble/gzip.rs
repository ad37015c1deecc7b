//! Writing gzip (RFC 1952): one member whose bytes depend on nothing but the input.
//!
//! The input is cut into blocks of a fixed size, which are compressed side by side.
//! Each has the 32 KiB before it as dictionary, so that little is lost at the cuts,
//! and ends on a byte (a sync flush), so that the blocks can be joined. It must be
//! one member: the kernel would take the end of a member within an archive for the
//! end of the archive.
//!
//! The compressor is zlib-rs 0.6. Its output does not depend on the processor: code
//! for particular processors is behind `compare256` (the length of a match, exact in
//! every variant), `slide_hash` (a saturating subtraction) and the checksums; the
//! hash of the match finder is a multiplication everywhere, and how blocks are cut
//! and coded is plain code. It does depend on zlib-rs's version, which is why a test
//! pins the digest of a sample: an update that changes it changes every artefact.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, Status};
use rayon::prelude::*;

/// Size of the blocks that are compressed on their own, in bytes. Part of the format:
/// another size gives other bytes.
const BLOCK: usize = 1 << 20;
/// How far back deflate can refer (RFC 1951).
const WINDOW: usize = 32 << 10;
/// The level of compression. Measured side by side on 60 MB of a cpio of programs and
/// libraries, times on one thread relative to `gzip -6` (22,215,883 bytes); `gzip -9`
/// had 22,112,713 bytes in 2.8 times that:
///
/// | level |      bytes | time |
/// |-------|------------|------|
/// | 1     | 29,189,372 | 0.19 |
/// | 3     | 23,477,649 | 0.31 |
/// | 6     | 22,825,896 | 0.46 |
/// | 7     | 22,627,510 | 0.65 |
/// | 8     | 22,606,414 | 1.09 |
/// | 9     | 22,055,229 | 1.24 |
///
/// An initramfs is compressed once for each change and then kept, downloaded and
/// booted many times, and it is small: the few MB of a tiny system take some tenths
/// of a second. Level 9 is the only one that is smaller than what gzip itself makes.
const LEVEL: u32 = 9;
/// Blocks in memory at once, at most.
const MAX_BLOCKS: usize = 16;

/// The header: deflate, no flags, no time, no hint of the level, system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty last deflate block with the fixed codes: the blocks before it are all
/// compressed alike, without knowing which is the last.
const END: [u8; 2] = [0x03, 0x00];

/// Compresses what is written to it into `inner`. Memory is bounded however much
/// that is; blocks are compressed on the current thread pool.
#[derive(Debug)]
pub struct GzipWriter<W: Write> {
    inner: W,
    /// The end of the last batch, then input that was not compressed yet.
    pending: Vec<u8>,
    /// How much of `pending` is the end of the last batch.
    dictionary: usize,
    batch: usize,
    checksum: crc32fast::Hasher,
    size: u64,
}

impl<W: Write> GzipWriter<W> {
    /// Begins a gzip member.
    ///
    /// # Errors
    /// Whatever `inner` says.
    pub fn new(mut inner: W) -> io::Result<Self> {
        inner.write_all(&HEADER)?;
        Ok(Self {
            inner,
            pending: Vec::new(),
            dictionary: 0,
            batch: (2 * rayon::current_num_threads()).clamp(1, MAX_BLOCKS) * BLOCK,
            checksum: crc32fast::Hasher::new(),
            size: 0,
        })
    }

    /// Compresses what is left and ends the member.
    ///
    /// # Errors
    /// Whatever the inner writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.compress_pending()?;
        self.inner.write_all(&END)?;
        // The size is kept modulo 2^32, as the format has it.
        let size = (self.size as u32).to_le_bytes();
        let checksum = self.checksum.finalize().to_le_bytes();
        self.inner.write_all(&checksum)?;
        self.inner.write_all(&size)?;
        Ok(self.inner)
    }

    fn compress_pending(&mut self) -> io::Result<()> {
        let (all, start) = (self.pending.as_slice(), self.dictionary);
        let cuts: Vec<usize> = (start..all.len()).step_by(BLOCK).collect();
        let blocks: Vec<_> = cuts
            .into_par_iter()
            .map(|from| {
                let block = &all[from..all.len().min(from + BLOCK)];
                let dictionary = &all[from.saturating_sub(WINDOW)..from];
                let mut checksum = crc32fast::Hasher::new();
                checksum.update(block);
                deflate(block, dictionary).map(|bytes| (bytes, checksum))
            })
            .collect();
        for block in blocks {
            let (bytes, checksum) = block?;
            self.inner.write_all(&bytes)?;
            self.checksum.combine(&checksum);
        }
        let keep = self.pending.len().saturating_sub(WINDOW);
        self.pending.drain(..keep);
        self.dictionary = self.pending.len();
        Ok(())
    }
}

/// Compresses one block, ending on a byte.
fn deflate(block: &[u8], dictionary: &[u8]) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    if !dictionary.is_empty() {
        compress.set_dictionary(dictionary)?;
    }
    let mut output = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let rest = block.get(done..).unwrap_or_default();
        let status = compress.compress_vec(rest, &mut output, FlushCompress::Sync)?;
        // Room that is left over says that the flush is complete.
        let complete = output.len() < output.capacity();
        if complete && compress.total_in() == block.len() as u64 {
            return Ok(output);
        }
        if status == Status::StreamEnd {
            return Err(io::Error::other("the compressor ended before its input"));
        }
        output.reserve(64 << 10);
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.batch - (self.pending.len() - self.dictionary);
        let count = room.min(bytes.len());
        self.pending.extend_from_slice(&bytes[..count]);
        self.size += count as u64;
        if count == room {
            self.compress_pending()?;
        }
        Ok(count)
    }

    /// Passes on what has been compressed. Input stays until its block is full:
    /// where the blocks are cut must not depend on who flushes when.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests;
