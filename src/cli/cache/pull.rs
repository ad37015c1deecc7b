//! `luni cache pull`: get what recipes are built from out of one mirror.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lunikernel_builder::fetch::{Fetcher, Want};
use lunikernel_builder::mirror;
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_cache::Digest;
use serde_json::json;
use url::Url;

use super::push::files;
use crate::cli::Context;
use crate::cli::context::mirror_or_folder;
use crate::cli::workshop::{self, RecipeArg, counted, quoted};
use crate::exit::Exit;
use crate::failure::Failure;

/// Get what recipes are built from out of one mirror, and from nowhere else.
///
/// Shows that the mirror has all of it, by asking for each file that is in the cache
/// already too. A build needs no pull before it: with
/// `--mirror URL` it asks mirrors first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The mirror: a folder, an archive, file:///FOLDER, https://HOST/PATH,
    /// s3://BUCKET/PREFIX or gs://BUCKET/PREFIX
    #[arg(value_name = "MIRROR", value_parser = mirror_or_folder)]
    from: Url,

    /// The recipes whose inputs are wanted [default: .]
    #[arg(value_name = "RECIPE")]
    recipes: Vec<PathBuf>,

    /// Get everything that the mirror has; web servers do not say what that is
    #[arg(long, conflicts_with = "recipes")]
    all: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    mirror::there(&args.from)?;
    let cache = context.cache()?;
    let mut options = workshop::fetch_options(context)?;
    options.mirrors = vec![args.from.clone()];
    options.only_mirrors = true;
    let fetcher = Fetcher::new(cache.clone(), options, context.progress())?;
    let runtime = context.runtime()?;
    let (fetched, mut inputs): (usize, Vec<Digest>);
    if args.all {
        inputs = runtime.block_on(mirror::list(&fetcher, &args.from))?;
        let wants: Vec<Want> = inputs
            .iter()
            .map(|digest| Want {
                name: digest.sha256.hex(),
                sha256: digest.sha256,
                size: Some(digest.size),
                places: Vec::new(),
            })
            .collect();
        fetched = runtime.block_on(fetcher.fetch(&wants))?.fetched;
    } else {
        let here = [PathBuf::from(".")];
        let named = if args.recipes.is_empty() {
            &here[..]
        } else {
            &args.recipes
        };
        inputs = Vec::new();
        let mut recipes = Vec::new();
        for recipe in named {
            let recipe = RecipeArg {
                recipe: recipe.clone(),
            };
            recipes.push(recipe.open(&cache)?);
        }
        let mut before = BTreeSet::new();
        for locked in &recipes {
            before.extend(mirror::present(locked.lock(), cache.blobs()));
        }
        for locked in &recipes {
            let mut builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
            builder.fetcher = fetcher.clone();
            runtime.block_on(builder.fetch(locked))?;
            inputs.extend(mirror::inputs(locked.lock(), cache.blobs())?);
        }
        inputs.sort_unstable();
        inputs.dedup();
        let new = inputs.iter().filter(|input| !before.contains(input));
        fetched = new.count();
        // What came out of the cache, the mirror need not have.
        let lacking = runtime.block_on(mirror::lacking(&fetcher, &args.from, &inputs))?;
        if !lacking.is_empty() {
            return Err(lacks(args, &lacking, &inputs));
        }
    }
    let present = inputs.len().saturating_sub(fetched);
    context.say(&format!(
        "the mirror has all {}: {} pulled, {present} in the cache already",
        counted(inputs.len()),
        files(fetched)
    ));
    if context.json() {
        context.print_json(
            &json!({ "inputs": inputs.len(), "fetched": fetched, "present": present }),
        )?;
    }
    Ok(Exit::Ok)
}

/// How many of them an error names.
const NAMED: usize = 10;

fn lacks(args: &Args, lacking: &[Digest], inputs: &[Digest]) -> Failure {
    let mut message = format!(
        "the mirror lacks {} of {}, which the cache has:",
        lacking.len(),
        counted(inputs.len())
    );
    for digest in lacking.iter().take(NAMED) {
        message += &format!("\n  {}", digest.sha256);
    }
    if lacking.len() > NAMED {
        message += &format!("\n  and {} more", lacking.len() - NAMED);
    }
    let recipes: String = args
        .recipes
        .iter()
        .map(|recipe| format!(" {}", quoted(recipe)))
        .collect();
    Failure::new(Exit::Unavailable, message).with_hint(format!(
        "bring them there with `luni cache push MIRROR{recipes}`"
    ))
}
