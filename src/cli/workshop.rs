//! What the verbs that build have in common: where the recipe is, and what builds it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err::File;
use lunikernel_builder::build::Builder;
use lunikernel_builder::fetch::{FetchOptions, Fetcher};
use lunikernel_builder::lock::{LockedRecipe, unseal};
use lunikernel_builder::recipe::{ReadRecipe, Recipe};
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_builder::sandbox::native::Native;
use lunikernel_cache::Cache;
use lunikernel_cache::artefact::Artefact;

use super::Context;
use crate::failure::Failure;

/// Which recipe.
#[derive(Debug, clap::Args)]
pub(crate) struct RecipeArg {
    /// The recipe: a file, or a folder with a recipe.yaml in it; where a lock is needed
    /// also a Lunikernel, which carries both
    #[arg(default_value = ".")]
    pub(crate) recipe: PathBuf,
}

impl RecipeArg {
    /// The recipe's file.
    pub(crate) fn path(&self) -> PathBuf {
        if self.recipe.is_dir() {
            self.recipe.join("recipe.yaml")
        } else {
            self.recipe.clone()
        }
    }

    /// Reads and checks the recipe.
    pub(crate) fn read(&self) -> Result<ReadRecipe, Failure> {
        Ok(Recipe::read(&self.path())?)
    }

    /// Reads the recipe and its lock.
    pub(crate) fn open(&self, cache: &Cache) -> Result<LockedRecipe, Failure> {
        let Some(artefact) = self.artefact()? else {
            return Ok(LockedRecipe::open(self.read()?, cache)?);
        };
        let folder = cache.scratch()?;
        let recipe = Recipe::read(&unseal(&artefact, folder.path())?)?;
        Ok(LockedRecipe::open(recipe, cache)?)
    }

    /// The Lunikernel, where it is one that was named and not a recipe.
    pub(crate) fn artefact(&self) -> Result<Option<Artefact>, Failure> {
        let mut head = [0; 4];
        let is_zip = File::open(self.path())
            .and_then(|mut file| file.read_exact(&mut head))
            .is_ok()
            && head == *b"PK\x03\x04";
        Ok(is_zip.then(|| Artefact::open(&self.path())).transpose()?)
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
