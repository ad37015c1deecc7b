//! What can go wrong when Debian packages are locked.

use std::path::PathBuf;

use lunikernel_cache::Digest;
use url::Url;

use super::packages::PackagesError;
use super::release::ReleaseError;
use crate::fetch::FetchError;
use crate::source::solve::SolveError;

/// Debian packages could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// A file of the package manager's configuration could not be read.
    #[error("could not read the package manager's configuration")]
    ReadFile(#[source] std::io::Error),
    /// apt's sources are not understood.
    #[error("could not understand the package sources in {}:{line}: {what}", path.display())]
    AptSources {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A keyring that apt's sources name is not there, or has no key.
    #[error("could not take a key from the keyring {}, which the package sources name", path.display())]
    NoKeyring {
        /// The file.
        path: PathBuf,
    },
    /// The machine is configured with no archive that could have the packages.
    #[error("the machine has no package source with the component {} for {arch}", components.join(" or "))]
    NoSources {
        /// The components that the recipe names.
        components: Vec<String>,
        /// The architecture, as Debian calls it.
        arch: &'static str,
    },
    /// No archive has the suite.
    #[error(
        "none of the machine's package archives has the release `{suite}`; tried {}",
        listed(tried)
    )]
    NoSuite {
        /// The suite that the recipe names.
        suite: String,
        /// What was asked for.
        tried: Vec<Url>,
    },
    /// No release has the component.
    #[error("the release `{suite}` has no component `{component}` for {arch}")]
    NoComponent {
        /// The suite that the recipe names.
        suite: String,
        /// The component.
        component: String,
        /// The architecture, as Debian calls it.
        arch: &'static str,
    },
    /// Something could not be fetched.
    #[error("could not learn what an archive has")]
    Fetch {
        /// Its address.
        url: Box<Url>,
        /// What happened.
        #[source]
        source: Box<FetchError>,
    },
    /// A release file was refused.
    #[error("refused the release file {url}")]
    Release {
        /// Its address.
        url: Box<Url>,
        /// Why.
        #[source]
        source: ReleaseError,
    },
    /// A release file is of another suite than was asked for.
    #[error("{url} should be of the release `{suite}`, and is of `{found}`")]
    WrongSuite {
        /// Its address.
        url: Box<Url>,
        /// The suite that was asked for.
        suite: String,
        /// What it says it is.
        found: String,
    },
    /// A release file is too old to be used.
    #[error("{url} was valid until {valid_until}, and it is {now}")]
    Expired {
        /// Its address.
        url: Box<Url>,
        /// Its last moment.
        valid_until: String,
        /// The present.
        now: String,
    },
    /// A release file is older than that of the lock.
    #[error("the release file in {url} is of {date}, and the lock was made by one of {locked}")]
    Older {
        /// The suite's folder.
        url: Box<Url>,
        /// Its date.
        date: String,
        /// The date of the one that the lock was made by.
        locked: String,
    },
    /// A release that the lock was made by is not there any more.
    #[error(
        "the lock was made by the release `{suite}` of the archive `{archive}`, which none of the machine's package archives has now"
    )]
    Gone {
        /// The suite.
        suite: String,
        /// The archive's name.
        archive: String,
    },
    /// A list of packages is not what the release file says.
    #[error("{url} should be {expected}, and is {found}")]
    Mismatch {
        /// Its address.
        url: Box<Url>,
        /// What the release file says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A list of packages was refused.
    #[error("refused the list of packages {url}")]
    Packages {
        /// Its address.
        url: Box<Url>,
        /// Why.
        #[source]
        source: PackagesError,
    },
    /// A package in the recipe is written wrongly.
    #[error("`{text}` is no package: expected `name` or `name=version`")]
    Request {
        /// What the recipe says.
        text: String,
    },
    /// A package is both wanted and left out.
    #[error("the package `{name}` is listed under both `packages` and `without`")]
    Contradiction {
        /// Its name.
        name: String,
    },
    /// There is no such package.
    #[error("there is no package `{name}` in the release `{suite}`")]
    NoPackage {
        /// The name.
        name: String,
        /// The suite that the recipe names.
        suite: String,
        /// Packages with similar names.
        near: Vec<String>,
    },
    /// The name stands for several packages.
    #[error("`{name}` is a virtual package, provided by {}", providers.join(", "))]
    Virtual {
        /// The name.
        name: String,
        /// The packages that provide it.
        providers: Vec<String>,
    },
    /// The package has no such version.
    #[error("there is no version {version} of the package `{name}`; there is {}", found.join(", "))]
    NoVersion {
        /// The package.
        name: String,
        /// The version that the recipe names.
        version: String,
        /// The versions there are, newest first.
        found: Vec<String>,
    },
    /// The packages cannot be chosen.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// The work was not done to its end.
    #[error("reading the lists of packages was interrupted")]
    Interrupted,
}

fn listed(urls: &[Url]) -> String {
    if urls.is_empty() {
        return "nothing".to_owned();
    }
    urls.iter().map(Url::as_str).collect::<Vec<_>>().join(", ")
}

impl DebError {
    /// What could be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Fetch { source, .. } => return source.hint(),
            Self::AptSources { .. } => "`apt-get update` says whether apt understands them".to_owned(),
            Self::NoKeyring { .. } => {
                "install the package that holds it, or mend `Signed-By` in the package sources".to_owned()
            }
            Self::NoSources { .. } => {
                "add an archive of the distribution to /etc/apt/sources.list.d".to_owned()
            }
            Self::NoSuite { suite, .. } => format!(
                "check the spelling of `suite: {suite}`, or add an archive that has it to /etc/apt/sources.list.d"
            ),
            Self::NoComponent { .. } => "correct `components` in the recipe".to_owned(),
            Self::Release {
                source: ReleaseError::Unsigned { .. },
                ..
            } => "if this is the distribution's own archive, install its archive keyring package, which has \
                 the keys; else do not trust what this mirror says"
                .to_owned(),
            Self::Expired { .. } => {
                "if the archive is meant to be an old one, use `luni lock --allow-expired`".to_owned()
            }
            Self::Older { .. } | Self::Gone { .. } => {
                "a mirror that lags behind looks like this, and so does one that holds security updates \
                 back: try again or take another; if it is meant to go back, use `luni lock --allow-downgrade`"
                    .to_owned()
            }
            Self::Mismatch { .. } => "the mirror may be in the middle of an update: try again".to_owned(),
            Self::Contradiction { name } => format!("remove `{name}` from one of them"),
            Self::NoPackage { near, .. } if !near.is_empty() => {
                format!("did you mean {}?", near.join(", "))
            }
            Self::NoPackage { .. } => "it may be in another component; see `components`".to_owned(),
            Self::Virtual { providers, .. } => match providers.first() {
                Some(first) => format!("name the one that is wanted: `{first}`, for example"),
                None => return None,
            },
            Self::NoVersion { name, .. } => format!("write `{name}` for the newest version"),
            Self::Solve(error) => error.hint(
                "name another package or version, or take what is not needed as present with `without`",
            ),
            Self::ReadFile(_)
            | Self::Release { .. }
            | Self::WrongSuite { .. }
            | Self::Packages { .. }
            | Self::Request { .. }
            | Self::Interrupted => return None,
        };
        Some(hint)
    }
}
