//! Bits into bytes, the lowest first (RFC 1951, section 3.1.1).

/// Room that is kept behind what was written: a whole word is stored at a time.
const WORD: usize = 8;

/// Appends bits to bytes.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    bytes: Vec<u8>,
    /// How many of `bytes` are written; what is behind is room.
    len: usize,
    word: u64,
    /// How many bits of `word` are filled: at most 7 between two calls.
    filled: u32,
}

impl Bits {
    /// Makes room for `bits` more, so that none has to be made for single ones.
    pub(crate) fn reserve(&mut self, bits: u64) {
        let more = usize::try_from(bits / 8).unwrap_or(usize::MAX);
        let need = self.len.saturating_add(more).saturating_add(2 * WORD);
        if self.bytes.len() < need {
            self.bytes.resize(need, 0);
        }
    }

    /// Appends the lowest `count` bits of `bits`, at most 56; the others are zero.
    #[inline]
    pub(crate) fn put(&mut self, bits: u64, count: u32) {
        debug_assert!(count <= 56 && bits >> count == 0);
        let word = self.word | bits << self.filled;
        let filled = self.filled + count;
        match (self.bytes.get_mut(self.len..)).and_then(<[u8]>::first_chunk_mut) {
            Some(place) => *place = word.to_le_bytes(),
            None => self.grow(word),
        }
        self.len += (filled / 8) as usize;
        self.word = word >> (filled / 8 * 8);
        self.filled = filled % 8;
    }

    /// Makes room behind `word`, which is stored where there was none for it.
    #[cold]
    fn grow(&mut self, word: u64) {
        self.bytes.truncate(self.len);
        self.bytes.extend(word.to_le_bytes());
        self.reserve(4096);
    }

    /// Fills the last byte up with zeros.
    pub(crate) fn align(&mut self) {
        self.put(0, self.filled.next_multiple_of(8) - self.filled);
    }

    /// How many whole bytes were written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends whole bytes; the last byte must be whole.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.filled, 0);
        self.bytes.truncate(self.len);
        self.bytes.extend_from_slice(bytes);
        self.len = self.bytes.len();
    }

    /// What was written, the last byte filled up with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.align();
        self.bytes.truncate(self.len);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_bits_come_first() {
        let mut bits = Bits::default();
        bits.put(0b1, 1);
        bits.put(0b01, 2);
        bits.put(0x1ff, 9);
        assert_eq!(bits.len(), 1);
        bits.put(0, 0);
        bits.align();
        bits.append(&[0xaa; 20]);
        bits.put((1 << 56) - 1, 56);
        let bytes = bits.finish();
        assert_eq!(bytes[..2], [0b1111_1011, 0b0000_1111]);
        assert_eq!(bytes[2..22], [0xaa; 20]);
        assert_eq!(bytes[22..], [0xff; 7]);
    }

    #[test]
    fn every_count_fits_at_every_place() {
        for filled in 0..8 {
            for count in 0..=56 {
                let mut bits = Bits::default();
                bits.put(0, filled);
                bits.put((1 << count) - 1, count);
                let bytes = bits.finish();
                let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
                assert_eq!(ones, count);
                assert_eq!(bytes.len() as u32, (filled + count).div_ceil(8));
            }
        }
    }
}
