//! Writes blocks (RFC 1951, section 3.2.3): stored, with the fixed codes, or with codes of
//! their own, whichever is shortest.

use crate::bits::Bits;
use crate::huffman::{Code, LIMIT};
use crate::symbols::{COPIES, Counts, DISTANCES, END, KINDS, LITERALS, PLACES, Token, length};

/// The most that one stored block holds, in bytes (section 3.2.4).
pub(crate) const STORED: usize = 65535;
/// The order in which the lengths of the code for code lengths are written (section 3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];
/// Extra bits behind the symbols that repeat a length.
const REPEATS: [(usize, u32); 3] = [(16, 2), (17, 3), (18, 7)];

/// Writes a block: `tokens`, counted in `counts`, which stand for `bytes`.
pub(crate) fn write(bits: &mut Bits, tokens: &[Token], counts: &Counts, bytes: &[u8], last: bool) {
    let mut counts = counts.clone();
    counts.literals[END] += 1;
    let own = Codes::of(&counts);
    let fixed = Codes::fixed();
    let more = extra(&counts);
    let described = Description::of(&own);
    let (own_cost, fixed_cost) = (
        described.cost + own.cost(&counts) + more,
        fixed.cost(&counts) + more,
    );
    let blocks = bytes.len().div_ceil(STORED) as u64;
    let stored_cost = 8 * bytes.len() as u64 + blocks * (3 + 7 + 32);
    if stored_cost <= own_cost.min(fixed_cost) {
        store(bits, bytes, last);
    } else if fixed_cost <= own_cost {
        bits.reserve(fixed_cost + 3);
        bits.put(u64::from(last) | 1 << 1, 3);
        fixed.write(bits, tokens);
    } else {
        bits.reserve(own_cost + 3);
        bits.put(u64::from(last) | 2 << 1, 3);
        described.write(bits);
        own.write(bits, tokens);
    }
}

/// Writes what is in front of `len` bytes that are stored as they are, at most [`STORED`].
pub(crate) fn stored(bits: &mut Bits, len: usize, last: bool) {
    bits.put(u64::from(last), 3);
    bits.align();
    let len = len as u64;
    bits.put(len | (!len & 0xffff) << 16, 32);
}

/// Writes stored blocks.
fn store(bits: &mut Bits, bytes: &[u8], last: bool) {
    let mut blocks = bytes.chunks(STORED).peekable();
    while let Some(block) = blocks.next() {
        stored(bits, block.len(), last && blocks.peek().is_none());
        bits.append(block);
    }
}

/// The bits behind symbols for lengths and distances.
fn extra(counts: &Counts) -> u64 {
    let lengths = counts.literals.iter().skip(END + 1).zip(0u64..);
    // The longest copy has none.
    let lengths = lengths.map(|(count, symbol)| match symbol {
        28 => 0,
        _ => u64::from(*count) * (symbol / 4).saturating_sub(1),
    });
    let distances = counts.distances.iter().zip(0u64..);
    let distances =
        distances.map(|(count, symbol)| u64::from(*count) * (symbol / 2).saturating_sub(1));
    lengths.sum::<u64>() + distances.sum::<u64>()
}

/// The codes of a block.
struct Codes {
    literals: Code<LITERALS>,
    distances: Code<DISTANCES>,
}

impl Codes {
    fn of(counts: &Counts) -> Self {
        Self {
            literals: Code::of(&counts.literals, LIMIT),
            distances: Code::of(&counts.distances, LIMIT),
        }
    }

    /// Those that need not be described (section 3.2.6).
    fn fixed() -> Self {
        // The code has two symbols more, which never occur.
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        let all = Code::with(lengths);
        let mut literals = Code {
            lengths: [0; LITERALS],
            words: [0; LITERALS],
        };
        literals.lengths.copy_from_slice(&all.lengths[..LITERALS]);
        literals.words.copy_from_slice(&all.words[..LITERALS]);
        Self {
            literals,
            distances: Code::with([5; DISTANCES]),
        }
    }

    fn cost(&self, counts: &Counts) -> u64 {
        self.literals.cost(&counts.literals) + self.distances.cost(&counts.distances)
    }

    /// What is written for each kind of token, extra bits included, and how many bits that is.
    fn kinds(&self) -> [(u32, u32); KINDS] {
        std::array::from_fn(|kind| {
            let less = kind.saturating_sub(COPIES) as u32;
            let (symbol, more) = match kind {
                0..COPIES => (kind, 0),
                _ => {
                    let (symbol, more) = length(less as u8);
                    (END + 1 + symbol, more)
                }
            };
            let word = u32::from(self.literals.words[symbol]);
            let count = u32::from(self.literals.lengths[symbol]);
            (word | (less & ((1 << more) - 1)) << count, count + more)
        })
    }

