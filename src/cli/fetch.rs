//! `luni fetch`: get every input that a lock names.

use super::Context;
use super::workshop::{self, RecipeArg};
use crate::exit::Exit;
use crate::failure::Failure;
use lunikernel_builder::sandbox::Surroundings;
use serde_json::json;

/// Get every input that a lock names.
///
/// The build then needs no network.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArg,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let cache = context.cache()?;
    let locked = args.recipe.open(&cache)?;
    let builder = workshop::builder(context, cache, Surroundings::default())?;
    let fetched = context.runtime()?.block_on(builder.fetch(&locked))?;
    let inputs = locked.inputs().count();
    context.say(&format!(
        "all {inputs} inputs are in the cache; {fetched} fetched now"
    ));
    if context.json() {
        context.print_json(&json!({ "inputs": inputs, "fetched": fetched }))?;
    }
    Ok(Exit::Ok)
}
