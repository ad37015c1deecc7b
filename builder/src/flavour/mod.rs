//! Flavours: where kernel and root file system come from, and how they boot.

pub mod debian;
