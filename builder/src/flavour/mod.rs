//! flavour.
