//! A Debian archive that a test makes and signs, with packages it makes itself.

use std::path::{Path, PathBuf};

use fs_err as fs;
use lunikernel_cache::Sha256;
use pgp::composed::{
    CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, Password, Timestamp};

#[path = "repeatable.rs"]
mod repeatable;

use repeatable::Repeatable;

/// 2024-06-01 00:00:00 UTC, the date of every release file here.
const DATE: u32 = 1_717_200_000;
/// The same as archives of snapshots write it.
pub(crate) const SNAPSHOT: &str = "20240601T000000Z";

/// A key for signing, created a year before the release files.
pub(crate) fn key(seed: u64) -> SignedSecretKey {
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .created_at(Timestamp::from_secs(DATE - 365 * 86_400))
        .primary_user_id("Archive <archive@example.org>".to_owned())
        .build()
        .unwrap()
        .generate(Repeatable(seed << 32))
        .unwrap()
}

/// The public part, as a keyring file has it.
pub(crate) fn public(key: &SignedSecretKey) -> Vec<u8> {
    SignedPublicKey::from(key.clone()).to_bytes().unwrap()
}

/// A text, clear-signed.
fn signed(key: &SignedSecretKey, text: &str) -> Vec<u8> {
    let key = &key.primary_key;
    let mut config =
        SignatureConfig::v4(SignatureType::Text, key.algorithm(), HashAlgorithm::Sha256);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(
            DATE,
        )))
        .unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
    ];
    let signature = config
        .sign(
            key,
            &Password::empty(),
            text.replace('\n', "\r\n").as_bytes(),
        )
        .unwrap();
    CleartextSignedMessage::new_many(text, |_| Ok(vec![signature]))
        .unwrap()
        .to_armored_bytes(Default::default())
        .unwrap()
}

/// The archive, in a folder that a server serves.
pub(crate) struct DebianArchive {
    pub(crate) root: PathBuf,
    packages: String,
}

impl DebianArchive {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            root,
            packages: String::new(),
        }
    }

    /// Adds a package; where its file is, below the root.
    pub(crate) fn add(&mut self, name: &str, version: &str, bytes: &[u8]) -> String {
        let path = format!("pool/{name}_{version}_amd64.deb");
        write(&self.root.join(&path), bytes);
        self.packages += &format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {path}\n\
             Size: {}\nSHA256: {}\n\n",
            bytes.len(),
            Sha256::of(bytes).hex(),
        );
        path
    }

    /// Adds what is said of a package that nobody fetches.
    #[allow(dead_code, reason = "each test file is a crate; not each uses it")]
    pub(crate) fn list(&mut self, name: &str, description: &str) {
        self.packages += &format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nDescription: {description}\n\
             Filename: pool/{name}_1.0_amd64.deb\nSize: 1\nSHA256: {}\n\n",
            Sha256::of(name.as_bytes()).hex(),
        );
    }

    /// The package that was added last needs the one called `name`.
    pub(crate) fn last_needs(&mut self, name: &str) {
        let end = self.packages.trim_end().len();
        self.packages
            .replace_range(end.., &format!("\nDepends: {name}\n\n"));
    }

    /// Writes the signed index of suite `test`; `more` are further lines of the
    /// release file.
    pub(crate) fn publish(&self, key: &SignedSecretKey, more: &str) {
        self.publish_on("Sat, 01 Jun 2024 00:00:00 UTC", key, more);
    }

    /// The same with a release file of that date.
    #[allow(
        dead_code,
        reason = "not every test that has an archive goes back in time"
    )]
    pub(crate) fn publish_on(&self, date: &str, key: &SignedSecretKey, more: &str) {
        let list = "main/binary-amd64/Packages";
        let suite = self.root.join("dists/test");
        write(&suite.join(list), self.packages.as_bytes());
        let text = format!(
            "Origin: Test\nLabel: Test\nSuite: test\nCodename: test\n\
             Date: {date}\n{more}\
             SHA256:\n {} {} {list}\n",
            Sha256::of(self.packages.as_bytes()).hex(),
            self.packages.len(),
        );
        write(&suite.join("InRelease"), &signed(key, &text));
    }
}

/// Writes a file, and the folders above it.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
