//! The flavour `debian`: kernel, busybox and whatever else from Debian packages,
//! with a small init of our own.

pub mod guest;
