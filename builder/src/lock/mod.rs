//! Locks: every input of a recipe pinned to exact bytes.
//!
//! [`resolve`] makes a [`LockFile`] from a recipe. A recipe together with a lock that
//! fits it is a [`LockedRecipe`], and only that can be built.

mod changes;
mod error;
mod file;
mod flaws;
mod links;
mod locked;
mod resolve;
mod steps;
mod unseal;
mod wants;

pub use changes::{Change, changes};
pub use error::{LockError, SourceError, Stale};
pub use file::{LockFile, LockVersion, LockedApks, LockedDebs, LockedSource};
pub use links::LINKS;
pub(crate) use links::Links;
pub use locked::LockedRecipe;
pub use resolve::{Origins, Resolved, Update, preview, resolve};
pub use steps::LockedStep;
pub(crate) use steps::{asked, kept, named};
pub use unseal::unseal;
