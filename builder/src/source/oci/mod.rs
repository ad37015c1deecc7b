//! Container images: from a registry (OCI Distribution Specification 1.1) or from an
//! image layout on disk.
//!
//! A tag is pinned to the manifest that it names for the recipe's architecture. From
//! there on everything is known by its digest and can come from anywhere.

mod document;
mod error;
mod layout;
mod reference;
#[cfg(test)]
mod tests;

use std::path::Path;

use lunikernel_cache::{BlobStore, CacheError, Digest, Sha256};
use serde::{Deserialize, Serialize};

pub use document::{Config, Descriptor, Document, MAX_DOCUMENT, MAX_LAYER, MAX_LAYERS, codec};
pub use error::OciError;
pub use layout::Layout;
pub use reference::Reference;

use crate::fetch::{Answer, Attempt, FetchError, Fetcher, Want, blocking};
use crate::lock::{LockedRecipe, LockedSource};
use crate::recipe::{Arch, OciSource};

/// How deep indexes may lie in each other.
const MAX_NESTING: usize = 4;
/// In how many indexes of a layout an image is looked for by its digest.
const MAX_INDEXES: usize = 256;

/// A container image, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedOci {
    /// What the recipe asked for when it was locked.
    pub request: OciSource,
    /// The manifest of the image for the recipe's architecture.
    pub manifest: Digest,
    /// The image's configuration, which says what the layers unpack to.
    pub config: Digest,
    /// The layers, the lowest first.
    pub layers: Vec<LockedLayer>,
}

/// A layer of a container image, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedLayer {
    /// How it is packed.
    pub media_type: String,
    /// What it is.
    pub sha256: Sha256,
    /// How large it is, in bytes.
    pub size: u64,
}

impl LockedLayer {
    /// What it is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest {
            sha256: self.sha256,
            size: self.size,
        }
    }
}

impl LockedOci {
    /// Everything that it is made of: manifest, configuration, layers.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        let layers = self.layers.iter().map(LockedLayer::digest);
        [self.manifest, self.config]
            .into_iter()
            .chain(layers)
            .collect()
    }

    /// The same with a name for each.
    #[must_use]
    pub fn parts(&self) -> Vec<(String, Digest)> {
        let name = self.request.name();
        let labels = ["manifest", "configuration"].map(|label| format!("{name} ({label})"));
        let layers = (1..=self.layers.len()).map(|number| format!("{name} (layer {number})"));
        let labels = labels.into_iter().chain(layers);
        labels.zip(self.digests()).collect()
    }

    /// What is wrong with it, where `luni lock` would not have written it.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        if self.layers.len() > MAX_LAYERS {
            return Some(format!("an image has at most {MAX_LAYERS} layers"));
        }
        if self.manifest.size > MAX_DOCUMENT || self.config.size > MAX_DOCUMENT {
            return Some(format!(
                "a manifest or configuration has at most {MAX_DOCUMENT} bytes"
            ));
        }
        self.layers.iter().find_map(|layer| {
            if layer.size > MAX_LAYER {
                return Some(format!("a layer has at most {MAX_LAYER} bytes"));
            }
            let unknown = codec(&layer.media_type).is_none();
            unknown.then(|| format!("`{}` is no kind of layer", layer.media_type))
        })
    }

    /// What has to be fetched for it that is not in `blobs`, and where its registry has
    /// that.
    ///
    /// # Errors
    /// [`OciError::Reference`] where it names no image.
    pub fn wants(&self, blobs: &BlobStore) -> Result<Vec<Want>, OciError> {
        let registry = match self.request.layout {
            None => Some(reference(&self.request)?),
            Some(_) => None,
        };
        let mut wants = Vec::new();
        for (number, (name, digest)) in self.parts().into_iter().enumerate() {
            if blobs.contains(&digest) {
                continue;
            }
            let place = registry.as_ref().map(|registry| match number {
                0 => registry.manifest(&digest.sha256),
                _ => registry.blob(&digest.sha256),
            });
            let place = place
                .transpose()
                .map_err(|why| unusable(&self.request, why))?;
            wants.push(Want {
                name,
                sha256: digest.sha256,
                size: Some(digest.size),
                places: place.into_iter().collect(),
            });
        }
        Ok(wants)
    }
}

