//! QEMU's image format, version 3 (QEMU, `docs/interop/qcow2.txt`).
//!
//! Data comes in the order of the disk; the tables that say where it is follow it, and
//! the header, which says where those are, is written last.

use std::io;

use lunikernel_deflate::raw;

use crate::disk::Disk;
use crate::error::WriteError;
use crate::sink::{Counted, Patch, Sink as _};
use crate::zeros::{CHUNK, runs_of};

const FORMAT: &str = "qcow2 image";
/// QEMU's own default, 64 KiB: little is lost by it, and tables are small.
const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// How many clusters one table of the second level is for.
const PER_TABLE: u64 = CLUSTER / 8;
/// QEMU takes no larger table of the first level than 32 MiB.
pub(crate) const MAX_SIZE: u64 = (32 << 20) / 8 * PER_TABLE * CLUSTER;
/// How many counters of two bytes one cluster has.
const PER_COUNTS: u64 = CLUSTER / 2;
/// Marks a cluster that nothing else refers to, and one that is compressed.
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Above this bit, an entry has the number of sectors of what is compressed.
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);
/// QEMU inflates with a window of 4 KiB.
const WINDOW: usize = 4 << 10;

/// Whether clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clusters {
    /// As they are.
    Plain,
    /// Compressed by deflate, where that makes them smaller.
    Compressed,
}

/// Writes the image. Clusters that are all zero are left out.
///
/// # Errors
/// [`WriteError::Size`] where the disk is no multiple of 512 bytes or larger than 2 PiB;
/// else where the content cannot be read or the result not be written.
pub fn write(disk: &Disk, clusters: Clusters, out: &mut impl Patch) -> Result<(), WriteError> {
    let size = disk.size();
    if size > MAX_SIZE || !size.is_multiple_of(512) {
        return Err(WriteError::Size {
            format: FORMAT,
            size,
            expected: "a multiple of 512, at most 2 PiB",
        });
    }
    let failed = WriteError::write(FORMAT);
    let mut image = Image {
        out: Counted::new(out),
        counts: Vec::new(),
        first_level: vec![0; size.div_ceil(PER_TABLE * CLUSTER) as usize],
        table: None,
    };
    image.out.skip(CLUSTER).map_err(failed)?;
    image.count(0..CLUSTER);
    // No table of the second level is for parts of two chunks.
    let mut chunks = disk.blocks(CHUNK);
    while let Some((number, bytes)) = chunks.next_block().map_err(WriteError::Read)? {
        let first = number * (CHUNK as u64 / CLUSTER);
        for run in runs_of(CLUSTER as usize, bytes) {
            let number = first + run.start as u64 / CLUSTER;
            let bytes = bytes.get(run).unwrap_or_default();
            let put = match clusters {
                Clusters::Plain => image.put(number, bytes),
                Clusters::Compressed => image.compress(number, bytes),
            };
            put.map_err(failed)?;
        }
    }
    image.finish(size).map_err(failed)
}

struct Image<'a, P: Patch> {
    out: Counted<'a, P>,
    /// How often each cluster of the image is referred to.
    counts: Vec<u16>,
    /// Where the tables of the second level are.
    first_level: Vec<u64>,
    /// The table that is being filled, and its number.
    table: Option<(u64, Vec<u8>)>,
}

