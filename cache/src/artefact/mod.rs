//! The Lunikernel zip.
