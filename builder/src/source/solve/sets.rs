//! Sets of packages, and single ones, as the solver keeps them.

use std::fmt::{self, Display};

use resolvo::SolvableId;
use resolvo::utils::VersionSet;

/// A set of versions of one package, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Members {
    pub(super) shown: String,
    /// In the order of the catalogue, which is that of their ids, too.
    pub(super) solvables: Vec<SolvableId>,
}

impl VersionSet for Members {
    type V = Record;
}

impl Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A version of a package.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Its number in the catalogue.
    pub(super) number: usize,
    pub(super) shown: String,
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
