//! Versions of packages, compared as apk does (apk-package(5)).
//!
//! A version is numbers joined by dots, then possibly a letter, suffixes such as `_rc1`,
//! the hash of a commit behind `~`, and `-r` with the number of the build.

use std::cmp::Ordering;
use std::fmt;

/// A version, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    text: Box<str>,
    parts: Vec<Part>,
}

/// One part of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// The number at the beginning.
    First(u64),
    /// A number behind a dot, as it is written: zeros at its beginning count.
    Number(Box<str>),
    /// A letter behind the numbers; a number may follow it.
    Letter(u8),
    /// A suffix, by its place among [`SUFFIXES`].
    Suffix(usize),
    /// The number of a suffix.
    SuffixNumber(u64),
    /// The hash of a commit.
    Commit(Box<str>),
    /// The number of the build.
    Build(u64),
}

/// Suffixes from the earliest to the latest; a version without one stands between those
/// before and those from [`FINAL`] on.
const SUFFIXES: [&str; 9] = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
/// The first suffix that makes a version later than that without it.
const FINAL: usize = 4;
/// The longest version that is read, in bytes.
const MAX_LENGTH: usize = 256;
/// More digits than these do not fit into 64 bits.
const MAX_DIGITS: usize = 18;

impl Part {
    /// Where two versions differ in the kind of a part, that with the kind that stands
    /// earlier here goes on longer, and is the later one.
    fn kind(&self) -> u8 {
        match self {
            Self::First(_) => 0,
            Self::Number(_) => 1,
            Self::Letter(_) => 2,
            Self::Suffix(_) => 3,
            Self::SuffixNumber(_) => 4,
            Self::Commit(_) => 5,
            Self::Build(_) => 6,
        }
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::First(a), Self::First(b))
            | (Self::SuffixNumber(a), Self::SuffixNumber(b))
            | (Self::Build(a), Self::Build(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) if a.starts_with('0') || b.starts_with('0') => {
                a.cmp(b)
            }
            // Without zeros in front, the longer number is the greater one.
            (Self::Number(a), Self::Number(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            (Self::Letter(a), Self::Letter(b)) => a.cmp(b),
            (Self::Suffix(a), Self::Suffix(b)) => a.cmp(b),
            (Self::Commit(a), Self::Commit(b)) => a.cmp(b),
            _ => return None,
        })
    }
}

impl Version {
    /// Reads a version; `None` where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (first, mut rest) = digits(text)?;
        let mut parts = vec![Part::First(first.parse().ok()?)];
        while let Some(behind) = rest.strip_prefix('.') {
            let (number, behind) = digits(behind)?;
            parts.push(Part::Number(number.into()));
            rest = behind;
        }
        if let Some(letter @ b'a'..=b'z') = rest.bytes().next() {
            parts.push(Part::Letter(letter));
            rest = rest.get(1..)?;
            // Rare, but there: `0.99f7`.
            if let Some((number, behind)) = digits(rest) {
                parts.push(Part::Number(number.into()));
                rest = behind;
            }
        }
        while let Some(behind) = rest.strip_prefix('_') {
            let end = behind
                .find(|c: char| !c.is_ascii_lowercase())
                .unwrap_or(behind.len());
            let (name, behind) = behind.split_at(end);
            let place = SUFFIXES.iter().position(|suffix| *suffix == name)?;
            parts.push(Part::Suffix(place));
            rest = behind;
            if let Some((number, behind)) = digits(rest) {
                parts.push(Part::SuffixNumber(number.parse().ok()?));
                rest = behind;
            }
        }
        if let Some(behind) = rest.strip_prefix('~') {
            let hexadecimal = |c: char| matches!(c, '0'..='9' | 'a'..='f');
            let end = behind.find(|c| !hexadecimal(c)).unwrap_or(behind.len());
            let (hash, behind) = behind.split_at(end);
            if hash.is_empty() {
                return None;
            }
            parts.push(Part::Commit(hash.into()));
            rest = behind;
        }
        if let Some(behind) = rest.strip_prefix("-r") {
            let (number, behind) = digits(behind)?;
            parts.push(Part::Build(number.parse().ok()?));
            rest = behind;
        }
        rest.is_empty().then(|| Self {
            text: text.into(),
            parts,
        })
    }

    /// The version as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is `beginning` or goes on from it: `1.2.3-r0` goes on from `1.2`,
    /// `1.20` does not.
    #[must_use]
    pub fn goes_on_from(&self, beginning: &Self) -> bool {
        let both = self.parts.iter().zip(&beginning.parts);
        self.parts.len() >= beginning.parts.len()
            && both
                .map(|(a, b)| a.compare(b))
                .all(|order| order == Some(Ordering::Equal))
    }
}

