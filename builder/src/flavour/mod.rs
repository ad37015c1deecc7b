//! Flavours: where kernel and root file system come from, how it boots, and how it
//! is overlaid. Each is one file (or folder) behind one small trait.

mod alpine;
pub mod debian;

use lunikernel_cache::artefact::{Overlay, Protocol};
use lunikernel_cache::{BlobStore, CacheError, Rootfs, RootfsError};

use crate::recipe::{FlavourName, Recipe};
pub use debian::guest::GuestError;

/// What differs from one flavour to the next.
pub trait Flavour: Sync {
    /// What it is called in recipes and manifests.
    fn name(&self) -> &'static str;

    /// How the kernel is started.
    fn protocol(&self) -> Protocol;

    /// Whether and how files can be laid over an artefact.
    fn overlay(&self) -> Overlay;

    /// The files that the flavour adds to the packages: init, users, services.
    ///
    /// # Errors
    /// [`FlavourError`] where the recipe asks for what cannot be written down safely.
    fn guest(&self, recipe: &Recipe, blobs: &BlobStore) -> Result<Rootfs, FlavourError>;

    /// Changes what packages brought such that it fits the recipe, once those files are
    /// below them: for flavours whose packages bring an init and users of their own.
    ///
    /// # Errors
    /// As [`Flavour::guest`].
    fn adapt(
        &self,
        _recipe: &Recipe,
        _root: &mut Rootfs,
        _blobs: &BlobStore,
    ) -> Result<(), FlavourError> {
        Ok(())
    }
}

/// The flavour of that name.
#[must_use]
pub fn of(name: FlavourName) -> &'static dyn Flavour {
    match name {
        FlavourName::Alpine => &alpine::Alpine,
        FlavourName::Debian => &debian::Debian,
    }
}

/// A flavour could not make its part.
#[derive(Debug, thiserror::Error)]
pub enum FlavourError {
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A path is none, or stands in another's way.
    #[error("could not add the flavour's files")]
    Rootfs(#[from] RootfsError),
    /// The recipe asks for what a guest cannot have.
    #[error(transparent)]
    Guest(#[from] GuestError),
}

impl FlavourError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::Rootfs(_) => None,
            Self::Guest(error) => error.hint(),
        }
    }
}