impl<P: Patch> Image<'_, P> {
    /// Puts clusters that follow each other as they are.
    fn put(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        self.turn_to(number)?;
        let at = self.put_plain(bytes)?;
        for nth in 0..(bytes.len() as u64).div_ceil(CLUSTER) {
            self.enter(number + nth, (at + nth * CLUSTER) | COPIED);
        }
        Ok(())
    }

    /// Puts each of the clusters compressed, where that makes it smaller.
    fn compress(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        for (number, bytes) in (number..).zip(bytes.chunks(CLUSTER as usize)) {
            // What is dense is only stored, and longer for it.
            match Some(raw(bytes, WINDOW)).filter(|it| it.len() < bytes.len()) {
                Some(packed) => {
                    self.turn_to(number)?;
                    let entry = self.put_compressed(&packed)?;
                    self.enter(number, entry);
                }
                None => self.put(number, bytes)?,
            }
        }
        Ok(())
    }

    /// Goes on with the table that has the entry of a cluster.
    fn turn_to(&mut self, number: u64) -> io::Result<()> {
        let is_other = |(at, _): &(u64, _)| *at != number / PER_TABLE;
        match self.table.as_ref().is_some_and(is_other) {
            true => self.put_table(),
            false => Ok(()),
        }
    }

    /// Sets the entry of a cluster in that table.
    fn enter(&mut self, number: u64, entry: u64) {
        let empty = || (number / PER_TABLE, vec![0; CLUSTER as usize]);
        let (_, table) = self.table.get_or_insert_with(empty);
        let at = (number % PER_TABLE) as usize * 8;
        if let Some(place) = table.get_mut(at..at + 8) {
            place.copy_from_slice(&entry.to_be_bytes());
        }
    }

    /// Puts something at the next cluster; gives where.
    fn put_plain(&mut self, bytes: &[u8]) -> io::Result<u64> {
        self.out.align(CLUSTER)?;
        let at = self.out.at;
        io::Write::write_all(&mut self.out, bytes)?;
        self.out.align(CLUSTER)?;
        self.count(at..self.out.at);
        Ok(at)
    }

    /// Puts a compressed cluster right behind what is there; gives its entry.
    fn put_compressed(&mut self, packed: &[u8]) -> io::Result<u64> {
        let at = self.out.at;
        io::Write::write_all(&mut self.out, packed)?;
        self.count(at..self.out.at);
        // Sectors beyond the one in which it begins.
        let more = (self.out.at - 1) / 512 - at / 512;
        Ok(COMPRESSED | more << SECTORS_SHIFT | at)
    }

    fn put_table(&mut self) -> io::Result<()> {
        if let Some((number, table)) = self.table.take() {
            let at = self.put_plain(&table)?;
            if let Some(place) = self.first_level.get_mut(number as usize) {
                *place = at | COPIED;
            }
        }
        Ok(())
    }

    /// Counts one reference to each cluster that a range of bytes touches.
    fn count(&mut self, bytes: std::ops::Range<u64>) {
        let end = bytes.end.div_ceil(CLUSTER) as usize;
        if self.counts.len() < end {
            self.counts.resize(end, 0);
        }
        let touched = self.counts.get_mut((bytes.start / CLUSTER) as usize..end);
        touched.into_iter().flatten().for_each(|count| *count += 1);
    }

    fn finish(mut self, size: u64) -> io::Result<()> {
        self.put_table()?;
        let bytes = |numbers: &[u64]| -> Vec<u8> {
            numbers
                .iter()
                .flat_map(|number| number.to_be_bytes())
                .collect()
        };
        let first_level = bytes(&self.first_level);
        let first_level_at = self.put_plain(&first_level)?;
        // The counters count the clusters that they are in themselves.
        let before = self.out.at / CLUSTER;
        let (mut blocks, mut tables) = (0, 0);
        while blocks * PER_COUNTS < before + blocks + tables {
            blocks += 1;
            tables = (blocks * 8).div_ceil(CLUSTER);
        }
        let blocks_at = self.out.at;
        let table_at = blocks_at + blocks * CLUSTER;
        self.count(blocks_at..table_at + tables * CLUSTER);
        self.counts.resize((blocks * PER_COUNTS) as usize, 0);
        let counts = std::mem::take(&mut self.counts);
        for some in counts.chunks(PER_COUNTS as usize) {
            let block: Vec<u8> = some.iter().flat_map(|it| it.to_be_bytes()).collect();
            io::Write::write_all(&mut self.out, &block)?;
        }
        let places: Vec<u64> = (0..blocks).map(|it| blocks_at + it * CLUSTER).collect();
        io::Write::write_all(&mut self.out, &bytes(&places))?;
        self.out.align(CLUSTER)?;
        let mut header = b"QFI\xfb\0\0\0\x03".to_vec();
        header.extend_from_slice(&[0; 12]); // It has no backing file.
        header.extend_from_slice(&CLUSTER_BITS.to_be_bytes());
        header.extend_from_slice(&size.to_be_bytes());
        header.extend_from_slice(&[0; 4]); // It is not encrypted.
        header.extend_from_slice(&(self.first_level.len() as u32).to_be_bytes());
        header.extend_from_slice(&first_level_at.to_be_bytes());
        header.extend_from_slice(&table_at.to_be_bytes());
        header.extend_from_slice(&(tables as u32).to_be_bytes());
        header.extend_from_slice(&[0; 12]); // It has no snapshots,
        header.extend_from_slice(&[0; 24]); // and no features.
        header.extend_from_slice(&4u32.to_be_bytes()); // Counters of 2^4 bits.
        header.extend_from_slice(&104u32.to_be_bytes()); // Its own length.
        self.out.patch(0, &header)?;
        io::Write::flush(&mut self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;

    /// A reader would take one more into account, which may be in another cluster.
    #[test]
    fn a_compressed_cluster_that_ends_with_a_sector_has_that_and_no_more() {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut cluster = vec![0; CLUSTER as usize];
        let sectors = (0..2000).find_map(|at| {
            cluster[at] = noise();
            let size = match at {
                0..300 => 0,
                _ => raw(&cluster, WINDOW).len(),
            };
            (size > 0 && size.is_multiple_of(512)).then_some(size as u64 / 512)
        });
        let mut disk = Disk::new(CLUSTER).unwrap();
        disk.put(0, Content::bytes(cluster)).unwrap();
        let mut image = Vec::new();
        write(&disk, Clusters::Compressed, &mut image).unwrap();
        let number = |at: u64| {
            let bytes = image[at as usize..].first_chunk().unwrap();
            u64::from_be_bytes(*bytes)
        };
        // By the tables of both levels; its bytes are right behind the header.
        let entry = number(number(number(40)) & !COPIED);
        assert_eq!(entry & ((1 << SECTORS_SHIFT) - 1), CLUSTER);
        let more = (entry & !COMPRESSED) >> SECTORS_SHIFT;
        assert_eq!(Some(more + 1), sectors);
    }
}
