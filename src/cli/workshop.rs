//! What the verbs that build have in common: where the recipe is, and what builds it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lunikernel_builder::build::Builder;
use lunikernel_builder::fetch::{FetchOptions, Fetcher};
use lunikernel_builder::lock::LockedRecipe;
use lunikernel_builder::recipe::{ReadRecipe, Recipe};
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_builder::sandbox::native::Native;
use lunikernel_cache::Cache;

use super::Context;
use crate::failure::Failure;

/// Which recipe.
#[derive(Debug, clap::Args)]
pub(crate) struct RecipeArg {
    /// The recipe: a file, or a folder with a recipe.yaml in it
    #[arg(default_value = ".")]
    pub(crate) recipe: PathBuf,
}

impl RecipeArg {
    /// The recipe's file.
    pub(crate) fn path(&self) -> PathBuf {
        if self.is_here() {
            PathBuf::from("recipe.yaml")
        } else if self.recipe.is_dir() {
            self.recipe.join("recipe.yaml")
        } else {
            self.recipe.clone()
        }
    }

    /// `command` for this recipe, as a person would type it.
    pub(crate) fn command(&self, command: &str) -> String {
        if self.is_here() {
            command.to_owned()
        } else {
            format!("{command} {}", quoted(&self.recipe))
        }
    }

    fn is_here(&self) -> bool {
        self.recipe == Path::new(".")
    }

    /// Reads and checks the recipe.
    pub(crate) fn read(&self) -> Result<ReadRecipe, Failure> {
        Ok(Recipe::read(&self.path())?)
    }

    /// Reads the recipe and its lock.
    pub(crate) fn open(&self, cache: &Cache) -> Result<LockedRecipe, Failure> {
        Ok(LockedRecipe::open(self.read()?, cache)?)
    }
}

/// Fetches into `cache`, as the command line says.
pub(crate) fn fetcher(context: &Context, cache: &Cache) -> Result<Fetcher, Failure> {
    let options = FetchOptions {
        mirrors: context.mirrors()?,
        offline: context.offline(),
        ..FetchOptions::default()
    };
    Ok(Fetcher::new(cache.clone(), options, context.progress())?)
}

/// Runs steps in `cache`. The sandbox starts this very program again inside.
pub(crate) fn sandbox(cache: &Cache) -> Native {
    Native::new(cache.clone(), Path::new("/proc/self/exe").to_owned())
}

/// Builds in `cache`, as the command line says.
pub(crate) fn builder(
    context: &Context,
    cache: Cache,
    surroundings: Surroundings,
) -> Result<Builder, Failure> {
    Ok(Builder {
        fetcher: fetcher(context, &cache)?,
        sandbox: Arc::new(sandbox(&cache)),
        progress: context.progress(),
        snapshots: std::env::var("LUNI_SNAPSHOT_URL").ok(),
        threads: context.jobs().get(),
        surroundings,
        cache,
    })
}

/// `text` as an argument that a shell takes as it is.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A size for people, in the decimal units that disks and networks are sold in.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
