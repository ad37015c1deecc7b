//! `luni fetch`: get every input that a lock names.

use std::path::PathBuf;

use super::Context;
use super::output::{Output, lossy};
use super::reads::Reads;
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
    let archive = match &args.archive {
        Some(path) => {
            let reads = Reads::default().and_recipe(&args.recipe);
            let reads = reads.and_mirrors(context)?;
            Some(Output::new(
                path,
                "name another file to write with `--archive FILE`",
                &reads,
            )?)
        }
        None => None,
    };
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
    if let Some(archive) = &archive {
        let written = write(archive, &locked, &cache, context)?;
        let path = archive.path();
        answer["archive"] =
            json!({ "file": lossy(path), "sha256": written.sha256, "size": written.size });
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
    archive: &Output,
    locked: &LockedRecipe,
    cache: &Cache,
    context: &Context,
) -> Result<Digest, Failure> {
    let blobs = mirror::with_own_files(locked.lock(), cache.blobs())?;
    let texts = (locked.recipe_text(), locked.lock_text());
    archive.write_by(|out| {
        let mut out = HashingWriter::new(out);
        let progress = context.progress();
        inputs_tar::write(
            &mut out,
            archive.path(),
            texts,
            &blobs,
            cache.blobs(),
            &*progress,
        )?;
        Ok::<_, Failure>(out.finish().1)
    })
}
