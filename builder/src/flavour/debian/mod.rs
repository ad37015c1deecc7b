//! The flavour `debian`: kernel, busybox and whatever else from Debian packages,
//! with a small init of our own.

pub mod guest;

use lunikernel_cache::{BlobStore, NodeKind, Rootfs};

use super::{FlavourError, Linux};
use crate::recipe::Recipe;

/// The flavour `debian`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Debian;

impl Linux for Debian {
    fn guest(&self, recipe: &Recipe, blobs: &BlobStore) -> Result<Rootfs, FlavourError> {
        let mut root = Rootfs::new();
        for file in guest::guest_files(recipe)? {
            if let NodeKind::File { .. } = file.node.kind {
                blobs.put(&file.content)?;
            }
            root.insert(&file.path, file.node)?;
        }
        Ok(root)
    }
}
