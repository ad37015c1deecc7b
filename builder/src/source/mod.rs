//! Sources: turning what a recipe names into exact bytes.

pub mod deb;
