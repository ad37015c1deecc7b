//! The digest of a disk, and the list of its blocks that are not zero.

use std::io;
use std::ops::Range;

use lunikernel_cache::{Hasher, Sha256, canonical};
use serde::Serialize;

use crate::disk::Disk;
use crate::zeros::Runs;

/// The size of a block in bytes: what the EBS direct API of Amazon's EC2 takes, 512 KiB.
pub const BLOCK: usize = 512 << 10;

/// SHA-256 of a block of zeros. A test computes it.
const ZERO: [u8; 32] = [
    0x07, 0x85, 0x4d, 0x2f, 0xef, 0x29, 0x7a, 0x06, 0xba, 0x81, 0x68, 0x5e, 0x66, 0x0c, 0x33, 0x2d,
    0xe3, 0x6d, 0x5d, 0x18, 0xd5, 0x46, 0x92, 0x7d, 0x30, 0xda, 0xad, 0x6d, 0x7f, 0xda, 0x15, 0x41,
];

/// The blocks of a disk that are not zero, with their digests. The last block of the
/// disk is filled up with zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockMap {
    size: u64,
    /// In order.
    blocks: Vec<(u64, Sha256)>,
}

impl BlockMap {
    /// Reads and hashes the content of a disk; holes cost nothing.
    ///
    /// # Errors
    /// Whatever reading the content gives.
    pub fn of(disk: &Disk) -> io::Result<Self> {
        Self::with_each(disk, |_, _| ())
    }

    /// The same, and where the disk is not zero ([`Runs`]), by reading it once.
    pub(crate) fn with_runs(disk: &Disk) -> io::Result<(Self, Vec<Range<u64>>)> {
        let mut runs = Runs::new();
        let map = Self::with_each(disk, |at, bytes| runs.take(at, bytes))?;
        Ok((map, runs.finish(disk.size())))
    }

    /// Gives every block that is not zero to `each`, in order, with its place.
    fn with_each(disk: &Disk, mut each: impl FnMut(u64, &[u8])) -> io::Result<Self> {
        let (mut read, mut blocks) = (disk.blocks(BLOCK), Vec::new());
        // Two at a time, which are hashed together.
        let (mut one, mut two) = (vec![0; BLOCK], vec![0; BLOCK]);
        while let Some(first) = read.next_into(&mut one)? {
            each(first * BLOCK as u64, &one);
            let Some(second) = read.next_into(&mut two)? else {
                blocks.push((first, Sha256::of(&one)));
                break;
            };
            each(second * BLOCK as u64, &two);
            let [one, two] = Sha256::of_both([&one, &two]);
            blocks.extend([(first, one), (second, two)]);
        }
        Ok(Self {
            size: disk.size(),
            blocks,
        })
    }

    /// The disk's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The numbers and digests of the blocks that are not zero, in order: what has to be
    /// sent to a cloud.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = (u64, Sha256)> {
        self.blocks.iter().copied()
    }

    /// The block digest of the disk: the SHA-256 of the SHA-256s (32 bytes each) of all its
    /// blocks in order.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        // Holes are taken in by the thousand, so that a huge disk does not take long.
        let zeros = ZERO.repeat(1024);
        let (mut hasher, mut at) = (Hasher::new(), 0);
        let mut skip_to = |hasher: &mut Hasher, number: u64| {
            let mut left = number.saturating_sub(at);
            while left > 0 {
                let some = left.min(1024);
                hasher.update(zeros.get(..some as usize * 32).unwrap_or_default());
                left -= some;
            }
            at = number + 1;
        };
        for (number, sha256) in &self.blocks {
            skip_to(&mut hasher, *number);
            hasher.update(sha256.as_bytes());
        }
        skip_to(&mut hasher, self.size.div_ceil(BLOCK as u64));
        hasher.finish().sha256
    }

    /// The SHA-256 of the SHA-256s of the blocks that are not zero: what EBS calls the
    /// linear checksum of a snapshot into which these blocks were put.
    #[must_use]
    pub fn linear_checksum(&self) -> Sha256 {
        let mut hasher = Hasher::new();
        (self.blocks()).for_each(|(_, sha256)| hasher.update(sha256.as_bytes()));
        hasher.finish().sha256
    }

    /// The list as canonical JSON (RFC 8785): the disk's size and block digest, and the
    /// blocks that are not zero.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn to_canonical(&self) -> io::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Block {
            index: u64,
            sha256: Sha256,
        }
        #[derive(Serialize)]
        struct List {
            format: &'static str,
            block_size: usize,
            size: u64,
            block_digest: Sha256,
            blocks: Vec<Block>,
        }
        let blocks = self.blocks();
        let list = List {
            format: "lunikernel-blocks/1",
            block_size: BLOCK,
            size: self.size,
            block_digest: self.digest(),
            blocks: blocks
                .map(|(index, sha256)| Block { index, sha256 })
                .collect(),
        };
        canonical::to_vec(&list).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;

    #[test]
    fn holes_count_as_the_zeros_they_are() {
        assert_eq!(Sha256::of(&vec![0; BLOCK]), Sha256::from_bytes(ZERO));
        // 1500 blocks, so that holes of more than 1024 blocks come before and behind.
        for used in [0, 3, 1100, 1499] {
            let size = 1499 * BLOCK as u64 + 10;
            let mut disk = Disk::new(size).unwrap();
            disk.put(used * BLOCK as u64 + 9, Content::bytes([5]))
                .unwrap();
            let map = BlockMap::of(&disk).unwrap();
            let mut block = vec![0; BLOCK];
            block[9] = 5;
            let of_block = Sha256::of(&block);
            let all: Vec<u8> = (0..1500)
                .flat_map(|number| {
                    let zero = Sha256::from_bytes(ZERO);
                    *if number == used { of_block } else { zero }.as_bytes()
                })
                .collect();
            assert_eq!(map.digest(), Sha256::of(&all));
            assert_eq!(map.blocks().collect::<Vec<_>>(), [(used, of_block)]);
            assert_eq!(map.linear_checksum(), Sha256::of(of_block.as_bytes()));
        }
        let none = BlockMap::of(&Disk::new(0).unwrap()).unwrap();
        assert_eq!(none.digest(), Sha256::of(b""));
    }

    #[test]
    fn every_block_has_its_own_digest() {
        for count in 0..5u8 {
            let mut disk = Disk::new(10 * BLOCK as u64).unwrap();
            let block = |number| vec![number + 1; BLOCK];
            for number in 0..count {
                let at = 2 * u64::from(number) * BLOCK as u64;
                disk.put(at, Content::bytes(block(number))).unwrap();
            }
            let blocks = (0..count).map(|it| (2 * u64::from(it), Sha256::of(&block(it))));
            let map = BlockMap::of(&disk).unwrap();
            assert_eq!(map.blocks().collect::<Vec<_>>(), blocks.collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_list_is_canonical_json() {
        let mut disk = Disk::new(2 * BLOCK as u64).unwrap();
        disk.put(BLOCK as u64, Content::bytes([5])).unwrap();
        let map = BlockMap::of(&disk).unwrap();
        let (_, block) = map.blocks().next().unwrap();
        let expected = format!(
            r#"{{"block_digest":"{}","block_size":524288,"blocks":[{{"index":1,"sha256":"{block}"}}],"format":"lunikernel-blocks/1","size":1048576}}"#,
            map.digest()
        );
        assert_eq!(
            String::from_utf8(map.to_canonical().unwrap()).unwrap(),
            expected
        );
    }
}
