//! `luni build`: make a Lunikernel.

use std::path::{Path, PathBuf};

use lunikernel_builder::build::{BuildError, Built};
use lunikernel_builder::lock::LockedRecipe;
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_cache::{Digest, Silent};
use serde_json::json;

use super::Context;
use super::output::{Output, lossy};
use super::reads::Reads;
use super::workshop::{self, NetworkSteps, RecipeArg, quoted, size};
use crate::exit::Exit;
use crate::failure::Failure;

/// Build a Lunikernel from a locked recipe.
///
/// Fetches what is missing, runs the recipe's steps in a sandbox, and writes
/// NAME.luni.zip. The same recipe and lock give the same bytes on every machine. On
/// standard output: the SHA-256 and the file, as sha256sum prints them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArg,

    #[command(flatten)]
    network: NetworkSteps,

    /// The file to write [default: NAME.luni.zip here]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let reads = Reads::default()
        .and_recipe(&args.recipe)
        .and_mirrors(context)?;
    let output =
        |path: &Path| Output::new(path, "name another file to write with `-o FILE`", &reads);
    let named = args.output.as_deref().map(output).transpose()?;
    let cache = context.cache()?;
    let given = given(args)?;
    let locked = args.recipe.open(&cache)?;
    let output = match named {
        Some(named) => named,
        None => output(Path::new(&Built::file_name(&locked)))?,
    };
    let path = output.path();
    let mut builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
    builder.network_steps = args.network.allowed(&args.recipe);
    let built = context
        .runtime()?
        .block_on(builder.build(&locked))
        .map_err(|error| explain(args, error))?;
    let made = [built.action, built.artefact];
    args.recipe.pin(
        &cache,
        locked.lock().kept(cache.blobs()).into_iter().chain(made),
    )?;
    output.copy_whole(&cache.blobs().path(&built.artefact.sha256))?;
    if context.json() {
        let mut answer = json!(built);
        answer["file"] = json!(lossy(path));
        if let Some(given) = given {
            answer["as_given"] = json!(given == built.artefact);
        }
        context.print_json(&answer)?;
    } else {
        context.print(&format!(
            "{}  {}\n",
            built.artefact.sha256.hex(),
            path.display()
        ))?;
    }
    context.say(&summary(args, &locked, &built, path, given));
    Ok(Exit::Ok)
}

/// The digest of the Lunikernel that is built again, where it is one.
fn given(args: &Args) -> Result<Option<Digest>, Failure> {
    let artefact = args.recipe.artefact()?;
    let checked = artefact
        .map(|artefact| artefact.check(&Silent))
        .transpose()?;
    Ok(checked.map(|checked| checked.digest))
}

/// A step that failed can be entered, by a command that only this verb knows whole.
fn explain(args: &Args, error: BuildError) -> Failure {
    let shell = match &error {
        BuildError::StepFailed { step, .. } => Some(format!(
            "look around where it failed with `{} shell {} {step}`",
            workshop::program(),
            quoted(&args.recipe.recipe)
        )),
        _ => None,
    };
    let failure = args.recipe.explain(error);
    match shell {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// What a person wants to know at the end.
fn summary(
    args: &Args,
    locked: &LockedRecipe,
    built: &Built,
    path: &Path,
    given: Option<Digest>,
) -> String {
    let recipe = locked.recipe();
    let took = built.took.as_secs_f64();
    let how = if built.cached {
        format!("nothing to do, built before; found in {took:.2} s")
    } else {
        format!("built in {took:.1} s")
    };
    let steps: Vec<String> = built
        .steps
        .iter()
        .map(|step| {
            let what = match (step.pinned, step.cached) {
                (true, _) => "locked",
                (false, true) => "cached",
                (false, false) => "ran",
            };
            format!("{} ({what})", step.name)
        })
        .collect();
    let file = quoted(path);
    let mut lines = vec![
        format!("{} {}: {how}", recipe.name, recipe.version),
        format!("  sha256  {}", built.artefact.sha256.hex()),
        format!("  file    {file}, {}", size(built.artefact.size)),
        match (built.inputs, built.fetched) {
            // Nobody has looked where they are.
            (inputs, _) if built.cached => format!("  inputs  {inputs}"),
            (inputs, 0) => format!("  inputs  {inputs}, all in the cache"),
            (inputs, fetched) => {
                let cached = inputs.saturating_sub(fetched);
                format!("  inputs  {inputs}: {fetched} fetched, {cached} in the cache")
            }
        },
    ];
    if let Some(given) = given {
        let from = quoted(&args.recipe.recipe);
        lines.push(match given == built.artefact {
            true => format!("  given   {from} has the same bytes"),
            false => format!(
                "  given   {from} has other bytes: {}; `{} diff {from} {file}` shows which",
                given.sha256.hex(),
                workshop::program()
            ),
        });
    }
    if !steps.is_empty() {
        lines.push(format!("  steps   {}", steps.join(", ")));
    }
    let net = recipe
        .tests
        .iter()
        .find_map(|test| test.http.as_ref())
        .map_or(String::new(), |http| format!(" --net {}", http.port));
    let tender = match &recipe.boot.tender {
        Some(_) => " --own-tender",
        None => "",
    };
    let luni = workshop::program();
    lines.push("next:".to_owned());
    lines.push(format!("  {luni} run {file}{net}{tender}"));
    lines.push(format!("  {luni} inspect {file}"));
    lines.push(format!(
        "  {}",
        args.recipe.command("verify-reproducibility")
    ));
    lines.join("\n")
}
