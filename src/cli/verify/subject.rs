//! What is verified, and what with.

use std::path::{Path, PathBuf};

use lunikernel_builder::fetch::shown;
use lunikernel_builder::lock::LockedRecipe;
use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::{Cache, Sha256, Silent};
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
    /// What `named` stands for: a file or folder, the address of a Lunikernel, or else a
    /// digest in the cache.
    pub(super) fn find(named: &Path, context: &Context, cache: &Cache) -> Result<Self, Failure> {
        if address(named).is_some() {
            let recipe = find(named, context)?.path;
            return Ok(Self {
                recipe: RecipeArg { recipe },
                artefact: Some(artefact(named, context)?),
            });
        }
        let blob = blob(named, cache)?;
        let recipe = RecipeArg {
            recipe: match &blob {
                Some(digest) => cache.blobs().path(digest),
                None => named.to_owned(),
            },
        };
        let artefact = recipe.artefact()?;
        if let (Some(digest), Some(artefact)) = (blob, &artefact) {
            undamaged(artefact, &digest)?;
        }
        Ok(Self { recipe, artefact })
    }

    /// The Lunikernel, where it is one.
    pub(super) fn artefact(&self) -> Option<&Artefact> {
        self.artefact.as_ref()
    }

    /// The recipe, as it was named.
    pub(super) fn recipe(&self) -> &RecipeArg {
        &self.recipe
    }

    /// The recipe and its lock.
    pub(super) fn locked(&self, cache: &Cache) -> Result<LockedRecipe, Failure> {
        self.recipe.open(cache)
    }
}

/// The Lunikernel that `named` stands for: a file, an address, or a digest in the cache.
pub(in crate::cli) fn artefact(named: &Path, context: &Context) -> Result<Artefact, Failure> {
    let Named { path, digest } = find(named, context)?;
    let artefact = match address(named) {
        None => Artefact::open(&path)?,
        Some(url) => Artefact::open(&path).map_err(|error| {
            let message = format!("what is at {} is no Lunikernel", shown(&url));
            let hint = "see what is there: it may be a page of a server that wants you to log in";
            Failure::new(Exit::BadInput, message)
                .caused_by(&error)
                .with_hint(hint)
        })?,
    };
    if let Some(digest) = digest {
        undamaged(&artefact, &digest)?;
    }
    Ok(artefact)
}

/// The address that `named` is, where it is one.
pub(in crate::cli) fn address(named: &Path) -> Option<Url> {
    let url = Url::parse(named.to_str()?).ok()?;
    matches!(url.scheme(), "file" | "http" | "https").then_some(url)
}

/// What a Lunikernel, or another file, was named by.
#[derive(Debug)]
pub(in crate::cli) struct Named {
    /// Where it is.
    pub(in crate::cli) path: PathBuf,
    /// Its digest, where that is its name in the cache.
    pub(in crate::cli) digest: Option<Sha256>,
}

/// Where the file is that `named` stands for. The cache is opened only where it is asked.
pub(in crate::cli) fn find(named: &Path, context: &Context) -> Result<Named, Failure> {
    if let Some(url) = address(named) {
        let cache = context.cache()?;
        let fetcher = workshop::fetcher(context, &cache)?;
        let fetched = context
            .runtime()?
            .block_on(fetcher.fetch_unpinned(&shown(&url), &url))?;
        return Ok(Named {
            path: cache.blobs().path(&fetched.sha256),
            digest: None,
        });
    }
    if digits(named).is_some() {
        let cache = context.cache()?;
        if let Some(digest) = blob(named, &cache)? {
            return Ok(Named {
                path: cache.blobs().path(&digest),
                digest: Some(digest),
            });
        }
    }
    Ok(Named {
        path: named.to_owned(),
        digest: None,
    })
}

/// Whether a Lunikernel of the cache still is what its name there says.
fn undamaged(artefact: &Artefact, expected: &Sha256) -> Result<(), Failure> {
    let actual = artefact.check(&Silent)?.digest.sha256;
    if actual == *expected {
        return Ok(());
    }
    let message = format!("the blob {expected} of the cache has the digest {actual}");
    Err(Failure::new(Exit::BadInput, message)
        .with_hint("find and remove what is damaged with `luni cache verify`"))
}

/// The digits of `named`, where it has the shape of a digest and there is no file or
/// folder of that name.
fn digits(named: &Path) -> Option<String> {
    let digits = named.to_str().filter(|_| !named.exists())?;
    let digits = digits.strip_prefix("sha256:").unwrap_or(digits);
    let shape = (FEWEST_DIGITS..=64).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    shape.then(|| digits.to_ascii_lowercase())
}

/// The blob that `named` names by its digest, unless there is a file or folder of that
/// name.
fn blob(named: &Path, cache: &Cache) -> Result<Option<Sha256>, Failure> {
    let Some(digits) = digits(named) else {
        return Ok(None);
    };
    let found = cache.blobs().beginning_with(&digits)?;
    let blobs: Vec<Sha256> = found;
    match blobs.as_slice() {
        [one] => Ok(Some(*one)),
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
