//! Source archives of crates, from where this machine's `cargo` has them.
//!
//! Which registry that is, and what stands in for it, is `cargo`'s own configuration
//! (`$CARGO_HOME/config.toml`, source replacement included). The registry's index says
//! what SHA-256 a version has; nothing in a lock says where it was.

mod replaced;

use lunikernel_cache::{Digest, Sha256};
use serde::{Deserialize, Serialize};
use tame_index::IndexUrl;
use url::Url;

use crate::fetch::{Answer, Attempt, FetchError, Fetcher, Want};
use crate::lock::{LockFile, LockedSource};
use crate::recipe::CrateSource;

/// Largest configuration of a registry that is read, in bytes; it has three short texts.
const MAX_CONFIG: u64 = 1 << 16;
/// Largest index file of one crate, in bytes: thousands of versions with dependencies.
const MAX_INDEX: u64 = 64 << 20;
/// The version of `cargo` whose defaults count: since 1.70 the index is read by HTTP.
const DEFAULTS_OF: &str = "1.70.0";

/// A crate's source archive, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedCrate {
    /// The crate.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What the archive is, as the registry's index says.
    pub sha256: Sha256,
    /// How large it is, in bytes.
    pub size: u64,
}

impl LockedCrate {
    /// What the archive is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest {
            sha256: self.sha256,
            size: self.size,
        }
    }
}

/// Pins a crate's version to the archive that the registry's index names, and brings that
/// into the cache.
///
/// # Errors
/// [`CrateError`] where the registry cannot be asked or does not have it.
pub async fn lock(fetcher: &Fetcher, source: &CrateSource) -> Result<LockedCrate, CrateError> {
    let index = index_address()?;
    let found = find(fetcher, &index, source).await?;
    if found.yanked == Some(true) {
        fetcher.progress().note(&format!(
            "crate {} {} was yanked: its author advises against using it",
            source.name, source.version
        ));
    }
    let template = template(fetcher, &index).await?;
    let want = Want {
        name: file_name(&source.name, &source.version),
        sha256: found.cksum,
        size: None,
        places: vec![place(
            &template,
            &source.name,
            &source.version,
            &found.cksum,
        )?],
    };
    fetcher.fetch(&[want]).await?;
    let digest = fetcher.cache().blobs().find(&found.cksum);
    let digest = digest.ok_or_else(|| CrateError::NoVersion {
        name: source.name.clone(),
        version: source.version.clone(),
    })?;
    Ok(LockedCrate {
        name: source.name.clone(),
        version: source.version.clone(),
        sha256: digest.sha256,
        size: digest.size,
    })
}

/// What has to be fetched for the crates of a lock, and where this machine's registry has
/// it. Where the registry does not say, mirrors are still asked, and the attempt says why.
pub async fn wants(fetcher: &Fetcher, lock: &LockFile) -> (Vec<Want>, Option<Attempt>) {
    let crates = lock.sources.values().filter_map(|source| match source {
        LockedSource::Crate(locked) => Some(locked),
        _ => None,
    });
    let blobs = fetcher.cache().blobs();
    let missing: Vec<&LockedCrate> = crates
        .filter(|locked| !blobs.contains(&locked.digest()))
        .collect();
    if missing.is_empty() {
        return (Vec::new(), None);
    }
    let mut refused = None;
    let registry = async { template(fetcher, &index_address()?).await };
    let template = match fetcher.options().only_mirrors || fetcher.options().offline {
        true => None,
        false => match registry.await {
            Ok(template) => Some(template),
            Err(error) => {
                refused = Some(Attempt {
                    place: "the registry".to_owned(),
                    answer: Answer::Repository {
                        why: error.to_string(),
                        hint: error.hint(),
                    },
                    tries: 1,
                });
                None
            }
        },
    };
    let want = |locked: &LockedCrate| {
        let place = template
            .as_ref()
            .and_then(|t| place(t, &locked.name, &locked.version, &locked.sha256).ok());
        Want {
            name: file_name(&locked.name, &locked.version),
            sha256: locked.sha256,
            size: Some(locked.size),
            places: place.into_iter().collect(),
        }
    };
    (missing.into_iter().map(want).collect(), refused)
}

/// Whether that can be a crate's name, as `cargo` has it.
#[must_use]
pub fn is_crate_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// Whether that can be a crate's version: three numbers, then perhaps `-` and `+`.
#[must_use]
pub fn is_crate_version(version: &str) -> bool {
    tame_index::Version::parse(version).is_ok()
}

fn file_name(name: &str, version: &str) -> String {
    format!("{name}-{version}.crate")
}

/// The address of the index that `cargo` would read, with a slash at its end.
fn index_address() -> Result<Url, CrateError> {
    let address = match replacement()? {
        Some(address) => address,
        None => {
            // What lies in the folder where somebody happens to be does not count.
            let root = Some(tame_index::PathBuf::from("/"));
            let index = IndexUrl::crates_io(root, None, Some(DEFAULTS_OF));
            let index = index.map_err(|error| CrateError::Config(error.to_string()))?;
            index.as_str().to_owned()
        }
    };
    let unusable = |why: &str| CrateError::Config(format!("{address} {why}"));
    let text = address
        .strip_prefix("sparse+")
        .ok_or_else(|| unusable("is not read by HTTP"))?;
    let text = format!("{}/", text.trim_end_matches('/'));
    Url::parse(&text).map_err(|_| unusable("is no address"))
}