/// The digits that `text` begins with, and what is behind them; `None` where there are
/// none, or more than a number has.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (1..=MAX_DIGITS).contains(&end).then(|| text.split_at(end))
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let shared = self.parts.iter().zip(&other.parts);
        let differ = shared
            .map(|(a, b)| (a.compare(b), a, b))
            .find(|(order, ..)| *order != Some(Ordering::Equal));
        let (a, b) = match differ {
            Some((Some(order), ..)) => return order,
            Some((None, a, b)) => (Some(a), Some(b)),
            None => {
                let behind = self.parts.len().min(other.parts.len());
                (self.parts.get(behind), other.parts.get(behind))
            }
        };
        let early = |part: Option<&Part>| matches!(part, Some(Part::Suffix(at)) if *at < FINAL);
        let kind = |part: Option<&Part>| part.map_or(u8::MAX, Part::kind);
        match (early(a), early(b)) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            _ => kind(b).cmp(&kind(a)),
        }
        // `01` and `1` at the beginning are the same number, and not the same version.
        .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|| panic!("{text} is refused"))
    }

    /// Each is earlier than the next.
    const RISING: &[&[&str]] = &[
        // Numbers, not text.
        &[
            "0", "0.1", "1", "1.2", "1.9", "1.10", "1.10.1", "2", "10", "20240705",
        ],
        // Behind a dot, zeros in front make it a fraction.
        &[
            "1.0", "1.001", "1.01", "1.01a", "1.010", "1.02", "1.1", "1.10", "1.11",
        ],
        // Suffixes: before the release, and after it.
        &[
            "1.0_alpha",
            "1.0_alpha1",
            "1.0_alpha2",
            "1.0_beta",
            "1.0_beta1",
            "1.0_pre",
            "1.0_pre20",
            "1.0_rc",
            "1.0_rc1-r5",
            "1.0_rc2",
            "1.0-r0",
            "1.0_cvs",
            "1.0_svn1",
            "1.0_git20230101",
            "1.0_git20230102-r1",
            "1.0_hg",
            "1.0_p",
            "1.0_p1",
            "1.0_p2",
            "1.0_p10",
            "1.0a",
            "1.0b_alpha",
            "1.0b",
            "1.0c",
            "1.0.1",
        ],
        // Several suffixes.
        &["1.0_p1_rc1", "1.0_p1", "1.0_p1_git1", "1.0_p1_p1"],
        // The number of the build.
        &["1.0", "1.0-r0", "1.0-r1", "1.0-r2", "1.0-r10"],
        // The hash of a commit.
        &["1.0~0123", "1.0~0123-r1", "1.0~abc", "1.0.1~0123"],
        // Real ones.
        &["6.0_p20170930-r0", "6.0_p20171125-r0", "6.4_p20231125-r0"],
        &["3.6.2_rc1-r0", "3.6.2-r0", "3.6.2-r1"],
        &["1.1.1w-r0", "3.0.0_alpha1", "3.0.0"],
        &["9e", "9f", "9f1", "9f7-r1", "9f10"],
    ];

    #[test]
    fn versions_rise_as_they_do_for_apk() {
        for rising in RISING {
            for (at, earlier) in rising.iter().enumerate() {
                for later in rising.iter().skip(at + 1) {
                    let (a, b) = (version(earlier), version(later));
                    assert_eq!(a.cmp(&b), Ordering::Less, "{earlier} < {later}");
                    assert_eq!(b.cmp(&a), Ordering::Greater, "{later} > {earlier}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "a",
            ".1",
            "1.",
            "1..2",
            "1.a",
            "1.0A",
            "1.0ab",
            "1.0_",
            "1.0_foo",
            "1.0_rc_",
            "1.0-1",
            "1.0-r",
            "1.0-ra",
            "1.0-r1.2",
            "1.0-r1_rc1",
            "1.0~",
            "1.0~xyz",
            "1.0 ",
            "1.0-r1-r1",
            "v1.0",
            "-r0",
            "1.1234567890123456789",
            "4.4-release",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        assert_eq!(Version::parse(&format!("1{}", ".1".repeat(200))), None);
    }

    #[test]
    fn a_version_goes_on_from_its_beginning() {
        for (whole, beginning, does) in [
            ("1.2.3-r0", "1.2", true),
            ("1.2.3-r0", "1.2.3", true),
            ("1.2.3-r0", "1.2.3-r0", true),
            ("1.2", "1.2.3", false),
            ("1.20", "1.2", false),
            ("1.2_rc1", "1.2", true),
            ("1.2b", "1.2", true),
            ("1.2.3-r1", "1.2.3-r0", false),
            ("1.2.3-r10", "1.2.3-r1", false),
        ] {
            assert_eq!(
                version(whole).goes_on_from(&version(beginning)),
                does,
                "{whole} {beginning}"
            );
        }
    }
}
