//! Writing gzip (RFC 1952): one member whose bytes depend on nothing but the input.
//!
//! The input is cut into blocks of a fixed size, which are compressed side by side.
//! Each has the 32 KiB before it as dictionary, so that little is lost at the cuts,
//! and ends on a byte, so that the blocks can be joined. It must be one member: the
//! kernel refuses an initramfs that does not end with its member.

use std::io::{self, Write};

use rayon::prelude::*;

use crate::encode::{End, WINDOW, piece};

/// Size of the blocks that are compressed on their own, in bytes. Another size gives
/// other bytes.
const BLOCK: usize = 1 << 20;
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
                let to = all.len().min(from + BLOCK);
                let mut checksum = crc32fast::Hasher::new();
                checksum.update(all.get(from..to).unwrap_or_default());
                let some = all.get(..to).unwrap_or(all);
                (piece(some, from, WINDOW, End::More), checksum)
            })
            .collect();
        for (piece, checksum) in blocks {
            piece.write(all, &mut self.inner)?;
            self.checksum.combine(&checksum);
        }
        let keep = self.pending.len().saturating_sub(WINDOW);
        self.pending.drain(..keep);
        self.dictionary = self.pending.len();
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.batch - (self.pending.len() - self.dictionary);
        let count = room.min(bytes.len());
        self.pending
            .extend_from_slice(bytes.get(..count).unwrap_or(bytes));
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
