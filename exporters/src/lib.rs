//! Exporters from a Lunikernel to the disk formats of clouds and hypervisors.
//!
//! Each will be a pure function from (artefact, options) to bytes. There is none yet.
