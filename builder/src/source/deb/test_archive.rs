//! Archives that the tests make and sign themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use fs_err as fs;
use lunikernel_cache::{Progress, Sha256, Silent};
use pgp::composed::{
    CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
    SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Password, SigningKey, Timestamp};
use url::Url;

#[path = "../../../../tests/support/repeatable.rs"]
mod repeatable;

use repeatable::Repeatable;

use super::Download;
use crate::fetch::FetchError;

/// 2026-07-11 10:16:37 UTC, the date of every release file here.
pub(super) const DATE: u64 = 1_783_764_997;

/// A key with a subkey for signing, created a year before [`DATE`].
pub(super) fn key(seed: u64) -> SignedSecretKey {
    let created = Timestamp::from_secs((DATE - 365 * 86_400) as u32);
    let subkey = SubkeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .created_at(created)
        .build()
        .unwrap();
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .created_at(created)
        .primary_user_id("Archive <archive@example.org>".to_owned())
        .subkeys(vec![subkey])
        .build()
        .unwrap()
        .generate(Repeatable(seed << 32))
        .unwrap()
}

/// A key of a kind that can still make signatures with weak hashes.
pub(super) fn old_fashioned_key() -> SignedSecretKey {
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Rsa(2048))
        .can_certify(true)
        .can_sign(true)
        .created_at(Timestamp::from_secs((DATE - 365 * 86_400) as u32))
        .primary_user_id("Old <old@example.org>".to_owned())
        .build()
        .unwrap()
        .generate(Repeatable(9 << 32))
        .unwrap()
}

/// The key that signs unless a test wants another.
pub(super) fn signer() -> &'static SignedSecretKey {
    static KEY: OnceLock<SignedSecretKey> = OnceLock::new();
    KEY.get_or_init(|| key(1))
}

/// The public part, as a keyring file has it.
pub(super) fn public(key: &SignedSecretKey) -> Vec<u8> {
    SignedPublicKey::from(key.clone()).to_bytes().unwrap()
}

/// A signature over a text.
pub(super) fn sign_with(
    key: &impl SigningKey,
    hash: HashAlgorithm,
    made: u64,
    text: &str,
) -> Signature {
    let mut config = SignatureConfig::v4(SignatureType::Text, key.algorithm(), hash);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(
            made as u32,
        )))
        .unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
    ];
    let text = text.replace('\n', "\r\n");
    config
        .sign(key, &Password::empty(), text.as_bytes())
        .unwrap()
}

/// A signature as a release file carries it: by the subkey, at the release's date.
pub(super) fn sign(key: &SignedSecretKey, text: &str) -> Signature {
    sign_with(
        &key.secret_subkeys[0].key,
        HashAlgorithm::Sha256,
        DATE,
        text,
    )
}

/// A clear-signed text.
pub(super) fn clearsigned(text: &str, signatures: Vec<Signature>) -> Vec<u8> {
    CleartextSignedMessage::new_many(text, |_| Ok(signatures))
        .unwrap()
        .to_armored_bytes(Default::default())
        .unwrap()
}

/// A suite that a test writes to a folder.
pub(super) struct TestSuite {
    pub(super) name: &'static str,
    pub(super) component: &'static str,
    pub(super) packages: String,
    /// Further lines of the release file.
    pub(super) release: String,
    /// Its date.
    pub(super) date: &'static str,
}

impl TestSuite {
    pub(super) fn new(name: &'static str, packages: String) -> Self {
        Self {
            name,
            component: "main",
            packages,
            release: String::new(),
            date: "Sat, 11 Jul 2026 10:16:37 UTC",
        }
    }

    /// The text of the release file, before it is signed.
    pub(super) fn text(&self) -> String {
        let gz = gzip(self.packages.as_bytes());
        let path = format!("{}/binary-amd64/Packages", self.component);
        format!(
            "Origin: Test\nLabel: Test\nSuite: old{name}\nCodename: {name}\n\
             Date: {date}\nAcquire-By-Hash: yes\n{more}\
             No-Support-for-Architecture-all: Packages\nSHA256:\n {} {} {path}\n {} {} {path}.gz\n",
            Sha256::of(self.packages.as_bytes()).hex(),
            self.packages.len(),
            Sha256::of(&gz).hex(),
            gz.len(),
            name = self.name,
            date = self.date,
            more = self.release,
        )
    }

    /// Writes the suite below an archive's root, signed by [`signer`].
    pub(super) fn write(&self, root: &Path) {
        let folder = root.join("dists").join(self.name);
        let gz = gzip(self.packages.as_bytes());
        let lists = folder.join(self.component).join("binary-amd64");
        let hashed = lists.join("by-hash/SHA256");
        fs::create_dir_all(&hashed).unwrap();
        fs::write(hashed.join(Sha256::of(&gz).hex()), &gz).unwrap();
        let text = self.text();
        let signed = clearsigned(&text, vec![sign(signer(), &text)]);
        fs::write(folder.join("InRelease"), signed).unwrap();
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A paragraph of `Packages`; `fields` are further lines, separated by `;`.
pub(super) fn package(name: &str, version: &str, fields: &str) -> String {
    let mut paragraph = format!(
        "Package: {name}\nVersion: {version}\nFilename: pool/main/{name}_{}_amd64.deb\n\
         Size: {}\nSHA256: {}\n",
        version.replace(':', "."),
        name.len() + 1000,
        Sha256::of(format!("{name} {version}").as_bytes()).hex(),
    );
    if !fields.contains("Architecture:") {
        paragraph.push_str("Architecture: amd64\n");
    }
    for field in fields
        .split(';')
        .map(str::trim)
        .filter(|field| !field.is_empty())
    {
        paragraph.push_str(field);
        paragraph.push('\n');
    }
    paragraph.push('\n');
    paragraph
}

/// Fetches `file:` addresses, and remembers which.
#[derive(Default)]
pub(super) struct Files {
    pub(super) asked: Mutex<Vec<Url>>,
}

impl Download for Files {
    async fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        self.asked.lock().unwrap().push(url.clone());
        let path = url.to_file_path().unwrap();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(FetchError::NotFound { url: url.clone() });
            }
            Err(source) => return Err(FetchError::File { path, source }),
        };
        if bytes.len() as u64 > limit {
            let source = std::io::Error::other("larger than the limit");
            return Err(FetchError::File { path, source });
        }
        Ok(bytes)
    }

    fn progress(&self) -> &dyn Progress {
        &Silent
    }
}

/// Writes files below a root: what a machine's `/etc` has, for example.
pub(super) fn write_all(root: &Path, files: &BTreeMap<&str, Vec<u8>>) {
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}
