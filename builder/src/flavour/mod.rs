//! Flavours: where kernel and root file system come from, how it boots, and how it
//! is overlaid. Each is one file (or folder) behind one of two small traits.

mod alpine;
pub mod debian;
mod mirage;
mod tinycore;
mod unikernel;
mod users;
mod yocto;

use lunikernel_cache::artefact::{Devices, Overlay, Protocol};
use lunikernel_cache::{BlobStore, CacheError, NodeKind, Rootfs, RootfsError};

use crate::recipe::{FlavourName, Recipe};
use crate::unikernel::KernelFlaw;
pub use debian::guest::GuestError;
use debian::guest::GuestFile;
pub(crate) use debian::guest::is_name as is_user_name;

/// A flavour: what differs from one to the next.
#[derive(Clone, Copy)]
pub enum Flavour {
    /// A Linux that runs from an initramfs.
    Linux(&'static dyn Linux),
    /// A single file that is booted as it is.
    Unikernel(&'static dyn Unikernel),
}

/// A Linux that runs from an initramfs: the kernel and its modules come from
/// `kernel.from`, the root file system from `rootfs.from` and what this adds; it boots
/// by Linux's own protocol and is overlaid by one more archive behind its initramfs.
pub trait Linux: Sync {
    /// The files that the flavour adds to the packages: init, users, services.
    ///
    /// # Errors
    /// [`FlavourError`] where the recipe asks for what cannot be written down safely.
    fn guest(&self, recipe: &Recipe, blobs: &BlobStore) -> Result<Rootfs, FlavourError>;

    /// Makes `root`, which has the packages and the kernel's modules, a whole system.
    /// Files of the flavour's own lie below what is there, unless it has a system that
    /// they are to change.
    ///
    /// # Errors
    /// As [`Linux::guest`], and where something is in the way.
    fn complete(
        &self,
        recipe: &Recipe,
        root: &mut Rootfs,
        blobs: &BlobStore,
    ) -> Result<(), FlavourError> {
        root.underlay(&self.guest(recipe, blobs)?)?;
        Ok(())
    }

    /// Whether the packages of its systems make users, so that services may run as one that
    /// the recipe does not have.
    fn makes_users(&self) -> bool {
        false
    }

    /// Whether its images come with a list of their packages, which a recipe may name
    /// in `rootfs.manifest`.
    fn lists_packages(&self) -> bool {
        false
    }
}

/// The flavour's own files as a root file system, their content in the store.
fn laid(files: Vec<GuestFile>, blobs: &BlobStore) -> Result<Rootfs, FlavourError> {
    let mut root = Rootfs::new();
    for file in files {
        if let NodeKind::File { .. } = file.node.kind {
            blobs.put(&file.content)?;
        }
        root.insert(&file.path, file.node)?;
    }
    Ok(root)
}

/// A single file, `kernel.from`, that is booted as it is.
pub trait Unikernel: Sync {
    /// Looks at the file, and says how it boots. Nothing in `kernel` is to be trusted.
    ///
    /// # Errors
    /// [`FlavourError`] where it is none that this flavour boots, or is damaged.
    fn look(&self, recipe: &Recipe, kernel: &[u8]) -> Result<Looked, FlavourError>;
}

/// What a unikernel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// How it is started.
    pub protocol: Protocol,
    /// The devices that it wants.
    pub devices: Devices,
    /// Whether and how files can be laid over it.
    pub overlay: Overlay,
    /// What whoever builds it should know.
    pub notes: Vec<String>,
}

/// The flavour of that name.
#[must_use]
pub fn of(name: FlavourName) -> Flavour {
    match name {
        FlavourName::Alpine => Flavour::Linux(&alpine::Alpine),
        FlavourName::Debian => Flavour::Linux(&debian::Debian),
        FlavourName::Tinycore => Flavour::Linux(&tinycore::Tinycore),
        FlavourName::Yocto => Flavour::Linux(&yocto::Yocto),
        FlavourName::Unikernel => Flavour::Unikernel(&unikernel::Unikernel),
        FlavourName::Mirage => Flavour::Unikernel(&mirage::Mirage),
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
    /// The root file system is not one of the system that the flavour is for.
    #[error("`rootfs.from` makes no {system}: there is no file `/{path}`")]
    NoSystem {
        /// The system.
        system: &'static str,
        /// What it would have.
        path: &'static str,
        /// What a recipe names to have it.
        example: &'static str,
    },
    /// What should be booted cannot be.
    #[error("`{from}` cannot be booted as the flavour `{}` boots", flavour.name())]
    Kernel {
        /// What `kernel.from` names.
        from: String,
        /// The flavour.
        flavour: FlavourName,
        /// Why.
        #[source]
        source: KernelFlaw,
    },
}

impl FlavourError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Cache(error) => error.hint(),
            Self::Rootfs(_) => None,
            Self::Guest(error) => error.hint(),
            Self::NoSystem { example, .. } => {
                Some(format!("name its release there first: `from: [{example}]`"))
            }
            Self::Kernel { source, .. } => source.hint(),
        }
    }

    /// A flaw of the file that `recipe` boots.
    fn of_kernel(recipe: &Recipe) -> impl FnOnce(KernelFlaw) -> Self {
        let (from, flavour) = (recipe.kernel.from.clone(), recipe.flavour);
        move |source| Self::Kernel {
            from,
            flavour,
            source,
        }
    }
}
