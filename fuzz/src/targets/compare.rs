//! Comparing two contents: each is compared with an honest one, both ways, and with
//! itself after one byte of it was changed.

use std::sync::LazyLock;

use lunikernel_builder::verify::compare::{Difference, Found, compare_bytes};

use crate::archives::{ar_of, cpio_of, gzip_of, module_of, tar_of, zip_of};

/// What honest archives have in them.
const TEXT: &[u8] = b"some text\nof two lines\n";

pub(crate) fn ar(data: &[u8]) -> bool {
    static HONEST: LazyLock<Vec<u8>> =
        LazyLock::new(|| ar_of(&[("a.o", &module_of(b"depends=a\0")), ("b.txt", TEXT)]));
    apart(data, &HONEST)
}

pub(crate) fn cpio(data: &[u8]) -> bool {
    static HONEST: LazyLock<Vec<u8>> = LazyLock::new(|| cpio_of(&[("a/b", TEXT), ("c", b"c")]));
    apart(data, &HONEST)
}

pub(crate) fn elf(data: &[u8]) -> bool {
    static HONEST: LazyLock<Vec<u8>> = LazyLock::new(|| module_of(b"depends=a,b\0"));
    apart(data, &HONEST)
}

pub(crate) fn gzip(data: &[u8]) -> bool {
    static HONEST: LazyLock<Vec<u8>> = LazyLock::new(|| gzip_of(&cpio_of(&[("b", TEXT)])));
    apart(data, &HONEST)
}

pub(crate) fn tar(data: &[u8]) -> bool {
    static HONEST: LazyLock<Vec<u8>> =
        LazyLock::new(|| tar_of(&[(b'0', "a", "", TEXT), (b'2', "b", "a", b"")]));
    apart(data, &HONEST)
}

pub(crate) fn zip(data: &[u8]) -> bool {
    static HONEST: LazyLock<Vec<u8>> = LazyLock::new(|| zip_of(&[("a", TEXT), ("b.gz", TEXT)]));
    apart(data, &HONEST)
}

/// Whether it was taken apart where it stood on the left, and on the right.
fn apart(data: &[u8], honest: &[u8]) -> bool {
    let mut changed = data.to_vec();
    if let Some(byte) = changed.get_mut(data.len() / 2) {
        *byte ^= 1;
        let difference = compared(data, &changed).expect("they differ");
        assert_eq!(compared(data, data), None);
        require_sound(&difference);
    }
    [(data, honest), (honest, data)]
        .iter()
        .all(|(left, right)| {
            let difference = compared(left, right);
            assert_eq!(difference.is_none(), data == honest);
            difference.is_none_or(|difference| {
                require_sound(&difference);
                let whole = difference.others.iter().map(|it| (&it.path, &it.found));
                let mut all = whole.chain([(&difference.path, &difference.found)]);
                all.all(|(path, found)| match found {
                    Found::Unreadable { .. } | Found::Content { .. } | Found::Line { .. } => {
                        !path.is_empty()
                    }
                    _ => true,
                })
            })
        })
}

fn compared(left: &[u8], right: &[u8]) -> Option<Difference> {
    let compared = compare_bytes("fuzzed", left.to_vec(), right.to_vec());
    compared.expect("what is in memory can be compared")
}

/// It is bounded, can be printed, and tells a terminal nothing.
fn require_sound(difference: &Difference) {
    assert!(difference.others.len() <= Difference::MOST_OTHERS);
    let others = difference.others.iter().map(|other| &other.found);
    for found in [&difference.found].into_iter().chain(others) {
        let Some(bytes) = found.bytes() else {
            continue;
        };
        for window in [&bytes.left, &bytes.right] {
            let end = window.start + window.bytes.len() as u64;
            assert!(window.bytes.len() <= 256 && end <= window.size);
            assert!((window.start..=end).contains(&bytes.offset));
        }
        assert_ne!(bytes.left_from(), bytes.right_from());
    }
    let text = difference.to_string();
    let is_bad = |char: char| char.is_control() && char != '\n';
    assert!(!text.contains(is_bad), "{text:?}");
    serde_json::to_string(difference).expect("it can be written as JSON");
}
