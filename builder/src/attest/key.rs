//! Ed25519 keys (RFC 8032) as files in the standard forms (RFC 8410): PKCS#8 PEM for the
//! private half, SPKI PEM for the public one, as `openssl genpkey` and others write them.

use std::fmt;
use std::path::Path;

use ed25519_dalek::ed25519::KeypairBytes;
use ed25519_dalek::pkcs8::spki::DecodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::{SigningKey, VerifyingKey};
use lunikernel_cache::Sha256;
use lunikernel_cache::regular::{open_regular, read_bounded};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Serialize, Serializer};

use super::AttestError;

/// The largest file that is taken for a key, in bytes. One has some 120.
const MAX_KEY_SIZE: u64 = 16 << 10;

/// What a key is named by: the SHA-256 of the public key's SPKI DER. Written as 64
/// lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(Sha256);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is no key. Each continues "… is no public key: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFlaw {
    /// It is too large for one.
    #[error("it has more than {} KiB", MAX_KEY_SIZE >> 10)]
    TooLarge,
    /// It is the private half.
    #[error("it is a private key")]
    Private,
    /// It is the public half.
    #[error("it is a public key")]
    Public,
    /// It is encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// It is in another form, or of another algorithm.
    #[error("{0}, expected {1}")]
    Form(String, &'static str),
    /// Its point has a small order or a second way to be written: a signature by it
    /// shows nothing.
    #[error("it is a weak key, which proves nothing")]
    Weak,
}

impl KeyFlaw {
    /// What `error` says of a text; of one that is no PEM at all it says odd things.
    fn form(text: &str, error: &dyn fmt::Display, expected: &'static str) -> Self {
        if text.contains("-----BEGIN ") {
            Self::Form(error.to_string(), expected)
        } else {
            Self::Form("it is no PEM".to_owned(), expected)
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Private => "name the public half, `NAME.pub`; keep this one to yourself".into(),
            Self::Public => "name the private half, `NAME.key`".into(),
            Self::Encrypted => {
                "decrypt it into a file that only you can read: `openssl pkey -in KEY -out PLAIN`"
                    .into()
            }
            Self::TooLarge | Self::Form(..) | Self::Weak => {
                "have a pair made with `luni attest keygen NAME`".into()
            }
        })
    }
}

/// The private half of a key: who has it can sign.
pub struct PrivateKey(SigningKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public().id())
    }
}

impl PrivateKey {
    /// A new key, from the kernel's random numbers.
    ///
    /// # Errors
    /// [`AttestError::Random`] where there are none.
    pub fn generate() -> Result<Self, AttestError> {
        let mut seed = [0; 32];
        let count = getrandom(&mut seed, GetRandomFlags::empty())
            .map_err(|errno| AttestError::Random(errno.into()))?;
        if count != seed.len() {
            return Err(AttestError::Random(
                std::io::ErrorKind::UnexpectedEof.into(),
            ));
        }
        Ok(Self::from_seed(seed))
    }

    /// The key with the given secret (RFC 8032, section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads PKCS#8 PEM.
    ///
    /// # Errors
    /// [`KeyFlaw`] where it is something else.
    pub fn from_pem(text: &str) -> Result<Self, KeyFlaw> {
        const EXPECTED: &str = "an Ed25519 key as PKCS#8 PEM (`BEGIN PRIVATE KEY`)";
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            return Err(KeyFlaw::Encrypted);
        }
        if text.contains("BEGIN PUBLIC KEY") {
            return Err(KeyFlaw::Public);
        }
        SigningKey::from_pkcs8_pem(text.trim_start())
            .map(Self)
            .map_err(|error| KeyFlaw::form(text, &error, EXPECTED))
    }

    /// Reads PKCS#8 PEM from a file, and says whether others than its owner may read it.
    ///
    /// # Errors
    /// [`AttestError`] where it cannot be read, or is no such key.
    pub fn read(path: &Path) -> Result<(Self, bool), AttestError> {
        use std::os::unix::fs::PermissionsExt as _;
        let attempted = |source| AttestError::io("read the private key", source);
        let mode = open_regular(path).and_then(|file| file.metadata());
        let exposed = mode.map_err(attempted)?.permissions().mode() & 0o077 != 0;
        let flaw = |flaw| AttestError::Key {
            half: "private",
            name: path.display().to_string(),
            flaw,
        };
        let text = text_of(path).map_err(attempted)?.map_err(flaw)?;
        Ok((Self::from_pem(&text).map_err(flaw)?, exposed))
    }

    /// Its PKCS#8 PEM. The public half is left out, because some programs refuse what
    /// has it (RFC 5958 calls it version 2).
    ///
    /// # Errors
    /// [`AttestError::Encode`], which no key brings about.
    pub fn to_pem(&self) -> Result<String, AttestError> {
        let pair = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        let pem = pair.to_pkcs8_pem(LineEnding::LF);
        let pem = pem.map_err(|error| AttestError::Encode(error.to_string()))?;
        Ok(pem.as_str().to_owned())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature over `message`; always the same one.
    #[must_use]
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        use ed25519_dalek::Signer as _;
        self.0.sign(message).to_bytes().to_vec()
    }
}

