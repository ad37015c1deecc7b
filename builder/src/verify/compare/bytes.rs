//! The first byte in which two streams differ.

use std::io::{self, Read};

use serde::{Serialize, Serializer};

/// How many bytes before the first different one are shown: one row of a hex dump.
const BEFORE: usize = 16;
/// How many bytes from the first different one on are shown.
const FROM: usize = 16;
const CHUNK: usize = 64 << 10;

/// The first byte in which two streams differ, with what is around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// How many bytes are before it.
    pub offset: u64,
    /// The last bytes before it, at most 16; they are the same in both.
    #[serde(serialize_with = "as_hex")]
    pub before: Vec<u8>,
    /// The left one's bytes from it on, at most 16; none where it ends there.
    #[serde(serialize_with = "as_hex")]
    pub left: Vec<u8>,
    /// The right one's.
    #[serde(serialize_with = "as_hex")]
    pub right: Vec<u8>,
}

fn as_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(bytes))
}

/// Pairs of hexadecimal digits with spaces between them.
pub(super) fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

/// Reads both until they differ; `None` where they never do.
pub(super) fn first_difference(
    mut left: impl Read,
    mut right: impl Read,
) -> io::Result<Option<Bytes>> {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let mut before: Vec<u8> = Vec::new();
    let mut offset = 0u64;
    loop {
        fill(&mut left, &mut one, CHUNK)?;
        fill(&mut right, &mut two, CHUNK)?;
        let same = one.iter().zip(&two).take_while(|(a, b)| a == b).count();
        before.extend(one.iter().take(same));
        before.drain(..before.len().saturating_sub(BEFORE));
        offset += same as u64;
        if same < one.len() || same < two.len() {
            return Ok(Some(Bytes {
                offset,
                before,
                left: rest(left, &one, same)?,
                right: rest(right, &two, same)?,
            }));
        }
        if one.is_empty() {
            return Ok(None);
        }
    }
}

/// What comes from `at` on, in the chunk or behind it.
fn rest(mut reader: impl Read, chunk: &[u8], at: usize) -> io::Result<Vec<u8>> {
    let mut shown: Vec<u8> = chunk.iter().skip(at).take(FROM).copied().collect();
    let mut more = Vec::new();
    fill(&mut reader, &mut more, FROM - shown.len())?;
    shown.extend(more);
    Ok(shown)
}

/// Replaces what is in `buffer` by the next `count` bytes, or as many as there are.
fn fill(reader: &mut impl Read, buffer: &mut Vec<u8>, count: usize) -> io::Result<()> {
    buffer.clear();
    reader.take(count as u64).read_to_end(buffer).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(left: &[u8], right: &[u8]) -> Option<Bytes> {
        first_difference(left, right).unwrap()
    }

    #[test]
    fn the_same_is_the_same() {
        assert_eq!(compare(b"", b""), None);
        let long = vec![1; CHUNK * 2 + 5];
        assert_eq!(compare(&long, &long), None);
    }

    #[test]
    fn the_first_byte_is_found_wherever_chunks_end() {
        let left: Vec<u8> = (0..CHUNK * 2 + 50).map(|at| at as u8).collect();
        for at in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK * 2 + 49] {
            let mut right = left.clone();
            right[at] ^= 0x80;
            let found = compare(&left, &right).unwrap();
            assert_eq!(found.offset, at as u64);
            assert_eq!(found.before, left[at.saturating_sub(BEFORE)..at]);
            assert_eq!(found.left, left[at..left.len().min(at + FROM)]);
            assert_eq!(found.right, right[at..right.len().min(at + FROM)]);
        }
    }

    #[test]
    fn an_end_is_a_difference() {
        let found = compare(b"abc", b"abcdef").unwrap();
        assert_eq!((found.offset, found.left.len()), (3, 0));
        assert_eq!(found.right, b"def");
    }
}
