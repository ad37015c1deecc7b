//! Deflate (RFC 1951) for formats that compress, without wasting time on what is
//! compressed already.
//!
//! The compressor is zlib-rs, whose output depends on its version and on nothing of the
//! machine. The golden digests of the crate's tests notice an update that changes it.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, Status};

/// What is judged at once, in bytes, whether it is compressed already.
const SEGMENT: usize = 64 << 10;
/// How much is compressed at once, in bytes, at most. A multiple of [`SEGMENT`].
const BATCH: usize = 1 << 20;
/// How far back deflate can refer, in bytes (RFC 1951, section 2).
const WINDOW: usize = 32 << 10;
/// The most that one stored block holds, in bytes (RFC 1951, section 3.2.4).
const STORED: usize = 65535;
/// The level for what can be compressed. On a disk with a Lunikernel that is little: boot
/// loaders and tables. Level 9 would take as long for it as all the rest together takes, to
/// save 0.4 % of the whole.
const LEVEL: u32 = 7;

/// Whether compressing `bytes` would save next to nothing: whether their entropy, by the
/// frequency of single bytes, is above 63/64 of the most that it can be, as it is for
/// what was compressed or encrypted.
///
/// In 58 MB of programs in a gzip, 96 of 100 segments were dense, and compressing these
/// again would have saved 0.2 %.
pub(crate) fn is_dense(bytes: &[u8]) -> bool {
    // Four tables, because adding to one place twice in a row makes a processor wait.
    let mut counts = [[0u64; 256]; 4];
    let mut fours = bytes.chunks_exact(4);
    for four in &mut fours {
        for (table, byte) in counts.iter_mut().zip(four) {
            table[usize::from(*byte)] += 1;
        }
    }
    for byte in fours.remainder() {
        counts[0][usize::from(*byte)] += 1;
    }
    let [a, b, c, d] = &counts;
    let sums = (a.iter().zip(b)).zip(c.iter().zip(d));
    let sums = sums.map(|((a, b), (c, d))| a + b + c + d);
    // The entropy of all n bytes is n log n - Σ c log c; it is 8 n at most.
    let len = bytes.len() as u64;
    let known: u64 = sums.map(|count| count * log2(count)).sum();
    let entropy = (len * log2(len)).saturating_sub(known);
    entropy >= ((len * 8) << LOG_BITS) / 64 * 63
}

/// Fractional bits of what [`log2`] gives.
const LOG_BITS: u32 = 12;

/// The logarithm to the base 2 of a number below 2^32, rounded down to [`LOG_BITS`] bits
/// behind the point; 0 of 0. In integers, because floating point need not give the same
/// on every machine.
fn log2(number: u64) -> u64 {
    let whole = number.checked_ilog2().unwrap_or_default();
    // From 1 to 2, the 1 being 2^31. Squaring it doubles its logarithm.
    let mut rest = (number << 31) >> whole;
    let mut log = u64::from(whole);
    for _ in 0..LOG_BITS {
        rest = (rest * rest) >> 31;
        log <<= 1;
        if rest >> 32 != 0 {
            rest >>= 1;
            log |= 1;
        }
    }
    log
}

/// Compresses `bytes` by `compress`, to the end of the stream (`Finish`) or to a byte
/// (`Sync`).
fn run(mut compress: Compress, bytes: &[u8], flush: FlushCompress) -> io::Result<Vec<u8>> {
    let mut output = Vec::with_capacity(bytes.len() + bytes.len() / 1000 + 64);
    loop {
        let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let rest = bytes.get(done..).unwrap_or_default();
        let status = compress.compress_vec(rest, &mut output, flush)?;
        // Room that is left over says that a flush is complete.
        let flushed = flush == FlushCompress::Sync && output.len() < output.capacity();
        let taken = compress.total_in() == bytes.len() as u64;
        if status == Status::StreamEnd || flushed && taken {
            return Ok(output);
        }
        output.reserve(SEGMENT);
    }
}

/// A whole stream of deflate whose references reach back 2^`window_bits` bytes at most.
pub(crate) fn raw(bytes: &[u8], window_bits: u8) -> io::Result<Vec<u8>> {
    let level = Compression::new(LEVEL);
    let compress = Compress::new_with_window_bits(level, false, window_bits.clamp(9, 15));
    run(compress, bytes, FlushCompress::Finish)
}

/// A whole zlib stream (RFC 1950); what is dense is only stored in it.
pub(crate) fn zlib(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = if is_dense(bytes) { 0 } else { LEVEL };
    let compress = Compress::new(Compression::new(level), true);
    run(compress, bytes, FlushCompress::Finish)
}

/// Writes one gzip member (RFC 1952) with neither time nor name. What is dense goes
/// through as stored blocks, at the speed of copying.
pub(crate) struct Gzip<W> {
    inner: W,
    /// The end of what was compressed before, then what is to be compressed.
    pending: Vec<u8>,
    /// How much of `pending` was compressed before: the dictionary of what follows.
    before: usize,
    checksum: crc32fast::Hasher,
    size: u64,
}

