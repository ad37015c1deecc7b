use sha2::Digest as _;

use super::*;

/// Bytes that look random (xorshift64), and are always the same for a seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

fn known(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

fn both(bytes: [&[u8]; 2]) -> [[u8; 32]; 2] {
    let (mut one, mut two) = (State::default(), State::default());
    State::update_both([&mut one, &mut two], bytes);
    [one.finish(), two.finish()]
}

#[test]
fn every_length_around_the_borders_of_blocks_is_right() {
    let bytes = noise(1, 5 * BLOCK);
    for len in 0..=bytes.len() {
        let bytes = &bytes[..len];
        let mut state = State::default();
        state.update(bytes);
        assert_eq!(state.size(), len as u64);
        assert_eq!(state.finish(), known(bytes), "{len}");
    }
}

#[test]
fn it_does_not_matter_where_the_bytes_are_cut() {
    let bytes = noise(2, 3 * BLOCK);
    for first in 0..=2 * BLOCK {
        for second in [0, 1, BLOCK - 1, BLOCK] {
            let mut state = State::default();
            state.update(&bytes[..first]);
            state.update(&bytes[first..first + second]);
            let copy = state.clone();
            state.update(&bytes[first + second..]);
            assert_eq!(state.finish(), known(&bytes), "{first} {second}");
            assert_eq!(copy.finish(), known(&bytes[..first + second]));
        }
    }
}

#[test]
fn two_streams_are_what_each_is_alone() {
    let (ones, twos) = (noise(3, 4 * BLOCK), noise(4, 4 * BLOCK));
    let lens = [0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 191, 192, 255, 256];
    for one in lens {
        for two in lens {
            let bytes = [&ones[..one], &twos[..two]];
            assert_eq!(both(bytes), bytes.map(known), "{one} {two}");
        }
    }
}

#[test]
fn two_streams_go_on_from_wherever_they_are() {
    let (ones, twos) = (noise(5, 80 * BLOCK), noise(6, 80 * BLOCK));
    for seed in 1..200 {
        // Pieces of 0 to 255 bytes, of one or of both.
        let mut cuts = noise(seed, 60).into_iter().map(usize::from);
        let (mut one, mut two) = (State::default(), State::default());
        let (mut at, mut other) = (0, 0);
        while let (Some(which), Some(more), Some(others)) = (cuts.next(), cuts.next(), cuts.next())
        {
            let (to, other_to) = (at + more, other + others);
            match which % 3 {
                0 => {
                    one.update(&ones[at..to]);
                    at = to;
                }
                1 => {
                    two.update(&twos[other..other_to]);
                    other = other_to;
                }
                _ => {
                    let bytes = [&ones[at..to], &twos[other..other_to]];
                    State::update_both([&mut one, &mut two], bytes);
                    (at, other) = (to, other_to);
                }
            }
        }
        assert_eq!(one.finish(), known(&ones[..at]), "{seed}");
        assert_eq!(two.finish(), known(&twos[..other]), "{seed}");
    }
}

#[test]
fn long_streams_are_right() {
    let bytes = noise(7, 1 << 20);
    let halves = bytes.split_at(600_001);
    let both = both([halves.0, halves.1]);
    assert_eq!(both, [known(halves.0), known(halves.1)]);
}

/// What the instructions give is compared with the other way, which runs elsewhere.
#[test]
fn blocks_are_compressed_alike_without_the_instructions() {
    let bytes = noise(8, 64 * BLOCK);
    let (ones, twos) = bytes.as_chunks().0.split_at(32);
    for count in [0, 1, 2, 31, 32] {
        let blocks = [&ones[..count], &twos[..count]];
        let (mut fast, mut slow) = ([START, START], [START, START]);
        let [one, two] = &mut fast;
        compress_both([one, two], blocks);
        for (words, blocks) in slow.iter_mut().zip(blocks) {
            compress256(words, blocks);
        }
        assert_eq!(fast, slow, "{count}");
    }
}
