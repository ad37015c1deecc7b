//! Random numbers for keys that tests sign with, shared by the tests of the library and
//! those of the command line.

use lunikernel_cache::Sha256;
use rand::{CryptoRng, RngCore};

/// Random numbers that are the same in every run, so that a failure can be repeated.
pub(crate) struct Repeatable(pub(crate) u64);

impl RngCore for Repeatable {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            self.0 += 1;
            let hash = Sha256::of(&self.0.to_le_bytes());
            chunk.copy_from_slice(&hash.as_bytes()[..chunk.len()]);
        }
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Repeatable {}
