//! Release files: what an archive's suite consists of, and who vouches for it.
//!
//! Only text that a key of the keyring signed is ever parsed: `InRelease` carries its
//! signature in itself, `Release` has it beside it in `Release.gpg`.

use std::collections::BTreeMap;

use lunikernel_cache::{Digest, Sha256};
use pgp::composed::CleartextSignedMessage;
use pgp::packet::{Packet, PacketParser, Signature};

use super::date::Date;
use super::keyring::{Judgement, Keyring, Refusal};
use super::packages::is_safe_path;

/// The largest release file that is read; Debian's has 150 kB, Ubuntu's 300 kB.
pub(super) const MAX_RELEASE: u64 = 16 << 20;
/// The largest detached signature that is read.
pub(super) const MAX_SIGNATURE: u64 = 1 << 20;
/// The most signatures of one file that are looked at.
const MAX_SIGNATURES: usize = 64;
/// The most files that one release lists; Debian's lists some 2000.
const MAX_FILES: usize = 200_000;

const BEGIN_SIGNED: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";

/// A release file whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) origin: Option<String>,
    pub(super) label: Option<String>,
    pub(super) suite: Option<String>,
    pub(super) codename: Option<String>,
    pub(super) date: Date,
    pub(super) valid_until: Option<Date>,
    pub(super) by_hash: bool,
    /// Whether packages for all architectures are listed with those of each.
    pub(super) all_is_listed_with_each: bool,
    pub(super) snapshots: Option<String>,
    /// Every file below the suite's folder.
    pub(super) files: BTreeMap<String, Digest>,
    /// Fingerprints of the primary keys that vouch for it, sorted.
    pub(super) keys: Vec<String>,
    /// The signed file as it was served.
    pub(super) digest: Digest,
}

/// Why a release file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It has no signature, or text outside what is signed.
    #[error("it is not one signed text and nothing else: {0}")]
    Form(String),
    /// Nobody whom the keyring trusts vouches for it.
    #[error("no key of the keyring vouches for it: {}", listed(refusals))]
    Unsigned {
        /// What is wrong with each of its signatures.
        refusals: Vec<Refusal>,
    },
    /// Its signed text is not of the format.
    #[error("its signed text is no release file: {0}")]
    Text(String),
}

impl ReleaseError {
    /// Whether at another time it might be vouched for: one who vouches for it signed it
    /// with what has expired, or is not valid yet.
    #[must_use]
    pub fn is_untimely(&self) -> bool {
        let Self::Unsigned { refusals } = self else {
            return false;
        };
        let untimely =
            |refusal: &Refusal| matches!(refusal, Refusal::Expired { .. } | Refusal::Date { .. });
        refusals.iter().any(untimely)
    }
}

fn listed(refusals: &[Refusal]) -> String {
    if refusals.is_empty() {
        return "it has no signature".to_owned();
    }
    let shown: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    shown.join("; ")
}

impl Release {
    /// Verifies and reads `InRelease`.
    pub(super) fn from_inrelease(
        bytes: &[u8],
        keyring: &Keyring,
        judgement: Judgement,
    ) -> Result<Self, ReleaseError> {
        if !bytes.starts_with(BEGIN_SIGNED) {
            return Err(ReleaseError::Form("it does not begin with one".to_owned()));
        }
        let (message, _) =
            CleartextSignedMessage::from_armor_buf(bytes, pgp::armor::DearmorOptions::default())
                .map_err(|error| ReleaseError::Form(error.to_string()))?;
        // What the signature covers, and nothing else, is what is read from here on.
        let signed = message.signed_text();
        let keys = vouching(message.signatures(), signed.as_bytes(), keyring, judgement)?;
        Self::parse(&signed, keys, Digest::of(bytes))
    }

    /// Verifies `Release` by `Release.gpg`, and reads it.
    pub(super) fn from_detached(
        bytes: &[u8],
        signature: &[u8],
        keyring: &Keyring,
        judgement: Judgement,
    ) -> Result<Self, ReleaseError> {
        let signatures = detached_signatures(signature)?;
        let keys = vouching(&signatures, bytes, keyring, judgement)?;
        let text = std::str::from_utf8(bytes)
            .map_err(|_| ReleaseError::Text("it is not UTF-8".to_owned()))?;
        Self::parse(text, keys, Digest::of(bytes))
    }

