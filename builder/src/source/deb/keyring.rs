//! Keyrings, and who signed what: OpenPGP as RFC 9580 defines it.
//!
//! The keyring files of a machine are what its administrator trusts; what this module
//! adds is the judgement which of their keys may vouch for a text at a given time.

use std::io::{BufReader, Cursor};

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag};

pub use super::refusal::Refusal;

/// The largest keyring that is read; Debian's is 56 kB.
const MAX_KEYRING: usize = 16 << 20;
/// The most keys of one keyring that are looked at.
const MAX_KEYS: usize = 4096;
/// How far a signer's clock may be ahead, in seconds.
const CLOCK_SKEW: u64 = 24 * 3600;

const BEGIN_KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Keys that may vouch for releases.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

/// A key or subkey that may have made a signature.
#[derive(Debug, Clone)]
struct Key {
    material: Material,
    /// Fingerprint of the key itself, in upper-case hexadecimal digits.
    fingerprint: String,
    /// Fingerprint of the primary key that it belongs to.
    primary: String,
    created: u64,
    expires: Option<u64>,
    revoked: bool,
    signs: bool,
}

#[derive(Debug, Clone)]
enum Material {
    Primary(Box<PublicKey>),
    Sub(Box<PublicSubkey>),
}

/// When a signature is judged.
#[derive(Debug, Clone, Copy)]
pub struct Judgement {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    pub now: u64,
    /// Whether a key may have expired since it signed.
    pub allow_expired: bool,
}

impl Keyring {
    /// Adds the keys of a keyring file, armored or not. What cannot be read as a key
    /// is left out, since keyrings hold keys of kinds that nobody needs any more.
    /// Returns how many certificates were read.
    pub fn add(&mut self, bytes: &[u8]) -> usize {
        if bytes.len() > MAX_KEYRING {
            return 0;
        }
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| text.contains(BEGIN_KEY));
        let mut added = 0;
        match text {
            Some(text) => {
                for block in text.split(BEGIN_KEY).skip(1) {
                    let block = format!("{BEGIN_KEY}{block}");
                    let end = "-----END PGP PUBLIC KEY BLOCK-----";
                    let Some((block, _)) = block.split_once(end) else {
                        continue;
                    };
                    let block = format!("{block}{end}\n");
                    if let Ok((keys, _)) = SignedPublicKey::from_armor_many(Cursor::new(block)) {
                        added += self.add_all(keys);
                    }
                }
            }
            None => {
                if let Ok(keys) = SignedPublicKey::from_bytes_many(BufReader::new(bytes)) {
                    added += self.add_all(keys);
                }
            }
        }
        added
    }

    fn add_all(
        &mut self,
        certificates: impl Iterator<Item = pgp::errors::Result<SignedPublicKey>>,
    ) -> usize {
        let mut added = 0;
        for certificate in certificates.take(MAX_KEYS).flatten() {
            if self.keys.len() < MAX_KEYS {
                self.add_certificate(&certificate);
                added += 1;
            }
        }
        added
    }

    fn add_certificate(&mut self, certificate: &SignedPublicKey) {
        let key = &certificate.primary_key;
        let fingerprint = hex(key.fingerprint().as_bytes());
        if self
            .keys
            .iter()
            .any(|known| known.fingerprint == fingerprint)
        {
            return;
        }
        let created = u64::from(key.created_at().as_secs());
        let revoked = certificate
            .details
            .revocation_signatures
            .iter()
            .any(|signature| {
                signature.typ() == Some(SignatureType::KeyRevocation)
                    && signature.verify_key(key).is_ok()
            });
        // Without a valid signature by the key over itself, nothing is known about it.
        let Some(own) = self_signature(certificate) else {
            return;
        };
        let expires = expiry(created, own);
        self.keys.push(Key {
            material: Material::Primary(Box::new(key.clone())),
            fingerprint: fingerprint.clone(),
            primary: fingerprint.clone(),
            created,
            expires,
            revoked,
            signs: may_sign(own),
        });
        for subkey in &certificate.public_subkeys {
            let Some(binding) = binding(subkey, key) else {
                continue;
            };
            let created = u64::from(subkey.key.created_at().as_secs());
            self.keys.push(Key {
                material: Material::Sub(Box::new(subkey.key.clone())),
                fingerprint: hex(subkey.key.fingerprint().as_bytes()),
                primary: fingerprint.clone(),
                created,
                expires: [expires, expiry(created, binding)]
                    .into_iter()
                    .flatten()
                    .min(),
                revoked: revoked || is_revoked(subkey, key),
                signs: may_sign(binding) && signed_back(binding, subkey, key),
            });
        }
    }

    /// The keyring with only the keys that a list of fingerprints names, as the
    /// option `Signed-By` gives them: of a primary key, which lets its subkeys sign
    /// too, or of a subkey; with `!` at the end of exactly that key.
    #[must_use]
    pub fn only(&self, fingerprints: &[String]) -> Self {
        let named = |key: &&Key| {
            fingerprints
                .iter()
                .any(|wanted| match wanted.strip_suffix('!') {
                    Some(exact) => key.fingerprint.eq_ignore_ascii_case(exact),
                    None => {
                        key.fingerprint.eq_ignore_ascii_case(wanted)
                            || key.primary.eq_ignore_ascii_case(wanted)
                    }
                })
        };
        Self {
            keys: self.keys.iter().filter(named).cloned().collect(),
        }
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Fingerprints of the primary keys, sorted.
    #[cfg(test)]
    pub(super) fn primaries(&self) -> Vec<String> {
        let mut primaries: Vec<String> = self.keys.iter().map(|key| key.primary.clone()).collect();
        primaries.sort();
        primaries.dedup();
        primaries
    }

    /// Who vouches for `text` by this signature: the fingerprint of the primary key.
    pub(super) fn check(
        &self,
        signature: &Signature,
        text: &[u8],
        judgement: Judgement,
    ) -> Result<String, Refusal> {
        if !matches!(
            signature.typ(),
            Some(SignatureType::Text | SignatureType::Binary)
        ) {
            return Err(Refusal::Kind);
        }
        match signature.hash_alg() {
            Some(
                HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512,
            ) => {}
            other => {
                return Err(Refusal::WeakHash {
                    hash: other.map_or_else(|| "unknown".to_owned(), |hash| hash.to_string()),
                });
            }
        }
        if has_unknown_condition(signature) {
            return Err(Refusal::Condition);
        }
        let issuers: Vec<String> = signature
            .issuer_fingerprint()
            .into_iter()
            .map(|fingerprint| hex(fingerprint.as_bytes()))
            .chain(
                signature
                    .issuer_key_id()
                    .into_iter()
                    .map(|id| hex(id.as_ref())),
            )
            .collect();
        let mut refusal = Refusal::UnknownKey {
            key: issuers
                .first()
                .cloned()
                .unwrap_or_else(|| "without a name".to_owned()),
        };
        // An id of 64 bits can be shared by several keys, so each is tried.
        for key in &self.keys {
            if !issuers
                .iter()
                .any(|issuer| key.fingerprint.ends_with(issuer.as_str()))
            {
                continue;
            }
            match key.check(signature, text, judgement) {
                Ok(()) => return Ok(key.primary.clone()),
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }
}

impl Key {
    fn check(
        &self,
        signature: &Signature,
        text: &[u8],
        judgement: Judgement,
    ) -> Result<(), Refusal> {
        let key = self.fingerprint.clone();
        let verified = match &self.material {
            Material::Primary(key) => signature.verify(key.as_ref(), text),
            Material::Sub(key) => signature.verify(key.as_ref(), text),
        };
        if verified.is_err() {
            return Err(Refusal::Bad { key });
        }
        if self.revoked {
            return Err(Refusal::Revoked { key });
        }
        if !self.signs {
            return Err(Refusal::NotForSigning { key });
        }
        let made = signature
            .created()
            .map_or(0, |time| u64::from(time.as_secs()));
        if made < self.created || made > judgement.now.saturating_add(CLOCK_SKEW) {
            return Err(Refusal::Date { key });
        }
        let at = if judgement.allow_expired {
            made
        } else {
            judgement.now.max(made)
        };
        let lapsed = signature
            .signature_expiration_time()
            .map(|time| u64::from(time.as_secs()))
            .filter(|seconds| *seconds > 0)
            .map(|seconds| made + seconds);
        if [self.expires, lapsed]
            .into_iter()
            .flatten()
            .any(|end| end <= at)
        {
            return Err(Refusal::Expired { key });
        }
        Ok(())
    }
}

/// The newest valid signature by a key over itself: directly, or over one of its names.
fn self_signature(certificate: &SignedPublicKey) -> Option<&Signature> {
    let key = &certificate.primary_key;
    let direct = certificate
        .details
        .direct_signatures
        .iter()
        .filter(|signature| signature.verify_key(key).is_ok());
    let over_names = certificate.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(move |signature| {
            signature.is_certification()
                && signature
                    .verify_certification(key, Tag::UserId, &user.id)
                    .is_ok()
        })
    });
    direct
        .chain(over_names)
        .max_by_key(|signature| signature.created())
}

