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

/// A literal byte, or a copy of what was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token(u32);

/// Tells copies from literals.
const COPY: u32 = 1 << 31;

impl Token {
    pub(crate) const fn literal(byte: u8) -> Self {
        Self(byte as u32)
    }

    /// `len` bytes, 3 to 258, of what was `distance` bytes before, 1 to 32768.
    pub(crate) const fn copy(len: usize, distance: usize) -> Self {
        debug_assert!(len >= MIN_COPY && len <= MAX_COPY && distance >= 1 && distance <= 1 << 15);
        Self(COPY | ((len - MIN_COPY) as u32) << 16 | (distance - 1) as u32)
    }

    /// The byte, or for a copy its length less 3 and its distance less 1.
    #[inline]
    pub(crate) const fn parts(self) -> Result<u8, (u8, u16)> {
        if self.0 & COPY == 0 {
            Ok(self.0 as u8)
        } else {
            Err(((self.0 >> 16) as u8, self.0 as u16))
        }
    }
}

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

    /// Those of `tokens`, without the end of the block.
    pub(crate) fn of(tokens: &[Token]) -> Self {
        let mut counts = Self::new();
        for token in tokens {
            match token.parts() {
                Ok(byte) => counts.literals[usize::from(byte)] += 1,
                Err((len, back)) => {
                    counts.literals[END + 1 + length(len).0] += 1;
                    counts.distances[distance(back).0] += 1;
                }
            }
        }
        counts
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
        assert_eq!(Token::literal(255).parts(), Ok(255));
        for (len, distance) in [(3, 1), (258, 32_768), (100, 5000)] {
            let token = Token::copy(len, distance);
            let parts = ((len - 3) as u8, (distance - 1) as u16);
            assert_eq!(token.parts(), Err(parts));
        }
    }
}
