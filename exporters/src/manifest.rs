//! What an export says about itself: `NAME.export.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use fs_err::File;
use lunikernel_cache::canonical::{self, CanonicalFlaw};
use lunikernel_cache::{Digest, HashingReader, Sha256};
use serde::{Deserialize, Serialize};

use crate::blocks::BlockMap;

/// The largest manifest, in bytes. It bounds the memory that reading one takes.
pub const MAX_SIZE: usize = 1 << 20;
/// The highest integer that canonical JSON can hold exactly (RFC 8785, appendix D).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// What was exported, how, and what came of it. Written as canonical JSON (RFC 8785): the
/// same export gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportManifest {
    /// The version of the manifest, and of how images are made: where that changes, other
    /// bytes come of the same artefact and options.
    pub format: Format,
    /// The Lunikernel that was exported.
    pub artefact: Exported,
    /// What it was exported to: `gce`, for example. Sorted.
    pub targets: Vec<String>,
    /// The options that the bytes depend on.
    pub options: BTreeMap<String, String>,
    /// What was put in to boot it, sorted by name.
    pub boot: Vec<BootPiece>,
    /// The disk that the files hold, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskEntry>,
    /// The files that were made, by name.
    pub files: BTreeMap<String, FileEntry>,
    /// What a publisher has to say about the image: `UEFI_COMPATIBLE` and the like. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guest_features: Vec<String>,
}

/// The version of the manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The first one.
    #[default]
    #[serde(rename = "lunikernel-export/1")]
    V1,
}

/// A Lunikernel that was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// What it is called.
    pub name: String,
    /// Its version, for people.
    pub version: String,
    /// SHA-256 of its zip: its identity.
    pub sha256: Sha256,
    /// The size of its zip in bytes.
    pub size: u64,
}

/// A boot loader, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootPiece {
    // The order of the fields is the order of pieces in a manifest.
    /// What it is called: `grub-pc-bin boot.img`, for example.
    pub name: String,
    /// Its version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of its bytes, as they came in.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Its licence as an SPDX expression, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// A disk, whatever the format that it is kept in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskEntry {
    /// Its size in bytes.
    pub size: u64,
    /// Its block digest: the SHA-256 of the SHA-256s of its blocks of 512 KiB.
    pub block_digest: Sha256,
}

impl From<&BlockMap> for DiskEntry {
    fn from(map: &BlockMap) -> Self {
        Self {
            size: map.size(),
            block_digest: map.digest(),
        }
    }
}

/// A file that was made. It has one digest at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes. Files that are mostly holes may lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Its block digest, for a file that is mostly holes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_digest: Option<Sha256>,
}

impl FileEntry {
    /// Reads and hashes a file.
    ///
    /// # Errors
    /// Where it cannot be read; the error names it.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut reader = HashingReader::new(File::open(path)?);
        let mut buffer = vec![0; 256 << 10];
        while io::Read::read(&mut reader, &mut buffer)? > 0 {}
        Ok(reader.finish().into())
    }

    /// A file that is the disk itself.
    #[must_use]
    pub fn of_disk(map: &BlockMap) -> Self {
        Self {
            size: map.size(),
            sha256: None,
            block_digest: Some(map.digest()),
        }
    }
}

impl From<Digest> for FileEntry {
    fn from(digest: Digest) -> Self {
        Self {
            size: digest.size,
            sha256: Some(digest.sha256),
            block_digest: None,
        }
    }
}

/// What is wrong with the manifest of an export. Each continues "the manifest of the export …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is larger than [`MAX_SIZE`].
    #[error("the manifest of the export has {0} bytes, and {MAX_SIZE} is the limit")]
    TooLarge(usize),
    /// It is no JSON, or lacks a key, or has one too many.
    #[error("the manifest of the export cannot be read: {0}")]
    Json(String),
    /// It says the right things in another way than the canonical one.
    #[error("the manifest of the export is not canonical JSON (RFC 8785): byte {0} differs")]
    NotCanonical(usize),
    /// The name of a file is no plain name.
    #[error("the manifest of the export names a file `{0}`: expected a name without a folder")]
    FileName(String),
    /// A file has no digest.
    #[error("the manifest of the export has no digest of `{0}`")]
    NoDigest(String),
    /// A list is not in its order, or has something twice.
    #[error("the manifest of the export has {0} that are not sorted, or twice the same")]
    Order(&'static str),
    /// A number cannot be written exactly.
    #[error("the manifest of the export has the size {0}, and {MAX_INTEGER} is the limit")]
    Integer(u64),
}

impl From<CanonicalFlaw> for ManifestError {
    fn from(flaw: CanonicalFlaw) -> Self {
        match flaw {
            CanonicalFlaw::Json(why) => Self::Json(why),
            CanonicalFlaw::Form(at) => Self::NotCanonical(at),
        }
    }
}

impl ManifestError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Json(why) if why.contains("lunikernel-export/") => {
                Some("a newer `luni` may know it".to_owned())
            }
            _ => None,
        }
    }
}

