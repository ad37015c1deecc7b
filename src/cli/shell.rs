//! `luni shell`: look around where a step runs.

use lunikernel_builder::sandbox::Surroundings;
use lunikernel_cache::Digest;

use super::Context;
use super::workshop::{self, NetworkSteps, RecipeArg};
use crate::exit::Exit;
use crate::failure::Failure;

/// Open a shell in the sandbox of a step.
///
/// After a step has failed it is the very state that the step left; otherwise it is the
/// state in which the step begins, for which what it needs is fetched. What is done there
/// changes no build. A step that uses the network has it there too, but not offline.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArg,

    #[command(flatten)]
    network: NetworkSteps,

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
    let mut builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
    builder.network_steps = args.network.allowed(&args.recipe);
    let mut sandbox = workshop::sandbox(&cache);
    if context.offline() || !builder.network_steps {
        sandbox = sandbox.without_network();
    }
    let runtime = context.runtime()?;
    let action = args.recipe.with(&cache, |recipe| {
        let last = recipe.recipe.steps.last();
        let name = args.step.clone().or_else(|| Some(last?.name.clone()));
        let name = name.ok_or_else(|| {
            Failure::new(
                Exit::BadInput,
                "the recipe has no steps, so there is no sandbox",
            )
        })?;
        let is_kept = |action: &Digest| sandbox.keeps(action);
        Ok(runtime.block_on(builder.enter(&recipe, &name, &is_kept))?)
    })?;
    let command = (!args.command.is_empty()).then(|| args.command.clone());
    let code = sandbox.shell(&action, command)?;
    if code == NOT_FOUND {
        context.say("exit code 127: no such program; a step has those of its `root` and no others");
    }
    Ok(Exit::Passed(u8::try_from(code).unwrap_or(1)))
}
