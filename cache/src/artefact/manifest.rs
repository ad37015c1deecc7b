//! What a Lunikernel says about itself: `lunikernel.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalFlaw};
use crate::digest::{Digest, Sha256};

mod check;

/// The largest manifest, in bytes. It bounds the memory that reading one takes.
pub const MAX_MANIFEST_SIZE: u64 = 8 << 20;

/// What a Lunikernel says about itself. Written as canonical JSON (RFC 8785).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the format.
    pub format: Format,
    /// What it is called.
    pub name: String,
    /// Its version, for people.
    pub version: String,
    /// The flavour that it was built by: `debian`, for example.
    pub flavour: String,
    /// The processor it runs on: `x86_64`, for example.
    pub arch: String,
    /// How it boots.
    pub boot: Boot,
    /// The devices it wants.
    pub devices: Devices,
    /// Whether and how it can be overlaid.
    pub overlay: Overlay,
    /// Every entry of the zip but this one, by name.
    pub entries: BTreeMap<String, Entry>,
    /// The recipe it was built from: the digest of `recipe.yaml`. Something that was
    /// imported has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Digest>,
    /// The lock it was built from: the digest of `recipe.lock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Digest>,
    /// Everything that went in, sorted by kind, name, version and digest.
    pub inputs: Vec<Input>,
}

/// The version of the format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The first one.
    #[default]
    #[serde(rename = "lunikernel/1")]
    V1,
}

/// How a Lunikernel boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// How the kernel is started.
    pub protocol: Protocol,
    /// The kernel's command line: printable ASCII, at most 2047 bytes.
    pub cmdline: String,
    /// The least memory that it needs, in MiB.
    pub min_memory_mib: u32,
}

/// How a kernel is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The Linux boot protocol of the processor, with an initramfs.
    Linux,
    /// Multiboot, version 1.
    Multiboot,
    /// Multiboot, version 2.
    Multiboot2,
    /// Solo5's hardware-virtualised tender.
    Solo5Hvt,
    /// Solo5's sandboxed-process tender.
    Solo5Spt,
    /// Solo5's virtio target, which boots by multiboot.
    Solo5Virtio,
    /// Solo5's target for the separation kernel Muen.
    Solo5Muen,
    /// Xen's PVH entry, which QEMU understands too.
    XenPvh,
}

impl Protocol {
    /// As manifests write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Multiboot => "multiboot",
            Self::Multiboot2 => "multiboot2",
            Self::Solo5Hvt => "solo5-hvt",
            Self::Solo5Spt => "solo5-spt",
            Self::Solo5Virtio => "solo5-virtio",
            Self::Solo5Muen => "solo5-muen",
            Self::XenPvh => "xen-pvh",
        }
    }
}

/// The devices that a Lunikernel wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    /// Whether it wants a network interface.
    pub net: bool,
    /// Whether it wants a disk.
    pub block: bool,
}

/// Whether and how a Lunikernel can be overlaid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Overlay {
    /// One more gzipped cpio segment behind `initramfs.gz`.
    Initramfs {},
    /// A tar archive that is attached as a disk.
    Block {
        /// The name that the unikernel has for the disk.
        device: String,
    },
    /// Not at all.
    None {},
}

/// An entry of the zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// SHA-256 of its content.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is an executable file of the recipe's own. The zip itself gives
    /// every entry mode 0644, and a build from the zip alone needs to know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

impl Entry {
    /// The digest of its content.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest {
            sha256: self.sha256,
            size: self.size,
        }
    }
}

/// Something that went in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    // The order of the fields is the order of inputs in a manifest.
    /// The kind of source that it came from: `deb`, for example.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// Its version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Its licence as an SPDX expression, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// What is wrong with a manifest. Each continues "its manifest …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON, or lacks a key, or has one too many.
    #[error("cannot be read: {0}")]
    Json(String),
    /// It is of a version of the format that this program does not know.
    #[error("has the format `{0}`, and this program knows `lunikernel/1`")]
    Format(String),
    /// It says the right things in another way than the canonical one.
    #[error("is not canonical JSON (RFC 8785): byte {0} differs")]
    NotCanonical(usize),
    /// A value is not one that it may have.
    #[error("has {actual} at {pointer}, expected {expected}")]
    Value {
        /// Where, as a JSON pointer (RFC 6901).
        pointer: String,
        /// What is allowed there.
        expected: &'static str,
        /// What is there.
        actual: String,
    },
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
            Self::Format(_) => Some("a newer `luni` may know it".to_owned()),
            _ => None,
        }
    }
}

impl Manifest {
    /// One of nothing yet: it wants no devices, cannot be overlaid, and has no entries.
    #[must_use]
    pub fn new(name: &str, version: &str, flavour: &str, arch: &str, boot: Boot) -> Self {
        Self {
            format: Format::V1,
            name: name.to_owned(),
            version: version.to_owned(),
            flavour: flavour.to_owned(),
            arch: arch.to_owned(),
            boot,
            devices: Devices::default(),
            overlay: Overlay::None {},
            entries: BTreeMap::new(),
            recipe: None,
            lock: None,
            inputs: Vec::new(),
        }
    }

    /// Reads a manifest and checks all that can be checked without the zip.
    ///
    /// # Errors
    /// [`ManifestError`] where it is anything but the canonical form of a valid one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let json = |error: serde_json::Error| ManifestError::Json(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(json)?;
        if head.format != "lunikernel/1" {
            let shown = head.format.chars().take(40).collect::<String>();
            return Err(ManifestError::Format(shown.escape_debug().to_string()));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(json)?;
        manifest.check()?;
        canonical::check(&manifest, bytes)?;
        Ok(manifest)
    }

    /// Its canonical JSON (RFC 8785): what `lunikernel.json` holds.
    ///
    /// # Errors
    /// [`ManifestError::Value`] where a value is not allowed.
    pub fn to_canonical(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        canonical::to_vec(self).map_err(|error| ManifestError::Json(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
