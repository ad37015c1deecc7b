//! What Google Compute Engine imports: `disk.raw` in an old-GNU sparse tar in a gzip.
//!
//! The sparse map comes from what is zero on the disk. GNU tar takes it from the holes of a
//! file, which differ from copy to copy of the same bytes.

use std::io::Write;
use std::ops::Range;

use lunikernel_deflate::GzipWriter;

use crate::disk::Disk;
use crate::error::WriteError;
use crate::zeros::{CHUNK, runs};

/// The only name that the importer takes.
const NAME: &[u8] = b"disk.raw";
/// Sizes are whole numbers of this, in bytes: 1 GiB.
pub const STEP: u64 = 1 << 30;
/// The largest disk that is imported, in bytes: 2048 GB, taken as GiB.
pub const MAX_SIZE: u64 = 2048 << 30;

const FORMAT: &str = "GCE archive";
/// The unit of tar, in bytes.
const RECORD: usize = 512;
/// GNU tar writes its archives in units of 20 records, and some readers want that.
const BLOCKING: u64 = 20 * RECORD as u64;
/// How many pieces the header has room for, and each record that extends it.
const IN_HEADER: usize = 4;
const IN_EXTENSION: usize = 21;

/// The size in bytes of the smallest disk that is imported and holds `size` bytes.
#[must_use]
pub fn size_for(size: u64) -> u64 {
    size.max(1).next_multiple_of(STEP)
}

/// Writes the archive. What is compressed already in the disk is not compressed again.
///
/// # Errors
/// [`WriteError::Size`] where the disk is no whole number of GiB, 1 to 2048; else where
/// the content cannot be read or the result not be written.
pub fn write(disk: &Disk, out: &mut impl Write) -> Result<(), WriteError> {
    let runs = runs(disk).map_err(WriteError::Read)?;
    write_runs(disk, &runs, out)
}

/// The same, where it is known where the disk is not zero.
pub(crate) fn write_runs(
    disk: &Disk,
    runs: &[Range<u64>],
    out: &mut impl Write,
) -> Result<(), WriteError> {
    let size = disk.size();
    if size == 0 || size > MAX_SIZE || !size.is_multiple_of(STEP) {
        return Err(WriteError::Size {
            format: FORMAT,
            size,
            expected: "a whole number of GiB, 1 to 2048",
        });
    }
    let failed = WriteError::write(FORMAT);
    let mut gzip = GzipWriter::new(out).map_err(failed)?;
    let header = header(size, runs);
    gzip.write_all(&header).map_err(failed)?;
    let mut written = header.len() as u64;
    let mut buffer = vec![0; CHUNK];
    for run in runs {
        let mut at = run.start;
        while at < run.end {
            let len = usize::try_from(run.end - at).map_or(CHUNK, |left| left.min(CHUNK));
            let part = buffer.get_mut(..len).unwrap_or_default();
            disk.read_at(part, at).map_err(WriteError::Read)?;
            gzip.write_all(part).map_err(failed)?;
            at += len as u64;
        }
        written += run.end - run.start;
    }
    // Two records of zeros end an archive; the runs are whole records.
    let end = (written + 2 * RECORD as u64).next_multiple_of(BLOCKING);
    let zeros = vec![0; usize::try_from(end - written).unwrap_or(RECORD)];
    gzip.write_all(&zeros).map_err(failed)?;
    gzip.finish().map_err(failed)?;
    Ok(())
}

