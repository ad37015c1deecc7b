//! Two streams at once, by the instructions that processors of x86 have for SHA-256.
//!
//! The instructions take the eight words as two registers, `abef` and `cdgh`, and do two
//! rounds at once; the constants and the words of the message come in fours.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32,
};

use super::{Block, Words};

/// The constants of the 64 rounds (FIPS 180-4, section 4.2.2), as they are used: four at a
/// time, and sixteen until the words of the message were used once.
static ROUNDS: [[[u32; 4]; 4]; 4] = [
    [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    ],
    [
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    ],
    [
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    ],
    [
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ],
];

/// Whether the processor has what [`compress`] needs.
pub(super) fn are_there() -> bool {
    is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
}

/// A stream: the eight words as the instructions want them, and sixteen of the message.
#[derive(Clone, Copy)]
struct Lane {
    abef: __m128i,
    cdgh: __m128i,
    message: [__m128i; 4],
}

/// Takes in as many blocks of both streams as the shorter one has.
#[target_feature(enable = "sha,ssse3,sse4.1")]
pub(super) fn compress(words: [&mut Words; 2], blocks: [&[Block]; 2]) {
    let ([one, two], [ones, twos]) = (words, blocks);
    let (mut first, mut second) = (Lane::load(one), Lane::load(two));
    for (block, other) in ones.iter().zip(twos) {
        let before = [first, second];
        first.read(block);
        second.read(other);
        let [sixteens @ .., last] = &ROUNDS;
        for rounds in sixteens {
            sixteen::<true>(&mut first, &mut second, rounds);
        }
        sixteen::<false>(&mut first, &mut second, last);
        first.add(&before[0]);
        second.add(&before[1]);
    }
    first.store(one);
    second.store(two);
}

/// Sixteen rounds of both streams, by turns, so that the one goes on while a result of the
/// other is not there yet. `MORE` rounds need the next words of the message.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn sixteen<const MORE: bool>(first: &mut Lane, second: &mut Lane, rounds: &[[u32; 4]; 4]) {
    let [a, b, c, d] = rounds;
    four::<0, MORE>(first, second, a);
    four::<1, MORE>(first, second, b);
    four::<2, MORE>(first, second, c);
    four::<3, MORE>(first, second, d);
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn four<const AT: usize, const MORE: bool>(first: &mut Lane, second: &mut Lane, round: &[u32; 4]) {
    let [a, b, c, d] = round.map(u32::cast_signed);
    let constants = _mm_set_epi32(d, c, b, a);
    let one = _mm_add_epi32(first.message[AT], constants);
    let two = _mm_add_epi32(second.message[AT], constants);
    first.cdgh = _mm_sha256rnds2_epu32(first.cdgh, first.abef, one);
    second.cdgh = _mm_sha256rnds2_epu32(second.cdgh, second.abef, two);
    if MORE {
        first.schedule::<AT>();
    }
    let (one, two) = (_mm_shuffle_epi32(one, 0x0e), _mm_shuffle_epi32(two, 0x0e));
    first.abef = _mm_sha256rnds2_epu32(first.abef, first.cdgh, one);
    if MORE {
        second.schedule::<AT>();
    }
    second.abef = _mm_sha256rnds2_epu32(second.abef, second.cdgh, two);
}

impl Lane {
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn load(words: &Words) -> Self {
        let [a, b, c, d, e, f, g, h] = words.map(u32::cast_signed);
        Self {
            abef: _mm_set_epi32(a, b, e, f),
            cdgh: _mm_set_epi32(c, d, g, h),
            message: [_mm_set_epi64x(0, 0); 4],
        }
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn store(&self, words: &mut Words) {
        let Self { abef, cdgh, .. } = *self;
        let signed = [
            _mm_extract_epi32(abef, 3),
            _mm_extract_epi32(abef, 2),
            _mm_extract_epi32(cdgh, 3),
            _mm_extract_epi32(cdgh, 2),
            _mm_extract_epi32(abef, 1),
            _mm_extract_epi32(abef, 0),
            _mm_extract_epi32(cdgh, 1),
            _mm_extract_epi32(cdgh, 0),
        ];
        *words = signed.map(i32::cast_unsigned);
    }

    /// The words of a block, which have their first byte first.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn read(&mut self, block: &Block) {
        let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        for (four, bytes) in self.message.iter_mut().zip(block.as_chunks::<16>().0) {
            let bytes = u128::from_le_bytes(*bytes);
            let (high, low) = ((bytes >> 64) as i64, bytes as i64);
            *four = _mm_shuffle_epi8(_mm_set_epi64x(high, low), order);
        }
    }

    /// Puts the words of the message that are used sixteen rounds later in the place of
    /// those that were just used.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn schedule<const AT: usize>(&mut self) {
        let after = |count: usize| self.message[(AT + count) % 4];
        let older = _mm_sha256msg1_epu32(after(0), after(1));
        let newer = _mm_alignr_epi8(after(3), after(2), 4);
        self.message[AT] = _mm_sha256msg2_epu32(_mm_add_epi32(older, newer), after(3));
    }

    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn add(&mut self, before: &Self) {
        self.abef = _mm_add_epi32(self.abef, before.abef);
        self.cdgh = _mm_add_epi32(self.cdgh, before.cdgh);
    }
}
