//! What is verified, and what with.

use std::path::{Path, PathBuf};

use lunikernel_builder::lock::LockedRecipe;
use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::{Cache, Sha256};
use url::Url;

use crate::cli::Context;
use crate::cli::workshop::{self, RecipeArg};
use crate::exit::Exit;
use crate::failure::Failure;

/// The fewest digits by which a blob of the cache may be named.
const FEWEST_DIGITS: usize = 8;

/// What is verified.
#[derive(Debug)]
pub(super) struct Subject {
    recipe: RecipeArg,
    artefact: Option<Artefact>,
}

impl Subject {
    /// What `named` stands for: a file or folder, or else a digest in the cache.
    pub(super) fn find(named: &Path, cache: &Cache) -> Result<Self, Failure> {
        let recipe = RecipeArg {
            recipe: blob(named, cache)?.unwrap_or_else(|| named.to_owned()),
        };
        let artefact = recipe.artefact()?;
        Ok(Self { recipe, artefact })
    }

    /// The Lunikernel, where it is one.
    pub(super) fn artefact(&self) -> Option<&Artefact> {
        self.artefact.as_ref()
    }

    /// The recipe and its lock.
    pub(super) fn locked(&self, cache: &Cache) -> Result<LockedRecipe, Failure> {
        self.recipe.open(cache)
    }
}

/// The Lunikernel that `named` stands for: a file, an address, or a digest in the cache.
pub(super) fn artefact(named: &str, cache: &Cache, context: &Context) -> Result<Artefact, Failure> {
    if let Ok(url) = Url::parse(named)
        && matches!(url.scheme(), "file" | "http" | "https")
    {
        let fetcher = workshop::fetcher(context, cache)?;
        let digest = context
            .runtime()?
            .block_on(fetcher.fetch_unpinned(named, &url))?;
        return Ok(Artefact::open(&cache.blobs().path(&digest.sha256))?);
    }
    let path = Path::new(named);
    let found = blob(path, cache)?;
    Ok(Artefact::open(found.as_deref().unwrap_or(path))?)
}

/// The file of the blob that `named` names by its digest, unless there is a file or
/// folder of that name.
fn blob(named: &Path, cache: &Cache) -> Result<Option<PathBuf>, Failure> {
    let Some(digits) = named.to_str().filter(|_| !named.exists()) else {
        return Ok(None);
    };
    let digits = digits.strip_prefix("sha256:").unwrap_or(digits);
    let shape = (FEWEST_DIGITS..=64).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !shape {
        return Ok(None);
    }
    let digits = digits.to_ascii_lowercase();
    let found = cache.blobs().beginning_with(&digits)?;
    let blobs: Vec<Sha256> = found;
    match blobs.as_slice() {
        [one] => Ok(Some(cache.blobs().path(one))),
        [] => Err(Failure::new(
            Exit::BadInput,
            format!("nothing in the cache begins with {digits}, and there is no such file"),
        )
        .with_hint("list what is there with `luni cache ls`")),
        several => Err(Failure::new(
            Exit::BadInput,
            format!("{} blobs in the cache begin with {digits}", several.len()),
        )
        .with_hint("give more digits")),
    }
}
