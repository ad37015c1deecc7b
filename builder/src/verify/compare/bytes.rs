//! The first byte in which two streams differ, and how much differs in all.

use std::io::{self, Read};

use serde::{Serialize, Serializer};

/// How many bytes before the first different one are kept.
const BEFORE: usize = 128;
/// How many bytes from the first different one on are kept.
const FROM: usize = 128;
/// This many same bytes end a range of different ones: the digits of two numbers
/// agree here and there by chance.
const GAP: u64 = 8;
const CHUNK: usize = 64 << 10;

/// The first byte in which two contents differ, with what is around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// How many bytes are before it.
    pub offset: u64,
    /// What the left one has around it.
    pub left: Window,
    /// What the right one has around it.
    pub right: Window,
    /// How much differs in all, if both have the same size.
    pub extent: Option<Extent>,
}

/// A part of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Window {
    /// How many bytes of the content are before the part.
    pub start: u64,
    /// The part: up to 128 bytes before the first different one, and up to 128 from
    /// it on.
    #[serde(serialize_with = "as_hex")]
    pub bytes: Vec<u8>,
    /// The size of the whole content.
    pub size: u64,
}

/// How much differs between two contents of the same size, place by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// How many bytes.
    pub bytes: u64,
    /// How many ranges they are in; fewer than eight same bytes do not end one.
    pub ranges: u64,
}

fn as_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    serializer.serialize_str(&digits)
}

impl Bytes {
    /// What the left one has from the first different byte on; nothing where it ends
    /// there.
    #[must_use]
    pub fn left_from(&self) -> &[u8] {
        self.left.from(self.offset)
    }

    /// What the right one has from the first different byte on.
    #[must_use]
    pub fn right_from(&self) -> &[u8] {
        self.right.from(self.offset)
    }

    /// The bytes before the first different one, which are the same in both.
    #[must_use]
    pub fn before(&self) -> &[u8] {
        let count = usize::try_from(self.offset - self.left.start).unwrap_or_default();
        self.left.bytes.get(..count).unwrap_or_default()
    }
}

impl Window {
    fn from(&self, offset: u64) -> &[u8] {
        let count = usize::try_from(offset - self.start).unwrap_or_default();
        self.bytes.get(count..).unwrap_or_default()
    }
}

/// Reads both to their ends; `None` where they are the same.
pub(super) fn first_difference(
    mut left: impl Read,
    mut right: impl Read,
) -> io::Result<Option<Bytes>> {
    let mut search = Search::default();
    let (mut one, mut two) = (Vec::new(), Vec::new());
    loop {
        fill(&mut left, &mut one, CHUNK)?;
        fill(&mut right, &mut two, CHUNK)?;
        if one.is_empty() && two.is_empty() {
            return Ok(search.finish());
        }
        search.take(&one, &two);
    }
}

/// Replaces what is in `buffer` by the next `count` bytes, or as many as there are.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut Vec<u8>, count: usize) -> io::Result<()> {
    buffer.clear();
    reader.take(count as u64).read_to_end(buffer).map(drop)
}

/// What is known after a part of both was read.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// How much both were read.
    read: (u64, u64),
    /// The last bytes that were the same.
    before: Vec<u8>,
    found: Option<(u64, Vec<u8>, Vec<u8>)>,
    bytes: u64,
    ranges: u64,
    /// How many same bytes came since the last different one.
    since: u64,
}

impl Search {
    /// Takes what comes next: chunks of one size, but where one of them ends.
    pub(super) fn take(&mut self, left: &[u8], right: &[u8]) {
        let at = self.read.0.min(self.read.1);
        self.read.0 += left.len() as u64;
        self.read.1 += right.len() as u64;
        if let Some((_, one, two)) = &mut self.found {
            extend(one, left);
            extend(two, right);
        }
        if left == right {
            self.since = self.since.saturating_add(left.len() as u64);
            if self.found.is_none() {
                self.remember(left);
            }
            return;
        }
        if self.found.is_none() {
            let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
            let (before, one) = left.split_at(same);
            self.remember(before);
            let (mut first, mut second) = (Vec::new(), Vec::new());
            extend(&mut first, one);
            extend(&mut second, right.get(same..).unwrap_or_default());
            self.found = Some((at + same as u64, first, second));
        }
        self.count(left, right);
    }

