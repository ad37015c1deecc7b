//! Names of images, and where a registry has what they name (OCI Distribution
//! Specification 1.1, "Pull").

use lunikernel_cache::Sha256;
use url::{Host, Url};

/// The longest name of a repository, in bytes.
const MAX_NAME: usize = 255;
/// The longest tag, in bytes.
const MAX_TAG: usize = 128;

/// `HOST/NAME:TAG@sha256:…`; there is a tag, a digest, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    host: String,
    name: String,
    tag: Option<String>,
    digest: Option<Sha256>,
}

impl Reference {
    /// Reads a full reference. No host and no tag is taken for granted.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let hex = digest.strip_prefix("sha256:").unwrap_or_default();
                let digest = hex.parse::<Sha256>();
                let digest = digest.map_err(|_| "what is behind its `@` is no `sha256:…`")?;
                (rest, Some(digest))
            }
        };
        let (host, path) = rest
            .split_once('/')
            .filter(|(host, _)| is_host(host))
            .ok_or("it does not begin with the host of a registry")?;
        let (name, tag) = match path.split_once(':') {
            None => (path, None),
            Some((name, tag)) => (name, Some(tag)),
        };
        if name.len() > MAX_NAME || !name.split('/').all(is_component) {
            return Err("its name is not made of lower-case letters, digits and `/._-`");
        }
        if !tag.is_none_or(is_tag) {
            return Err("its tag is not made of letters, digits and `._-`");
        }
        if tag.is_none() && digest.is_none() {
            return Err("it has neither a tag nor a digest");
        }
        Ok(Self {
            host: host.to_owned(),
            name: name.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The digest that it names.
    #[must_use]
    pub fn digest(&self) -> Option<Sha256> {
        self.digest
    }

    /// Where the manifest is that its tag names.
    ///
    /// # Errors
    /// Why there is no such address.
    pub fn tagged(&self) -> Result<Url, String> {
        self.url("manifests", self.tag.as_deref().unwrap_or_default())
    }

    /// Where the manifest or index is that has this digest.
    ///
    /// # Errors
    /// As [`Reference::tagged`].
    pub fn manifest(&self, sha256: &Sha256) -> Result<Url, String> {
        self.url("manifests", &format!("sha256:{}", sha256.hex()))
    }

    /// Where the configuration or layer is that has this digest.
    ///
    /// # Errors
    /// As [`Reference::tagged`].
    pub fn blob(&self, sha256: &Sha256) -> Result<Url, String> {
        self.url("blobs", &format!("sha256:{}", sha256.hex()))
    }

    /// Only what does not leave this machine goes unencrypted.
    fn url(&self, kind: &str, what: &str) -> Result<Url, String> {
        let Self { host, name, .. } = self;
        let parse = |scheme: &str| {
            let text = format!("{scheme}://{host}/v2/{name}/{kind}/{what}");
            Url::parse(&text).map_err(|error| format!("{text} is no address: {error}"))
        };
        let url = parse("https")?;
        if crate::fetch::is_here(&url) {
            return parse("http");
        }
        Ok(url)
    }
}

/// Whether it can only be a host, with or without a port, and no part of a name.
fn is_host(text: &str) -> bool {
    let known = text == "localhost" || text.contains(['.', ':']);
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c));
    known
        && plain
        && Url::parse(&format!("https://{text}/")).is_ok_and(|url| {
            matches!(url.host(), Some(Host::Domain(name)) if !name.is_empty())
                || matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)))
        })
}

/// A part of a name: runs of letters and digits with `.`, `_`, `__` or `-`s between.
fn is_component(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(is_word).filter(|between| !between.is_empty());
    part.starts_with(is_word)
        && part.ends_with(is_word)
        && separators
            .into_iter()
            .all(|between| matches!(between, "." | "_" | "__") || between.chars().all(|c| c == '-'))
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= MAX_TAG
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}
