//! Codes of bounded length for symbols, as often as they occur (RFC 1951, section 3.2.2).

/// The longest code for a literal, a length or a distance, in bits.
pub(crate) const LIMIT: u8 = 15;

/// A code for each of `N` symbols; a length of 0 says that a symbol does not occur.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code<const N: usize> {
    pub(crate) lengths: [u8; N],
    /// As they are written: the first bit lowest.
    pub(crate) words: [u16; N],
}

impl<const N: usize> Code<N> {
    /// The best code with words of at most `limit` bits, where Huffman's keeps within it;
    /// else one that is close to it. At least two symbols get a word, as some decoders want
    /// every code complete.
    pub(crate) fn of(counts: &[u32; N], limit: u8) -> Self {
        let mut used: Vec<(u32, u16)> = (counts.iter().zip(0..))
            .filter(|(count, _)| **count > 0)
            .map(|(count, symbol)| (*count, symbol))
            .collect();
        for symbol in 0..2 {
            if used.len() < 2 && used.iter().all(|(_, it)| *it != symbol) {
                used.push((0, symbol));
            }
        }
        // Symbols that are equally frequent stand in their own order: one result only.
        used.sort_unstable();
        let how_many = limited(depths(&used), limit);
        let mut lengths = [0; N];
        let mut rare = used.iter();
        for (bits, many) in how_many.iter().enumerate().rev() {
            for (_, symbol) in rare.by_ref().take(*many as usize) {
                lengths[usize::from(*symbol)] = bits as u8;
            }
        }
        Self::with(lengths)
    }

    /// The words that belong to `lengths`, at most 15 each.
    pub(crate) fn with(lengths: [u8; N]) -> Self {
        let mut how_many = [0u16; LIMIT as usize + 1];
        for bits in lengths.iter().filter(|bits| **bits > 0) {
            how_many[usize::from(*bits)] += 1;
        }
        let mut next = [0u16; LIMIT as usize + 1];
        for bits in 1..next.len() {
            next[bits] = (next[bits - 1] + how_many[bits - 1]) << 1;
        }
        let mut words = [0; N];
        for (word, bits) in words.iter_mut().zip(&lengths) {
            if *bits > 0 {
                let place = &mut next[usize::from(*bits)];
                *word = place.reverse_bits() >> (16 - bits);
                *place += 1;
            }
        }
        Self { lengths, words }
    }

    /// How many bits all of `counts` take.
    pub(crate) fn cost(&self, counts: &[u32; N]) -> u64 {
        let bits = self.lengths.iter().zip(counts);
        bits.map(|(bits, count)| u64::from(*bits) * u64::from(*count))
            .sum()
    }
}

/// How many words of each length Huffman's code has for `used`, which is sorted by counts
/// and has two at least. Longer ones than there are places count for the last.
fn depths(used: &[(u32, u16)]) -> [u32; 32] {
    // Two queues: symbols, and pairs in the order in which they are made, which is that of
    // their counts. The two rarest of both become a pair.
    let many = used.len();
    let mut pairs: Vec<u64> = Vec::with_capacity(many);
    let mut parents = vec![0usize; 2 * many];
    let (mut symbol, mut pair) = (0, 0);
    let mut rarest = |pairs: &[u64], parent: usize| {
        let leaf = used.get(symbol).map(|(count, _)| u64::from(*count));
        let node = pairs.get(pair).copied();
        let (count, at) = match (leaf, node) {
            (Some(leaf), None) => (leaf, symbol),
            (Some(leaf), Some(node)) if leaf <= node => (leaf, symbol),
            (_, node) => (node.unwrap_or_default(), many + pair),
        };
        *(if at < many { &mut symbol } else { &mut pair }) += 1;
        parents[at] = parent;
        count
    };
    for made in 0..many - 1 {
        let sum = rarest(&pairs, many + made) + rarest(&pairs, many + made);
        pairs.push(sum);
    }
    // From the root down: parents are made after their children.
    let mut depth = vec![0u32; 2 * many];
    let mut how_many = [0; 32];
    for at in (0..2 * many - 2).rev() {
        depth[at] = depth[parents[at]] + 1;
        if at < many {
            how_many[depth[at].min(31) as usize] += 1;
        }
    }
    how_many
}

/// The same number of words, none of them longer than `limit`.
fn limited(mut how_many: [u32; 32], limit: u8) -> [u32; 16] {
    let limit = usize::from(limit.min(LIMIT));
    let longer: u32 = how_many.iter().skip(limit + 1).sum();
    how_many[limit] += longer;
    // Of all 2^limit words of the longest length, how many are taken.
    let mut taken: u32 = (1..=limit)
        .map(|bits| how_many[bits] << (limit - bits))
        .sum();
    while taken > 1 << limit {
        // A word of the longest length goes below another one, which becomes longer for it.
        let bits = (1..limit).rev().find(|bits| how_many[*bits] > 0);
        let Some(bits) = bits else { break };
        how_many[limit] -= 1;
        how_many[bits] -= 1;
        how_many[bits + 1] += 2;
        taken -= 1;
    }
    let mut result = [0; 16];
    for (place, many) in result.iter_mut().zip(how_many).take(limit + 1) {
        *place = many;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Complete: every sequence of bits is one of words.
    fn complete(lengths: &[u8]) -> bool {
        let bits = lengths.iter().filter(|bits| **bits > 0);
        bits.map(|bits| 1u32 << (LIMIT - bits)).sum::<u32>() == 1 << LIMIT
    }

    #[test]
    fn the_words_are_those_of_the_example() {
        // RFC 1951, section 3.2.2: A to H.
        let code = Code::with([3, 3, 3, 3, 3, 2, 4, 4]);
        let text = |symbol: usize| -> String {
            (0..code.lengths[symbol])
                .map(|bit| char::from(b'0' + (code.words[symbol] >> bit & 1) as u8))
                .collect()
        };
        let all: Vec<String> = (0..8).map(text).collect();
        assert_eq!(all.join(" "), "010 011 100 101 110 00 1110 1111");
    }

    #[test]
    fn frequent_symbols_have_short_words() {
        let code = Code::of(&[5, 0, 40, 1, 1, 20], LIMIT);
        assert_eq!(code.lengths, [3, 0, 1, 4, 4, 2]);
        assert_eq!(code.cost(&[5, 0, 40, 1, 1, 20]), 15 + 40 + 4 + 4 + 40);
    }

    #[test]
    fn every_code_is_complete_and_within_its_limit() {
        let mut fibonacci = [0u32; 40];
        let (mut one, mut two) = (1, 1);
        for count in &mut fibonacci {
            *count = one;
            (one, two) = (two, one + two);
        }
        for limit in [7, 10, 15] {
            let code = Code::of(&fibonacci, limit);
            assert!(complete(&code.lengths), "{:?}", code.lengths);
            assert_eq!(code.lengths.iter().max(), Some(&limit));
            // The rarer, the longer.
            assert!(code.lengths.is_sorted_by(|rare, frequent| rare >= frequent));
        }
        let flat = Code::of(&[1; 286], LIMIT);
        assert!(complete(&flat.lengths));
    }

    #[test]
    fn one_symbol_or_none_still_makes_a_code() {
        for counts in [[0, 0, 0, 0], [0, 0, 9, 0], [9, 0, 0, 0]] {
            let code = Code::of(&counts, LIMIT);
            assert!(complete(&code.lengths), "{counts:?}: {:?}", code.lengths);
            assert!(
                code.lengths
                    .iter()
                    .zip(counts)
                    .all(|(bits, count)| count == 0 || *bits == 1)
            );
        }
    }
}
