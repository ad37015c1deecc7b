//! verify.

pub mod compare;
