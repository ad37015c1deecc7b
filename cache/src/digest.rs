//! Digests: what everything in Lunikernel is named by.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sha256::State;

/// The SHA-256 of some bytes (FIPS 180-4).
///
/// Written as `sha256:` and 64 lower-case hexadecimal digits; a bare run of 64
/// digits is understood too, because that is how upstreams write theirs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish().sha256
    }

    /// The SHA-256 of each of two, in hardly more time than the longer one takes.
    #[must_use]
    pub fn of_both(bytes: [&[u8]; 2]) -> [Self; 2] {
        let (mut one, mut two) = (Hasher::new(), Hasher::new());
        Hasher::update_both([&mut one, &mut two], bytes);
        [one.finish().sha256, two.finish().sha256]
    }

    /// Reads the name that a file with this content has in a hashed mirror: 64 lower-case
    /// digits, and nothing else that can be read as a digest.
    #[must_use]
    pub fn of_file_name(name: &str) -> Option<Self> {
        name.parse()
            .ok()
            .filter(|sha256: &Self| sha256.hex() == name)
    }

    /// Wraps 32 bytes that already are a SHA-256.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that should have been a SHA-256 and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no SHA-256: expected `sha256:` and 64 hexadecimal digits")]
pub struct ParseDigestError {
    text: String,
}

impl FromStr for Sha256 {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseDigestError {
            text: text.chars().take(100).collect(),
        };
        let hex = text.strip_prefix("sha256:").unwrap_or(text).as_bytes();
        if hex.len() != 64 {
            return Err(refused());
        }
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or_else(refused)?;
            let low = char::from(pair[1]).to_digit(16).ok_or_else(refused)?;
            *byte = (high * 16 + low) as u8;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A digest as the Remote Execution API has it: SHA-256 and size in bytes.
///
/// The size is part of the identity, so that a store can refuse a truncated or
/// padded blob before it has hashed it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// SHA-256 of the bytes.
    pub sha256: Sha256,
    /// How many bytes.
    pub size: u64,
}

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: Sha256::of(bytes),
            size: bytes.len() as u64,
        }
    }

    /// The same digest as a REAPI message.
    #[must_use]
    pub fn to_reapi(&self) -> reapi::Digest {
        reapi::Digest {
            hash: self.sha256.hex(),
            size_bytes: i64::try_from(self.size).unwrap_or(i64::MAX),
        }
    }

    /// Reads a REAPI digest; `None` where it is no SHA-256 or its size is negative.
    #[must_use]
    pub fn from_reapi(message: &reapi::Digest) -> Option<Self> {
        if message.hash.len() != 64 {
            return None;
        }
        Some(Self {
            sha256: message.hash.parse().ok()?,
            size: u64::try_from(message.size_bytes).ok()?,
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.sha256, self.size)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many bytes this process has hashed, whole or as they passed by.
static HASHED: AtomicU64 = AtomicU64::new(0);

/// How many bytes this process has hashed: by this, tests and
/// benchmarks see that no input is hashed twice.
#[must_use]
pub fn hashed_bytes() -> u64 {
    HASHED.load(Ordering::Relaxed)
}

/// Hashes bytes as they pass by, so that no byte is read a second time for it.
#[derive(Clone, Default)]
pub struct Hasher {
    state: State,
}

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        HASHED.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    /// Takes in the next bytes of two: where both have some, in hardly more time than one
    /// of them would take.
    pub fn update_both(hashers: [&mut Self; 2], bytes: [&[u8]; 2]) {
        let len: usize = bytes.iter().map(|bytes| bytes.len()).sum();
        State::update_both(hashers.map(|hasher| &mut hasher.state), bytes);
        HASHED.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// How many bytes it has seen.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.state.size()
    }

    /// The digest of all bytes seen.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest {
            size: self.size(),
            sha256: Sha256(self.state.finish()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("size", &self.size())
            .finish()
    }
}

/// Passes reads through and hashes what came.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> HashingReader<R> {
    /// Hashes what is read from `inner` from now on.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Hasher::new(),
        }
    }

    /// The digest of what was read.
    pub fn finish(self) -> Digest {
        self.hasher.finish()
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Passes writes through and hashes what was taken.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> HashingWriter<W> {
    /// Hashes what is written to `inner` from now on.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Hasher::new(),
        }
    }

    /// How many bytes were written so far.
    pub fn written(&self) -> u64 {
        self.hasher.size()
    }

    /// The inner writer and the digest of what was written.
    pub fn finish(self) -> (W, Digest) {
        (self.inner, self.hasher.finish())
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_vector_of_fips_180() {
        assert_eq!(
            Sha256::of(b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn both_are_what_each_is() {
        let bytes = vec![7u8; 100_000];
        let parts = [bytes.as_slice(), &bytes[..1000]];
        assert_eq!(Sha256::of_both(parts), parts.map(Sha256::of));
        let (mut one, mut two) = (Hasher::new(), Hasher::new());
        one.update(b"x");
        Hasher::update_both([&mut one, &mut two], parts);
        assert_eq!((one.size(), two.size()), (100_001, 1000));
        let longer = [b"x".as_slice(), &bytes].concat();
        assert_eq!(one.finish(), Digest::of(&longer));
        assert_eq!(two.finish(), Digest::of(&bytes[..1000]));
    }

    #[test]
    fn text_round_trip_and_refusals() {
        let digest = Sha256::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.hex().parse(), Ok(digest));
        for bad in ["", "sha256:", "sha256:zz", &"g".repeat(64), &"é".repeat(32)] {
            assert!(bad.parse::<Sha256>().is_err(), "{bad}");
        }
    }

    #[test]
    fn passing_by_is_the_same_as_at_once() {
        let bytes = vec![7u8; 100_000];
        let mut reader = HashingReader::new(bytes.as_slice());
        io::copy(&mut reader, &mut io::sink()).unwrap();
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(&bytes).unwrap();
        assert_eq!(reader.finish(), Digest::of(&bytes));
        assert_eq!(writer.finish(), (bytes.clone(), Digest::of(&bytes)));
    }
}
