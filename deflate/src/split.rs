//! Where blocks end: where what follows is of another kind, so that codes of its own are
//! worth their room.

use crate::bits::Bits;
use crate::block;
use crate::dense::{LOG_BITS, log2};
use crate::symbols::{Counts, Tally, Token};

/// What is counted at once, in tokens.
const STEP: usize = 1024;
/// The most that a block has, in tokens: more would leave the processor's cache before it
/// is written.
const MOST: usize = 64 * STEP;
/// What the codes of a block take before what they say of single symbols, in bits; and
/// for each symbol that occurs.
const HEADER: u64 = 120;
const SYMBOL: u64 = 4;

/// Tokens on their way into blocks.
pub(crate) struct Blocks<'a> {
    bits: &'a mut Bits,
    /// What the tokens stand for.
    bytes: &'a [u8],
    tokens: Vec<Token>,
    /// How many of them are one block, where it begins and ends, and what is in it.
    together: usize,
    start: usize,
    end: usize,
    counts: Counts,
    cost: u64,
    /// What is in those that came after.
    fresh: Tally,
}

impl<'a> Blocks<'a> {
    /// None yet of `bytes` from `start` on.
    pub(crate) fn new(bits: &'a mut Bits, bytes: &'a [u8], start: usize) -> Self {
        Self {
            bits,
            bytes,
            tokens: Vec::with_capacity(MOST + STEP),
            together: 0,
            start,
            end: start,
            counts: Counts::new(),
            cost: 0,
            fresh: Tally::new(),
        }
    }

    /// Takes the token that ends before the byte `at`.
    #[inline]
    pub(crate) fn push(&mut self, token: Token, at: usize) {
        self.tokens.push(token);
        self.fresh.add(token);
        if self.tokens.len() == self.together + STEP {
            self.step(at);
        }
    }

    /// Decides whether the last tokens, which end before the byte `at`, are of one block
    /// with those before them.
    fn step(&mut self, at: usize) {
        let next = self.fresh.take();
        let mut both = self.counts.clone();
        both.add(&next);
        let (together, alone) = (cost(&both), cost(&next));
        if self.together > 0 && (together > self.cost + alone || self.together == MOST) {
            self.write(false);
            (self.counts, self.cost) = (next, alone);
        } else {
            (self.counts, self.cost) = (both, together);
        }
        self.together = self.tokens.len();
        self.end = at;
    }

    /// Writes the block that is together.
    fn write(&mut self, last: bool) {
        let tokens = self.tokens.get(..self.together).unwrap_or_default();
        let bytes = self.bytes.get(self.start..self.end).unwrap_or_default();
        block::write(self.bits, tokens, &self.counts, bytes, last);
        self.tokens.drain(..self.together);
        self.start = self.end;
    }

    /// Writes what is left, which ends before the byte `at`.
    pub(crate) fn finish(mut self, at: usize, last: bool) {
        if self.tokens.len() > self.together {
            self.step(at);
        }
        if self.together > 0 {
            self.write(last);
        }
    }
}

/// How many bits a block with these takes, by their entropy.
fn cost(counts: &Counts) -> u64 {
    let entropy = |counts: &[u32]| {
        let (mut all, mut known, mut used) = (0, 0, 0);
        for count in counts {
            let count = u64::from(*count);
            all += count;
            known += count * log2(count);
            used += u64::from(count > 0);
        }
        ((all * log2(all)).saturating_sub(known) >> LOG_BITS) + used * SYMBOL
    };
    HEADER + entropy(&counts.literals) + entropy(&counts.distances)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many blocks are made of these literals.
    fn blocks(bytes: &[u8]) -> Vec<u8> {
        let mut bits = Bits::default();
        let mut blocks = Blocks::new(&mut bits, bytes, 0);
        for (byte, at) in bytes.iter().zip(1..) {
            blocks.push(Token::literal(*byte), at);
        }
        blocks.finish(bytes.len(), true);
        bits.finish()
    }

    #[test]
    fn blocks_end_where_the_kind_changes() {
        // Of two kinds with 15 values each: codes of 4 bits, with the end, if they are apart.
        let kind = |first: u8| (0..6 * STEP as u32).map(move |n| first + (n * 7 % 15) as u8);
        let both: Vec<u8> = kind(0).chain(kind(100)).collect();
        let packed = blocks(&both);
        assert!(packed.len() < both.len() / 2 + 200, "{}", packed.len());
        // All of one kind is one block up to a limit; its codes are told once.
        let one: Vec<u8> = kind(0).collect();
        assert!(blocks(&one).len() < one.len() / 2 + 60);
    }

    #[test]
    fn nothing_is_lost_at_the_limits() {
        for len in [
            0,
            1,
            STEP - 1,
            STEP,
            STEP + 1,
            MOST,
            MOST + 1,
            2 * MOST + STEP + 3,
        ] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            if len == 0 {
                assert!(blocks(&bytes).is_empty());
                continue;
            }
            let mut back = Vec::new();
            let packed = blocks(&bytes);
            let mut decoder = flate2::bufread::DeflateDecoder::new(packed.as_slice());
            std::io::Read::read_to_end(&mut decoder, &mut back).unwrap();
            assert!(back == bytes, "{len}");
        }
    }
}