fn unusable(source: &OciSource, why: impl Into<String>) -> OciError {
    OciError::Reference {
        image: source.name().to_owned(),
        why: why.into(),
    }
}

fn reference(source: &OciSource) -> Result<Reference, OciError> {
    Reference::parse(source.name()).map_err(|why| unusable(source, why))
}

/// Pins the image that `source`, of a recipe in `folder`, names for `arch`. Its layers
/// are not fetched.
///
/// # Errors
/// [`OciError`] where it cannot be had, or is not what its name or its index says.
pub async fn lock(
    fetcher: &Fetcher,
    source: &OciSource,
    arch: Arch,
    folder: &Path,
) -> Result<LockedOci, OciError> {
    let place = match Layout::of(source, folder)? {
        Some(layout) => Place::Layout(layout),
        None => Place::Registry(reference(source)?),
    };
    let lock = Lock {
        fetcher,
        source,
        place,
        platform: format!("linux/{}", arch.debian()),
    };
    lock.pin().await
}

/// Where an image comes from.
enum Place {
    Registry(Reference),
    Layout(Layout),
}

struct Lock<'a> {
    fetcher: &'a Fetcher,
    source: &'a OciSource,
    place: Place,
    platform: String,
}

impl Lock<'_> {
    async fn pin(&self) -> Result<LockedOci, OciError> {
        let mut digest = self.top().await?;
        let mut nesting = 0;
        let manifest = loop {
            let what = format!("{} ({})", self.source.name(), digest.sha256);
            let wrong = |why: String| OciError::Document {
                what: what.clone(),
                why,
            };
            let bytes = self.fetcher.cache().blobs().read(&digest)?;
            match Document::parse(&bytes).map_err(&wrong)? {
                Document::Manifest(manifest) => break manifest,
                Document::Index(_) if nesting == MAX_NESTING => {
                    return Err(wrong(format!(
                        "indexes lie in each other: expected at most {MAX_NESTING}"
                    )));
                }
                Document::Index(index) => {
                    nesting += 1;
                    let chosen = self.choose(&index, false)?;
                    digest = chosen.pin(MAX_DOCUMENT).map_err(&wrong)?;
                    self.bring(digest.sha256, Some(digest.size), true).await?;
                }
            }
        };
        let config = manifest.config;
        self.bring(config.sha256, Some(config.size), false).await?;
        self.check(&config, manifest.layers.len())?;
        let layers = manifest.layers.into_iter();
        Ok(LockedOci {
            request: self.source.clone(),
            manifest: digest,
            config,
            layers: layers
                .map(|(media_type, digest)| LockedLayer {
                    media_type,
                    sha256: digest.sha256,
                    size: digest.size,
                })
                .collect(),
        })
    }

    /// The manifest or index that the name of the image stands for, once it is cached.
    async fn top(&self) -> Result<Digest, OciError> {
        let layout = match &self.place {
            Place::Layout(layout) => layout,
            Place::Registry(reference) => {
                if let Some(sha256) = reference.digest() {
                    return self.bring(sha256, None, true).await;
                }
                let url = reference
                    .tagged()
                    .map_err(|why| unusable(self.source, why))?;
                let bytes = self.fetcher.get(&url, MAX_DOCUMENT).await;
                let bytes = bytes.map_err(|error| match error {
                    FetchError::NotFound { .. } => OciError::NoImage {
                        image: self.source.name().to_owned(),
                    },
                    other => other.into(),
                })?;
                return Ok(self.fetcher.cache().blobs().put(&bytes)?);
            }
        };
        let mut index = layout.index()?;
        if let Some(name) = &self.source.image {
            index = self.named(layout, name, index).await?;
        }
        let chosen = self.choose(&index, true)?;
        let digest = chosen.pin(MAX_DOCUMENT).map_err(|why| OciError::Document {
            what: format!("the index of {}", self.source.name()),
            why,
        })?;
        self.bring(digest.sha256, Some(digest.size), true).await
    }

    /// The images of `top` that are called `name`, or have that digest; one with that
    /// digest may also lie in an index of `top`.
    async fn named(
        &self,
        layout: &Layout,
        name: &str,
        top: Vec<Descriptor>,
    ) -> Result<Vec<Descriptor>, OciError> {
        let is_named = |image: &&Descriptor| {
            let hex = image.pin(MAX_DOCUMENT).map(|digest| digest.sha256.hex());
            image.name() == Some(name) || hex.is_ok_and(|hex| *name == format!("sha256:{hex}"))
        };
        let (mut level, mut looked_at) = (top.clone(), 0);
        for _ in 0..=MAX_NESTING {
            let named: Vec<Descriptor> = level.iter().filter(is_named).cloned().collect();
            if !named.is_empty() {
                return Ok(named);
            }
            let indexes = level.iter().filter(|image| image.is_index());
            let indexes: Vec<Descriptor> = indexes.cloned().collect();
            looked_at += indexes.len();
            if indexes.is_empty() || !name.starts_with("sha256:") || looked_at > MAX_INDEXES {
                break;
            }
            level.clear();
            for index in indexes {
                let wrong = |why: String| OciError::Document {
                    what: format!("an index in {}", layout.name()),
                    why,
                };
                let digest = index.pin(MAX_DOCUMENT).map_err(wrong)?;
                self.bring(digest.sha256, Some(digest.size), true).await?;
                let bytes = self.fetcher.cache().blobs().read(&digest)?;
                if let Document::Index(below) = Document::parse(&bytes).map_err(wrong)? {
                    level.extend(below);
                }
            }
        }
        Err(OciError::NotInLayout {
            layout: layout.name().to_owned(),
            image: name.to_owned(),
            found: top.iter().map(describe).collect(),
        })
    }

    /// The image for the platform; the first of several, unless it has to be the `only`
    /// one. One that does not say what it is for is taken where there is no other.
    fn choose<'i>(&self, index: &'i [Descriptor], only: bool) -> Result<&'i Descriptor, OciError> {
        let images = || index.iter().filter(|image| image.is_image());
        let mut fitting: Vec<_> = images()
            .filter(|image| image.platform().as_ref() == Some(&self.platform))
            .collect();
        if fitting.is_empty() {
            let silent = images().filter(|image| image.platform().is_none());
            fitting = silent.collect();
            let others = fitting.iter().skip(1);
            if !others.zip(&fitting).all(|(one, other)| one.is_same(other)) {
                return Err(self.choice(fitting.len(), index));
            }
        }
        // Two names of one image are one image.
        if let Some((first, others)) = fitting.split_first()
            && others.iter().all(|other| other.is_same(first))
        {
            fitting.truncate(1);
        }
        match fitting.as_slice() {
            [first, ..] if !only || fitting.len() == 1 => Ok(first),
            several => Err(self.choice(several.len(), index)),
        }
    }

    fn choice(&self, count: usize, index: &[Descriptor]) -> OciError {
        OciError::Choice {
            image: self.source.name().to_owned(),
            platform: self.platform.clone(),
            count,
            found: index.iter().map(describe).collect(),
        }
    }

    /// Brings a part of the image into the cache.
    async fn bring(
        &self,
        sha256: Sha256,
        size: Option<u64>,
        is_manifest: bool,
    ) -> Result<Digest, OciError> {
        let blobs = self.fetcher.cache().blobs();
        let registry = match &self.place {
            Place::Registry(registry) => registry,
            Place::Layout(layout) => {
                let digest = Digest {
                    sha256,
                    size: size.unwrap_or(0),
                };
                if !blobs.contains(&digest) {
                    let taken = layout.take(&digest, blobs)?;
                    taken.map_err(|answer| OciError::Lacks {
                        layout: layout.name().to_owned(),
                        digest,
                        why: answer.to_string(),
                    })?;
                }
                return Ok(digest);
            }
        };
        let url = match is_manifest {
            true => registry.manifest(&sha256),
            false => registry.blob(&sha256),
        };
        let want = Want {
            name: self.source.name().to_owned(),
            sha256,
            size,
            places: vec![url.map_err(|why| unusable(self.source, why))?],
        };
        self.fetcher.fetch(&[want]).await?;
        let missing = || {
            CacheError::io("find what was fetched in the cache")(
                std::io::ErrorKind::NotFound.into(),
            )
        };
        let digest = blobs.find(&sha256).ok_or_else(missing)?;
        if digest.size > MAX_DOCUMENT {
            return Err(OciError::Document {
                what: format!("{} ({sha256})", self.source.name()),
                why: format!("it has more than {MAX_DOCUMENT} bytes"),
            });
        }
        Ok(digest)
    }

    /// Whether the configuration is for the platform and speaks of all layers.
    fn check(&self, config: &Digest, layers: usize) -> Result<(), OciError> {
        let wrong = |why: String| OciError::Document {
            what: format!("the configuration of {}", self.source.name()),
            why,
        };
        let bytes = self.fetcher.cache().blobs().read(config)?;
        let config = Config::parse(&bytes).map_err(wrong)?;
        if config.platform != self.platform {
            return Err(OciError::Choice {
                image: self.source.name().to_owned(),
                platform: self.platform.clone(),
                count: 0,
                found: vec![config.platform],
            });
        }
        if config.diff_ids.len() != layers {
            return Err(wrong(format!(
                "it speaks of {} layers: expected {layers}",
                config.diff_ids.len()
            )));
        }
        Ok(())
    }
}

