//! Which sandboxes take turns in running the steps.

use lunikernel_builder::build::Builder;
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_cache::Cache;

use crate::cli::{Context, workshop};
use crate::failure::Failure;

/// What runs the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sandboxes {
    /// The one that is built in
    Native,
    /// Every one that this machine has, in turn
    Mix,
}

impl Sandboxes {
    /// Their names, in the order in which they take turns.
    pub(super) fn names(self, _context: &Context) -> Result<Vec<String>, Failure> {
        Ok(vec!["native".to_owned()])
    }

    /// A builder that uses the one whose turn it is.
    pub(super) fn builder(
        self,
        context: &Context,
        cache: Cache,
        surroundings: Surroundings,
        _turn: usize,
    ) -> Result<Builder, Failure> {
        workshop::builder(context, cache, surroundings)
    }
}
