//! The two names of a file: the short one of eleven bytes, which every file has, and the
//! long one, which those have whose own name is no short one (FAT 1.03, section 7).

use std::collections::{BTreeMap, BTreeSet};

/// Name and extension, filled up with spaces.
pub(super) type Short = [u8; 11];

/// How many characters of a long name one entry holds.
const LONG_UNITS: usize = 13;

/// Gives the names of a folder short names, all of them different.
#[derive(Debug, Default)]
pub(super) struct ShortNames {
    used: BTreeSet<Short>,
    /// For each beginning and extension, the number that was tried last.
    tried: BTreeMap<Short, u32>,
}

impl ShortNames {
    /// Names that are short ones but for their case have these, whatever the others get.
    pub(super) fn reserve<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.used.extend(names.filter_map(as_short));
    }

    /// The short name of `name`: its own, or one with a number. `None` where there are none
    /// left.
    pub(super) fn get(&mut self, name: &str) -> Option<Short> {
        if let Some(own) = as_short(name) {
            return Some(own);
        }
        let (start, extension) = beginning(name);
        let tried = self.tried.entry(join(&start, &extension)).or_default();
        while *tried < 999_999 {
            *tried += 1;
            let tail = format!("~{tried}");
            let kept = start.len().min(8 - tail.len());
            let mut numbered = start.get(..kept).unwrap_or_default().to_vec();
            numbered.extend(tail.bytes());
            let short = join(&numbered, &extension);
            if self.used.insert(short) {
                return Some(short);
            }
        }
        None
    }
}

/// The short name that `name` is but for its case.
fn as_short(name: &str) -> Option<Short> {
    let (start, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = |part: &str, most| part.len() <= most && part.bytes().all(is_short);
    let dot_at_end = name.ends_with('.');
    let valid = !start.is_empty() && fits(start, 8) && fits(extension, 3) && !dot_at_end;
    let upper = |part: &str| part.to_ascii_uppercase().into_bytes();
    valid.then(|| join(&upper(start), &upper(extension)))
}

/// What may be in a short name, lower case included.
fn is_short(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'()-@^_`{}~".contains(&byte)
}

/// What a short name for `name` begins and ends with: without spaces and dots, in upper
/// case, other characters replaced.
fn beginning(name: &str) -> (Vec<u8>, Vec<u8>) {
    let name = name.trim_start_matches(['.', ' ']);
    let (start, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let part = |text: &str, most| {
        let kept = text.chars().filter(|it| !matches!(it, '.' | ' '));
        let bytes = kept.map(|it| match u8::try_from(it) {
            Ok(byte) if is_short(byte) => byte.to_ascii_uppercase(),
            _ => b'_',
        });
        bytes.take(most).collect::<Vec<u8>>()
    };
    (part(start, 6), part(extension, 3))
}

fn join(start: &[u8], extension: &[u8]) -> Short {
    let mut short = [b' '; 11];
    let (one, two) = short.split_at_mut(8);
    (one.iter_mut().zip(start)).for_each(|(place, byte)| *place = *byte);
    (two.iter_mut().zip(extension)).for_each(|(place, byte)| *place = *byte);
    short
}

/// The entries that hold the long name, the last part first; none where the short name
/// says all.
pub(super) fn long_entries(name: &str, short: &Short) -> Vec<[u8; 32]> {
    if as_short(name) == Some(*short) && !name.bytes().any(|it| it.is_ascii_lowercase()) {
        return Vec::new();
    }
    let sum = (short.iter()).fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut units: Vec<u16> = name.encode_utf16().collect();
    if !units.len().is_multiple_of(LONG_UNITS) {
        // Ended by a zero, then filled up.
        units.push(0);
        units.resize(units.len().next_multiple_of(LONG_UNITS), 0xffff);
    }
    let last = units.len() / LONG_UNITS;
    let parts = units.chunks(LONG_UNITS).enumerate();
    let entry = |(before, part): (usize, &[u16])| {
        let mut entry = [0; 32];
        let end = before + 1 == last;
        // At most 20 parts.
        entry[0] = (before as u8 + 1) | if end { 0x40 } else { 0 };
        entry[11] = 0x0f;
        entry[13] = sum;
        let places = (1..11)
            .step_by(2)
            .chain((14..26).step_by(2))
            .chain([28, 30]);
        for (at, unit) in places.zip(part) {
            [entry[at], entry[at + 1]] = unit.to_le_bytes();
        }
        entry
    };
    parts.map(entry).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shorts(names: &[&str]) -> Vec<String> {
        let mut shorts = ShortNames::default();
        shorts.reserve(names.iter().copied());
        let short = |name: &&str| shorts.get(name).unwrap();
        let text = |it: Short| String::from_utf8(it.to_vec()).unwrap();
        names.iter().map(short).map(text).collect()
    }

    #[test]
    fn short_names_differ_from_each_other() {
        assert_eq!(
            shorts(&[
                "BOOTX64.EFI",
                "vmlinuz",
                "initrd.img",
                "grub.cfg.old",
                ".profile"
            ]),
            [
                "BOOTX64 EFI",
                "VMLINUZ    ",
                "INITRD  IMG",
                "GRUBCF~1OLD",
                "PROFIL~1   "
            ]
        );
        // One that has the number by its own name is not given to another.
        assert_eq!(
            shorts(&["longname one", "longname two", "LONGNA~1", "ä b.c.d", "a+b"]),
            [
                "LONGNA~2   ",
                "LONGNA~3   ",
                "LONGNA~1   ",
                "_BC~1   D  ",
                "A_B~1      "
            ]
        );
        let many: Vec<String> = (0..1200).map(|n| format!("initramfs {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let given = shorts(&many);
        assert_eq!(given[1199], "INI~1200   ");
        assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 1200);
    }

    #[test]
    fn only_names_that_are_not_short_have_a_long_one() {
        let count = |name: &str| {
            let short = ShortNames::default().get(name).unwrap();
            long_entries(name, &short).len()
        };
        assert_eq!([count("KERNEL.IMG"), count("kernel.img")], [0, 1]);
        assert_eq!([count(&"a".repeat(13)), count(&"a".repeat(14))], [1, 2]);
        assert_eq!(count(&"a".repeat(255)), 20);
    }
}
