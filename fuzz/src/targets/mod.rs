//! The targets, by what their parsers are about.

pub(crate) mod alpine;
pub(crate) mod apt;
pub(crate) mod attest;
pub(crate) mod compare;
pub(crate) mod deflate;
pub(crate) mod export;
pub(crate) mod recipe;
pub(crate) mod store;
pub(crate) mod unikernel;
pub(crate) mod unpack;
pub(crate) mod yocto;
