//! Commits of git repositories.
//!
//! What is pinned is twofold: the commit, which git names by SHA-1, and the digest of
//! its content as a REAPI tree, which is what everything after fetching goes by. The
//! content is what git has stored: no line endings are converted, no filters or hooks
//! run, and submodules are in their places.

mod content;
pub mod modules;
mod repository;
#[cfg(test)]
mod tests;
mod transport;

use serde::{Deserialize, Serialize};
use url::Url;

use lunikernel_cache::{CacheError, Digest, Sha256};

use crate::fetch::trees::{self, FromMirrors};
use crate::fetch::{Answer, Attempt, FetchError, Fetcher, Missing, blocking};
use crate::recipe::GitSource;
use content::Checkout;
use repository::Address;

/// A commit of a git repository, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedGit {
    /// The repository's address, as the recipe has it.
    pub url: String,
    /// The branch, tag or commit that the recipe names.
    pub rev: String,
    /// The commit, as 40 hexadecimal digits.
    pub commit: String,
    /// The top REAPI `Directory` of its content, submodules included.
    pub tree: Digest,
}

/// Pins the commit that a branch, tag or commit name stands for now, and brings its
/// content into the cache.
///
/// # Errors
/// [`GitError`] where the repository or the commit cannot be had, or has something in
/// it that cannot be kept.
pub async fn lock(fetcher: &Fetcher, source: &GitSource) -> Result<LockedGit, GitError> {
    let address = Address::parse(&source.url)?;
    if !address.is_local() && fetcher.options().offline {
        return Err(GitError::Fetch(FetchError::NoNetwork {
            place: address.shown(),
        }));
    }
    let rev = source.rev.clone();
    let (commit, tree) = checkout(fetcher, address, rev, None).await?;
    Ok(LockedGit {
        url: source.url.clone(),
        rev: source.rev.clone(),
        commit,
        tree,
    })
}

/// Brings the content of a pinned commit into the cache: from hashed mirrors, which
/// know it by its digest, or else from the repository. False where all of it was there.
///
/// # Errors
/// As [`lock`], and [`GitError::Changed`] where the content is not what was locked.
pub async fn fetch(fetcher: &Fetcher, locked: &LockedGit) -> Result<bool, GitError> {
    let (cache, tree) = (fetcher.cache().clone(), locked.tree);
    if blocking(move || Ok::<_, FetchError>(trees::is_cached(&cache, &tree))).await? {
        return Ok(false);
    }
    let cache = fetcher.cache().clone();
    // Another key than the tree's own, which its download from a mirror takes.
    let key = Sha256::of(format!("git {}", locked.tree.sha256).as_bytes());
    let _lock = blocking(move || cache.lock(&key)).await?;
    let cache = fetcher.cache().clone();
    if blocking(move || Ok::<_, FetchError>(trees::is_cached(&cache, &tree))).await? {
        return Ok(true);
    }
    let lacking = match trees::from_mirrors(fetcher, &locked.tree, &locked.url).await? {
        FromMirrors::All => return Ok(true),
        FromMirrors::Lacking(attempts) => attempts,
    };
    if fetcher.options().only_mirrors {
        return Err(GitError::Fetch(FetchError::Unavailable(vec![
            locked.missing(lacking),
        ])));
    }
    let address = Address::parse(&locked.url)?;
    if !address.is_local() && fetcher.options().offline {
        return Err(GitError::Fetch(FetchError::Offline(vec![
            locked.missing(lacking),
        ])));
    }
    let commit = git2::Oid::from_str(&locked.commit).map_err(|_| GitError::Rev {
        url: address.shown(),
        rev: locked.commit.clone(),
        why: "is no commit: expected 40 hexadecimal digits".to_owned(),
    })?;
    let (_, tree) = checkout(fetcher, address, locked.rev.clone(), Some(commit)).await?;
    if tree != locked.tree {
        return Err(GitError::Changed {
            url: locked.url.clone(),
            commit: locked.commit.clone(),
            expected: locked.tree.sha256,
            actual: tree,
        });
    }
    Ok(true)
}

/// Gets a commit and stores its content, on a thread on which git may wait.
async fn checkout(
    fetcher: &Fetcher,
    address: Address,
    rev: String,
    commit: Option<git2::Oid>,
) -> Result<(String, Digest), GitError> {
    let fetcher = fetcher.clone();
    let runtime = tokio::runtime::Handle::current();
    let work = tokio::task::spawn_blocking(move || {
        let _network = transport::enter(&fetcher, runtime)?;
        let mut checkout = Checkout::new(&fetcher);
        let (commit, tree) = checkout.commit(&address, &rev, commit)?;
        let digest = tree.store(fetcher.cache().blobs())?;
        fetcher.cache().sync()?;
        Ok((commit.to_string(), digest))
    });
    work.await
        .map_err(|error| FetchError::Thread(error.to_string()))?
}

