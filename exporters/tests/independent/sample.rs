//! Disks to try things on. They look random, and are always the same.

use lunikernel_cache::Sha256;
use lunikernel_exporters::{Content, Disk, Identity};

/// xorshift64*: small, and good enough to find what ordered data would not.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Bytes of one of several kinds: noise, text, zeros with something in between, zeros.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        match self.below(5) {
            0 | 1 => (0..len).map(|_| (self.next() >> 32) as u8).collect(),
            2 => {
                let line = format!("line {} of some text\n", self.next());
                line.bytes().cycle().take(len).collect()
            }
            3 => {
                let mut bytes = vec![0; len];
                for _ in 0..len / 30_000 + 1 {
                    if let Some(byte) = bytes.get_mut(self.below(len.max(1) as u64) as usize) {
                        *byte = self.next() as u8 | 1;
                    }
                }
                bytes
            }
            _ => vec![0; len],
        }
    }
}

/// A disk of `size` bytes with extents at random places.
pub(crate) fn disk(seed: u64, size: u64, extents: usize) -> Disk {
    let mut dice = Dice::new(seed);
    let mut disk = Disk::new(size).unwrap();
    for _ in 0..extents {
        let len = [1, 511, 4096, 65_536, 300_000, 3_000_000][dice.below(6) as usize];
        let len = 1 + dice.below(len);
        let at = dice.below(size);
        let bytes = dice.bytes(len.min(size - at) as usize);
        // Where it overlaps another, there is one extent less.
        let _ = disk.put(at, Content::bytes(bytes));
    }
    // The borders, at which mistakes are made.
    for at in [0, size - 1] {
        let _ = disk.put(at, Content::bytes([0xa5]));
    }
    disk
}

pub(crate) fn identity() -> Identity {
    Identity::of(Sha256::of(b"a sample"))
}
