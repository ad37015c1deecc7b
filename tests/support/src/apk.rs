//! Alpine packages and repositories that the tests make and sign themselves, in the true
//! format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use rsa::pkcs8::{EncodePublicKey as _, LineEnding};
use rsa::rand_core::{self, CryptoRng, RngCore};
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};

/// Random numbers that are the same in every run, so that a failure can be repeated.
struct Repeatable(u64);

impl RngCore for Repeatable {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }
    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            self.0 += 1;
            let hash = ring::digest::digest(&ring::digest::SHA256, &self.0.to_le_bytes());
            chunk.copy_from_slice(&hash.as_ref()[..chunk.len()]);
        }
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Repeatable {}

/// A key of 2048 bits; the same number gives the same key.
#[must_use]
pub fn key(seed: u64) -> RsaPrivateKey {
    RsaPrivateKey::new(&mut Repeatable(seed << 32), 2048).unwrap()
}

/// The key that signs unless a test wants another.
pub fn signer() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| key(3))
}

/// What the file of that key is called.
pub const SIGNER: &str = "tests.rsa.pub";

/// The public part of a key, as a file of `etc/apk/keys` has it.
#[must_use]
pub fn public(key: &RsaPrivateKey) -> String {
    let public = RsaPublicKey::from(key);
    public.to_public_key_pem(LineEnding::LF).unwrap()
}

/// How to sign.
#[derive(Debug, Clone, Copy)]
pub enum Hash {
    /// `.SIGN.RSA.`
    Sha1,
    /// `.SIGN.RSA256.`
    Sha256,
    /// `.SIGN.RSA512.`
    Sha512,
}

/// A signature member over `message`.
#[must_use]
pub fn signature(key: &RsaPrivateKey, name: &str, hash: Hash, message: &[u8]) -> Vec<u8> {
    // The prefixes of RFC 8017, section 9.2, note 1.
    let (kind, algorithm, prefix): (_, _, &[u8]) = match hash {
        Hash::Sha1 => (
            "RSA",
            &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
            b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
        ),
        Hash::Sha256 => (
            "RSA256",
            &ring::digest::SHA256,
            b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
        ),
        Hash::Sha512 => (
            "RSA512",
            &ring::digest::SHA512,
            b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
        ),
    };
    let digest = ring::digest::digest(algorithm, message);
    let scheme = Pkcs1v15Sign {
        hash_len: Some(digest.as_ref().len()),
        prefix: prefix.into(),
    };
    let signed = key.sign(scheme, digest.as_ref()).unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, &format!(".SIGN.{kind}.{name}"), 0o644, &signed);
    gzip(&cut(tar))
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    // apk 2 looks at no member of the type that old archives have for files, which is 0.
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, path, content).unwrap();
}

/// A tar archive without its end, as the members before the last are.
fn cut(mut tar: tar::Builder<Vec<u8>>) -> Vec<u8> {
    tar.get_mut().clone()
}

