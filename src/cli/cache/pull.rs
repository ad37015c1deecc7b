//! `luni cache pull`: get what recipes are built from out of one mirror.

use std::path::PathBuf;

use lunikernel_builder::fetch::{Fetcher, Want};
use lunikernel_builder::mirror;
use lunikernel_builder::sandbox::Surroundings;
use serde_json::json;
use url::Url;

use super::push::files;
use crate::cli::Context;
use crate::cli::context::mirror_or_folder;
use crate::cli::workshop::{self, RecipeArg};
use crate::exit::Exit;
use crate::failure::Failure;

/// Get what recipes are built from out of one mirror, and from nowhere else.
///
/// Shows that the mirror has all of it. A build needs no pull before it: with
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
    let cache = context.cache()?;
    let mut options = workshop::fetch_options(context)?;
    options.mirrors = vec![args.from.clone()];
    options.only_mirrors = true;
    let fetcher = Fetcher::new(cache.clone(), options, context.progress())?;
    let runtime = context.runtime()?;
    let (mut fetched, mut inputs) = (0, 0);
    if args.all {
        let found = runtime.block_on(mirror::list(&fetcher, &args.from))?;
        let wants: Vec<Want> = found
            .iter()
            .map(|digest| Want {
                name: digest.sha256.hex(),
                sha256: digest.sha256,
                size: Some(digest.size),
                places: Vec::new(),
            })
            .collect();
        inputs = wants.len();
        fetched = runtime.block_on(fetcher.fetch(&wants))?.fetched;
    } else {
        let here = [PathBuf::from(".")];
        let named = if args.recipes.is_empty() {
            &here[..]
        } else {
            &args.recipes
        };
        for recipe in named {
            let recipe = RecipeArg {
                recipe: recipe.clone(),
            };
            let locked = recipe.open(&cache)?;
            let mut builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
            builder.fetcher = fetcher.clone();
            fetched += runtime.block_on(builder.fetch(&locked))?;
            inputs += locked.inputs().count();
        }
    }
    context.say(&format!(
        "all {inputs} inputs are in the cache; {} pulled now",
        files(fetched)
    ));
    if context.json() {
        context.print_json(&json!({ "inputs": inputs, "fetched": fetched }))?;
    }
    Ok(Exit::Ok)
}