/// An image of an index, for messages.
fn describe(image: &Descriptor) -> String {
    match (image.name(), image.platform()) {
        (Some(name), _) => format!("`{}`", name.escape_debug()),
        (None, Some(platform)) => platform,
        (None, None) => "an image without a name".to_owned(),
    }
}

/// What came of looking into the layouts of locked images.
#[derive(Debug, Default)]
pub struct Taken {
    /// How much was copied out of them.
    pub count: usize,
    /// What was not, and why. A mirror may still have it.
    pub refused: Vec<(Sha256, Attempt)>,
}

/// Copies what the cache lacks of locked images from their layouts.
///
/// # Errors
/// [`FetchError`] where the cache fails.
pub async fn take(fetcher: &Fetcher, locked: &LockedRecipe) -> Result<Taken, FetchError> {
    let mut taken = Taken::default();
    let folder = locked.path().parent().unwrap_or_else(|| Path::new("."));
    for source in locked.lock().sources.values() {
        let LockedSource::Oci(oci) = source else {
            continue;
        };
        let blobs = fetcher.cache().blobs();
        let mut missing = oci.digests();
        missing.retain(|digest| !blobs.contains(digest));
        if missing.is_empty() || fetcher.options().only_mirrors {
            continue;
        }
        let (source, folder) = (oci.request.clone(), folder.to_owned());
        let store = blobs.clone();
        let (count, refused) = blocking(move || {
            let layout = match Layout::of(&source, &folder) {
                Ok(None) => return Ok((0, Vec::new())),
                Ok(Some(layout)) => Ok(layout),
                Err(error) => Err(error.to_string()),
            };
            let (mut count, mut refused) = (0, Vec::new());
            for digest in missing {
                let answer = match &layout {
                    Ok(layout) => layout.take(&digest, &store)?.err(),
                    Err(why) => Some(Answer::Unusable(why.clone())),
                };
                match answer {
                    None => count += 1,
                    Some(answer) => refused.push((
                        digest.sha256,
                        Attempt {
                            place: format!(
                                "the layout `{}`",
                                source.layout.as_deref().unwrap_or_default()
                            ),
                            answer,
                            tries: 1,
                        },
                    )),
                }
            }
            Ok::<_, FetchError>((count, refused))
        })
        .await?;
        taken.count += count;
        taken.refused.extend(refused);
    }
    if taken.count > 0 {
        let cache = fetcher.cache().clone();
        blocking(move || cache.sync()).await?;
    }
    Ok(taken)
}

/// Reads `bytes` as a manifest or index, else as a configuration; for fuzzing.
///
/// # Errors
/// What is wrong with it as the first, and as the second.
pub fn fuzz(bytes: &[u8]) -> Result<(), [String; 2]> {
    let document = Document::parse(bytes).map(|document| {
        if let Document::Index(images) = document {
            for image in images {
                let _ = (image.pin(MAX_DOCUMENT), image.name(), image.platform());
            }
        }
    });
    document.or_else(|first| match Config::parse(bytes) {
        Ok(_) => Ok(()),
        Err(second) => Err([first, second]),
    })
}
