//! What can go wrong when Alpine packages are locked.

use url::Url;

use super::keys::SignatureError;
use super::signed_index::SignedIndexError;
use crate::assemble::apk::ApkError;
use crate::assemble::unpack;
use crate::fetch::FetchError;
use crate::source::solve::SolveError;

/// Alpine packages could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum ApkSourceError {
    /// The address of a repository is none.
    #[error("`{url}` is no address of a repository: {why}")]
    Address {
        /// The address.
        url: String,
        /// Why not.
        why: String,
    },
    /// A key cannot be read.
    #[error("the key {path} {why}")]
    Key {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No key is trusted.
    #[error("no key is trusted: there are none in `keys` and none in the base")]
    NoKeys,
    /// The base is not there.
    #[error("the base `{name}` is not locked")]
    NoBase {
        /// The source.
        name: String,
    },
    /// The base is no archive of a root file system.
    #[error("could not read the base `{name}`")]
    BaseArchive {
        /// The source.
        name: String,
        /// What is wrong.
        #[source]
        source: Box<unpack::UnpackError>,
    },
    /// The base is no archive at all.
    #[error("the base `{name}` is no archive")]
    NoArchive {
        /// The source.
        name: String,
    },
    /// Something in the base cannot be read.
    #[error("could not read {path} of the base `{name}`: {why}")]
    BaseFile {
        /// The source.
        name: String,
        /// The path in it.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// An index cannot be had.
    #[error("could not learn what a repository has")]
    Fetch {
        /// The address of its index.
        url: Box<Url>,
        /// What happened.
        #[source]
        source: Box<FetchError>,
    },
    /// An index is refused.
    #[error("refused the index {url}")]
    Index {
        /// Its address.
        url: Box<Url>,
        /// Why.
        #[source]
        source: SignedIndexError,
    },
    /// A package cannot be had.
    #[error("could not get the package {package}{}", because(why))]
    Package {
        /// Which one.
        package: String,
        /// Who needs it, from the package up to the recipe.
        why: Vec<String>,
        /// What happened.
        #[source]
        source: Box<FetchError>,
    },
    /// A package is not what the index says.
    #[error("refused the package {url}")]
    Refused {
        /// Its address.
        url: Box<Url>,
        /// Why.
        #[source]
        source: Box<ApkError>,
    },
    /// Nobody vouches for a package.
    #[error("refused the package {url}")]
    Signature {
        /// Its address.
        url: Box<Url>,
        /// Why.
        #[source]
        source: SignatureError,
    },
    /// A package is larger or smaller than the index says.
    #[error("the package {url} should have {expected} bytes, and has {found}")]
    Size {
        /// Its address.
        url: Box<Url>,
        /// What the index says.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A package in the recipe is written wrongly.
    #[error("cannot look for a package: {why}")]
    Request {
        /// What is wrong.
        why: String,
    },
    /// A package is both wanted and left out.
    #[error("the package `{name}` is listed under both `packages` and `without`")]
    Contradiction {
        /// Its name.
        name: String,
    },
    /// There is no such package.
    #[error("neither a repository nor the base has `{name}`")]
    NoPackage {
        /// The name.
        name: String,
        /// Packages with similar names.
        near: Vec<String>,
    },
    /// Nobody said which of the packages is meant that provide something.
    #[error(
        "{by} needs `{name}`, which is for you to choose: it is provided by {}",
        several(providers)
    )]
    Undecided {
        /// What is needed.
        name: String,
        /// The packages that provide it.
        providers: Vec<String>,
        /// Who needs it.
        by: String,
    },
    /// The packages cannot be chosen.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// An index is older than that of the lock.
    #[error("the index of {repository} is of {found}, and the lock was made by that of {locked}")]
    Older {
        /// The repository.
        repository: String,
        /// What its maker calls it.
        found: String,
        /// What the maker called the one that the lock was made by.
        locked: String,
    },
    /// A repository has only versions of a package that are older than that in the lock.
    #[error(
        "the lock has {package} {locked} of {repository}, and the newest that is there now is {found}"
    )]
    Withdrawn {
        /// The repository.
        repository: String,
        /// The package.
        package: String,
        /// The newest version.
        found: String,
        /// The version in the lock.
        locked: String,
    },
    /// Packages come along with others without end.
    #[error(
        "packages that come along on their own bring others along, {rounds} times over; the last are {}", last.join(", ")
    )]
    Along {
        /// How often more came.
        rounds: usize,
        /// Some of those that came last.
        last: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] lunikernel_cache::CacheError),
}

