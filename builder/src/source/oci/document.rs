//! Manifests, indexes and configurations (OCI Image Format Specification 1.1), and those
//! of Docker that are the same but for their names.

use std::collections::BTreeMap;

use lunikernel_cache::{Digest, Sha256};
use serde::Deserialize;

use crate::assemble::codec::Codec;

/// The largest manifest, index or configuration, in bytes: what registries take.
pub const MAX_DOCUMENT: u64 = 4 << 20;
/// How many layers an image may have; what builds them stops at 127.
pub const MAX_LAYERS: usize = 256;
/// The largest layer, in bytes.
pub const MAX_LAYER: u64 = 9_999_999_999;
/// Where an index says what an image is called.
const NAME: &str = "org.opencontainers.image.ref.name";

const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const CONFIGS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];
const LAYERS: [(&str, Codec); 5] = [
    ("application/vnd.oci.image.layer.v1.tar", Codec::Plain),
    ("application/vnd.oci.image.layer.v1.tar+gzip", Codec::Gzip),
    ("application/vnd.oci.image.layer.v1.tar+zstd", Codec::Zstd),
    ("application/vnd.docker.image.rootfs.diff.tar", Codec::Plain),
    (
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        Codec::Gzip,
    ),
];

/// How a layer of that media type is compressed; `None` where it is no layer.
#[must_use]
pub fn codec(media_type: &str) -> Option<Codec> {
    let mut known = LAYERS.iter();
    known
        .find(|(name, _)| *name == media_type)
        .map(|(_, codec)| *codec)
}

/// What names an image: one, or several of which one is to be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Several images, or further indexes.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(Manifest),
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its configuration.
    pub config: Digest,
    /// Its layers, the lowest first, each with its media type.
    pub layers: Vec<(String, Digest)>,
}

/// What something refers to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

impl Descriptor {
    /// What it refers to, of at most `limit` bytes.
    ///
    /// # Errors
    /// Why that cannot be taken.
    pub fn pin(&self, limit: u64) -> Result<Digest, String> {
        let Self { digest, size, .. } = self;
        let hex = digest.strip_prefix("sha256:");
        let hex =
            hex.filter(|hex| hex.len() == 64 && !hex.contains(|c: char| c.is_ascii_uppercase()));
        let sha256 = hex.and_then(|hex| hex.parse::<Sha256>().ok());
        let sha256 = sha256.ok_or_else(|| format!("`{}` is no `sha256:…`", shown(digest)))?;
        if *size > limit {
            return Err(format!(
                "{digest} has {size} bytes: expected at most {limit}"
            ));
        }
        Ok(Digest {
            sha256,
            size: *size,
        })
    }

    /// Whether what it refers to is an image or an index at all.
    #[must_use]
    pub fn is_image(&self) -> bool {
        let media_type = self.media_type.as_str();
        INDEXES.contains(&media_type) || MANIFESTS.contains(&media_type)
    }

    /// Whether what it refers to is an index.
    #[must_use]
    pub fn is_index(&self) -> bool {
        INDEXES.contains(&self.media_type.as_str())
    }

    /// Whether it refers to the same as `other`.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest && self.size == other.size
    }

    /// What the image is called here.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        Some(self.annotations.as_ref()?.get(NAME)?.as_str())
    }

    /// What it is for, as `OS/ARCHITECTURE`, where it says so.
    #[must_use]
    pub fn platform(&self) -> Option<String> {
        let platform = self.platform.as_ref()?;
        Some(shown(&format!("{}/{}", platform.os, platform.architecture)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

impl Document {
    /// Reads a manifest or an index.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let raw: Raw = json(bytes)?;
        if raw.schema_version != 2 {
            return Err(format!(
                "it is of version {} of the format: expected 2",
                raw.schema_version
            ));
        }
        let is = |known: &[&str]| {
            let told = raw.media_type.as_deref();
            told.is_none_or(|told| known.contains(&told))
        };
        // A document that is both would be read differently by different programs.
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, None) if is(&INDEXES) => Ok(Self::Index(manifests)),
            (None, Some(config), Some(layers)) if is(&MANIFESTS) => {
                Ok(Self::Manifest(manifest(&config, &layers)?))
            }
            _ => Err(match raw.media_type {
                Some(told) => format!(
                    "it says that it is `{}`, and is no image or index of that kind",
                    shown(&told)
                ),
                None => "it is neither an image nor an index".to_owned(),
            }),
        }
    }
}

fn manifest(config: &Descriptor, layers: &[Descriptor]) -> Result<Manifest, String> {
    if !CONFIGS.contains(&config.media_type.as_str()) {
        return Err(format!(
            "its configuration is `{}`, which is not that of a container image",
            shown(&config.media_type)
        ));
    }
    if layers.len() > MAX_LAYERS {
        return Err(format!(
            "it has {} layers: expected at most {MAX_LAYERS}",
            layers.len()
        ));
    }
    let layers = layers.iter().map(|layer| {
        if codec(&layer.media_type).is_none() {
            return Err(format!(
                "a layer is `{}`: expected a tar archive, as it is or compressed by gzip or zstd",
                shown(&layer.media_type)
            ));
        }
        Ok((layer.media_type.clone(), layer.pin(MAX_LAYER)?))
    });
    Ok(Manifest {
        config: config.pin(MAX_DOCUMENT)?,
        layers: layers.collect::<Result<_, _>>()?,
    })
}

/// What is of use in an image's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What it is for, as `OS/ARCHITECTURE`.
    pub platform: String,
    /// What each layer is when it is not compressed, the lowest first.
    pub diff_ids: Vec<Sha256>,
}

impl Config {
    /// Reads the configuration of an image.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Whole {
            architecture: String,
            os: String,
            rootfs: Layers,
        }
        #[derive(Deserialize)]
        struct Layers {
            r#type: String,
            diff_ids: Vec<String>,
        }
        let whole: Whole = json(bytes)?;
        if whole.rootfs.r#type != "layers" {
            return Err(format!(
                "its root file system is made of `{}`: expected `layers`",
                shown(&whole.rootfs.r#type)
            ));
        }
        let ids = whole.rootfs.diff_ids.iter().map(|id| {
            let sha256 = id.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
            sha256.ok_or_else(|| format!("`{}` is no `sha256:…`", shown(id)))
        });
        Ok(Self {
            platform: shown(&format!("{}/{}", whole.os, whole.architecture)),
            diff_ids: ids.collect::<Result<_, _>>()?,
        })
    }
}

pub(super) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(format!("it has more than {MAX_DOCUMENT} bytes"));
    }
    serde_json::from_slice(bytes).map_err(|error| format!("it is not as it should be: {error}"))
}

/// A text out of a document as it can be shown.
fn shown(text: &str) -> String {
    let text: String = text.chars().take(100).collect();
    text.escape_debug().to_string()
}
