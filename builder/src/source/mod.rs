//! Where inputs come from: one file or folder per kind of source, each with what the
//! lock holds for it.

pub mod apk;
pub mod deb;
pub mod file;
pub mod git;
pub mod krate;
pub mod oci;
mod solve;
pub mod tcz;
pub mod url;

pub use solve::{Crowded, SolveError};
