//! Volume descriptors (ECMA-119, section 8).

use super::BLOCK;
use super::folders::{Place, plain};
use super::record;

/// The size of one, in bytes.
const SIZE: usize = BLOCK as usize;
/// 1980-01-01 00:00:00.00 UTC, and no time (ECMA-119, 8.4.26.1).
const TIME: &[u8; 17] = b"1980010100000000\0";
const NO_TIME: &[u8; 17] = b"0000000000000000\0";

/// A number in both orders of bytes (ECMA-119, 7.2.3 and 7.3.3).
pub(super) fn both16(number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d]
}

/// The same of 32 bits.
pub(super) fn both32(number: u32) -> [u8; 8] {
    let ([a, b, c, d], [e, f, g, h]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d, e, f, g, h]
}

/// What every descriptor begins with.
pub(super) fn head(kind: u8) -> Vec<u8> {
    let mut descriptor = vec![kind];
    descriptor.extend_from_slice(b"CD001\x01");
    descriptor
}

/// Fills one up.
pub(super) fn whole(mut descriptor: Vec<u8>) -> Vec<u8> {
    descriptor.resize(SIZE, 0);
    descriptor
}

/// The primary one: of a volume of so many `blocks`, with both path tables of `table_len`
/// bytes, and the root folder.
pub(super) fn primary(
    label: &str,
    blocks: u32,
    table_len: u64,
    tables: [Place; 2],
    root: Place,
) -> Vec<u8> {
    let text = |text: &str, len: usize| format!("{text:len$.len$}").into_bytes();
    let [little, big] = tables;
    let mut it = head(1);
    it.push(0);
    it.extend(text("", 32)); // The system that starts from it.
    it.extend(text(&plain(label), 32));
    it.extend_from_slice(&[0; 8]);
    it.extend_from_slice(&both32(blocks));
    it.extend_from_slice(&[0; 32]);
    it.extend_from_slice(&both16(1)); // One volume,
    it.extend_from_slice(&both16(1)); // and this is the first.
    it.extend_from_slice(&both16(BLOCK as u16));
    it.extend_from_slice(&both32(table_len as u32));
    it.extend_from_slice(&little.block.to_le_bytes());
    it.extend_from_slice(&[0; 4]);
    it.extend_from_slice(&big.block.to_be_bytes());
    it.extend_from_slice(&[0; 4]);
    it.extend(record::root(root));
    // Volume set, publisher, preparer, application; then files with more about it.
    for (of, len) in [
        ("", 128),
        ("", 128),
        ("", 128),
        ("LUNIKERNEL", 128),
        ("", 37),
        ("", 37),
        ("", 37),
    ] {
        it.extend(text(of, len));
    }
    // Made, changed, of no use from then on, of use from then on.
    for time in [TIME, TIME, NO_TIME, NO_TIME] {
        it.extend_from_slice(time);
    }
    it.push(1); // The version of the file structure.
    whole(it)
}

/// The one behind the last.
pub(super) fn end() -> Vec<u8> {
    whole(head(255))
}
