//! Extensions of TinyCore: squashfs images in one folder of a mirror, each with the
//! list of those that it depends on (`.dep`) and its MD5 (`.md5.txt`).
//!
//! Nothing there is signed. What a mirror serves is compared with the MD5 beside it
//! when it is locked, which finds what was damaged on the way and no more; from then
//! on its SHA-256 counts.

mod load_order;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use lunikernel_cache::{CacheError, Digest, Sha256};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::fetch::{FetchError, Fetcher, Want, blocking};
use crate::recipe::TczSource;

/// The largest list of dependencies or MD5 that is read, in bytes.
const MAX_TEXT: u64 = 64 << 10;
/// How many extensions one source may come to: as many as a release of TinyCore has.
const MAX_EXTENSIONS: usize = 10_000;
/// What stands for the kernel's release in names of extensions with kernel modules.
const KERNEL: &str = "-KERNEL.tcz";

/// Extensions of TinyCore, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedTczs {
    /// What the recipe asked for when it was locked.
    pub request: TczSource,
    /// The extensions, each behind those that it depends on.
    pub extensions: Vec<LockedTcz>,
}

/// An extension of TinyCore, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedTcz {
    /// What it is called: `bash.tcz`.
    pub name: String,
    /// What it is.
    pub sha256: Sha256,
    /// How large it is, in bytes.
    pub size: u64,
    /// Its MD5, as the mirror has it.
    pub md5: String,
    /// The extensions that it depends on, as its maker lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<String>,
}

impl LockedTcz {
    /// What the file is.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest {
            sha256: self.sha256,
            size: self.size,
        }
    }
}

impl LockedTczs {
    /// The extensions that the recipe names, as they are called on the mirror.
    ///
    /// # Errors
    /// [`TczError::Kernel`] where one of them is for a kernel that is not named.
    pub fn wanted(&self) -> Result<Vec<String>, TczError> {
        let request = &self.request;
        let names = request.extensions.iter();
        names.map(|name| real_name(name, request, None)).collect()
    }

    /// What is to be fetched for `extension`.
    ///
    /// # Errors
    /// [`TczError::Address`] where the mirror's address is none.
    pub fn want(&self, extension: &LockedTcz) -> Result<Want, TczError> {
        Ok(Want {
            name: extension.name.clone(),
            sha256: extension.sha256,
            size: Some(extension.size),
            places: vec![Mirror::of(&self.request)?.url(&extension.name)?],
        })
    }
}

/// Whether this can be the name of an extension.
#[must_use]
pub fn is_extension(name: &str) -> bool {
    let stem = name.strip_suffix(".tcz").unwrap_or_default();
    (1..=200).contains(&stem.len())
        && stem.starts_with(|c: char| c.is_ascii_alphanumeric())
        && stem
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
}

/// Pins the extensions that `source` names and everything they depend on.
///
/// # Errors
/// [`TczError`] where one cannot be had, or is not what the mirror says.
pub async fn lock(fetcher: &Fetcher, source: &TczSource) -> Result<LockedTczs, TczError> {
    let mirror = Mirror::of(source)?;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut order = Vec::new();
    for name in &source.extensions {
        let name = real_name(name, source, None)?;
        closure(fetcher, &mirror, source, name, &mut found, &mut order).await?;
    }
    let mut extensions = Vec::new();
    for (name, wanted_by) in order {
        let depends = found.remove(&name).unwrap_or_default();
        extensions.push(pin(fetcher, &mirror, name, wanted_by, depends).await?);
    }
    Ok(LockedTczs {
        request: source.clone(),
        extensions,
    })
}

