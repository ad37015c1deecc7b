//! `luni lock`: pin every input of a recipe.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::SystemTime;

use lunikernel_builder::lock::{
    LockError, LockFile, LockedRecipe, Origins, Update, changes, resolve,
};
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_builder::source::deb::AptConfig;
use serde::Serialize;

use super::Context;
use super::workshop::{self, RecipeArg};
use crate::exit::Exit;
use crate::failure::Failure;

/// Pin every input of a recipe to exact bytes.
///
/// Finds out what the names and versions in a recipe stand for, checks the signatures
/// of the distribution, and writes recipe.lock beside the recipe. Steps that may use the
/// network are run, and what they make is pinned. What is locked already stays as it is,
/// unless the recipe asks for something else now.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArg,

    /// Take the newest of everything, or of the sources, packages and steps named
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with = "check")]
    update: Option<Vec<String>>,

    /// Accept release files that have expired, as a mirror that is frozen has them
    #[arg(long)]
    allow_expired: bool,

    /// Only say whether the lock fits the recipe; exit code 4 where it does not
    #[arg(long)]
    check: bool,
}

impl Args {
    /// What was given to `--update` and is a recipe's folder, where no recipe was given.
    fn taken_for_name(&self) -> Option<PathBuf> {
        let names = self.update.iter().flatten();
        names
            .map(PathBuf::from)
            .find(|name| !self.recipe.path().is_file() && name.join("recipe.yaml").is_file())
    }
}

/// What changed, for programs.
#[derive(Serialize)]
struct Answer<'a> {
    lock: String,
    changes: &'a [lunikernel_builder::lock::Change],
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let cache = context.cache()?;
    if args.check {
        args.recipe.open(&cache)?;
        context.say(&format!(
            "the lock of {} is current",
            args.recipe.path().display()
        ));
        if context.json() {
            let lock = LockedRecipe::lock_path(&args.recipe.path());
            context.print_json(&Answer {
                lock: lock.display().to_string(),
                changes: &[],
            })?;
        }
        return Ok(Exit::Ok);
    }
    if let Some(folder) = args.taken_for_name() {
        let command = format!("{} --update", RecipeArg::command_for(&folder, "lock"));
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "`{}` is where a recipe is, and `--update` takes names of sources and packages",
                folder.display()
            ),
        )
        .with_hint(format!("name the recipe first: `{command}`")));
    }
    let recipe = args.recipe.read()?;
    let path = LockedRecipe::lock_path(&recipe.path);
    let old = match LockFile::read(&path) {
        Ok((lock, _)) => Some(lock),
        Err(LockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let update = match &args.update {
        None => Update::Nothing,
        Some(names) if names.is_empty() => Update::All,
        Some(names) => Update::Named(BTreeSet::from_iter(names.iter().cloned())),
    };
    let fetcher = workshop::fetcher(context, &cache)?;
    let apt = AptConfig::read(&workshop::apt_root())?;
    let origins = Origins {
        fetcher: &fetcher,
        cache: &cache,
        apt: &apt,
        now: SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |now| now.as_secs()),
        allow_expired: args.allow_expired,
    };
    let runtime = context.runtime()?;
    let mut lock = runtime
        .block_on(resolve(&recipe, old.as_ref(), &update, origins))?
        .lock;
    if recipe.recipe.steps.iter().any(|step| step.network) {
        let builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
        lock = runtime.block_on(builder.lock_steps(&recipe, old.as_ref(), &update, lock))?;
    }
    let changes = changes(&old.unwrap_or_default(), &lock);
    super::output::write_whole(&path, lock.render()?.as_bytes())?;
    args.recipe.pin(&cache, lock.kept(cache.blobs()))?;

    for change in &changes {
        context.say(&change.to_string());
    }
    context.say(&match changes.len() {
        0 => format!("{} is current; nothing changed", path.display()),
        1 => format!("wrote {}: 1 change", path.display()),
        many => format!("wrote {}: {many} changes", path.display()),
    });
    context.say(&format!("next: {}", args.recipe.command("build")));
    if context.json() {
        context.print_json(&Answer {
            lock: path.display().to_string(),
            changes: &changes,
        })?;
    }
    Ok(Exit::Ok)
}