/// The newest valid signature that makes `subkey` one of `key`'s.
fn binding<'a>(subkey: &'a SignedPublicSubKey, key: &PublicKey) -> Option<&'a Signature> {
    subkey
        .signatures
        .iter()
        .filter(|signature| {
            signature.typ() == Some(SignatureType::SubkeyBinding)
                && signature.verify_subkey_binding(key, &subkey.key).is_ok()
        })
        .max_by_key(|signature| signature.created())
}

fn is_revoked(subkey: &SignedPublicSubKey, key: &PublicKey) -> bool {
    subkey.signatures.iter().any(|signature| {
        signature.typ() == Some(SignatureType::SubkeyRevocation)
            && signature.verify_subkey_binding(key, &subkey.key).is_ok()
    })
}

/// Whether a subkey agreed to belong to its primary key; otherwise anyone could claim
/// another's signatures as their own (RFC 9580, section 5.2.1.9).
fn signed_back(binding: &Signature, subkey: &SignedPublicSubKey, key: &PublicKey) -> bool {
    binding
        .embedded_signature()
        .is_some_and(|back| back.verify_primary_key_binding(&subkey.key, key).is_ok())
}

/// Keys from before key flags were invented may do everything.
fn may_sign(signature: &Signature) -> bool {
    let flags = signature.config().and_then(|config| {
        config
            .hashed_subpackets()
            .find_map(|subpacket| match &subpacket.data {
                SubpacketData::KeyFlags(flags) => Some(flags),
                _ => None,
            })
    });
    flags.is_none_or(|flags| flags.sign())
}

fn expiry(created: u64, signature: &Signature) -> Option<u64> {
    signature
        .key_expiration_time()
        .map(|time| u64::from(time.as_secs()))
        .filter(|seconds| *seconds > 0)
        .map(|seconds| created + seconds)
}

/// A subpacket that is marked critical and unknown makes a signature invalid (RFC
/// 9580, section 5.2.3.7).
fn has_unknown_condition(signature: &Signature) -> bool {
    signature.config().is_none_or(|config| {
        config.hashed_subpackets().any(|subpacket| {
            subpacket.is_critical
                && matches!(
                    subpacket.data,
                    SubpacketData::Other(..)
                        | SubpacketData::Experimental(..)
                        | SubpacketData::Notation(..)
                )
        })
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}