/// Puts `name` into `order` behind everything that it depends on. Extensions may
/// depend on each other: then the one that was reached first comes last.
async fn closure(
    fetcher: &Fetcher,
    mirror: &Mirror,
    source: &TczSource,
    name: String,
    found: &mut BTreeMap<String, Vec<String>>,
    order: &mut Vec<(String, Option<String>)>,
) -> Result<(), TczError> {
    struct Step {
        name: String,
        wanted_by: Option<String>,
        left: std::vec::IntoIter<String>,
    }
    let mut seen: BTreeSet<String> = found.keys().cloned().collect();
    let mut path: Vec<Step> = Vec::new();
    let mut next = Some((name, None));
    loop {
        if let Some((name, wanted_by)) = next.take()
            && seen.insert(name.clone())
        {
            if seen.len() > MAX_EXTENSIONS {
                return Err(TczError::TooMany { name });
            }
            let depends = dependencies(fetcher, mirror, source, &name).await?;
            found.insert(name.clone(), depends.clone());
            path.push(Step {
                name,
                wanted_by,
                left: depends.into_iter(),
            });
        }
        let Some(step) = path.last_mut() else {
            return Ok(());
        };
        match step.left.next() {
            Some(name) => next = Some((name, Some(step.name.clone()))),
            None => order.extend(path.pop().map(|step| (step.name, step.wanted_by))),
        }
    }
}

