//! Whether the native sandbox can be set up on this machine.

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_builder::plan::{Invocation, Platform};
use lunikernel_builder::sandbox::{Failure as StepFailure, Sandbox as _, Surroundings, Unable};
use lunikernel_cache::Tree;

use super::super::{Context, workshop};
use crate::exit::Exit;
use crate::failure::Failure;

/// A program that is in no root.
const NO_PROGRAM: &str = "/nothing";

/// Sets up a sandbox for a command that is not there: getting as far as not finding it
/// means that all the rest works.
pub(crate) fn native(context: &Context) -> Result<(), Failure> {
    among(context, &Surroundings::default()).map(drop)
}

/// The same among `surroundings`; returns what of them it did not have.
pub(crate) fn among(
    context: &Context,
    surroundings: &Surroundings,
) -> Result<Vec<Unable>, Failure> {
    let nothing = Invocation {
        arguments: vec![NO_PROGRAM.to_owned()],
        environment: BTreeMap::new(),
        working_directory: "build".to_owned(),
        outputs: BTreeSet::new(),
        platform: Platform::default(),
        timeout_seconds: 60,
        input_root: Tree::new(),
    };
    let cache = context.cache()?;
    let action = nothing.encode();
    action.store(cache.blobs())?;
    let outcome = workshop::sandbox(&cache).run(&action.digest, surroundings)?;
    if let Some(kept) = outcome.kept {
        // It failed, as it had to; there is nothing in it to look at.
        let _ = lunikernel_cache::remove::remove_tree(&kept);
    }
    match outcome.failure {
        Some(StepFailure::CannotStart { program, .. }) if program == NO_PROGRAM => {
            Ok(outcome.unable)
        }
        other => Err(Failure::new(
            Exit::Failed,
            format!("a command that is not there ended with {other:?}"),
        )),
    }
}
