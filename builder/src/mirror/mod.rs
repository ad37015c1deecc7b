//! Hashed mirrors, written: `BASE/sha256/HEX` in a folder, on a web server that takes
//! PUT, or in a bucket of an object store. They are read by [`crate::fetch`].
//!
//! What a mirror has already is passed over, so that a push that was broken off goes on
//! where it ended. A name is only ever given to bytes that were hashed just before.

mod bucket;
mod error;
mod folder;
mod inputs;
mod push;
#[cfg(test)]
mod tests;
mod web;

pub use error::MirrorError;
pub use inputs::{inputs, present, with_own_files};
pub use push::{Pushed, lacking, list, push, there};