/// The address of what cargo's configuration puts in the place of the usual registry.
fn replacement() -> Result<Option<String>, CrateError> {
    let home = tame_index::utils::cargo_home();
    let home = home.map_err(|error| CrateError::Config(error.to_string()))?;
    let file = home.join("config.toml");
    let wrong = |why: String| CrateError::Config(format!("{file}: {why}"));
    match fs_err::read_to_string(&file) {
        Ok(text) => replaced::registry(&text).map_err(wrong),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[derive(Deserialize)]
struct Config {
    dl: String,
    #[serde(rename = "auth-required", default)]
    auth_required: bool,
}

/// What addresses of archives are made of.
async fn template(fetcher: &Fetcher, index: &Url) -> Result<String, CrateError> {
    let failed = |why: String| CrateError::Registry {
        index: crate::fetch::shown(index),
        why,
    };
    let url = join(index, "config.json")?;
    let bytes = fetcher.get(&url, MAX_CONFIG).await?;
    let config: Config =
        serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
    if config.auth_required {
        return Err(failed(
            "it wants to know who asks, which is not done".to_owned(),
        ));
    }
    Ok(config.dl)
}

/// One version in a crate's index file.
#[derive(Deserialize)]
struct Line {
    name: String,
    vers: String,
    cksum: Sha256,
    yanked: Option<bool>,
}

/// What the index says of a version.
async fn find(fetcher: &Fetcher, index: &Url, source: &CrateSource) -> Result<Line, CrateError> {
    let CrateSource { name, version } = source;
    if !is_crate_name(name) {
        return Err(CrateError::NoCrate { name: name.clone() });
    }
    let url = join(index, &format!("{}/{}", prefix(name), name).to_lowercase())?;
    let bytes = match fetcher.get(&url, MAX_INDEX).await {
        Err(FetchError::NotFound { .. }) => {
            return Err(CrateError::NoCrate { name: name.clone() });
        }
        other => other?,
    };
    let mut lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        // Lines of later versions of the format are passed over, as cargo does.
        serde_json::from_slice::<Line>(line).ok()
    });
    lines
        .find(|line| line.name == *name && line.vers == *version)
        .ok_or_else(|| CrateError::NoVersion {
            name: name.clone(),
            version: version.clone(),
        })
}

/// The folder of a crate's index file: `1`, `2`, `3/a` or `ab/cd`.
fn prefix(name: &str) -> String {
    let part = |from: usize, to: usize| name.get(from..to).unwrap_or_default();
    match name.len() {
        short @ 0..=2 => short.to_string(),
        3 => format!("3/{}", part(0, 1)),
        _ => format!("{}/{}", part(0, 2), part(2, 4)),
    }
}

/// Where the archive of a version is.
fn place(template: &str, name: &str, version: &str, sha256: &Sha256) -> Result<Url, CrateError> {
    let wrong = || {
        CrateError::Config(format!(
            "`{template}` makes no address for {name} {version}"
        ))
    };
    if !is_crate_name(name) || !is_crate_version(version) {
        return Err(wrong());
    }
    let filled = template
        .replace("{crate}", name)
        .replace("{version}", version)
        .replace("{prefix}", &prefix(name))
        .replace("{lowerprefix}", &prefix(name).to_lowercase())
        .replace("{sha256-checksum}", &sha256.hex());
    let text = if filled == template {
        format!("{template}/{name}/{version}/download")
    } else {
        filled
    };
    Url::parse(&text).map_err(|_| wrong())
}

fn join(index: &Url, path: &str) -> Result<Url, CrateError> {
    index
        .join(path)
        .map_err(|error| CrateError::Config(error.to_string()))
}

/// A crate could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum CrateError {
    /// Cargo's configuration leads nowhere.
    #[error("cannot tell from cargo's configuration where crates are: {0}")]
    Config(String),
    /// The registry answers something else than a registry does.
    #[error("could not use the registry {index}: {why}")]
    Registry {
        /// The address of its index.
        index: String,
        /// Why not.
        why: String,
    },
    /// The registry has no such crate.
    #[error("the registry has no crate `{name}`")]
    NoCrate {
        /// The crate.
        name: String,
    },
    /// The registry has the crate, but not that version of it.
    #[error("the registry has no version `{version}` of crate `{name}`")]
    NoVersion {
        /// The crate.
        name: String,
        /// The version.
        version: String,
    },
    /// Fetching failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl CrateError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(_) | Self::Registry { .. } => Some(
                "name a registry that is read by HTTP (`sparse+https://…`) and by everybody in \
                 cargo's config.toml"
                    .to_owned(),
            ),
            Self::NoCrate { name } => Some(format!("look for it with `cargo search {name}`")),
            Self::NoVersion { name, .. } => Some(format!(
                "see what versions there are with `cargo info {name}`"
            )),
            Self::Fetch(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_index_are_where_the_format_has_them() {
        for (name, folder) in [("a", "1"), ("ab", "2"), ("Abc", "3/A"), ("serde", "se/rd")] {
            assert_eq!(prefix(name), folder);
        }
    }

    #[test]
    fn archives_are_where_the_registry_says() {
        let sha256 = Sha256::of(b"x");
        let at = |template: &str| place(template, "Serde", "1.0.0+b", &sha256).map(String::from);
        let plain = at("https://a.example/api").unwrap();
        assert_eq!(plain, "https://a.example/api/Serde/1.0.0+b/download");
        let filled = at("https://a.example/{lowerprefix}/{prefix}/{crate}-{version}.crate");
        assert_eq!(
            filled.unwrap(),
            "https://a.example/se/rd/Se/rd/Serde-1.0.0+b.crate"
        );
        assert!(
            at("https://a.example/{sha256-checksum}")
                .unwrap()
                .ends_with(&sha256.hex())
        );
        assert!(at("nowhere").is_err());
        for (name, version) in [("../x", "1.0.0"), ("", "1.0.0"), ("a", "1"), ("a", "../1")] {
            assert!(
                place("https://a.example", name, version, &sha256).is_err(),
                "{name}"
            );
        }
    }
}
