//! Pieces of deflate, and streams that are one piece.

use std::io::{self, Write};
use std::ops::Range;

use crate::bits::Bits;
use crate::block;
use crate::dense::is_dense;
use crate::matches::Matches;
use crate::parse::parse;
use crate::split::Blocks;

/// How far back deflate can refer, in bytes (RFC 1951, section 2).
pub const WINDOW: usize = 32 << 10;
/// What is judged at once, in bytes, whether it is dense.
const SEGMENT: usize = 64 << 10;

/// What comes behind a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Another piece, on a byte of its own.
    More,
    /// Nothing.
    Last,
}

/// A piece of deflate. What is stored in it is not copied: it is named.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    packed: Vec<u8>,
    /// Where in `packed` which bytes of the input belong.
    stored: Vec<(usize, Range<usize>)>,
}

impl Piece {
    /// Writes it to `out`; `bytes` are what it was made of.
    pub(crate) fn write(&self, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        let mut done = 0;
        for (at, stored) in &self.stored {
            out.write_all(self.packed.get(done..*at).unwrap_or_default())?;
            out.write_all(bytes.get(stored.clone()).unwrap_or_default())?;
            done = *at;
        }
        out.write_all(self.packed.get(done..).unwrap_or_default())
    }
}

/// Compresses `bytes` from `from` on; what is before is there for who reads, too. Nothing
/// refers back by more than `reach` bytes.
pub(crate) fn piece(bytes: &[u8], from: usize, reach: usize, end: End) -> Piece {
    let reach = reach.min(WINDOW);
    let (mut bits, mut stored) = (Bits::default(), Vec::new());
    // Places are counted from what can be referred to at all.
    let start = from.saturating_sub(reach);
    let (bytes, from) = (bytes.get(start..).unwrap_or_default(), from - start);
    let fresh = bytes.get(from..).unwrap_or_default();
    let dense: Vec<bool> = fresh.chunks(SEGMENT).map(is_dense).collect();
    let mut matches = None;
    let mut at = from;
    for alike in dense.chunk_by(|one, two| one == two) {
        let to = bytes.len().min(at + alike.len() * SEGMENT);
        let last = end == End::Last && to == bytes.len();
        if alike.contains(&true) {
            while at < to {
                let next = to.min(at + block::STORED);
                block::stored(&mut bits, next - at, last && next == to);
                stored.push((bits.len(), start + at..start + next));
                at = next;
            }
        } else {
            let matches = matches.get_or_insert_with(|| Matches::new(reach));
            let mut blocks = Blocks::new(&mut bits, bytes, at);
            parse(bytes.get(..to).unwrap_or(bytes), at, matches, &mut blocks);
            blocks.finish(to, last);
            at = to;
        }
    }
    if end == End::More || fresh.is_empty() {
        block::stored(&mut bits, 0, end == End::Last);
    }
    Piece {
        packed: bits.finish(),
        stored,
    }
}

/// A whole stream of deflate in which nothing refers back by more than `reach` bytes, at
/// most [`WINDOW`].
#[must_use]
pub fn raw(bytes: &[u8], reach: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    append(bytes, reach, &mut stream);
    stream
}

/// Appends it to a stream in memory.
fn append(bytes: &[u8], reach: usize, stream: &mut Vec<u8>) {
    // A vector takes everything.
    let _ = piece(bytes, 0, reach, End::Last).write(bytes, stream);
}

/// A whole zlib stream (RFC 1950).
#[must_use]
pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    // Deflate with a window of 32 KiB; no dictionary, no hint of the level.
    let mut stream = vec![0x78, 0x01];
    append(bytes, WINDOW, &mut stream);
    stream.extend(adler32(bytes).to_be_bytes());
    stream
}