/// The header of the one member, and the records that its sparse map takes beyond it.
fn header(size: u64, runs: &[Range<u64>]) -> Vec<u8> {
    let stored: u64 = runs.iter().map(|run| run.end - run.start).sum();
    let mut pieces = runs.iter().map(|run| [run.start, run.end - run.start]);
    let mut pieces: Vec<[u64; 2]> = pieces.by_ref().collect();
    if runs.last().is_none_or(|last| last.end < size) {
        // As GNU tar ends the map of a file that ends with a hole.
        pieces.push([size, 0]);
    }
    let (first, more) = pieces.split_at(pieces.len().min(IN_HEADER));
    let mut header = Vec::with_capacity(RECORD);
    header.extend_from_slice(NAME);
    header.resize(100, 0);
    header.extend_from_slice(b"0000644\x000000000\x000000000\0");
    header.extend_from_slice(&number(stored));
    header.extend_from_slice(&number(0)); // The time.
    header.extend_from_slice(b"        "); // The checksum is taken with spaces here.
    header.push(b'S');
    header.resize(257, 0);
    header.extend_from_slice(b"ustar  \0");
    header.resize(386, 0);
    header.extend(first.iter().flatten().flat_map(|it| number(*it)));
    header.resize(482, 0);
    header.push((!more.is_empty()).into());
    header.extend_from_slice(&number(size));
    header.resize(RECORD, 0);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    header.splice(148..156, sum.into_bytes());
    let mut records = more.chunks(IN_EXTENSION).peekable();
    while let Some(some) = records.next() {
        let start = header.len();
        header.extend(some.iter().flatten().flat_map(|it| number(*it)));
        header.resize(start + IN_EXTENSION * 24, 0);
        header.push(records.peek().is_some().into());
        header.resize(start + RECORD, 0);
    }
    header
}

/// A number in twelve bytes: eleven octal digits and a zero, or what GNU tar writes where
/// that is too little, which is base 256 with the first bit set.
fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value < 1 << 33 {
        let digits = format!("{value:011o}");
        for (place, digit) in field.iter_mut().zip(digits.bytes()) {
            *place = digit;
        }
    } else {
        let (high, low) = field.split_at_mut(4);
        high.fill(0);
        low.copy_from_slice(&value.to_be_bytes());
        field[0] = 0x80;
    }
    field
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::content::Content;

    #[test]
    fn sizes_are_whole_gib() {
        for size in [0, 1, STEP - 512, STEP + 1, MAX_SIZE + STEP] {
            let refused = write(&Disk::new(size).unwrap(), &mut Vec::new()).unwrap_err();
            assert!(
                refused.to_string().contains("whole number of GiB"),
                "{refused}"
            );
        }
        assert_eq!(
            [size_for(0), size_for(STEP), size_for(STEP + 1)],
            [STEP, STEP, 2 * STEP]
        );
    }

    #[test]
    fn zeros_in_an_extent_and_a_hole_are_the_same() {
        let archive = |extents: &[(u64, &[u8])]| {
            let mut disk = Disk::new(STEP).unwrap();
            for (at, bytes) in extents {
                disk.put(*at, Content::bytes(*bytes)).unwrap();
            }
            let mut out = Vec::new();
            write(&disk, &mut out).unwrap();
            out
        };
        let mut long = vec![0; 100_000];
        long[50_000] = 7;
        assert!(archive(&[(0, &long)]) == archive(&[(49_999, &[0, 7]), (60_000, &[0])]));
        assert!(archive(&[(0, &long)]) != archive(&[(50_001, &[7])]));
    }

    #[test]
    fn an_archive_ends_with_two_records_of_zeros_however_full_its_last_unit_is() {
        // The header takes one to three records more, so all sorts of rests come up.
        for count in 1..60 {
            let mut disk = Disk::new(STEP).unwrap();
            for number in 0..count {
                let at = number * 3 * crate::zeros::STEP as u64;
                let piece = Content::bytes(vec![7; crate::zeros::STEP]);
                disk.put(at, piece).unwrap();
            }
            let mut packed = Vec::new();
            write(&disk, &mut packed).unwrap();
            let mut archive = Vec::new();
            let mut unpacked = flate2::read::GzDecoder::new(packed.as_slice());
            unpacked.read_to_end(&mut archive).unwrap();
            assert_eq!(archive.len() as u64 % BLOCKING, 0, "{count}");
            let zeros = archive.iter().rev().take_while(|byte| **byte == 0);
            assert!(zeros.count() >= 2 * RECORD, "{count}");
        }
    }

    #[test]
    fn numbers_are_as_gnu_tar_writes_them() {
        assert_eq!(&number(0o644), b"00000000644\0");
        assert_eq!(&number((1 << 33) - 1), b"77777777777\0");
        assert_eq!(number(1 << 33), [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }
}
