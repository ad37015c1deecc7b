//! The keys that vouch for indexes and packages.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lunikernel_cache::Sha256;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaParameters, UnparsedPublicKey,
};
use spki::SubjectPublicKeyInfoOwned;
use spki::der::Decode as _;

use crate::assemble::apk::{Signature, SignatureHash};

/// The algorithm of keys that sign for apk: rsaEncryption (RFC 8017, appendix C).
const RSA: spki::ObjectIdentifier = spki::ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Keys that are trusted, by the names of their files.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    by_name: BTreeMap<String, Key>,
}

#[derive(Debug, Clone)]
struct Key {
    /// The RSA public key (RFC 8017, appendix A.1.1), in DER.
    der: Vec<u8>,
    fingerprint: Sha256,
}

/// The key that vouched for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// The name of its file.
    pub key: String,
    /// The SHA-256 of its public key as DER (RFC 5280, `SubjectPublicKeyInfo`).
    pub fingerprint: Sha256,
}

/// Why nobody vouches for something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not signed.
    #[error("it is not signed")]
    Unsigned,
    /// No trusted key signed it.
    #[error("it is signed by {}, and the trusted keys are {}", signers.join(", "), listed(trusted))]
    Untrusted {
        /// Whose signatures it has.
        signers: Vec<String>,
        /// The keys that are trusted.
        trusted: Vec<String>,
    },
    /// A signature of a trusted key does not fit.
    #[error("the signature by {key} does not fit its bytes")]
    Wrong {
        /// The key.
        key: String,
    },
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

fn listed(keys: &[String]) -> String {
    if keys.is_empty() {
        return "none".to_owned();
    }
    keys.join(", ")
}

/// What is between the lines that begin and end a public key (RFC 7468, section 13).
fn unarmour(pem: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(pem).ok()?.trim();
    let text = text.strip_prefix("-----BEGIN PUBLIC KEY-----")?;
    let text = text.strip_suffix("-----END PUBLIC KEY-----")?;
    let letters: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(letters).ok()
}

impl Keys {
    /// Trusts the key in a file.
    ///
    /// # Errors
    /// What is wrong with the file, in words that go on from "the key …".
    pub fn add(&mut self, name: &str, pem: &[u8]) -> Result<(), String> {
        let whole = unarmour(pem).ok_or("is no public key in PEM")?;
        let key = SubjectPublicKeyInfoOwned::from_der(&whole)
            .map_err(|error| format!("is no public key: {error}"))?;
        if key.algorithm.oid != RSA {
            return Err("is no RSA key".to_owned());
        }
        let der = key
            .subject_public_key
            .as_bytes()
            .ok_or("has no whole number of bytes")?
            .to_vec();
        let key = Key {
            der,
            fingerprint: Sha256::of(&whole),
        };
        self.by_name.insert(name.to_owned(), key);
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Who of those trusted vouches for `message`.
    ///
    /// # Errors
    /// [`SignatureError`] where nobody does. A wrong signature of a trusted key is an
    /// error even where another one fits.
    pub fn vouch(
        &self,
        signatures: &[Signature],
        message: &[u8],
    ) -> Result<Voucher, SignatureError> {
        if signatures.is_empty() {
            return Err(SignatureError::Unsigned);
        }
        let mut voucher = None;
        for signature in signatures {
            let Some(key) = self.by_name.get(&signature.key) else {
                continue;
            };
            let parameters: &RsaParameters = match signature.hash {
                SignatureHash::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
                SignatureHash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                SignatureHash::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
            };
            UnparsedPublicKey::new(parameters, &key.der)
                .verify(message, &signature.bytes)
                .map_err(|_| SignatureError::Wrong {
                    key: signature.key.clone(),
                })?;
            voucher.get_or_insert_with(|| Voucher {
                key: signature.key.clone(),
                fingerprint: key.fingerprint,
            });
        }
        voucher.ok_or_else(|| SignatureError::Untrusted {
            signers: signatures.iter().map(|one| one.key.clone()).collect(),
            trusted: self.by_name.keys().cloned().collect(),
        })
    }
}
