//! `luni cache push`: bring what recipes are built from to a mirror.

use std::path::{Path, PathBuf};

use lunikernel_builder::lock::LockFile;
use lunikernel_builder::mirror;
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_cache::inventory::{Inventory, Kind};
use lunikernel_cache::{Cache, Digest, Upkeep};
use serde_json::json;
use url::Url;

use crate::cli::Context;
use crate::cli::context::mirror_or_folder;
use crate::cli::workshop::{self, RecipeArg, size};
use crate::exit::Exit;
use crate::failure::Failure;

/// Bring what recipes are built from to a mirror, so that it can always be had.
///
/// Inputs that are not in the cache are fetched first. What the mirror has already is
/// passed over. Mirrors that want to know who writes to them: LUNI_MIRROR_AUTH and, for
/// buckets, the variables that the tools of AWS and Google Cloud read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The mirror: a folder, file:///FOLDER, https://HOST/PATH (by PUT),
    /// s3://BUCKET/PREFIX or gs://BUCKET/PREFIX
    #[arg(value_name = "MIRROR", value_parser = mirror_or_folder)]
    to: Url,

    /// Recipes, or locks without them (FILE.lock), whose inputs are pushed [default: .]
    #[arg(value_name = "RECIPE|LOCK")]
    recipes: Vec<PathBuf>,

    /// Push every blob of the cache, whatever it is part of
    #[arg(long, conflicts_with = "recipes")]
    all: bool,

    /// Only say what would be pushed
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let cache = context.cache()?;
    let blobs = if args.all {
        everything(context)?
    } else if args.recipes.is_empty() {
        inputs_of(Path::new("."), context, &cache)?
    } else {
        let mut blobs = Vec::new();
        for recipe in &args.recipes {
            blobs.extend(inputs_of(recipe, context, &cache)?);
        }
        blobs
    };
    let fetcher = workshop::fetcher(context, &cache)?;
    let pushing = mirror::push(&fetcher, &args.to, &blobs, args.dry_run);
    let pushed = context.runtime()?.block_on(pushing)?;
    let verb = if args.dry_run {
        "would be pushed"
    } else {
        "pushed"
    };
    context.say(&format!(
        "{} {verb}, {}; {} there already",
        files(pushed.pushed),
        size(pushed.bytes),
        pushed.present
    ));
    if context.json() {
        let mut answer = json!(pushed);
        answer["dry_run"] = json!(args.dry_run);
        context.print_json(&answer)?;
    }
    Ok(Exit::Ok)
}

pub(super) fn files(count: usize) -> String {
    match count {
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    }
}

/// The inputs of a recipe, in the cache now; or those that a lock names.
fn inputs_of(named: &Path, context: &Context, cache: &Cache) -> Result<Vec<Digest>, Failure> {
    if named
        .extension()
        .is_some_and(|extension| extension == "lock")
    {
        let (lock, _) = LockFile::read(named)?;
        return Ok(mirror::inputs(&lock, cache.blobs())?);
    }
    let recipe = RecipeArg {
        recipe: named.to_owned(),
    };
    let locked = recipe.open(cache)?;
    let mut builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
    builder.network_steps = !recipe.is_packed();
    context.runtime()?.block_on(builder.fetch(&locked))?;
    Ok(mirror::inputs(locked.lock(), cache.blobs())?)
}

/// Every blob of the cache.
fn everything(context: &Context) -> Result<Vec<Digest>, Failure> {
    let upkeep = Upkeep::open(&context.cache_folder()?)?;
    let inventory = Inventory::take(&upkeep)?;
    let blobs = inventory.of(Kind::Blob).filter_map(|item| {
        Some(Digest {
            sha256: item.sha256?,
            size: item.bytes,
        })
    });
    Ok(blobs.collect())
}