/// One gzip member.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `Q1` and the SHA-1 in base64.
#[must_use]
pub fn checksum(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let text = base64::engine::general_purpose::STANDARD.encode(digest.as_ref());
    format!("Q1{text}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A package in the making.
#[derive(Debug, Clone, Default)]
pub struct Apk {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it was built from, by name; empty where it does not say so.
    pub origin: String,
    /// What it needs.
    pub depends: Vec<String>,
    /// What it provides.
    pub provides: Vec<String>,
    /// More lines of `.PKGINFO`.
    pub more: Vec<String>,
    /// Its files by path: mode and content; a path that ends with `/` is a folder, and a
    /// mode of 0 stands for a link to the content.
    pub files: BTreeMap<String, (u32, Vec<u8>)>,
    /// Its scripts, by name.
    pub scripts: BTreeMap<String, String>,
    /// Whose its files are, by path: user and group, each name and number. Others are
    /// root's.
    pub owners: BTreeMap<String, [(String, u64); 2]>,
}

/// A package's three members.
#[derive(Debug, Clone)]
pub struct Members {
    /// The signature.
    pub signature: Vec<u8>,
    /// The control member.
    pub control: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
}

impl Members {
    /// The package.
    #[must_use]
    pub fn whole(&self) -> Vec<u8> {
        [&*self.signature, &self.control, &self.data].concat()
    }
}

impl Apk {
    /// A package without anything.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            origin: name.to_owned(),
            ..Self::default()
        }
    }

    /// The same, built together with others from what has that name.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        origin.clone_into(&mut self.origin);
        self
    }

    /// The same, needing these.
    #[must_use]
    pub fn depends(mut self, words: &str) -> Self {
        self.depends
            .extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// The same, providing these.
    #[must_use]
    pub fn provides(mut self, words: &str) -> Self {
        self.provides
            .extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// The same, with a line of `.PKGINFO`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.more.push(line.to_owned());
        self
    }

    /// The same, with a file.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref().to_vec();
        self.files.insert(path.to_owned(), (mode, content));
        self
    }

    /// The same, with the owner of a file: user and group, each name and number.
    #[must_use]
    pub fn owned(mut self, path: &str, user: (&str, u64), group: (&str, u64)) -> Self {
        let owners = [user, group].map(|(name, number)| (name.to_owned(), number));
        self.owners.insert(path.to_owned(), owners);
        self
    }

    /// The same, with a script.
    #[must_use]
    pub fn script(mut self, name: &str, content: &str) -> Self {
        self.scripts.insert(name.to_owned(), content.to_owned());
        self
    }

    /// Its members, signed as packages of Alpine are.
    #[must_use]
    pub fn members(&self) -> Members {
        self.members_by(signer(), SIGNER, Hash::Sha1)
    }

    /// Its members, signed in another way.
    #[must_use]
    pub fn members_by(&self, key: &RsaPrivateKey, name: &str, hash: Hash) -> Members {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, (mode, content)) in &self.files {
            let mut header = tar::Header::new_ustar();
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            if let Some([(user, uid), (group, gid)]) = self.owners.get(path) {
                header.set_uid(*uid);
                header.set_gid(*gid);
                header.set_username(user).unwrap();
                header.set_groupname(group).unwrap();
            }
            if !path.ends_with('/') {
                // As abuild has it: apk takes the checksums of files from there.
                let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, content);
                let record = format!("68 APK-TOOLS.checksum.SHA1={}\n", hex(digest.as_ref()));
                // With all its numbers, which apk wants to be there.
                let mut extra = header.clone();
                extra.set_entry_type(tar::EntryType::XHeader);
                extra.set_mode(0o644);
                extra.set_size(record.len() as u64);
                tar.append_data(&mut extra, "PaxHeaders/checksum", record.as_bytes())
                    .unwrap();
            }
            if path.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(*mode);
                tar.append_data(&mut header, path, std::io::empty())
                    .unwrap();
            } else if *mode == 0 {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                let target = str::from_utf8(content).unwrap();
                tar.append_link(&mut header, path, target).unwrap();
            } else {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(*mode);
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path, content.as_slice())
                    .unwrap();
            }
        }
        let data = gzip(&tar.into_inner().unwrap());
        let mut info = format!(
            "# made by a test\npkgname = {}\npkgver = {}\n",
            self.name, self.version
        );
        info.push_str("pkgdesc = a test\nurl = https://example.org\nsize = 4096\narch = x86_64\n");
        if !self.origin.is_empty() {
            let _ = writeln!(info, "origin = {}", self.origin);
        }
        info.push_str("license = MIT\n");
        for word in &self.depends {
            let _ = writeln!(info, "depend = {word}");
        }
        for word in &self.provides {
            let _ = writeln!(info, "provides = {word}");
        }
        for line in &self.more {
            let _ = writeln!(info, "{line}");
        }
        let hash_of_data = ring::digest::digest(&ring::digest::SHA256, &data);
        let _ = writeln!(info, "datahash = {}", hex(hash_of_data.as_ref()));
        let mut tar = tar::Builder::new(Vec::new());
        append(&mut tar, ".PKGINFO", 0o644, info.as_bytes());
        for (name, content) in &self.scripts {
            append(&mut tar, name, 0o755, content.as_bytes());
        }
        let control = gzip(&cut(tar));
        Members {
            signature: signature(key, name, hash, &control),
            control,
            data,
        }
    }

    /// Its paragraph in an index.
    #[must_use]
    pub fn entry(&self) -> String {
        let members = self.members();
        let mut text = format!(
            "C:{}\nP:{}\nV:{}\nA:x86_64\nS:{}\nI:4096\nT:a test\nU:https://example.org\nL:MIT\n",
            checksum(&members.control),
            self.name,
            self.version,
            members.whole().len()
        );
        if !self.origin.is_empty() {
            let _ = writeln!(text, "o:{}", self.origin);
        }
        for (key, letter) in [("maintainer", 'm'), ("builddate", 't'), ("commit", 'c')] {
            let lines = self.more.iter().filter_map(|line| line.split_once(" = "));
            for (_, value) in lines.filter(|(name, _)| *name == key) {
                let _ = writeln!(text, "{letter}:{value}");
            }
        }
        if !self.depends.is_empty() {
            let _ = writeln!(text, "D:{}", self.depends.join(" "));
        }
        if !self.provides.is_empty() {
            let _ = writeln!(text, "p:{}", self.provides.join(" "));
        }
        for line in &self.more {
            let field = match line.split_once(" = ") {
                Some(("install_if", value)) => format!("i:{value}"),
                Some(("provider_priority", value)) => format!("k:{value}"),
                _ => continue,
            };
            let _ = writeln!(text, "{field}");
        }
        text.push('\n');
        text
    }

    /// What its file is called.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.apk", self.name, self.version)
    }
}

/// An index of that text, signed.
#[must_use]
pub fn index(text: &str, key: &RsaPrivateKey, name: &str, hash: Hash) -> Vec<u8> {
    described(text, "of a test", key, name, hash)
}

/// An index of that text, called `description` by its maker, signed.
#[must_use]
pub fn described(
    text: &str,
    description: &str,
    key: &RsaPrivateKey,
    name: &str,
    hash: Hash,
) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "DESCRIPTION", 0o644, description.as_bytes());
    append(&mut tar, "APKINDEX", 0o644, text.as_bytes());
    let content = gzip(&tar.into_inner().unwrap());
    [signature(key, name, hash, &content), content].concat()
}

/// Writes a repository with `packages` to `folder`, and the key that signed it to
/// `folder/tests.rsa.pub`.
pub fn repository(folder: &Path, packages: &[Apk]) {
    let arch = folder.join("x86_64");
    fs_err::create_dir_all(&arch).unwrap();
    let mut text = String::new();
    for package in packages {
        text.push_str(&package.entry());
        fs_err::write(arch.join(package.file_name()), package.members().whole()).unwrap();
    }
    let index = index(&text, signer(), SIGNER, Hash::Sha1);
    fs_err::write(arch.join("APKINDEX.tar.gz"), index).unwrap();
    fs_err::write(folder.join(SIGNER), public(signer())).unwrap();
}
