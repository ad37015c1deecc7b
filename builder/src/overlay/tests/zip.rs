use lunikernel_cache::Progress as _;

use super::super::content::Collector;
use super::super::zip::read_bytes;
use super::*;

/// A zip with one stored file, made on `system`, with these external attributes.
fn zip(system: u8, attributes: u32) -> Vec<u8> {
    const NAME: &[u8] = b"file";
    const TEXT: &[u8] = b"text";
    let size = (TEXT.len() as u32).to_le_bytes();
    let crc32 = crc32fast::hash(TEXT).to_le_bytes();
    // Flags, method, time and date; sums and sizes; lengths of the name and of extra fields.
    let common = [
        &[0; 8][..],
        &crc32,
        &size,
        &size,
        &[NAME.len() as u8, 0, 0, 0],
    ]
    .concat();
    let local = [b"PK\x03\x04\x0a\0", &common[..], NAME, TEXT].concat();
    let central = [
        b"PK\x01\x02\x14",
        &[system, 10, 0][..],
        &common,
        &[0; 6],
        &attributes.to_le_bytes(),
        &[0; 4],
        NAME,
    ]
    .concat();
    let [at, length] = [local.len() as u32, central.len() as u32].map(u32::to_le_bytes);
    let end = [b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &length[..], &at, &[0; 2]].concat();
    [local, central, end].concat()
}

#[test]
fn modes_are_taken_where_a_system_has_them() {
    const DOS: u8 = 0;
    const UNIX: u8 = 3;
    let bench = Bench::new();
    let mode = |system, attributes| {
        let (blobs, limits) = (bench.cache.blobs(), Limits::default());
        let task = Silent.start("", "", None);
        let mut collector = Collector::default();
        let bytes = zip(system, attributes);
        read_bytes(&bytes, "it", &limits, blobs, &mut collector, &*task).unwrap();
        let content = collector.finish("it", blobs).unwrap();
        content.root().get("file").unwrap().mode
    };
    assert_eq!(mode(UNIX, 0o100_640 << 16), 0o640);
    assert_eq!(mode(UNIX, 0o104_755 << 16), 0o4755);
    // 7-Zip says on every system whether it has a mode; else these bits mean nothing.
    assert_eq!(mode(DOS, 0o100_640 << 16 | 0x8000), 0o640);
    assert_eq!(mode(DOS, 0o100_640 << 16), 0o644);
    // Permissions without a type are not to be trusted.
    assert_eq!(mode(UNIX, 0o600 << 16), 0o644);
}
