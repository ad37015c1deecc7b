//! Finds what was there before: chains of places whose next bytes have the same hash.

use crate::encode::WINDOW;
use crate::symbols::{MAX_COPY, MIN_COPY};

/// Places are kept in chains by the hash of their next five bytes; and by that of the next
/// three, for shorter copies, of which only the last is known. As many bits have the hashes.
const FIVE: u32 = 16;
const THREE: u32 = 15;
/// Where in the tables what is.
const THREES: usize = 1 << FIVE;
const BEFORE: usize = THREES + (1 << THREE);
const TABLES: usize = BEFORE + WINDOW;
/// A place that is too far back, or was never there.
const NONE: i16 = i16::MIN;
/// How many places are entered before it is asked anew whether they can still be counted.
const ROOM: usize = 1024;
/// What is compared: the longest copy, in whole words. As it is always as much, nothing
/// has to be asked of an end while comparing.
const AHEAD: usize = MAX_COPY.next_multiple_of(WORD);
const WORD: usize = size_of::<u64>();

/// Something that was there before: `len` bytes, `distance` bytes back. No length means
/// that there is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) len: usize,
    pub(crate) distance: usize,
}

/// How much is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// At how many places, at most.
    pub(crate) depth: u32,
    /// A match of this length is taken without looking further.
    pub(crate) enough: usize,
}

/// Where bytes were seen.
pub(crate) struct Matches<'a> {
    bytes: &'a [u8],
    /// The end of `bytes`, from a multiple of the window on, with [`AHEAD`] zeros behind it:
    /// made when it is needed.
    end: Option<(usize, Vec<u8>)>,
    /// How far back is looked, in bytes.
    reach: i32,
    /// From where the places in `tables` are counted.
    base: usize,
    /// The last places by the hash of five bytes, then by that of three; then for each place
    /// of the window the one before it with the same five. One piece of memory, as one
    /// address is all that the innermost loop has a register for; and small numbers, as more
    /// of them are in the processor's cache.
    tables: Box<[i16; TABLES]>,
}

impl<'a> Matches<'a> {
    /// Nothing was seen yet. Nothing is found that is further back than `reach` bytes.
    pub(crate) fn new(reach: usize) -> Self {
        // Made where it lies: it is too large for the stack.
        let tables = vec![NONE; TABLES].into_boxed_slice();
        Self {
            bytes: &[],
            end: None,
            // One less than deflate allows: it has a number of its own for "too far".
            reach: reach.min(WINDOW - 1) as i32,
            base: 0,
            tables: tables
                .try_into()
                .unwrap_or_else(|_| Box::new([NONE; TABLES])),
        }
    }

    /// Goes on at `from` in `bytes`, which begin with those that it was before; of what was
    /// left out between, that can be referred to which is near enough.
    pub(crate) fn go_on(&mut self, bytes: &'a [u8], from: usize) {
        let near = from.saturating_sub(self.reach as usize);
        // A place is entered once, or its chain would end there.
        let near = near.max(self.bytes.len());
        (self.bytes, self.end) = (bytes, None);
        for some in (near..from).step_by(ROOM) {
            self.pass(some, from.min(some + ROOM));
        }
    }

    /// Makes places from `at` on countable.
    #[inline(always)]
    fn make_room(&mut self, at: usize) {
        if at - self.base > i16::MAX as usize - ROOM {
            self.count_from(at);
        }
    }

    /// Counts places from `at` on.
    #[inline(never)]
    fn count_from(&mut self, at: usize) {
        match i16::try_from(at - self.base) {
            Ok(by) => {
                for place in self.tables.iter_mut() {
                    *place = place.saturating_sub(by);
                }
            }
            Err(_) => self.tables.fill(NONE),
        }
        self.base = at;
    }

    /// Enters the place `at`; gives the last places with the same five bytes and the same
    /// three, or rather the same hashes of them.
    #[inline(always)]
    fn enter(&mut self, at: usize, word: u64) -> (i16, i16) {
        let place = (at - self.base) as i16;
        let three = &mut self.tables[THREES + hash(word << 40, THREE)];
        let last_three = std::mem::replace(three, place);
        let five = &mut self.tables[hash(word << 24, FIVE)];
        let last_five = std::mem::replace(five, place);
        self.tables[BEFORE + at % WINDOW] = last_five;
        (last_five, last_three)
    }