impl ExportManifest {
    /// Reads a manifest and checks all that can be checked without the files.
    ///
    /// # Errors
    /// [`ManifestError`] where it is anything but the canonical form of a valid one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_SIZE {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let read = serde_json::from_slice::<Self>(bytes);
        let manifest = read.map_err(|error| ManifestError::Json(error.to_string()))?;
        manifest.check()?;
        canonical::check(&manifest, bytes)?;
        Ok(manifest)
    }

    /// Its canonical JSON: what `NAME.export.json` holds.
    ///
    /// # Errors
    /// [`ManifestError`] where a value is not allowed.
    pub fn to_canonical(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        canonical::to_vec(self).map_err(|error| ManifestError::Json(error.to_string()))
    }

    fn check(&self) -> Result<(), ManifestError> {
        for (name, file) in &self.files {
            let plain = !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
            if name.is_empty() || !plain {
                return Err(ManifestError::FileName(name.escape_debug().to_string()));
            }
            if file.sha256.is_none() && file.block_digest.is_none() {
                return Err(ManifestError::NoDigest(name.clone()));
            }
        }
        if !self.boot.is_sorted_by(|one, two| one < two) {
            return Err(ManifestError::Order("boot pieces"));
        }
        if !self.targets.is_sorted_by(|one, two| one < two) {
            return Err(ManifestError::Order("targets"));
        }
        if !self.guest_features.is_sorted_by(|one, two| one < two) {
            return Err(ManifestError::Order("guest features"));
        }
        let sizes = (self.files.values().map(|file| file.size))
            .chain(self.boot.iter().map(|piece| piece.size))
            .chain(self.disk.iter().map(|disk| disk.size))
            .chain([self.artefact.size]);
        match sizes.max() {
            Some(size) if size > MAX_INTEGER => Err(ManifestError::Integer(size)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> ExportManifest {
        let piece = |name: &str| BootPiece {
            name: name.to_owned(),
            version: Some("2.06-13".to_owned()),
            sha256: Sha256::of(name.as_bytes()),
            size: 512,
            licence: Some("GPL-3.0-or-later".to_owned()),
        };
        let file = FileEntry::from(Digest::of(b"the archive"));
        ExportManifest {
            format: Format::V1,
            artefact: Exported {
                name: "hello".to_owned(),
                version: "1.0".to_owned(),
                sha256: Sha256::of(b"the zip"),
                size: 7,
            },
            targets: vec!["gce".to_owned()],
            options: BTreeMap::from([("firmware".to_owned(), "hybrid".to_owned())]),
            boot: vec![piece("boot.img"), piece("core.img")],
            disk: None,
            files: BTreeMap::from([("hello.tar.gz".to_owned(), file)]),
            guest_features: vec!["GVNIC".to_owned(), "UEFI_COMPATIBLE".to_owned()],
        }
    }

    #[test]
    fn it_is_canonical_and_read_back() {
        let bytes = manifest().to_canonical().unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(
            text.starts_with(r#"{"artefact":{"name":"hello","sha256":"sha256:"#),
            "{text}"
        );
        assert!(text.contains(r#""format":"lunikernel-export/1","guest_features":["GVNIC""#));
        assert_eq!(ExportManifest::parse(&bytes).unwrap(), manifest());
        let spaced = text.replacen(':', ": ", 1);
        assert_eq!(
            ExportManifest::parse(spaced.as_bytes()).unwrap_err(),
            ManifestError::NotCanonical(12)
        );
        let more = text.replacen('{', r#"{"a":1,"#, 1);
        assert!(matches!(
            ExportManifest::parse(more.as_bytes()),
            Err(ManifestError::Json(_))
        ));
        let newer = text.replace("export/1", "export/2");
        assert!(ExportManifest::parse(newer.as_bytes()).is_err());
        let huge = vec![b' '; MAX_SIZE + 1];
        assert!(matches!(
            ExportManifest::parse(&huge),
            Err(ManifestError::TooLarge(_))
        ));
    }

    #[test]
    fn what_it_cannot_say_is_refused() {
        let refused = |change: &dyn Fn(&mut ExportManifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            manifest.to_canonical().unwrap_err()
        };
        let file = FileEntry::from(Digest::of(b"x"));
        for name in ["", "a/b", "../a", ".hidden"] {
            let insert = |it: &mut ExportManifest| {
                it.files.insert(name.to_owned(), file);
            };
            assert!(
                matches!(refused(&insert), ManifestError::FileName(_)),
                "{name}"
            );
        }
        let error = refused(&|it| it.boot.reverse());
        assert_eq!(error, ManifestError::Order("boot pieces"));
        let error = refused(&|it| it.guest_features.push("GVNIC".to_owned()));
        assert_eq!(error, ManifestError::Order("guest features"));
        let error = refused(&|it| it.artefact.size = 1 << 53);
        assert_eq!(error, ManifestError::Integer(1 << 53));
        let error = refused(&|it| it.files.values_mut().for_each(|file| file.sha256 = None));
        assert_eq!(error, ManifestError::NoDigest("hello.tar.gz".to_owned()));
    }
}
