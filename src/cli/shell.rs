//! `luni shell`: look around where a step runs.

use lunikernel_builder::sandbox::Surroundings;

use super::Context;
use super::workshop::{self, RecipeArg};
use crate::exit::Exit;
use crate::failure::Failure;

/// Open a shell in the sandbox of a step.
///
/// After a step has failed it is the very state that the step left; otherwise it is the
/// state in which the step begins. What is done there changes no build.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArg,

    /// The step [default: the last one of the recipe]
    step: Option<String>,

    /// A command to run instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What shells end with where a program cannot be found.
const NOT_FOUND: i32 = 127;

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let cache = context.cache()?;
    let locked = args.recipe.open(&cache)?;
    let name = args
        .step
        .clone()
        .or_else(|| locked.recipe().steps.last().map(|step| step.name.clone()))
        .ok_or_else(|| {
            Failure::new(
                Exit::BadInput,
                "the recipe has no steps, so there is no sandbox",
            )
        })?;
    let builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
    let action = context.runtime()?.block_on(async {
        builder.fetch(&locked).await?;
        tokio::task::block_in_place(|| builder.prepare_step(&locked, &name))
    })?;
    let command = (!args.command.is_empty()).then(|| args.command.clone());
    let code = workshop::sandbox(&cache).shell(&action, command)?;
    if code == NOT_FOUND {
        context.say("exit code 127: no such program; a step has those of its `root` and no others");
    }
    Ok(Exit::Passed(u8::try_from(code).unwrap_or(1)))
}