    /// Takes zeros, so many on both sides.
    pub(super) fn take_zeros(&mut self, count: u64) {
        self.read = (self.read.0 + count, self.read.1 + count);
        self.since = self.since.saturating_add(count);
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let zeros = [0; if BEFORE > FROM { BEFORE } else { FROM }];
        let zeros = zeros.get(..most).unwrap_or(&zeros);
        match &mut self.found {
            Some((_, one, two)) => {
                extend(one, zeros);
                extend(two, zeros);
            }
            None => self.remember(zeros),
        }
    }

    /// Whether a difference was met.
    pub(super) fn differs(&self) -> bool {
        self.found.is_some()
    }

    fn remember(&mut self, same: &[u8]) {
        let tail = same.len().saturating_sub(BEFORE);
        self.before.extend(same.iter().skip(tail));
        self.before
            .drain(..self.before.len().saturating_sub(BEFORE));
    }

    fn count(&mut self, left: &[u8], right: &[u8]) {
        // By words where they are the same: most of most files is.
        for (one, two) in left.chunks(64).zip(right.chunks(64)) {
            if one == two {
                self.since = self.since.saturating_add(one.len() as u64);
                continue;
            }
            for (a, b) in one.iter().zip(two) {
                if a == b {
                    self.since = self.since.saturating_add(1);
                } else {
                    if self.bytes == 0 || self.since >= GAP {
                        self.ranges += 1;
                    }
                    self.bytes += 1;
                    self.since = 0;
                }
            }
        }
    }

    /// What was found.
    pub(super) fn finish(self) -> Option<Bytes> {
        let (offset, left, right) = self.found?;
        let start = offset - self.before.len() as u64;
        let window = |from: Vec<u8>, size| Window {
            start,
            bytes: [self.before.as_slice(), &from].concat(),
            size,
        };
        let extent = (self.read.0 == self.read.1).then_some(Extent {
            bytes: self.bytes,
            ranges: self.ranges,
        });
        Some(Bytes {
            offset,
            left: window(left, self.read.0),
            right: window(right, self.read.1),
            extent,
        })
    }
}

/// Fills up to what is kept.
fn extend(kept: &mut Vec<u8>, more: &[u8]) {
    let missing = FROM.saturating_sub(kept.len());
    kept.extend(more.iter().take(missing));
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
            assert_eq!(found.before(), &left[at.saturating_sub(BEFORE)..at]);
            assert_eq!(found.left_from(), &left[at..left.len().min(at + FROM)]);
            assert_eq!(found.right_from(), &right[at..right.len().min(at + FROM)]);
            let (bytes, ranges) = (1, 1);
            assert_eq!(found.extent, Some(Extent { bytes, ranges }));
        }
    }

    #[test]
    fn all_that_differs_is_counted() {
        let left = vec![0; CHUNK * 2];
        let mut right = left.clone();
        for at in [10, 11, 18, 27, CHUNK - 1, CHUNK, CHUNK + 9] {
            right[at] = 1;
        }
        let (bytes, ranges) = (7, 4);
        let found = compare(&left, &right).unwrap();
        assert_eq!(found.extent, Some(Extent { bytes, ranges }));
    }

    #[test]
    fn an_end_is_a_difference() {
        let found = compare(b"abc", b"abcdef").unwrap();
        assert_eq!((found.offset, found.left_from()), (3, &b""[..]));
        assert_eq!(found.right_from(), b"def");
        assert_eq!((found.left.size, found.right.size), (3, 6));
        assert_eq!(found.extent, None);
    }
}
