//! What can go wrong with images.

use lunikernel_cache::{CacheError, Digest};

use crate::fetch::{Answer, FetchError};

/// An image could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// Its name cannot be used.
    #[error("`{image}` names no image: {why}")]
    Reference {
        /// The name.
        image: String,
        /// What is wrong with it.
        why: String,
    },
    /// The registry has no such image.
    #[error("the registry has no image `{image}`")]
    NoImage {
        /// The image.
        image: String,
    },
    /// A layout has no image of that name.
    #[error("`{layout}` has no image `{image}`; it has {}", list(.found))]
    NotInLayout {
        /// The layout.
        layout: String,
        /// The image.
        image: String,
        /// What there is.
        found: Vec<String>,
    },
    /// A layout is none, or cannot be read.
    #[error("`{layout}` cannot be read as an OCI image layout: {why}")]
    Layout {
        /// The layout.
        layout: String,
        /// Why not.
        why: String,
    },
    /// A layout lacks a part of an image.
    #[error("the layout `{layout}` lacks {digest}: {why}")]
    Lacks {
        /// The layout.
        layout: String,
        /// What it lacks.
        digest: Digest,
        /// What is there instead.
        why: String,
    },
    /// A manifest, index or configuration is not what it should be.
    #[error("{what} cannot be used: {why}")]
    Document {
        /// Which one.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no image for the recipe's architecture, or more than one.
    #[error("{count} images in `{image}` are for {platform}; it has {}", list(.found))]
    Choice {
        /// Where they are.
        image: String,
        /// What is wanted.
        platform: String,
        /// How many there are.
        count: usize,
        /// What there is.
        found: Vec<String>,
    },
    /// It cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// So many images are told of; the rest are counted.
const TOLD: usize = 12;

fn list(found: &[String]) -> String {
    if found.is_empty() {
        return "none".to_owned();
    }
    let mut told: Vec<&str> = found.iter().take(TOLD).map(String::as_str).collect();
    let more = format!("{} more", found.len().saturating_sub(TOLD));
    if found.len() > TOLD {
        told.push(&more);
    }
    told.join(", ")
}

impl OciError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Reference { .. } => {
                "write all of it: `HOST/NAME:TAG`, or `HOST/NAME@sha256:…`".to_owned()
            }
            Self::NoImage { .. } => "look at what tags the registry has for it".to_owned(),
            Self::Layout { .. } => {
                "make one with `podman push NAME oci:FOLDER` or `podman save --format oci-archive`"
                    .to_owned()
            }
            Self::Lacks { .. } => {
                "copy the whole layout, and lock it anew with `luni lock --update` if it was made anew"
                    .to_owned()
            }
            Self::Choice { count: 0, .. } => "take an image that is made for it".to_owned(),
            Self::Choice { .. } | Self::NotInLayout { .. } => "name one of them with `image`".to_owned(),
            Self::Fetch(FetchError::Failed(attempt))
                if matches!(attempt.answer, Answer::Status { code: 401 | 403, .. }) =>
            {
                "check the name; if the registry wants to know who asks, say so in LUNI_MIRROR_AUTH"
                    .to_owned()
            }
            Self::Document { .. } => return None,
            Self::Fetch(error) => return error.hint(),
            Self::Cache(error) => return error.hint(),
        })
    }
}
