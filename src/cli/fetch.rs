//! `luni fetch`: get every input that a lock names.

use std::path::{Path, PathBuf};

use super::Context;
use super::output;
use super::workshop::{self, NetworkSteps, RecipeArg, counted, size};
use crate::exit::Exit;
use crate::failure::Failure;
use lunikernel_builder::lock::LockedRecipe;
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_builder::{inputs_tar, mirror};
use lunikernel_cache::{Cache, Digest, HashingWriter};
use serde_json::json;

/// Get every input that a lock names.
///
/// The build then needs no network. With --archive they are written to one file, together
/// with the recipe: `luni build FILE` builds from that alone, on any machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArg,

    #[command(flatten)]
    network: NetworkSteps,

    /// Write recipe, lock and all inputs to FILE, a tar; the same ones make the same bytes
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(path) = &args.archive {
        output::writable(path)?;
    }
    let cache = context.cache()?;
    let locked = args.recipe.open(&cache)?;
    let mut builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
    builder.network_steps = args.network.allowed(&args.recipe);
    let fetched = (context.runtime()?.block_on(builder.fetch(&locked)))
        .map_err(|error| args.recipe.explain(error))?;
    let inputs = locked.inputs().count();
    context.say(&format!(
        "in the cache: {}; {fetched} fetched now",
        counted(inputs)
    ));
    let mut answer = json!({ "inputs": inputs, "fetched": fetched });
    if let Some(path) = &args.archive {
        let written = write(path, &locked, &cache, context)?;
        answer["archive"] =
            json!({ "file": output::lossy(path), "sha256": written.sha256, "size": written.size });
        if !context.json() {
            context.print(&format!("{}  {}\n", written.sha256.hex(), path.display()))?;
        }
        context.say(&format!(
            "  archive  {}, {}",
            path.display(),
            size(written.size)
        ));
    }
    if context.json() {
        context.print_json(&answer)?;
    }
    Ok(Exit::Ok)
}

fn write(
    path: &Path,
    locked: &LockedRecipe,
    cache: &Cache,
    context: &Context,
) -> Result<Digest, Failure> {
    let blobs = mirror::with_own_files(locked.lock(), cache.blobs())?;
    let texts = (locked.recipe_text(), locked.lock_text());
    output::write_by(path, |out| {
        let mut out = HashingWriter::new(out);
        let progress = context.progress();
        inputs_tar::write(&mut out, path, texts, &blobs, cache.blobs(), &*progress)?;
        Ok::<_, Failure>(out.finish().1)
    })
}