/// A commit could not be had.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The repository's address cannot be used.
    #[error("`{url}` is no address of a git repository: {why}")]
    Address {
        /// The address.
        url: String,
        /// Why not.
        why: String,
    },
    /// The repository does not have what the recipe names.
    #[error("`{rev}` in {url} {why}")]
    Rev {
        /// The repository.
        url: String,
        /// The branch, tag or commit.
        rev: String,
        /// What is wrong with it.
        why: String,
    },
    /// The repository does not have the commit any more that was locked.
    #[error("{url} has the commit {commit} no more, which `{rev}` was when it was locked")]
    Dropped {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// The branch or tag.
        rev: String,
    },
    /// A submodule is somewhere where it cannot be fetched from.
    #[error("the submodule `{path}` of {url} cannot be had: {source}")]
    Submodule {
        /// The repository that it is in.
        url: String,
        /// Where it is there.
        path: String,
        /// What is wrong with its address.
        source: Box<GitError>,
    },
    /// Git failed.
    #[error("could not {attempted} {url}: {}", source.message())]
    Git {
        /// What was being done.
        attempted: &'static str,
        /// The repository.
        url: String,
        /// What git said.
        source: git2::Error,
    },
    /// The commit has something in it that cannot be kept.
    #[error("`{path}` in {url} {why}")]
    Content {
        /// The repository.
        url: String,
        /// The path in it.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The commit's content is not what was locked.
    #[error(
        "commit {commit} of {url} has other content than was locked: expected {expected}, got {}",
        actual.sha256
    )]
    Changed {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// The tree that was locked.
        expected: Sha256,
        /// The tree that came.
        actual: Digest,
    },
    /// Fetching failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl LockedGit {
    /// This commit as an input that could not be had.
    fn missing(&self, attempts: Vec<Attempt>) -> Missing {
        Missing {
            name: format!("commit {} of {}", self.commit, shown(&self.url)),
            sha256: self.tree.sha256,
            attempts,
        }
    }
}

impl GitError {
    /// `locked`, the source `source_name`, as an input that could not be had, where this error of [`fetch`] means
    /// that; otherwise the error, after which nothing else is worth trying.
    ///
    /// # Errors
    /// The error itself.
    pub fn missing(self, source_name: &str, locked: &LockedGit) -> Result<Missing, Self> {
        let answer = match self {
            Self::Fetch(FetchError::Unavailable(missing) | FetchError::Offline(missing)) => {
                let attempts = missing.into_iter().flat_map(|part| part.attempts);
                return Ok(locked.missing(attempts.collect()));
            }
            Self::Changed { actual, .. } => Answer::WrongBytes(actual),
            Self::Dropped { .. } => Answer::Repository {
                why: self.to_string(),
                hint: Some(format!(
                    "name a mirror that still has it with `--mirror URL`, or pin what `{}` is now \
                     with `luni lock --update {source_name}`",
                    locked.rev
                )),
            },
            Self::Git { .. } | Self::Rev { .. } | Self::Content { .. } | Self::Submodule { .. } => {
                Answer::Repository {
                    why: self.to_string(),
                    hint: self.hint(),
                }
            }
            Self::Address { .. } | Self::Fetch(_) | Self::Cache(_) => return Err(self),
        };
        Ok(locked.missing(vec![Attempt {
            place: shown(&locked.url),
            answer,
            tries: 1,
        }]))
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Address { .. } => Some(
                "write `https://HOST/PATH`, `http://HOST/PATH`, `file:///PATH` or an absolute path"
                    .to_owned(),
            ),
            Self::Rev { url, .. } => Some(format!(
                "`rev` is a branch, a tag, or a commit as 40 hexadecimal digits; `git ls-remote \
                 {url}` lists what there is"
            )),
            Self::Dropped { .. } => Some(
                "name a mirror that still has it with `--mirror URL`, or lock it anew with \
                 `luni lock --update`"
                    .to_owned(),
            ),
            Self::Submodule { .. } => Some(
                "fetched are only `https:`, `http:` and, from a repository on this machine, \
                 `file:`: name a copy of the repository whose .gitmodules has such an address"
                    .to_owned(),
            ),
            Self::Git { source, url, .. } => match source.code() {
                git2::ErrorCode::Owner => Some(format!(
                    "another user owns it: `git config --global --add safe.directory {url}`"
                )),
                _ if is_damage(source) => Some(format!(
                    "the repository, or what came of it, is damaged: try again, look at it with \
                     `git fsck`, or name another one than {url}"
                )),
                _ if source.message().contains("object format") => Some(
                    "repositories that name their objects by SHA-256 (`git init \
                     --object-format=sha256`) are not read: name one that does by SHA-1"
                        .to_owned(),
                ),
                _ => Some(format!("check the address with `git ls-remote {url}`")),
            },
            Self::Content { .. } => Some("name a commit without it".to_owned()),
            Self::Changed { .. } => Some("lock it anew with `luni lock --update`".to_owned()),
            Self::Fetch(error) => error.hint(),
            Self::Cache(error) => error.hint(),
        }
    }
}

/// Whether git found objects that are not what they are called, or no objects at all.
fn is_damage(error: &git2::Error) -> bool {
    use git2::ErrorClass::{Indexer, Object, Odb, Tree, Zlib};
    matches!(error.class(), Indexer | Object | Odb | Tree | Zlib)
}

/// The address without a password, where it is one.
fn shown(text: &str) -> String {
    Url::parse(text).map_or_else(|_| text.to_owned(), |url| crate::fetch::shown(&url))
}
