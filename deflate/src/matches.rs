//! Finds what was there before: chains of places whose next bytes have the same hash.

use crate::encode::WINDOW;
use crate::symbols::{MAX_COPY, MIN_COPY};

/// Places are kept by the hash of their next four bytes, and once more by that of the next
/// three, for the shortest copies.
const FOUR: u32 = 15;
const THREE: u32 = 13;

/// Something that was there before: `len` bytes, `distance` bytes back. No length means
/// that there is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) len: usize,
    pub(crate) distance: usize,
}

/// Where bytes were seen.
///
/// Places are kept modulo 2^16, without saying that there is none: a place that was never
/// entered, or is too far back by now, looks like some other one. That does no harm, because
/// bytes are compared before anything is said of them.
pub(crate) struct Matches<'a> {
    bytes: &'a [u8],
    /// How far back is looked, in bytes.
    reach: usize,
    /// The last places by the hash of four bytes, then by that of three; then for each place
    /// of the window the one before it with the same four. One piece of memory, as one
    /// address is all that the innermost loop has a register for.
    tables: Box<[u16; TABLES]>,
}

const THREES: usize = 1 << FOUR;
const BEFORE: usize = THREES + (1 << THREE);
const TABLES: usize = BEFORE + WINDOW;

impl<'a> Matches<'a> {
    /// Nothing was seen yet of `bytes`.
    pub(crate) fn new(bytes: &'a [u8], reach: usize) -> Self {
        // Made where it lies: it is too large for the stack.
        let tables = vec![0; TABLES].into_boxed_slice();
        Self {
            bytes,
            reach: reach.min(WINDOW),
            tables: tables.try_into().unwrap_or_else(|_| Box::new([0; TABLES])),
        }
    }

    /// Enters the place `at`; gives the last places with the same four bytes and the same
    /// three, or rather the same hashes of them.
    #[inline(always)]
    fn enter(&mut self, at: usize, word: u32) -> (u16, u16) {
        let place = at as u16;
        let three = &mut self.tables[THREES + hash(word << 8, THREE)];
        let last_three = std::mem::replace(three, place);
        let four = &mut self.tables[hash(word, FOUR)];
        let last_four = std::mem::replace(four, place);
        self.tables[BEFORE + at % WINDOW] = last_four;
        (last_four, last_three)
    }

    /// Enters all places of a range, without looking for anything.
    #[inline]
    pub(crate) fn pass(&mut self, from: usize, to: usize) {
        for at in from..to {
            let Some(word) = word(self.bytes, at) else {
                return;
            };
            self.enter(at, word);
        }
    }

    /// Enters the place `at` and looks for the longest match there that is longer than
    /// `than` bytes: at `depth` places at most, and no further where one is as long as
    /// `enough`. Of equally long ones the nearest is found.
    #[inline]
    pub(crate) fn longest(&mut self, at: usize, than: usize, depth: u32, enough: usize) -> Match {
        let mut found = Match::default();
        let bytes = self.bytes;
        let Some(word_here) = word(bytes, at) else {
            return found;
        };
        let (four, three) = self.enter(at, word_here);
        let tables = &self.tables;
        let here = bytes.get(at..).unwrap_or_default();
        let here = here.get(..MAX_COPY).unwrap_or(here);
        let reach = self.reach.min(at);
        let mut longest = than.max(MIN_COPY - 1);
        if longest < MIN_COPY {
            let distance = usize::from((at as u16).wrapping_sub(three));
            let there = (1..=reach).contains(&distance);
            let there = there.then(|| word(bytes, at - distance)).flatten();
            if there.is_some_and(|it| (it ^ word_here) << 8 == 0) {
                longest = MIN_COPY;
                found = Match {
                    len: MIN_COPY,
                    distance,
                };
            }
        }
        let mut place = four;
        let mut last = 0;
        // The end of what a longer match has to have.
        let mut tail = longest.max(MIN_COPY) - MIN_COPY;
        let Some(mut wanted) = word(here, tail) else {
            return found;
        };
        for _ in 0..depth {
            let distance = usize::from((at as u16).wrapping_sub(place));
            // Places of a chain lie further and further back; else they are of an older one.
            if distance <= last || distance > reach {
                break;
            }
            last = distance;
            let there = bytes.get(at - distance..).unwrap_or_default();
            place = tables[BEFORE + usize::from(place) % WINDOW];
            if word(there, tail) != Some(wanted) {
                continue;
            }
            let len = alike(here, there);
            if len > longest {
                longest = len;
                found = Match { len, distance };
                tail = len - MIN_COPY;
                match word(here, tail) {
                    Some(word) if len < enough => wanted = word,
                    _ => break,
                }
            }
        }
        found
    }
}

/// The four bytes at `at`, if there are as many.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(*bytes.first_chunk()?))
}

#[inline(always)]
fn hash(word: u32, bits: u32) -> usize {
    // Knuth's multiplier: 2^32 by the golden ratio.
    (word.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}

/// How many bytes both begin with.
#[inline(always)]
fn alike(one: &[u8], two: &[u8]) -> usize {
    let mut len = 0;
    let (ones, twos) = (one.chunks_exact(8), two.chunks_exact(8));
    for (a, b) in ones.zip(twos) {
        let (Some(a), Some(b)) = (a.first_chunk(), b.first_chunk()) else {
            break;
        };
        let other = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if other != 0 {
            return len + other.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    let ends = one.iter().skip(len).zip(two.iter().skip(len));
    len + ends.take_while(|(a, b)| a == b).count()
}