    /// Enters all places of a range, at most as many as one match has, without looking for
    /// anything.
    #[inline(always)]
    pub(crate) fn pass(&mut self, from: usize, to: usize) {
        debug_assert!(to <= from + ROOM);
        self.make_room(from);
        let end = to + WORD - 1;
        let bytes = self.bytes.get(from..end.min(self.bytes.len()));
        let words = bytes.unwrap_or_default().windows(WORD);
        for (word, at) in words.zip(from..) {
            if let Some(word) = word.first_chunk() {
                self.enter(at, u64::from_le_bytes(*word));
            }
        }
    }

    /// Enters the place `at` and looks for the longest match there that is longer than
    /// `than` bytes. Of equally long ones the nearest is found.
    #[inline(always)]
    pub(crate) fn longest(&mut self, at: usize, than: usize, effort: Effort) -> Match {
        self.make_room(at);
        match ahead(self.bytes, at) {
            Some(here) => self.search(self.bytes, 0, here, at, than, effort),
            None => self.near_end(at, than, effort),
        }
    }

    /// The same where there is less than is compared.
    #[cold]
    fn near_end(&mut self, at: usize, than: usize, effort: Effort) -> Match {
        let limit = self.bytes.len().saturating_sub(at);
        if limit <= than {
            return Match::default();
        }
        let (skipped, end) = self.end.take().unwrap_or_else(|| padded(self.bytes));
        let enough = effort.enough.min(limit);
        let effort = Effort { enough, ..effort };
        let mut found = match ahead(&end, at - skipped) {
            Some(here) => self.search(&end, skipped, here, at, than, effort),
            None => Match::default(),
        };
        found.len = found.len.min(limit);
        self.end = Some((skipped, end));
        found
    }

    /// Enters `at` and looks there: `here` is what is there, and `bytes` are those from the
    /// place `skipped` on, a multiple of the window.
    #[inline(always)]
    fn search(
        &mut self,
        bytes: &[u8],
        skipped: usize,
        here: &[u8; AHEAD],
        at: usize,
        than: usize,
        effort: Effort,
    ) -> Match {
        let mut found = Match::default();
        let first = here
            .first_chunk()
            .map_or(0, |word| u64::from_le_bytes(*word));
        let (mut place, three) = self.enter(at, first);
        let tables = &self.tables;
        // The nearest place that is too far: never one before `NONE`.
        let too_far = ((at - self.base) as i32 - self.reach - 1) as i16;
        let (base, at) = (self.base.wrapping_sub(skipped), at - skipped);
        let mut longest = than;
        if longest < MIN_COPY {
            longest = MIN_COPY - 1;
            // Where three bytes are new, five are as well.
            if three <= too_far {
                return found;
            }
            let start = base.wrapping_add_signed(three.into());
            let there = ahead(bytes, start);
            let len = there.map_or(0, |there| alike(here, there));
            if len > longest {
                longest = len;
                found = Match {
                    len,
                    distance: at - start,
                };
                if len >= effort.enough {
                    return found;
                }
            }
        }
        // The end of what a longer match has to have.
        let mut tail = (longest.max(MIN_COPY) - MIN_COPY) as u8;
        let mut wanted = word(here, tail);
        let mut left = effort.depth;
        while place > too_far && left > 0 {
            left -= 1;
            let start = base.wrapping_add_signed(place.into());
            place = tables[BEFORE + start % WINDOW];
            let Some(there) = ahead(bytes, start) else {
                continue;
            };
            if word(there, tail) != wanted {
                continue;
            }
            let len = alike(here, there);
            if len > longest {
                longest = len;
                found = Match {
                    len,
                    distance: at - start,
                };
                if len >= effort.enough {
                    break;
                }
                tail = (len - MIN_COPY) as u8;
                wanted = word(here, tail);
            }
        }
        found
    }
}

/// What is at a place, if there is as much.
#[inline(always)]
fn ahead(bytes: &[u8], at: usize) -> Option<&[u8; AHEAD]> {
    bytes.get(at..)?.first_chunk()
}

/// The end of `bytes` as [`Matches`] keeps it, and where it begins.
fn padded(bytes: &[u8]) -> (usize, Vec<u8>) {
    // All that the last places can refer to.
    let needed = WINDOW + AHEAD;
    let skipped = bytes.len().saturating_sub(needed) / WINDOW * WINDOW;
    let end = bytes.get(skipped..).unwrap_or_default();
    (skipped, [end, &[0; AHEAD]].concat())
}

