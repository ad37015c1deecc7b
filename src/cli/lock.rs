//! `luni lock`: pin every input of a recipe.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::SystemTime;

use lunikernel_builder::lock::{
    LockError, LockFile, LockedRecipe, Origins, Update, changes, preview, resolve,
};
use lunikernel_builder::recipe::Step;
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_builder::source::deb::AptConfig;
use lunikernel_cache::Cache;
use serde::Serialize;

use super::Context;
use super::output::Output;
use super::reads::Reads;
use super::workshop::{self, RecipeArg};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::paint;

const RECIPE: &str = "The recipe: a file, or a folder with a recipe.yaml in it; with --check also a Lunikernel \
                      or an archive of inputs";

/// Pin every input of a recipe to exact bytes.
///
/// Finds out what the names and versions in a recipe stand for, checks the signatures
/// of the distribution, and writes recipe.lock beside the recipe. Steps that may use the
/// network are run, and what they make is pinned. What is locked already stays as it is,
/// unless the recipe asks for something else now.
#[derive(Debug, clap::Args)]
#[command(mut_arg("recipe", |recipe| recipe.help(RECIPE).long_help(RECIPE)))]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArg,

    /// Take the newest of everything, or of the sources, packages and steps named
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with = "check")]
    update: Option<Vec<String>>,

    /// Accept release files that have expired, as a mirror that is frozen has them
    #[arg(long)]
    allow_expired: bool,

    /// Accept release files and indexes that are older than those that the lock was made by
    #[arg(long, conflicts_with = "check")]
    allow_downgrade: bool,

    /// Only say whether the lock fits the recipe; exit code 4 where it does not
    #[arg(long)]
    check: bool,

    /// With `--check`: also run each step again that may use the network, and compare what
    /// it makes with the lock; exit code 5 where it is something else
    #[arg(long, requires = "check")]
    run: bool,

    /// Only say what would change; packages of Alpine are chosen without being fetched
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
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
        let locked = args.recipe.open(&cache)?;
        context.say(&format!(
            "the lock of {} is current",
            args.recipe.path().display()
        ));
        if args.run {
            run_again(&locked, context, cache)?;
        }
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
    args.recipe.refuse_packed()?;
    let recipe = args.recipe.read()?;
    paint::show(&recipe.warnings);
    let path = LockedRecipe::lock_path(&recipe.path);
    let reads = Reads::default().and_files_of(&recipe);
    let hint = "call what the recipe reads something else";
    reads.keep(&path, hint)?;
    let (old, old_text) = match LockFile::read(&path) {
        Ok((lock, text)) => (Some(lock), Some(text)),
        Err(LockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => (None, None),
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
        allow_downgrade: args.allow_downgrade,
    };
    if args.dry_run {
        let changes =
            context
                .runtime()?
                .block_on(preview(&recipe, old.as_ref(), &update, origins))?;
        for change in &changes {
            context.say(&change.to_string());
        }
        context.say(&match changes.len() {
            0 => format!("{} is current; nothing would change", path.display()),
            1 => format!("{} would have 1 change", path.display()),
            many => format!("{} would have {many} changes", path.display()),
        });
        if context.json() {
            context.print_json(&Answer {
                lock: path.display().to_string(),
                changes: &changes,
            })?;
        }
        return Ok(Exit::Ok);
    }
    let runtime = context.runtime()?;
    let mut lock = runtime
        .block_on(resolve(&recipe, old.as_ref(), &update, origins))?
        .lock;
    if recipe.recipe.steps.iter().any(|step| step.network) {
        let builder = workshop::builder(context, cache.clone(), Surroundings::default())?;
        lock = runtime.block_on(builder.lock_steps(&recipe, old.as_ref(), &update, lock))?;
    }
    let old = old.unwrap_or_default();
    let ran: Vec<&str> = (lock.steps.iter())
        .filter(|(name, step)| old.steps.get(*name) != Some(step))
        .map(|(name, _)| name.as_str())
        .collect();
    let changes = changes(&old, &lock);
    let text = lock.render()?;
    let written = old_text.is_none_or(|old| old != text);
    if written {
        Output::new(&path, hint, &reads)?.write_whole(text.as_bytes())?;
    }
    args.recipe.pin(&cache, lock.kept(cache.blobs()))?;

    for change in &changes {
        context.say(&change.to_string());
    }
    context.say(&match changes.len() {
        0 if !written => format!("{} is current; nothing changed", path.display()),
        // Somebody has edited it.
        0 => format!(
            "wrote {}: it says the same, as locks are written",
            path.display()
        ),
        1 => format!("wrote {}: 1 change", path.display()),
        many => format!("wrote {}: {many} changes", path.display()),
    });
    if !ran.is_empty() {
        context.say(&format!(
            "note: ran once to be pinned: {}; `{} --check --run` shows whether the same is made again",
            ran.join(", "),
            args.recipe.command("lock"),
        ));
    }
    context.say(&format!("next: {}", args.recipe.command("build")));
    if context.json() {
        context.print_json(&Answer {
            lock: path.display().to_string(),
            changes: &changes,
        })?;
    }
    Ok(Exit::Ok)
}

/// Runs each step again that the lock pins, and says whether it makes the same.
fn run_again(locked: &LockedRecipe, context: &Context, cache: Cache) -> Result<(), Failure> {
    let pinned: Vec<&Step> = (locked.recipe().steps.iter())
        .filter(|step| step.network)
        .collect();
    if pinned.is_empty() {
        context.say("no step of it uses the network");
        return Ok(());
    }
    let builder = workshop::builder(context, cache, Surroundings::default())?;
    let runtime = context.runtime()?;
    for step in pinned {
        runtime.block_on(builder.check_step(locked, step))?;
        context.say(&format!("step `{}` makes the same again", step.name));
    }
    Ok(())
}
