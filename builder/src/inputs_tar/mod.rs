//! Archives: a recipe, its lock and every input, in one file that builds it without a
//! network.
//!
//! ```text
//! recipe.yaml      the recipe, byte for byte
//! recipe.lock      its lock, byte for byte
//! sha256/HEX       everything that the lock names, sorted: packages, files, the files
//!                  and REAPI `Directory` messages of git trees and of the recipe's own
//!                  folders
//! ```
//!
//! It is a POSIX tar (ustar), so that any tool takes it apart, and what comes out is a
//! hashed mirror with a recipe beside it. There is one way to write each archive, and a
//! reader takes nothing else: each header must be byte for byte the one that the writer
//! makes of its name and size.

mod error;
mod header;
mod read;
#[cfg(test)]
mod tests;
mod unpack;
mod write;

pub use error::InputsTarError;
pub use read::{InputsTar, Span, index, is_inputs_tar};
pub use write::write;

/// The name of the recipe.
pub const RECIPE: &str = "recipe.yaml";
/// The name of the lock.
pub const LOCK: &str = "recipe.lock";
/// The folder of everything that is named by its SHA-256, as hashed mirrors have it.
pub const BLOBS: &str = "sha256";
/// Largest recipe or lock that is read, in bytes: that of [`crate::lock::LockFile`].
const MAX_TEXT: u64 = 16 << 20;
/// Most inputs that are read: as many as a tree can have files.
const MAX_BLOBS: usize = 4_000_000;
