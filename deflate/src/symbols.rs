//! The alphabets of deflate (RFC 1951, section 3.2.5), and what is written in them.

/// Symbols for literals, the end of a block, and lengths.
pub(crate) const LITERALS: usize = 286;
/// Symbols for distances.
pub(crate) const DISTANCES: usize = 30;
/// The symbol that ends a block.
pub(crate) const END: usize = 256;
/// The shortest and the longest copy, in bytes.
pub(crate) const MIN_COPY: usize = 3;
pub(crate) const MAX_COPY: usize = 258;

/// A literal byte, or a copy of what was there before: from the lowest bit on, 9 bits that
/// say what it is, 5 with the symbol of its distance, and 15 with that distance less 1. Both
/// kinds are read alike, as which of them comes next is what a processor cannot foresee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token(u32);

/// How many values the fields of a token have.
pub(crate) const KINDS: usize = 1 << 9;
pub(crate) const PLACES: usize = 1 << 5;
/// In the field of the distance: that there is none.
const NOWHERE: u32 = PLACES as u32 - 1;

impl Token {
    pub(crate) const fn literal(byte: u8) -> Self {
        Self(byte as u32 | NOWHERE << 9)
    }

    /// `len` bytes, 3 to 258, of what was `distance` bytes before, 1 to 32768.
    #[inline]
    pub(crate) const fn copy(len: usize, distance: usize) -> Self {
        debug_assert!(len >= MIN_COPY && len <= MAX_COPY && distance >= 1 && distance <= 1 << 15);
        let less = (distance - 1) as u16;
        let kind = COPIES + len - MIN_COPY;
        let symbol = self::distance(less).0;
        Self(kind as u32 | (symbol as u32) << 9 | (less as u32) << 14)
    }

    /// A literal's byte; for a copy its length less 3, behind [`COPIES`].
    #[inline]
    pub(crate) const fn kind(self) -> usize {
        self.0 as usize % KINDS
    }

    /// The symbol of a copy's distance; one that there is not for a literal.
    #[inline]
    pub(crate) const fn place(self) -> usize {
        (self.0 >> 9) as usize % PLACES
    }

    /// A copy's distance less 1; 0 for a literal.
    #[inline]
    pub(crate) const fn back(self) -> u64 {
        (self.0 >> 14) as u64
    }
}

/// From where on a [`Token::kind`] is a copy.
pub(crate) const COPIES: usize = 1 << 8;

/// The symbol of a copy's length less 3, counted from the first such symbol, with the
/// number of bits that follow it.
#[inline]
pub(crate) const fn length(less: u8) -> (usize, u32) {
    match less {
        0..8 => (less as usize, 0),
        // The longest has a symbol of its own.
        255 => (28, 0),
        _ => {
            let high = less.ilog2();
            let more = high - 2;
            ((4 * more + (less >> more) as u32) as usize, more)
        }
    }
}

/// The symbol of a copy's distance less 1, with the number of bits that follow it.
#[inline]
pub(crate) const fn distance(less: u16) -> (usize, u32) {
    match less {
        0..4 => (less as usize, 0),
        _ => {
            let more = less.ilog2() - 1;
            ((2 * more + (less >> more) as u32) as usize, more)
        }
    }
}

/// How often tokens of each kind, and to each place, occur.
#[derive(Debug)]
pub(crate) struct Tally {
    kinds: [u32; KINDS],
    places: [u32; PLACES],
}

impl Tally {
    pub(crate) const fn new() -> Self {
        Self {
            kinds: [0; KINDS],
            places: [0; PLACES],
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, token: Token) {
        self.kinds[token.kind()] += 1;
        self.places[token.place()] += 1;
    }

    /// What was counted, by symbols, without the end of the block; nothing is counted then.
    pub(crate) fn take(&mut self) -> Counts {
        let mut counts = Counts::new();
        let (bytes, copies) = self.kinds.split_at(COPIES);
        for (count, byte) in counts.literals.iter_mut().zip(bytes) {
            *count = *byte;
        }
        for (copy, less) in copies.iter().zip(0..=u8::MAX) {
            counts.literals[END + 1 + length(less).0] += copy;
        }
        for (count, place) in counts.distances.iter_mut().zip(&self.places) {
            *count = *place;
        }
        *self = Self::new();
        counts
    }
}

/// How often each symbol occurs.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    pub(crate) literals: [u32; LITERALS],
    pub(crate) distances: [u32; DISTANCES],
}

impl Counts {
    pub(crate) const fn new() -> Self {
        Self {
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let literals = self.literals.iter_mut().zip(&other.literals);
        let distances = self.distances.iter_mut().zip(&other.distances);
        for (count, more) in literals.chain(distances) {
            *count += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of RFC 1951, section 3.2.5, by how many symbols have how many extra bits.
    #[test]
    fn symbols_are_those_of_the_table() {
        let mut len = 0u16;
        for symbol in 0..28usize {
            let more = (symbol as u32 / 4).saturating_sub(1);
            for rest in 0..1u16 << more {
                if len < 255 {
                    assert_eq!(length(len as u8), (symbol, more), "{len}");
                    assert_eq!(len & ((1 << more) - 1), rest);
                }
                len += 1;
            }
        }
        assert_eq!((len, length(255)), (256, (28, 0)));
        let mut back = 0u32;
        for symbol in 0..DISTANCES {
            let more = (symbol as u32 / 2).saturating_sub(1);
            for rest in 0..1 << more {
                assert_eq!(distance(back as u16), (symbol, more), "{back}");
                assert_eq!(back & ((1 << more) - 1), rest);
                back += 1;
            }
        }
        assert_eq!(back, 1 << 15);
    }

    #[test]
    fn tokens_keep_what_they_are_made_of() {
        let mut tally = Tally::new();
        let byte = Token::literal(255);
        assert_eq!((byte.kind(), byte.back()), (255, 0));
        assert!(byte.place() >= DISTANCES);
        tally.add(byte);
        let copies = [
            (3, 1, 0, 0),
            (258, 32_768, 28, 29),
            (100, 5000, 22, 24),
            (257, 32_768, 27, 29),
        ];
        for (len, away, length, place) in copies {
            let copy = Token::copy(len, away);
            let parts = (copy.kind(), copy.place(), copy.back());
            assert_eq!(parts, (COPIES + len - 3, place, away as u64 - 1));
            tally.add(copy);
            let counts = tally.take();
            assert_eq!(counts.literals[END + 1 + length], 1, "{len}");
            assert_eq!(counts.distances[place], 1, "{away}");
            let both = counts.literals.iter().chain(&counts.distances);
            // With the literal before the first of them.
            assert_eq!(both.sum::<u32>(), 2 + u32::from(len == 3));
        }
    }
}