    /// What is written for the symbol of each distance, and how many bits that is and how
    /// many follow: nothing where there is no distance.
    fn places(&self) -> [(u16, u8, u8); PLACES] {
        let mut places = [(0, 0, 0); PLACES];
        let words = self.distances.words.iter().zip(&self.distances.lengths);
        for ((place, (word, count)), symbol) in places.iter_mut().zip(words).zip(0u8..) {
            *place = (*word, *count, (symbol / 2).saturating_sub(1));
        }
        places
    }

    fn write(&self, bits: &mut Bits, tokens: &[Token]) {
        let (kinds, places) = (self.kinds(), self.places());
        for token in tokens {
            let (word, count) = kinds[token.kind()];
            let (far, far_count, more) = places[token.place()];
            let rest = token.back() & ((1 << more) - 1);
            let far = u64::from(far) | rest << far_count;
            let far_count = u32::from(far_count + more);
            bits.put(u64::from(word) | far << count, count + far_count);
        }
        bits.put(
            self.literals.words[END].into(),
            self.literals.lengths[END].into(),
        );
    }
}

/// How codes are told to who reads them: their lengths, with runs shortened, in a code of
/// their own (section 3.2.7).
struct Description {
    code: Code<19>,
    /// Symbols of that code, with the extra bits behind them.
    symbols: Vec<(u8, u8)>,
    literals: usize,
    distances: usize,
    /// How many lengths of that code are written.
    lengths: usize,
    /// In bits.
    cost: u64,
}

impl Description {
    fn of(codes: &Codes) -> Self {
        let used = |lengths: &[u8], least: usize| {
            let last = lengths.iter().rposition(|bits| *bits > 0);
            last.map_or(least, |last| (last + 1).max(least))
        };
        let literals = used(&codes.literals.lengths, 257);
        let distances = used(&codes.distances.lengths, 1);
        let all: Vec<u8> = (codes.literals.lengths.iter().take(literals))
            .chain(codes.distances.lengths.iter().take(distances))
            .copied()
            .collect();
        let symbols = shortened(&all);
        let mut counts = [0; 19];
        for (symbol, _) in &symbols {
            counts[usize::from(*symbol)] += 1;
        }
        let code = Code::of(&counts, 7);
        let last = ORDER.iter().rposition(|symbol| code.lengths[*symbol] > 0);
        let lengths = last.map_or(4, |last| (last + 1).max(4));
        let more: u64 = (REPEATS.iter())
            .map(|(symbol, bits)| u64::from(counts[*symbol]) * u64::from(*bits))
            .sum();
        Self {
            cost: 14 + 3 * lengths as u64 + code.cost(&counts) + more,
            code,
            symbols,
            literals,
            distances,
            lengths,
        }
    }

    fn write(&self, bits: &mut Bits) {
        bits.put((self.literals - 257) as u64, 5);
        bits.put((self.distances - 1) as u64, 5);
        bits.put((self.lengths - 4) as u64, 4);
        for symbol in ORDER.iter().take(self.lengths) {
            bits.put(self.code.lengths[*symbol].into(), 3);
        }
        for (symbol, rest) in &self.symbols {
            let at = usize::from(*symbol);
            bits.put(self.code.words[at].into(), self.code.lengths[at].into());
            let repeat = REPEATS.iter().find(|(symbol, _)| *symbol == at);
            if let Some((_, more)) = repeat {
                bits.put((*rest).into(), *more);
            }
        }
    }
}

/// Lengths, with what repeats as symbols of their own.
fn shortened(lengths: &[u8]) -> Vec<(u8, u8)> {
    let mut symbols = Vec::with_capacity(lengths.len());
    for run in lengths.chunk_by(|one, two| one == two) {
        let (bits, mut left) = (run.first().copied().unwrap_or_default(), run.len());
        if bits > 0 {
            // What is repeated must have been there.
            symbols.push((bits, 0));
            left -= 1;
        }
        while left >= 3 {
            let (symbol, least, most) = match (bits, left) {
                (0, 11..) => (18, 11, 138),
                (0, _) => (17, 3, 10),
                _ => (16, 3, 6),
            };
            let some = left.min(most);
            symbols.push((symbol, (some - least) as u8));
            left -= some;
        }
        symbols.extend(std::iter::repeat_n((bits, 0), left));
    }
    symbols
}