/// What an extension depends on. Most depend on nothing, and have no list then.
async fn dependencies(
    fetcher: &Fetcher,
    mirror: &Mirror,
    source: &TczSource,
    name: &str,
) -> Result<Vec<String>, TczError> {
    let file = format!("{name}.dep");
    let url = mirror.url(&file)?;
    let bytes = match fetcher.get(&url, MAX_TEXT).await {
        Err(FetchError::NotFound { .. }) => return Ok(Vec::new()),
        other => other?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut names = Vec::new();
    // One to a line: `tce-load` takes blanks out of a line and the rest for one name.
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !is_extension(line) {
            return Err(TczError::List {
                file,
                line: line.chars().take(80).collect(),
            });
        }
        let name = real_name(line, source, Some(name))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name on the mirror, with the kernel's release in its place.
fn real_name(name: &str, source: &TczSource, by: Option<&str>) -> Result<String, TczError> {
    let Some(stem) = name.strip_suffix(KERNEL) else {
        return Ok(name.to_owned());
    };
    let kernel = source.kernel.as_ref().ok_or_else(|| TczError::Kernel {
        name: name.to_owned(),
        by: by.map(str::to_owned),
    })?;
    Ok(format!("{stem}-{kernel}.tcz"))
}

async fn pin(
    fetcher: &Fetcher,
    mirror: &Mirror,
    name: String,
    wanted_by: Option<String>,
    depends: Vec<String>,
) -> Result<LockedTcz, TczError> {
    let missing = |file: &str| {
        let (file, by, mirror) = (file.to_owned(), wanted_by.clone(), mirror.base.to_string());
        move |error| match error {
            FetchError::NotFound { .. } => TczError::Missing { file, by, mirror },
            other => other.into(),
        }
    };
    let file = format!("{name}.md5.txt");
    let text = fetcher.get(&mirror.url(&file)?, MAX_TEXT).await;
    let text = text.map_err(missing(&file))?;
    let told = told_md5(&String::from_utf8_lossy(&text), &name).ok_or(TczError::Sum { file })?;
    let digest = fetcher.fetch_unpinned(&name, &mirror.url(&name)?).await;
    let digest = digest.map_err(missing(&name))?;
    let blobs = fetcher.cache().blobs().clone();
    let actual = blocking(move || {
        let mut sum = Md5::new();
        io::copy(&mut blobs.open(&digest)?, &mut sum)
            .map_err(CacheError::io("read a blob from the cache"))?;
        let sum = sum.finalize();
        Ok::<_, FetchError>(
            sum.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        )
    })
    .await?;
    if actual != told {
        return Err(TczError::Md5 {
            name,
            expected: told,
            actual,
        });
    }
    Ok(LockedTcz {
        name,
        sha256: digest.sha256,
        size: digest.size,
        md5: told,
        depends,
    })
}

/// The sum in a line of `md5sum` about `name`, in lower case.
fn told_md5(text: &str, name: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    let sum = words.next()?;
    let about = words.next().unwrap_or(name);
    let about = about.trim_start_matches('*').trim_start_matches("./");
    let right = sum.len() == 32 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    (right && about == name && words.next().is_none()).then(|| sum.to_ascii_lowercase())
}

/// The folder of a mirror.
struct Mirror {
    base: Url,
}

impl Mirror {
    fn of(source: &TczSource) -> Result<Self, TczError> {
        let refused = |why: String| TczError::Address {
            url: source.mirror.clone(),
            why,
        };
        let mut base = Url::parse(&source.mirror).map_err(|error| refused(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https" | "file") {
            return Err(refused(format!(
                "`{}:` cannot be fetched from",
                base.scheme()
            )));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self { base })
    }

    fn url(&self, file: &str) -> Result<Url, TczError> {
        // A name is no address, whatever characters it has.
        self.base
            .join(&format!("./{file}"))
            .map_err(|error| TczError::Address {
                url: format!("{}{file}", self.base),
                why: error.to_string(),
            })
    }
}

/// Extensions could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum TczError {
    /// The mirror's address cannot be used.
    #[error("`{url}` is no address of a mirror: {why}")]
    Address {
        /// The address.
        url: String,
        /// Why not.
        why: String,
    },
    /// The mirror lacks an extension, or what goes with it.
    #[error("{mirror} has no {file}{}", by_whom(by.as_deref()))]
    Missing {
        /// What is missing.
        file: String,
        /// The extension that depends on it.
        by: Option<String>,
        /// The mirror.
        mirror: String,
    },
    /// A list of dependencies has something else in it.
    #[error("{file} has a line that names no extension: expected one `NAME.tcz`, found `{line}`")]
    List {
        /// The list.
        file: String,
        /// The line.
        line: String,
    },
    /// A file with an MD5 has none.
    #[error("{file} is no line of `md5sum` about that extension")]
    Sum {
        /// The file.
        file: String,
    },
    /// An extension is not what the mirror says.
    #[error("{name} is damaged: expected the MD5 {expected}, got {actual}")]
    Md5 {
        /// The extension.
        name: String,
        /// What the mirror says.
        expected: String,
        /// What it has.
        actual: String,
    },
    /// An extension is for a kernel that is not named.
    #[error("{name}{} is for a kernel that the source does not name", by_whom(by.as_deref()))]
    Kernel {
        /// The extension.
        name: String,
        /// The extension that depends on it.
        by: Option<String>,
    },
    /// There is no end to what it depends on.
    #[error("more than {MAX_EXTENSIONS} extensions are wanted at {name}")]
    TooMany {
        /// The first that is too much.
        name: String,
    },
    /// It cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

fn by_whom(by: Option<&str>) -> String {
    by.map_or(String::new(), |by| format!(", which {by} depends on,"))
        .trim_end_matches(',')
        .to_owned()
}

impl TczError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Address { .. } => {
                "write the folder that has the extensions: `http://HOST/16.x/x86_64/tcz/`".to_owned()
            }
            Self::Missing { .. } => {
                "look at what the mirror has for this release; names of extensions change between releases".to_owned()
            }
            Self::List { .. } | Self::Sum { .. } => {
                "the mirror is damaged or is none; try another one".to_owned()
            }
            Self::Md5 { .. } => {
                "mirrors change an extension and its sum one after the other: try again later, or another mirror".to_owned()
            }
            Self::Kernel { .. } => {
                "write the kernel's release beside `extensions`: `kernel: 6.12.11-tinycore64`".to_owned()
            }
            Self::TooMany { .. } => return None,
            Self::Fetch(error) => return error.hint(),
        })
    }
}

#[cfg(test)]
mod tests;