/// The public half of a key: who has it can tell what the other half signed.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl PublicKey {
    /// Reads SPKI PEM.
    ///
    /// # Errors
    /// [`KeyFlaw`] where it is something else, or a key that proves nothing.
    pub fn from_pem(text: &str) -> Result<Self, KeyFlaw> {
        const EXPECTED: &str = "an Ed25519 key as SPKI PEM (`BEGIN PUBLIC KEY`)";
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyFlaw::Private);
        }
        let key = VerifyingKey::from_public_key_pem(text.trim_start())
            .map_err(|error| KeyFlaw::form(text, &error, EXPECTED))?;
        // One key that can be written in two ways would count as two.
        let canonical = key.to_edwards().compress().to_bytes() == key.to_bytes();
        if key.is_weak() || !canonical {
            return Err(KeyFlaw::Weak);
        }
        Ok(Self(key))
    }

    /// Reads SPKI PEM from a file.
    ///
    /// # Errors
    /// [`AttestError`] where it cannot be read, or is no such key.
    pub fn read(path: &Path) -> Result<Self, AttestError> {
        let flaw = |flaw| AttestError::Key {
            half: "public",
            name: path.display().to_string(),
            flaw,
        };
        let text =
            text_of(path).map_err(|source| AttestError::io("read the public key", source))?;
        Self::from_pem(&text.map_err(flaw)?).map_err(flaw)
    }

    /// Its SPKI PEM.
    ///
    /// # Errors
    /// [`AttestError::Encode`], which no key brings about.
    pub fn to_pem(&self) -> Result<String, AttestError> {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        pem.map_err(|error| AttestError::Encode(error.to_string()))
    }

    /// What it is named by.
    #[must_use]
    pub fn id(&self) -> KeyId {
        // SPKI DER of an Ed25519 key is these twelve bytes and the key (RFC 8410).
        const HEAD: [u8; 12] = [
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        KeyId(Sha256::of(&[&HEAD[..], self.0.as_bytes()].concat()))
    }

    /// Whether `signature` over `message` is by this key, by the strict rules of RFC
    /// 8032: there is no second signature to be made from one.
    #[must_use]
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

/// The text of a file that may be a key.
fn text_of(path: &Path) -> std::io::Result<Result<String, KeyFlaw>> {
    let bytes = read_bounded(path, MAX_KEY_SIZE)?;
    if bytes.len() as u64 > MAX_KEY_SIZE {
        return Ok(Err(KeyFlaw::TooLarge));
    }
    let not_text = |_| KeyFlaw::Form("it is no text".to_owned(), "PEM");
    Ok(String::from_utf8(bytes).map_err(not_text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    const SECRET: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
        let pairs = digits.chunks(2);
        pairs.map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    #[test]
    fn known_vector_of_rfc_8032() {
        let key = PrivateKey::from_seed(bytes(SECRET).try_into().unwrap());
        assert_eq!(key.sign(&[0x72]), bytes(SIGNATURE));
        assert!(key.public().verifies(&[0x72], &bytes(SIGNATURE)));
        assert!(!key.public().verifies(&[0x73], &bytes(SIGNATURE)));
        assert!(!key.public().verifies(&[0x72], &bytes(SIGNATURE)[..63]));
    }

    #[test]
    fn both_halves_are_read_back_and_not_taken_for_each_other() {
        let key = PrivateKey::generate().unwrap();
        let (private, public) = (key.to_pem().unwrap(), key.public().to_pem().unwrap());
        let again = PrivateKey::from_pem(&private).unwrap();
        assert_eq!(again.public().id(), key.public().id());
        assert_eq!(PublicKey::from_pem(&public).unwrap(), key.public());
        assert_eq!(PublicKey::from_pem(&private), Err(KeyFlaw::Private));
        assert_eq!(PrivateKey::from_pem(&public).unwrap_err(), KeyFlaw::Public);
        assert_ne!(
            PrivateKey::generate().unwrap().public().id(),
            key.public().id()
        );
    }

    #[test]
    fn the_id_is_that_of_the_whole_spki() {
        let key = PrivateKey::from_seed([7; 32]).public();
        let der = key.0.to_public_key_der().unwrap();
        assert_eq!(key.id().to_string(), Sha256::of(der.as_bytes()).hex());
    }

    #[test]
    fn keys_that_prove_nothing_are_refused() {
        for (name, last, rest) in [
            ("the neutral point", 0x00, 0x00),
            ("the neutral point, not reduced", 0x7f, 0xff),
        ] {
            let mut point = [rest; 32];
            point[0] = if rest == 0 { 1 } else { 0xee };
            point[31] = last;
            let head = bytes("302a300506032b6570032100");
            let body = base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                [head, point.to_vec()].concat(),
            );
            let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
            assert_eq!(PublicKey::from_pem(&pem), Err(KeyFlaw::Weak), "{name}");
        }
    }
}
