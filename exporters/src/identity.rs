//! Where GUIDs, volume ids and the like come from: the artefact's digest.

use std::fmt;

use lunikernel_cache::Sha256;

/// A number that others take at random, or from a clock: derived from the digest of an
/// artefact, so that its images are told from those of other artefacts, and are the same
/// whenever they are made.
///
/// Each is the beginning of `SHA-256("lunikernel identity 1" ‖ 0 ‖ D ‖ L)`, where D are the
/// 32 bytes of the artefact's SHA-256 and L, in ASCII, is what the number is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    artefact: Sha256,
}

impl Identity {
    /// The identity of images of the artefact with this SHA-256.
    #[must_use]
    pub fn of(artefact: Sha256) -> Self {
        Self { artefact }
    }

    /// A GUID for `label`: a UUID of version 8 and variant 10 (RFC 9562, section 5.8), whose
    /// other bits are the first of the hash.
    #[must_use]
    pub fn guid(&self, label: &str) -> Guid {
        let mut bytes = *self.hash(label).first_chunk().unwrap_or(&[0; 16]);
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Guid(bytes)
    }

    /// A number of 32 bits for `label`: the first four bytes of the hash, big-endian. It
    /// is neither 0 nor `ffffffff`, which some formats give a meaning of their own.
    #[must_use]
    pub fn number(&self, label: &str) -> u32 {
        let number = u32::from_be_bytes(*self.hash(label).first_chunk().unwrap_or(&[0; 4]));
        number.clamp(1, u32::MAX - 1)
    }

    fn hash(&self, label: &str) -> [u8; 32] {
        let mut bytes = b"lunikernel identity 1\0".to_vec();
        bytes.extend_from_slice(self.artefact.as_bytes());
        bytes.extend_from_slice(label.as_bytes());
        *Sha256::of(&bytes).as_bytes()
    }
}

/// A GUID, or UUID: 16 bytes in the order in which they are written down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guid([u8; 16]);

impl Guid {
    /// One whose bytes are known, in the order in which they are written down.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes in the order in which they are written down (RFC 9562, section 4).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Its bytes as GPT and Microsoft's formats keep them: the first three groups
    /// little-endian (UEFI 2.10, appendix A).
    #[must_use]
    pub fn to_mixed_endian(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.0;
        let [i, j, k, l, m, n, o, p] = rest;
        [d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p]
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value was computed with Python's hashlib from the description above.
    #[test]
    fn the_derivation_is_as_documented() {
        let identity = Identity::of(Sha256::of(b"an artefact"));
        assert_eq!(
            identity.guid("disk").to_string(),
            "1fa1af51-8a02-8871-9391-801bf4e4a723"
        );
        assert_eq!(identity.number("disk"), 0x1fa1af51);
        assert_ne!(identity.guid("disk"), identity.guid("esp"));
        let other = Identity::of(Sha256::of(b"another"));
        assert_ne!(identity.guid("disk"), other.guid("disk"));
    }

    /// The type GUID of an EFI system partition, as UEFI 2.10 writes it and as it is on disks.
    #[test]
    fn mixed_endian_is_as_on_disks() {
        let esp = Guid::from_bytes(0xC12A7328_F81F_11D2_BA4B_00A0C93EC93B_u128.to_be_bytes());
        assert_eq!(esp.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        let on_disk = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
        assert_eq!(esp.to_mixed_endian(), on_disk);
    }
}