/// Who needs a package, for a message.
fn because(why: &[String]) -> String {
    let steps: Vec<String> = why
        .iter()
        .map(|step| format!("\n  needed by {step}"))
        .collect();
    steps.concat()
}

/// Whether two folders of the address in a row are called by the same architecture.
fn has_architecture_twice(url: &Url) -> bool {
    let parts: Vec<&str> = url.path_segments().into_iter().flatten().collect();
    parts
        .windows(2)
        .any(|pair| pair == ["x86_64", "x86_64"] || pair == ["aarch64", "aarch64"])
}

/// Some of them, for a message.
fn several(names: &[String]) -> String {
    match names.split_at_checked(20) {
        Some((some, rest)) if !rest.is_empty() => {
            format!("{} and {} more", some.join(", "), rest.len())
        }
        _ => names.join(", "),
    }
}

impl ApkSourceError {
    /// What could be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Fetch { source, .. } | Self::Package { source, .. } => match &**source {
                FetchError::NotFound { url } if has_architecture_twice(url) => {
                    "luni adds the architecture: write the address of the repository without it, \
                     as /etc/apk/repositories has it"
                }
                FetchError::NotFound { .. } => {
                    "repositories of Alpine keep only the newest of each package: lock against \
                         a repository of the same day as the packages, or a mirror that keeps all"
                }
                other => return other.hint(),
            },
            Self::Refused { source, .. } => return source.hint(),
            Self::BaseArchive { source, .. } => return source.hint(),
            Self::Cache(error) => return error.hint(),
            Self::Address { .. } => {
                "write the address up to the repository's name, as /etc/apk/repositories has it: \
                 `https://HOST/alpine/v3.20/main`"
            }
            Self::NoKeys => {
                "name a `base` whose etc/apk/keys has them, or put the distribution's key beside \
                 the recipe and name it in `keys`"
            }
            Self::Index {
                source: SignedIndexError::Signature(SignatureError::Untrusted { .. }),
                ..
            }
            | Self::Signature {
                source: SignatureError::Untrusted { .. },
                ..
            } => {
                "if that key is the distribution's, get it over a way that you trust, put it \
                 beside the recipe under that name, and name it in `keys`"
            }
            Self::Index {
                source: SignedIndexError::Signature(_),
                ..
            }
            | Self::Signature { .. } => {
                "do not trust what this repository serves; try another mirror of it"
            }
            Self::Size { .. } => "the repository may be in the middle of an update: try again",
            Self::Contradiction { .. } => "take it out of one of them",
            Self::NoPackage { near, .. } if !near.is_empty() => {
                return Some(format!("did you mean `{}`?", near.join("`, `")));
            }
            Self::NoPackage { .. } => "it may be in another repository: `community`, for example",
            Self::Solve(error) => {
                return Some(error.hint(
                    "name another version or repository, a base of the same release as the \
                     repositories, or take what is not needed as present with `without`",
                ));
            }
            Self::Undecided { .. } => {
                "name the one that you want in `packages`: none of them says by a version or a \
                 `provider_priority` that it may be taken unasked"
            }
            Self::NoArchive { .. } => {
                return Some(format!(
                    "expected {}, such as Alpine's minirootfs",
                    unpack::Format::ALL
                ));
            }
            Self::Older { .. } | Self::Withdrawn { .. } => {
                "a mirror that lags behind looks like this, and so does one that holds security \
                 updates back: try again or take another; if it is meant to go back, use \
                 `luni lock --allow-downgrade`"
            }
            Self::Along { .. } => "leave one of them out with `without`",
            Self::NoBase { .. } => "name a source of the recipe that is an archive",
            Self::Key { .. } => "keys of Alpine are PEM files named `NAME.rsa.pub`",
            Self::Request { .. } => {
                "write `name`, `name=1.2.3-r0`, `name>1`, `name<2` or `name~1.2`"
            }
            Self::Index { .. } | Self::BaseFile { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_that_is_there_twice_is_told() {
        let told = |url: &str| has_architecture_twice(&Url::parse(url).unwrap());
        assert!(told(
            "https://a.example/v3.20/main/x86_64/x86_64/APKINDEX.tar.gz"
        ));
        assert!(!told("https://a.example/v3.20/main/x86_64/APKINDEX.tar.gz"));
        assert!(!told("data:x"));
    }
}
