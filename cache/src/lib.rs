//! Content-addressed storage, action cache and the Lunikernel zip format.
//!
//! The lowest layer: everything above names bytes by [`Digest`], keeps them in
//! a [`BlobStore`], remembers what was built from what in an [`ActionCache`],
//! and hands results around as a [`Rootfs`] (a file system's metadata with its
//! content in the store) or as REAPI directories.

pub mod action_cache;
pub mod artefact;
pub mod canonical;
pub mod checkout;
pub mod digest;
pub mod disk;
pub mod error;
pub mod gc;
pub mod inventory;
mod locks;
pub mod mask;
pub mod new_file;
pub mod pins;
pub mod progress;
pub mod read_at;
pub mod regular;
pub mod remove;
pub mod rootfs;
mod sha256;
pub mod store;
pub mod tree;
pub mod upkeep;
pub mod verify;

pub use action_cache::ActionCache;
pub use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
pub use digest::{Digest, Hasher, HashingReader, HashingWriter, Sha256};
pub use disk::{Cache, KeyLock, Scratch};
pub use error::CacheError;
pub use new_file::{Existing, NewFile};
pub use progress::{Progress, Silent, Task};
pub use read_at::ReadAt;
pub use rootfs::{Node, NodeKind, Rootfs, RootfsError};
pub use store::{BlobStore, BlobWriter, PrivateStore};
pub use tree::Tree;
pub use upkeep::{Exclusive, Upkeep, WhenBusy};
