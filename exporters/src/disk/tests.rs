use std::io::{Seek as _, SeekFrom, Write as _};

use rustix::fs::seek;

use super::*;

fn content(byte: u8, len: usize) -> Content {
    Content::bytes(vec![byte; len])
}

#[test]
fn extents_that_overlap_or_reach_beyond_are_refused() {
    let mut disk = Disk::new(100).unwrap();
    disk.put(10, content(1, 10)).unwrap();
    disk.put(20, content(2, 10)).unwrap();
    disk.put(0, content(3, 10)).unwrap();
    for at in [0, 9, 10, 15, 19, 25, 29] {
        let refused = disk.put(at, content(4, 1)).unwrap_err();
        assert!(matches!(refused, DiskError::Overlap { .. }), "{at}");
    }
    // Around something that is there.
    assert!(disk.put(5, content(4, 90)).is_err());
    assert!(disk.put(95, content(4, 5)).is_ok());
    let beyond = disk.put(30, content(4, 71)).unwrap_err();
    assert_eq!(
        beyond.to_string(),
        "could not put 71 bytes at byte 30 of a disk: it has 100 bytes"
    );
    assert!(beyond.hint().is_some());
    assert!(disk.put(u64::MAX, content(4, 2)).is_err());
    assert!(disk.put(100, content(4, 0)).is_ok());
    assert!(disk.put(101, content(4, 0)).is_err());
    assert!(Disk::new(MAX_SIZE + 1).is_err());
}

#[test]
fn what_no_extent_covers_is_zero_and_so_is_what_is_beyond_the_end() {
    let mut disk = Disk::new(20).unwrap();
    disk.put(3, content(7, 4)).unwrap();
    disk.put(9, content(8, 2)).unwrap();
    disk.put(18, content(9, 2)).unwrap();
    let mut buffer = [0xff; 24];
    disk.read_at(&mut buffer, 0).unwrap();
    assert_eq!(buffer[..12], [0, 0, 0, 7, 7, 7, 7, 0, 0, 8, 8, 0]);
    assert_eq!(buffer[12..], [0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 0, 0]);
    let mut middle = [0xff; 4];
    disk.read_at(&mut middle, 5).unwrap();
    assert_eq!(middle, [7, 7, 0, 0]);
    disk.read_at(&mut middle, u64::MAX - 1).unwrap();
    assert_eq!(middle, [0; 4]);
}

#[test]
fn blocks_leave_out_what_is_zero_however_it_is_cut() {
    let mut disk = Disk::new(1003).unwrap();
    disk.put(98, content(1, 4)).unwrap();
    disk.put(250, content(0, 300)).unwrap();
    disk.put(1002, content(1, 1)).unwrap();
    assert_eq!(disk.used_blocks(100).unwrap(), [0, 1, 10]);
    let mut blocks = disk.blocks(1000);
    assert_eq!(blocks.next_block().unwrap().unwrap().1.len(), 1000);
    let (number, last) = blocks.next_block().unwrap().unwrap();
    assert_eq!((number, last[2], last[3]), (1, 1, 0));
    assert!(blocks.next_block().unwrap().is_none());
    assert_eq!(disk.occupied(100).collect::<Vec<_>>(), [0..600, 1000..1100]);
}

#[test]
fn a_partition_is_put_as_a_whole() {
    let mut part = Disk::new(50).unwrap();
    part.put(0, content(1, 5)).unwrap();
    part.put(45, content(2, 5)).unwrap();
    let mut disk = Disk::new(100).unwrap();
    assert!(disk.put_disk(51, &part).is_err());
    disk.put_disk(50, &part).unwrap();
    assert_eq!(disk.content_len(), 10);
    let mut last = [0; 6];
    disk.read_at(&mut last, 94).unwrap();
    assert_eq!(last, [0, 2, 2, 2, 2, 2]);
}

#[test]
fn a_huge_disk_costs_what_its_content_does() {
    let mut disk = Disk::new(MAX_SIZE).unwrap();
    disk.put(MAX_SIZE - 1, content(1, 1)).unwrap();
    disk.put(1 << 51, content(1, 1)).unwrap();
    assert_eq!(
        disk.used_blocks(4096).unwrap(),
        [(1 << 51) / 4096, MAX_SIZE / 4096 - 1]
    );
}

#[test]
fn a_file_is_a_disk_with_its_holes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    // Data at both ends of holes, a hole too short to matter, and one at the end.
    let mut file = fs_err::File::create(&path).unwrap();
    let mut bytes = vec![0u8; 9 << 20];
    for (at, len) in [
        (0, 5000),
        (1 << 20, 4096),
        ((1 << 20) + 20_000, 1),
        (6 << 20, 3),
    ] {
        bytes[at..at + len].fill(at as u8 | 1);
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&bytes[at..at + len]).unwrap();
    }
    file.set_len(bytes.len() as u64).unwrap();
    let disk = Disk::of_file(&path).unwrap();
    assert_eq!(disk.size(), bytes.len() as u64);
    let mut read = vec![1; bytes.len()];
    disk.read_at(&mut read, 0).unwrap();
    assert!(read == bytes);
    // Every file system of ours tells of holes; on others, all of it may be data.
    let told = seek(&file, rustix::fs::SeekFrom::Hole(0)) != Ok(bytes.len() as u64);
    assert_eq!(disk.content_len() < 1 << 20, told);
    let size = disk.content_len();
    assert_eq!(data::extents(&file, 0), []);
    // One that became shorter since has nothing behind its end.
    file.set_len(2 << 20).unwrap();
    let shorter = data::extents(&file, bytes.len() as u64);
    assert!(
        shorter.iter().all(|extent| extent.end <= 2 << 20),
        "{shorter:?}"
    );
    assert!(shorter.iter().map(|it| it.end - it.start).sum::<u64>() <= size);
}

#[test]
fn only_regular_files_are_disks() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Disk::of_file(folder.path()).unwrap_err();
    let missing = folder.path().join("missing");
    assert!(refused.to_string().contains("regular"), "{refused}");
    let error = Disk::of_file(&missing).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    let empty = folder.path().join("empty");
    fs_err::write(&empty, b"").unwrap();
    assert_eq!(Disk::of_file(&empty).unwrap().size(), 0);
}