/// The checksum of zlib (RFC 1950, section 8.2).
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    // As many as can be added up before a sum leaves 32 bits.
    const AT_ONCE: usize = 5552;
    let (mut one, mut two) = (1u32, 0u32);
    for some in bytes.chunks(AT_ONCE) {
        for byte in some {
            one += u32::from(*byte);
            two += one;
        }
        one %= MODULUS;
        two %= MODULUS;
    }
    two << 16 | one
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::samples::{mixed, noise, program, text};

    /// What an independent decoder makes of it; it must use all of it.
    fn back(packed: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut decoder = flate2::bufread::DeflateDecoder::new(packed);
        decoder.read_to_end(&mut bytes).unwrap();
        assert_eq!(decoder.into_inner().len(), 0, "something is behind the end");
        bytes
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let all = mixed();
        for size in [
            0,
            1,
            2,
            3,
            4,
            5,
            257,
            258,
            259,
            4096,
            SEGMENT,
            SEGMENT + 1,
            all.len(),
        ] {
            assert!(back(&raw(&all[..size], WINDOW)) == all[..size], "{size}");
            let end = &all[all.len() - size..];
            assert!(back(&raw(end, WINDOW)) == end, "the last {size}");
        }
        for byte in [0, 1, 255] {
            for len in [1, 2, 3, 258, 259, 260, 516, 517, 70_000] {
                assert_eq!(back(&raw(&vec![byte; len], WINDOW)), vec![byte; len]);
            }
        }
        // Few values, so that everything was there before, at every distance.
        for values in 1..=5u8 {
            let bytes: Vec<u8> = noise(100_000).iter().map(|it| it % values).collect();
            assert!(back(&raw(&bytes, WINDOW)) == bytes, "{values}");
        }
    }

    #[test]
    fn it_is_small() {
        // Measured of zlib at its highest level: 139,013 and 98,983 bytes.
        let (text, program) = (raw(&text(300_000), WINDOW), raw(&program(300_000), WINDOW));
        assert!(text.len() < 140_000, "{}", text.len());
        assert!(program.len() < 100_000, "{}", program.len());
        assert!(raw(&[0; 1 << 20], WINDOW).len() < 1100);
        assert_eq!(raw(b"", WINDOW), [1, 0, 0, 0xff, 0xff]);
        assert_eq!(raw(b"a", WINDOW).len(), 3);
        let dense = noise(1 << 20);
        assert!(raw(&dense, WINDOW).len() < dense.len() + dense.len() / 5000);
    }

    #[test]
    fn nothing_refers_further_back_than_it_may() {
        // The same noise again after 5000 bytes: worth a reference, if it is allowed.
        let letters: Vec<u8> = noise(5000).iter().map(|it| it % 64).collect();
        let twice = [letters.clone(), letters].concat();
        let (near, far) = (raw(&twice, 4999), raw(&twice, 5000));
        assert!(
            near.len() > 7000 && far.len() < 4500,
            "{} {}",
            near.len(),
            far.len()
        );
        assert!(back(&near) == twice && back(&far) == twice);
    }

    #[test]
    fn pieces_follow_each_other() {
        let all = mixed();
        for cut in [1, 1000, 40_000, 300_001, 500_000] {
            let mut stream = Vec::new();
            let first = piece(&all[..cut], 0, WINDOW, End::More);
            first.write(&all, &mut stream).unwrap();
            let second = piece(&all, cut, WINDOW, End::Last);
            second.write(&all, &mut stream).unwrap();
            assert!(back(&stream) == all, "{cut}");
        }
    }

    #[test]
    fn zlib_is_what_others_read() {
        for bytes in [&b""[..], b"Wikipedia", &mixed()] {
            let stream = zlib(bytes);
            let mut back = Vec::new();
            let mut decoder = flate2::bufread::ZlibDecoder::new(stream.as_slice());
            decoder.read_to_end(&mut back).unwrap();
            assert!(back == bytes);
        }
        // The example of the article on it.
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        assert_eq!(adler32(&[0xff; 1_000_000]), {
            let (mut one, mut two) = (1u64, 0u64);
            for _ in 0..1_000_000 {
                one = (one + 255) % 65521;
                two = (two + one) % 65521;
            }
            (two << 16 | one) as u32
        });
    }
}
