//! The flavour `debian`: kernel, busybox and whatever else from Debian packages,
//! with a small init of our own.

pub mod guest;

use lunikernel_cache::{BlobStore, Rootfs};

use super::{FlavourError, Linux};
use crate::recipe::Recipe;

/// The flavour `debian`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Debian;

impl Linux for Debian {
    fn guest(&self, recipe: &Recipe, blobs: &BlobStore) -> Result<Rootfs, FlavourError> {
        super::laid(guest::guest_files(recipe)?, blobs)
    }
}