impl<W: Write> Gzip<W> {
    pub(crate) fn new(mut inner: W) -> io::Result<Self> {
        // Deflate, no flags, no time, no hint of the level, system unknown.
        inner.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])?;
        Ok(Self {
            inner,
            pending: Vec::with_capacity(WINDOW + BATCH),
            before: 0,
            checksum: crc32fast::Hasher::new(),
            size: 0,
        })
    }

    /// Compresses what is left and ends the member.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.compress_pending()?;
        // An empty last block with the fixed codes.
        self.inner.write_all(&[0x03, 0x00])?;
        let checksum = self.checksum.finalize().to_le_bytes();
        self.inner.write_all(&checksum)?;
        // Modulo 2^32, as the format has it.
        self.inner.write_all(&(self.size as u32).to_le_bytes())?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn compress_pending(&mut self) -> io::Result<()> {
        let fresh = self.pending.get(self.before..).unwrap_or_default();
        let dense: Vec<bool> = fresh.chunks(SEGMENT).map(is_dense).collect();
        let mut start = self.before;
        for alike in dense.chunk_by(|one, two| one == two) {
            let end = self.pending.len().min(start + alike.len() * SEGMENT);
            let piece = self.pending.get(start..end).unwrap_or_default();
            if alike.contains(&true) {
                store(&mut self.inner, piece)?;
            } else {
                let window = start.saturating_sub(WINDOW)..start;
                let dictionary = self.pending.get(window).unwrap_or_default();
                let mut compress = Compress::new(Compression::new(LEVEL), false);
                if !dictionary.is_empty() {
                    compress.set_dictionary(dictionary)?;
                }
                let packed = run(compress, piece, FlushCompress::Sync)?;
                self.inner.write_all(&packed)?;
            }
            start = end;
        }
        let keep = self.pending.len().saturating_sub(WINDOW);
        self.pending.drain(..keep);
        self.before = self.pending.len();
        Ok(())
    }
}

/// Stored blocks, beginning and ending on a byte (RFC 1951, section 3.2.4).
fn store(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    for block in bytes.chunks(STORED) {
        let len = block.len() as u16;
        let ([a, b], [c, d]) = (len.to_le_bytes(), (!len).to_le_bytes());
        out.write_all(&[0, a, b, c, d])?;
        out.write_all(block)?;
    }
    Ok(())
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BATCH - (self.pending.len() - self.before).min(BATCH);
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or(bytes);
        self.pending.extend_from_slice(taken);
        self.checksum.update(taken);
        self.size += taken.len() as u64;
        if self.pending.len() - self.before >= BATCH {
            self.compress_pending()?;
        }
        Ok(taken.len())
    }

    /// Nothing: where blocks are cut is not for the writer of the bytes to say.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Bytes that look random (xorshift64) and are always the same.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn text(len: usize) -> Vec<u8> {
        (0..len)
            .flat_map(|n| n.to_string().into_bytes())
            .take(len)
            .collect()
    }

    #[test]
    fn dense_is_what_compressors_make() {
        assert!(is_dense(&noise(SEGMENT)));
        let letters: Vec<u8> = noise(SEGMENT).iter().map(|it| b'0' + it % 64).collect();
        assert!(!is_dense(&letters));
        assert!(is_dense(&raw(&letters, 15).unwrap()));
        assert!(!is_dense(&text(SEGMENT)));
        assert!(!is_dense(&vec![0; SEGMENT]));
        let mut half = noise(SEGMENT);
        half[..SEGMENT / 4].fill(0);
        assert!(!is_dense(&half));
        assert!(is_dense(&[]));
        // One value is much more frequent than the others: 7.4 bits in a byte.
        let mut skewed = noise(SEGMENT);
        skewed.iter_mut().step_by(10).for_each(|byte| *byte = 7);
        assert!(!is_dense(&skewed));
    }

    #[test]
    fn logarithms_are_those_of_mathematics() {
        for number in [1u64, 2, 3, 10, 255, 256, 65_535, 1 << 20, (1 << 32) - 1] {
            let exact = (number as f64).log2() * f64::from(1 << LOG_BITS);
            let found = log2(number) as f64;
            assert!(
                found <= exact + 1e-6 && exact < found + 1.0 + 1e-6,
                "{number}: {found} {exact}"
            );
        }
        assert_eq!(log2(0), 0);
    }

    #[test]
    fn gzip_is_read_back_however_it_is_written() {
        let mut bytes = text(300_000);
        bytes.extend(noise(2_500_000));
        bytes.extend(text(1_200_000));
        for size in [0, 1, SEGMENT, BATCH, BATCH + 1, bytes.len()] {
            let bytes = &bytes[..size];
            let at_once = {
                let mut gzip = Gzip::new(Vec::new()).unwrap();
                gzip.write_all(bytes).unwrap();
                gzip.finish().unwrap()
            };
            let mut in_pieces = Gzip::new(Vec::new()).unwrap();
            for piece in bytes.chunks(77_777) {
                in_pieces.write_all(piece).unwrap();
                in_pieces.flush().unwrap();
            }
            assert!(in_pieces.finish().unwrap() == at_once, "{size}");
            let mut back = Vec::new();
            let mut reader = flate2::read::GzDecoder::new(at_once.as_slice());
            reader.read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{size}");
        }
    }

    #[test]
    fn what_is_dense_grows_by_its_block_headers_only() {
        let bytes = noise(8 * BATCH);
        let mut gzip = Gzip::new(Vec::new()).unwrap();
        gzip.write_all(&bytes).unwrap();
        let len = gzip.finish().unwrap().len();
        assert!(len < bytes.len() + bytes.len() / 5000, "{len}");
        let len = zlib(&bytes[..SEGMENT]).unwrap().len();
        assert!(len < SEGMENT + 100, "{len}");
    }
}
