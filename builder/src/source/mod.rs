//! Where inputs come from: one file per kind of source, each with what the lock holds
//! for it.

pub mod file;
pub mod git;
pub mod url;