/// The four bytes at `at`.
#[inline(always)]
fn word(bytes: &[u8; AHEAD], at: u8) -> u32 {
    let at = usize::from(at);
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline(always)]
fn hash(word: u64, bits: u32) -> usize {
    // Knuth's multiplier: 2^64 by the golden ratio.
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - bits)) as usize
}

/// How many bytes both begin with, as far as a copy can reach.
#[inline(always)]
fn alike(one: &[u8; AHEAD], two: &[u8; AHEAD]) -> usize {
    let words = one.as_chunks::<WORD>().0.iter().zip(two.as_chunks().0);
    for ((one, two), at) in words.zip((0..).step_by(WORD)) {
        let other = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*two);
        if other != 0 {
            return MAX_COPY.min(at + other.trailing_zeros() as usize / 8);
        }
    }
    MAX_COPY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::noise;

    const ALL: Effort = Effort {
        depth: u32::MAX,
        enough: MAX_COPY,
    };

    /// The longest match at `at`, the nearest of them, found by trying every distance.
    fn tried(bytes: &[u8], at: usize, reach: usize) -> Match {
        let mut best = Match::default();
        for distance in 1..=reach.min(at) {
            let ends = bytes[at..].iter().zip(&bytes[at - distance..]);
            let len = ends.take(MAX_COPY).take_while(|(a, b)| a == b).count();
            if len > best.len {
                best = Match { len, distance };
            }
        }
        best
    }

    /// Looks at every place of `bytes`, and compares at each `step`-th.
    fn compare(bytes: &[u8], reach: usize, step: usize) {
        let mut matches = Matches::new(reach);
        matches.go_on(bytes, 0);
        for at in 0..bytes.len() {
            let found = matches.longest(at, MIN_COPY - 1, ALL);
            if at % step == 0 || at + 300 > bytes.len() {
                let best = tried(bytes, at, reach.min(WINDOW - 1));
                // Of fewer than five bytes only the last place with their hash is known.
                if best.len >= 5 {
                    assert_eq!(found, best, "at {at} of {}", bytes.len());
                } else {
                    assert!(found.len <= best.len, "at {at}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn the_longest_match_is_found() {
        // Few values, so that there are long chains; long enough to be counted anew thrice.
        let few: Vec<u8> = noise(100_000).iter().map(|it| it % 4).collect();
        compare(&few, WINDOW, 997);
        compare(&few[..40_000], 5000, 97);
        let runs: Vec<u8> = noise(3000).iter().flat_map(|it| [it % 5; 30]).collect();
        compare(&runs, WINDOW, 997);
        for len in [0, 1, 3, 4, 10, 263, 264, 265, 600] {
            compare(&few[..len], WINDOW, 1);
            compare(&vec![7; len], WINDOW, 1);
        }
    }

    #[test]
    fn shorter_ones_than_asked_for_are_not_found() {
        let bytes = b"abcdefgh-abcdefgi-abcdefgh-";
        let at = |than| {
            let mut matches = Matches::new(WINDOW);
            matches.go_on(bytes, 0);
            matches.pass(0, 18);
            matches.longest(18, than, ALL)
        };
        let (near, far) = (7, 9);
        assert_eq!(
            at(2),
            Match {
                len: far,
                distance: 18
            }
        );
        assert_eq!(at(near), at(2));
        assert_eq!(at(far), Match::default());
        let mut matches = Matches::new(WINDOW);
        matches.go_on(bytes, 18);
        let once = Effort { depth: 1, ..ALL };
        assert_eq!(
            matches.longest(18, 2, once),
            Match {
                len: near,
                distance: 9
            }
        );
    }

    #[test]
    fn what_was_left_out_is_not_referred_to() {
        // Long enough that no place before can be counted any more.
        let letters: Vec<u8> = noise(200_000).iter().map(|it| it % 64).collect();
        for gap in [1, 40_000, 100_000] {
            let bytes = [
                &letters[..gap + 50_000],
                &letters[gap + 20_000..gap + 50_000],
            ]
            .concat();
            let mut matches = Matches::new(WINDOW);
            matches.go_on(&bytes[..1000], 0);
            matches.pass(0, 1000);
            matches.go_on(&bytes, gap + 50_000);
            let found = matches.longest(gap + 50_000, 2, ALL);
            assert_eq!(
                found,
                Match {
                    len: MAX_COPY,
                    distance: 30_000
                },
                "{gap}"
            );
        }
    }
}
