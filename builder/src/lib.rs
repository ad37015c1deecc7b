//! Recipes, locks, sources, hermetic builds and verification of Lunikernels.
//!
//! The modules follow the way of the data: a [`recipe`] is locked ([`lock`]) from
//! its [`source`]s, the locked inputs are fetched ([`fetch`]), a [`plan`] turns them
//! into actions, a [`sandbox`] runs those, [`assemble`] makes the artefact, and
//! [`verify`] does it all again to compare. An [`overlay`] changes what was made.

pub mod assemble;
pub mod attest;
pub mod boot;
pub mod build;
pub mod fetch;
pub mod flavour;
pub mod inputs_tar;
pub mod inspect;
pub mod lock;
pub mod mirror;
pub mod overlay;
pub mod plan;
pub mod recipe;
pub mod sandbox;
pub mod source;
pub mod unikernel;
pub mod verify;