    pub(super) fn parse(
        text: &str,
        keys: Vec<String>,
        digest: Digest,
    ) -> Result<Self, ReleaseError> {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut current: Option<String> = None;
        for (at, line) in text.lines().enumerate() {
            let wrong = |what: &str| ReleaseError::Text(format!("line {} is {what}", at + 1));
            let line = line.trim_end();
            if line.is_empty() {
                // A second paragraph would have no meaning.
                if text.lines().skip(at).any(|rest| !rest.trim().is_empty()) {
                    return Err(wrong("empty, and more follows"));
                }
                break;
            }
            if line.starts_with([' ', '\t']) {
                let value = current.as_ref().and_then(|name| fields.get_mut(name));
                let value = value.ok_or_else(|| wrong("a continuation of nothing"))?;
                value.push('\n');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| wrong("neither a field nor a continuation"))?;
            let name = name.to_ascii_lowercase();
            if fields
                .insert(name.clone(), value.trim().to_owned())
                .is_some()
            {
                return Err(wrong("a field that was there before"));
            }
            current = Some(name);
        }
        let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_empty());
        let date = |name: &str, value: Option<String>| match value {
            Some(value) => Date::parse(&value)
                .map(Some)
                .ok_or_else(|| ReleaseError::Text(format!("its {name} is `{value}`"))),
            None => Ok(None),
        };
        let yes = |value: Option<String>| value.is_some_and(|value| value == "yes");
        Ok(Self {
            origin: take("origin"),
            label: take("label"),
            suite: take("suite"),
            codename: take("codename"),
            date: date("Date", take("date"))?
                .ok_or_else(|| ReleaseError::Text("it has no Date".to_owned()))?,
            valid_until: date("Valid-Until", take("valid-until"))?,
            by_hash: yes(take("acquire-by-hash")),
            all_is_listed_with_each: take("no-support-for-architecture-all").as_deref()
                == Some("Packages")
                || !take("architectures")
                    .is_some_and(|names| names.split_ascii_whitespace().any(|name| name == "all")),
            snapshots: take("snapshots").filter(|value| value != "no"),
            files: files(take("sha256").as_deref().unwrap_or_default())?,
            keys,
            digest,
        })
    }
}

fn vouching(
    signatures: &[Signature],
    text: &[u8],
    keyring: &Keyring,
    judgement: Judgement,
) -> Result<Vec<String>, ReleaseError> {
    let mut keys = Vec::new();
    let mut refusals = Vec::new();
    for signature in signatures.iter().take(MAX_SIGNATURES) {
        match keyring.check(signature, text, judgement) {
            Ok(key) => keys.push(key),
            Err(refusal) => refusals.push(refusal),
        }
    }
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        return Err(ReleaseError::Unsigned { refusals });
    }
    Ok(keys)
}

pub(super) fn detached_signatures(bytes: &[u8]) -> Result<Vec<Signature>, ReleaseError> {
    let wrong = |error: pgp::errors::Error| ReleaseError::Form(error.to_string());
    let armored = bytes
        .trim_ascii_start()
        .starts_with(b"-----BEGIN PGP SIGNATURE-----");
    let packets: Vec<u8> = if armored {
        let mut dearmor = pgp::armor::Dearmor::new(bytes);
        let mut packets = Vec::new();
        std::io::Read::read_to_end(&mut dearmor, &mut packets)
            .map_err(|error| ReleaseError::Form(error.to_string()))?;
        packets
    } else {
        bytes.to_vec()
    };
    let mut signatures = Vec::new();
    for packet in PacketParser::new(packets.as_slice()).take(MAX_SIGNATURES) {
        match packet.map_err(wrong)? {
            Packet::Signature(signature) => signatures.push(signature),
            _ => return Err(ReleaseError::Form("it has more than signatures".to_owned())),
        }
    }
    Ok(signatures)
}

/// Reads the section `SHA256`: digest, size and path on each line.
fn files(section: &str) -> Result<BTreeMap<String, Digest>, ReleaseError> {
    let mut files = BTreeMap::new();
    for line in section.lines().filter(|line| !line.is_empty()) {
        let wrong = || {
            ReleaseError::Text(format!(
                "`{}` is no digest, size and path",
                line.chars().take(200).collect::<String>().escape_debug()
            ))
        };
        let mut words = line.split_ascii_whitespace();
        let (Some(hash), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(wrong());
        };
        let sha256: Sha256 = hash.parse().map_err(|_| wrong())?;
        let size: u64 = size.parse().map_err(|_| wrong())?;
        if !is_safe_path(path) {
            return Err(wrong());
        }
        let digest = Digest { sha256, size };
        // Some archives list a file twice; that is harmless as long as they agree.
        if files
            .insert(path.to_owned(), digest)
            .is_some_and(|before| before != digest)
        {
            return Err(ReleaseError::Text(format!(
                "it has two digests of `{path}`"
            )));
        }
        if files.len() > MAX_FILES {
            return Err(ReleaseError::Text(format!(
                "it lists more than {MAX_FILES} files"
            )));
        }
    }
    Ok(files)
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
