//! Zeros: telling them from content, and where content lies.

use std::io;
use std::ops::Range;

use crate::disk::Disk;

/// The step in which zeros are told from content, in bytes: the block of most file
/// systems, below which leaving something out saves nothing.
pub(crate) const STEP: usize = 4096;
/// How much is read at once, in bytes: a multiple of [`STEP`].
pub(crate) const CHUNK: usize = 1 << 20;
/// The most runs that [`runs`] gives; it bounds the memory that they take to 16 MiB.
const MAX_RUNS: usize = 1 << 20;

static ZEROS: [u8; STEP] = [0; STEP];

/// Whether all of `bytes` are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    (bytes.chunks(STEP)).all(|chunk| ZEROS.get(..chunk.len()) == Some(chunk))
}

/// The runs of [`STEP`] blocks in `bytes` that are not all zero, as ranges of bytes.
pub(crate) fn runs_in(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    runs_of(STEP, bytes)
}

/// The same with blocks of `step` bytes.
pub(crate) fn runs_of(step: usize, bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let step = step.max(1);
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let skipped = (rest.chunks(step)).take_while(|chunk| is_zero(chunk));
        let start = at + skipped.map(<[u8]>::len).sum::<usize>();
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let taken = (rest.chunks(step)).take_while(|chunk| !is_zero(chunk));
        at = start + taken.map(<[u8]>::len).sum::<usize>();
        Some(start..at)
    })
}

/// Where the disk is not zero, as [`Runs`] finds it.
pub(crate) fn runs(disk: &Disk) -> io::Result<Vec<Range<u64>>> {
    runs_at_most(disk, MAX_RUNS)
}

fn runs_at_most(disk: &Disk, most: usize) -> io::Result<Vec<Range<u64>>> {
    let (mut runs, mut blocks) = (Runs::at_most(most), disk.blocks(CHUNK));
    while let Some((number, bytes)) = blocks.next_block()? {
        runs.take(number * CHUNK as u64, bytes);
    }
    Ok(runs.finish(disk.size()))
}

/// Finds where a disk is not zero: runs in steps of 4096 bytes, sorted and apart from each
/// other; the last ends where the disk does. Where that gives more runs than can be held,
/// the step is doubled until it does not.
pub(crate) struct Runs {
    found: Vec<Range<u64>>,
    step: u64,
    most: usize,
}

impl Runs {
    pub(crate) fn new() -> Self {
        Self::at_most(MAX_RUNS)
    }

    fn at_most(most: usize) -> Self {
        Self {
            found: Vec::new(),
            step: STEP as u64,
            most: most.max(1),
        }
    }

    /// Takes in the bytes at byte `at`, a multiple of [`STEP`]; those between are zero.
    pub(crate) fn take(&mut self, at: u64, bytes: &[u8]) {
        for run in runs_in(bytes) {
            let run = at + run.start as u64..at + run.end as u64;
            push(&mut self.found, self.step, run);
            while self.found.len() > self.most {
                self.step *= 2;
                let finer = std::mem::take(&mut self.found);
                (finer.into_iter()).for_each(|run| push(&mut self.found, self.step, run));
            }
        }
    }

    /// All of them; the last step may reach beyond the disk, which has `size` bytes.
    pub(crate) fn finish(mut self, size: u64) -> Vec<Range<u64>> {
        if let Some(last) = self.found.last_mut() {
            last.end = last.end.min(size);
        }
        self.found
    }
}

/// Adds a run behind the others, made one with the last where they touch.
fn push(runs: &mut Vec<Range<u64>>, step: u64, run: Range<u64>) {
    let (start, end) = (run.start / step * step, run.end.next_multiple_of(step));
    match runs.last_mut().filter(|last| last.end >= start) {
        Some(last) => last.end = end.max(last.end),
        None => runs.push(start..end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Content;

    #[test]
    fn runs_are_of_content_and_not_of_extents() {
        let mut disk = Disk::new(3 * CHUNK as u64 + 5).unwrap();
        // Zeros in an extent, a run over the border of two reads, and the last bytes.
        let mut bytes = vec![0u8; 2 * CHUNK];
        bytes[CHUNK - 1] = 1;
        bytes[CHUNK] = 1;
        disk.put(0, Content::bytes(bytes)).unwrap();
        disk.put(3 * CHUNK as u64 + 4, Content::bytes([1])).unwrap();
        let (chunk, step) = (CHUNK as u64, STEP as u64);
        assert_eq!(
            runs(&disk).unwrap(),
            [chunk - step..chunk + step, 3 * chunk..3 * chunk + 5]
        );
    }

    #[test]
    fn too_many_runs_are_made_coarser() {
        let mut disk = Disk::new(64 * STEP as u64).unwrap();
        for at in [1, 3, 9, 40] {
            disk.put(at * STEP as u64, Content::bytes([1])).unwrap();
        }
        let steps = |most| {
            let runs = runs_at_most(&disk, most).unwrap();
            let step = STEP as u64;
            let in_steps = runs.into_iter().map(|run| run.start / step..run.end / step);
            in_steps.collect::<Vec<_>>()
        };
        assert_eq!(steps(4), [1..2, 3..4, 9..10, 40..41]);
        assert_eq!(steps(3), [0..4, 8..10, 40..42]);
        assert_eq!(steps(2), [0..16, 40..48]);
        assert_eq!(steps(1), vec![0..64; 1]);
    }

    #[test]
    fn one_bit_at_either_end_is_seen() {
        for len in [1, STEP - 1, STEP, STEP + 1, 3 * STEP] {
            let mut bytes = vec![0; len];
            assert!(is_zero(&bytes), "{len}");
            bytes[len - 1] = 0x80;
            assert!(!is_zero(&bytes), "{len}");
            assert_eq!(runs_in(&bytes).count(), 1, "{len}");
        }
        assert!(is_zero(&[]));
        assert_eq!(runs_in(&[]).count(), 0);
    }
}
