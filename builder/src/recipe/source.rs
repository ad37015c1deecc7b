//! The sources of a recipe, as its author writes them: like [`super::model`], a part of
//! its grammar.

use lunikernel_cache::Sha256;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that goes in. `luni lock` pins it to exact bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// Packages of Debian, with everything they depend on.
    Deb(DebSource),
    /// Packages of Alpine, with everything they depend on.
    Apk(ApkSource),
    /// A file from the web.
    Url(UrlSource),
    /// A commit of a git repository.
    Git(GitSource),
    /// A crate's source archive, from where this machine's cargo has it.
    Crate(CrateSource),
    /// The root file system of a container image.
    Oci(OciSource),
    /// Extensions of TinyCore, with everything they depend on.
    Tcz(TczSource),
    /// A file or folder beside the recipe, as a path relative to it.
    File(String),
}

/// Packages of Debian, with everything they depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct DebSource {
    /// The release, by its code name: `bookworm`, for example. Where it comes from
    /// is what the package manager of the machine is configured with.
    pub suite: String,
    /// The archive's components.
    #[serde(default = "main_component")]
    #[schemars(length(min = 1))]
    pub components: Vec<String>,
    /// The packages that are wanted; `name` or `name=version`.
    #[schemars(
        length(min = 1),
        inner(regex(pattern = "^[a-z0-9][a-z0-9+.-]+(=.+)?$"))
    )]
    pub packages: Vec<String>,
    /// Packages that are taken as present: neither they nor what only they depend
    /// on is fetched.
    #[serde(default)]
    #[schemars(inner(regex(pattern = "^[a-z0-9][a-z0-9+.-]+$")))]
    pub without: Vec<String>,
}

fn main_component() -> Vec<String> {
    vec!["main".to_owned()]
}

/// Packages of Alpine, with everything they depend on, over a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ApkSource {
    /// The repositories, as `/etc/apk/repositories` has them:
    /// `https://…/alpine/v3.20/main`. Their indexes must be signed by a trusted key.
    #[schemars(length(min = 1), inner(regex(pattern = "^(https?|file)://")))]
    pub repositories: Vec<String>,
    /// Keys that are trusted beside those of the base: PEM files beside the recipe, named
    /// as the signatures name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = "^[^/]")))]
    pub keys: Vec<String>,
    /// A source that is a packed root file system, such as Alpine's minirootfs. The
    /// packages are installed over it; what it has installed counts, and its keys are
    /// trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The packages that are wanted: `name`, `name=1.2-r0`, `name>1`, `name~1.2`, or
    /// something that packages provide, such as `cmd:bash`.
    #[schemars(length(min = 1))]
    pub packages: Vec<String>,
    /// Packages that are taken as present: neither they nor what only they depend on is
    /// fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// What becomes of the packages' scripts.
    #[serde(default, skip_serializing_if = "ApkScripts::is_run")]
    pub scripts: ApkScripts,
}

/// What becomes of the scripts of Alpine packages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApkScripts {
    /// They are run in a sandbox when the root file system is built.
    #[default]
    Run,
    /// They are not run.
    Skip,
}

impl ApkScripts {
    fn is_run(&self) -> bool {
        *self == Self::Run
    }
}

/// A file from the web.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct UrlSource {
    /// Its address: `https://…`, `http://…` or `file:///…`.
    #[schemars(regex(pattern = "^(https?|file)://"))]
    pub url: String,
    /// What it must be. Without it, whatever comes when it is first locked is pinned.
    #[serde(default)]
    #[schemars(
        with = "Option<String>",
        regex(pattern = "^(sha256:)?[0-9a-fA-F]{64}$")
    )]
    pub sha256: Option<Sha256>,
}

/// A commit of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct GitSource {
    /// Its address: `https://…`, `http://…` or `file:///…`.
    #[schemars(regex(pattern = "^(https?|file)://"))]
    pub url: String,
    /// A branch, a tag or a commit; `luni lock` pins the commit that it names.
    pub rev: String,
}

/// A crate's source archive, from where this machine's cargo has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct CrateSource {
    /// The crate.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_-]{0,63}$"))]
    pub name: String,
    /// Its exact version: `1.0.0`, for example.
    #[schemars(regex(pattern = "^[0-9]+\\.[0-9]+\\.[0-9]+[0-9A-Za-z.+-]*$"))]
    pub version: String,
}

/// Extensions of TinyCore, with everything they depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct TczSource {
    /// The folder of a mirror that has them: `https://…`, `http://…` or `file:///…`.
    #[schemars(regex(pattern = "^(https?|file)://"))]
    pub mirror: String,
    /// The extensions that are wanted: `bash.tcz`.
    #[schemars(
        length(min = 1),
        inner(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._+-]*\\.tcz$"))
    )]
    pub extensions: Vec<String>,
    /// What becomes of them.
    #[serde(default)]
    pub install: TczInstall,
    /// The kernel's release, as `uname -r` gives it: what `KERNEL` stands for in names
    /// of extensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
}

/// What becomes of extensions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TczInstall {
    /// They are unpacked into the root file system; their scripts run when it boots.
    #[default]
    Merge,
    /// They are kept as they are, and Core loads them when it boots.
    Onboot,
}

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
