//! Why signatures of release files do not count.

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody in the keyring made it.
    #[error("it is by the key {key}, which is not in the keyring")]
    UnknownKey {
        /// Fingerprint or id of the key, as the signature names it.
        key: String,
    },
    /// It is not over this text.
    #[error("the key {key} did not sign this text")]
    Bad {
        /// The key's fingerprint.
        key: String,
    },
    /// It rests on a hash that can be forged.
    #[error("it uses the hash {hash}, which can be forged")]
    WeakHash {
        /// The hash's name.
        hash: String,
    },
    /// Its kind is no signature over data.
    #[error("it is no signature of a text")]
    Kind,
    /// It has a condition that this program does not know.
    #[error("it carries a condition that is not understood")]
    Condition,
    /// Its key was revoked.
    #[error("the key {key} was revoked")]
    Revoked {
        /// The key's fingerprint.
        key: String,
    },
    /// Its key, or it itself, has expired.
    #[error("the key {key}, or its signature, has expired")]
    Expired {
        /// The key's fingerprint.
        key: String,
    },
    /// Its date cannot be.
    #[error("the signature of the key {key} is dated before the key or in the future")]
    Date {
        /// The key's fingerprint.
        key: String,
    },
    /// Its key is not meant for signing.
    #[error("the key {key} is not meant for signing")]
    NotForSigning {
        /// The key's fingerprint.
        key: String,
    },
}
