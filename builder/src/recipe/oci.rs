//! The source kind `oci`, as recipes write it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The root file system of a container image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct OciSource {
    /// The image: `HOST/NAME:TAG`, `HOST/NAME@sha256:…` or both, with the host of its
    /// registry. In a `layout`, which of its images: by its name there, or by `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// An OCI image layout, as a folder or as a tar archive of one: a path beside the
    /// recipe, or `file:///…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
}

impl OciSource {
    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        let named = self.image.as_deref().or(self.layout.as_deref());
        named.unwrap_or_default()
    }
}
