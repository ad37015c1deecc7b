//! apk's own checksums: SHA-1 in base64 behind `Q1`, or in hexadecimal behind `X1`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The SHA-1 of a package's control member, or of a file in it.
///
/// SHA-1 identifies here and protects nothing by itself: what is built from is pinned by
/// SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum([u8; 20]);

impl Checksum {
    /// Reads `Q1…` or `X1…`, which mean the same. It is written as `Q1…`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("X1") {
            return Self::of_hex(digits);
        }
        let bytes = STANDARD.decode(text.strip_prefix("Q1")?).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// What is wrong with a text that [`Checksum::parse`] does not read, in words that go on
    /// from it.
    ///
    /// apk reads checksums by SHA-256 as well: `Q2…` and `X2…`, and `Q1…` and `X1…` of that
    /// length. But it writes none (apk 2 ends with an error once its database would have
    /// one, apk 3 cuts them short), so that nothing of that kind is in use.
    pub(crate) fn flaw(text: &str) -> &'static str {
        let digits = text.get(2..).unwrap_or_default().len();
        let is_sha256 = match text.get(..2) {
            Some("Q2" | "X2") => true,
            Some("Q1") => digits == 44,
            Some("X1") => digits == 64,
            _ => false,
        };
        if is_sha256 {
            "is a checksum by SHA-256, which apk cannot write into its database: only those by \
             SHA-1 (`Q1…`) are read"
        } else {
            "is no checksum as apk writes it"
        }
    }

    fn of_hex(digits: &str) -> Option<Self> {
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 20];
        if !rest.is_empty() || pairs.len() != bytes.len() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            let digit = |letter: &u8| char::from(*letter).to_digit(16);
            *byte = u8::try_from((digit(high)? << 4) | digit(low)?).ok()?;
        }
        Some(Self(bytes))
    }

    /// The checksum of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut summing = Summing::default();
        summing.update(bytes);
        summing.finish()
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Q1{}", STANDARD.encode(self.0))
    }
}

impl TryFrom<String> for Checksum {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` {}", Self::flaw(&text)))
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

/// A checksum in the making.
pub(crate) struct Summing(ring::digest::Context);

impl Default for Summing {
    fn default() -> Self {
        Self(ring::digest::Context::new(
            &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        ))
    }
}

impl Summing {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Checksum {
        let digest = self.0.finish();
        let mut bytes = [0; 20];
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Checksum(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_was_read() {
        // The SHA-1 of no bytes is in every textbook.
        let empty = Checksum::of(b"");
        assert_eq!(empty.to_string(), "Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=");
        assert_eq!(Checksum::parse(&empty.to_string()), Some(empty));
        // As apk 3 names files with it.
        let hex = "X1da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert_eq!(Checksum::parse(hex), Some(empty));
        for bad in [
            "",
            "Q1",
            "Q3jmj7l5rSw0yVb/vlWAYkK/YBwk=",
            "Q12jmj7l5rSw0yVb",
            "Q1????",
            "X1",
            "X1da39a3ee5e6b4b0d3255bfef95601890afd807",
            "X1da39a3ee5e6b4b0d3255bfef95601890afd8070",
            "X1da39a3ee5e6b4b0d3255bfef95601890afd8070+",
            "X1da39a3ee5e6b4b0d3255bfef95601890afd807090",
            "X1da39a3ee5e6b4b0d3255bfef95601890afd8070909",
        ] {
            assert_eq!(Checksum::parse(bad), None, "{bad}");
            assert!(Checksum::flaw(bad).starts_with("is no checksum"), "{bad}");
        }
    }

    #[test]
    fn those_by_sha_256_are_refused_as_such() {
        let digits = STANDARD.encode([0; 32]);
        let cut = STANDARD.encode([0; 20]) + &STANDARD.encode([0; 12]);
        let hex = "0".repeat(64);
        for (kind, digits) in [("Q2", &digits), ("X2", &hex), ("Q1", &cut), ("X1", &hex)] {
            let text = format!("{kind}{digits}");
            assert_eq!(Checksum::parse(&text), None, "{text}");
            let why = Checksum::try_from(text.clone()).unwrap_err();
            assert!(why.contains("by SHA-256"), "{why}");
        }
    }
}
