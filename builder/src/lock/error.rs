//! What can go wrong with a lock.

use std::path::PathBuf;

use lunikernel_cache::CacheError;
use lunikernel_cache::artefact::ArtefactError;

use crate::fetch::FetchError;
use crate::recipe::quoted;
use crate::source::apk::ApkSourceError;
use crate::source::deb::DebError;
use crate::source::file::FileError;
use crate::source::git::GitError;
use crate::source::krate::CrateError;
use crate::source::oci::OciError;
use crate::source::tcz::TczError;
use crate::source::url::UrlError;

/// An error of locking, or of a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is no lock.
    #[error("{} has no lock: expected {} beside it", recipe.display(), lock.display())]
    Absent {
        /// The recipe.
        recipe: PathBuf,
        /// Where its lock should be.
        lock: PathBuf,
    },
    /// The lockfile cannot be read.
    #[error("could not read the lockfile: {why}")]
    Syntax {
        /// What is wrong with it.
        why: String,
    },
    /// The lock was made for another state of the recipe.
    #[error("the lock of {} does not fit the recipe any more: {}", recipe.display(), list(reasons))]
    Stale {
        /// The recipe.
        recipe: PathBuf,
        /// What does not fit.
        reasons: Vec<Stale>,
    },
    /// A file could not be read or written.
    #[error("could not {attempted}")]
    Io {
        /// What was being done.
        attempted: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A step cannot be told from others.
    #[error("could not tell what step `{step}` is asked for")]
    Asked {
        /// The step.
        step: String,
        /// What cannot be written down.
        #[source]
        source: serde_json::Error,
    },
    /// Something to be updated is not in the lock.
    #[error("`{name}` is neither a source of the recipe nor a package or step in its lock")]
    NothingToUpdate {
        /// What was named.
        name: String,
    },
    /// A source could not be locked.
    #[error("could not lock source `{source_name}`")]
    Source {
        /// Which one.
        source_name: String,
        /// Why.
        #[source]
        source: Box<SourceError>,
    },
    /// The Lunikernel that the recipe should come from is more than its recipe makes.
    #[error("{artefact} cannot be built again: what was laid over it is not in its recipe")]
    Overlaid {
        /// The Lunikernel.
        artefact: String,
    },
    /// The list of links of the Lunikernel that the recipe should come from is wrong.
    #[error("the entry `files.links.json` of {artefact} is wrong: {flaw}")]
    Links {
        /// The Lunikernel.
        artefact: String,
        /// What is wrong with it.
        flaw: String,
    },
    /// The Lunikernel that the recipe should come from cannot be read.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Why a source could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Debian packages.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// Alpine packages.
    #[error(transparent)]
    Apk(#[from] ApkSourceError),
    /// A file from the web.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A git repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A crate.
    #[error(transparent)]
    Crate(#[from] CrateError),
    /// A container image.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// Extensions of TinyCore.
    #[error(transparent)]
    Tcz(#[from] TczError),
    /// A file beside the recipe.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something that had to be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// One way in which a lock does not fit its recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// The recipe has a source that the lock does not have.
    #[error("source `{0}` is not in it")]
    Missing(String),
    /// The lock has a source that the recipe does not have.
    #[error("it has a source `{0}` that the recipe does not have")]
    Extra(String),
    /// The recipe asks for something else than what was locked.
    #[error("the recipe's source `{0}` has changed since")]
    Changed(String),
    /// A file beside the recipe has other content than what was locked.
    #[error("{path} (source `{source_name}`) has changed since")]
    File {
        /// The source.
        source_name: String,
        /// The file or folder.
        path: String,
    },
    /// A step of the recipe uses the network, and the lock does not say what it makes.
    #[error("what step `{0}` makes, which uses the network, is not in it")]
    StepMissing(String),
    /// The lock has a step that the recipe does not have, or that uses no network.
    #[error("it has a step `{0}`, which is none that uses the network in the recipe")]
    StepExtra(String),
    /// A step or its inputs are not what they were when its outputs were pinned.
    #[error("step `{0}`, which uses the network, or an input of it has changed since")]
    StepChanged(String),
}

fn list(reasons: &[Stale]) -> String {
    let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    reasons.join("; ")
}

impl LockError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Absent { recipe, .. } | Self::Stale { recipe, .. } => {
                Some(format!("run `luni lock {}`", quoted(recipe)))
            }
            Self::Syntax { .. } => {
                Some("restore it from version control, or remove it and run `luni lock`".to_owned())
            }
            Self::NothingToUpdate { .. } => {
                Some("`luni lock --update` without a name updates everything".to_owned())
            }
            Self::Overlaid { artefact } => Some(format!(
                "build or verify its base, which `luni inspect {}` names, and lay the overlay over that again",
                quoted(std::path::Path::new(artefact))
            )),
            Self::Asked { .. } | Self::Io { .. } | Self::Links { .. } => None,
            Self::Source { source, .. } => source.hint(),
            Self::Artefact(error) => error.hint(),
            Self::Cache(error) => error.hint(),
        }
    }
}

impl SourceError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(FetchError::Offline(_))
            | Self::Url(UrlError::Fetch(FetchError::Offline(_))) => Some(
                "lock without `--offline`, or name a mirror on disk that has it with \
                 `--mirror file:///FOLDER`"
                    .to_owned(),
            ),
            Self::Deb(error) => error.hint(),
            Self::Apk(error) => error.hint(),
            Self::Url(error) => error.hint(),
            Self::Git(error) => error.hint(),
            Self::Crate(error) => error.hint(),
            Self::Oci(error) => error.hint(),
            Self::Tcz(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::Fetch(error) => error.hint(),
        }
    }
}
