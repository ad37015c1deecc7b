//! What the verbs that build have in common: where the recipe is, and what builds it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::BinaryBytes;
use lunikernel_builder::build::{BuildError, Builder, Recall};
use lunikernel_builder::fetch::{FetchError, FetchOptions, Fetcher};
use lunikernel_builder::inputs_tar::{InputsTar, is_inputs_tar};
use lunikernel_builder::lock::{LockedRecipe, unseal};
pub(crate) use lunikernel_builder::recipe::quoted;
use lunikernel_builder::recipe::{ReadRecipe, Recipe};
use lunikernel_builder::sandbox::{LogSink, Native, Surroundings};
use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::regular::open_regular;
use lunikernel_cache::{Cache, Digest, Sha256, Silent};

use super::Context;
use super::environment::snapshots;
use super::sandbox::{self, SandboxChoice};
use crate::exit::Exit;
use crate::failure::Failure;

/// Which recipe.
#[derive(Debug, clap::Args)]
pub(crate) struct RecipeArg {
    /// The recipe: a file, or a folder with a recipe.yaml in it; where a lock is needed
    /// also a Lunikernel or an archive of inputs, which carry both
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

    /// The command line of a verb for this recipe.
    pub(crate) fn command(&self, verb: &str) -> String {
        if self.is_here() {
            format!("{} {verb}", program())
        } else {
            Self::command_for(&self.recipe, verb)
        }
    }

    /// The command line of a verb for the recipe at `path`.
    pub(crate) fn command_for(path: &Path, verb: &str) -> String {
        format!("{} {verb} {}", program(), quoted(path))
    }

    fn is_here(&self) -> bool {
        self.recipe == Path::new(".")
    }

    /// Reads and checks the recipe.
    pub(crate) fn read(&self) -> Result<ReadRecipe, Failure> {
        Ok(Recipe::read(&self.path())?)
    }

    /// Keeps `digests` in `cache` for as long as the recipe is where it is.
    pub(crate) fn pin(
        &self,
        cache: &Cache,
        digests: impl IntoIterator<Item = Digest>,
    ) -> Result<(), Failure> {
        let path = fs_err::canonicalize(self.path()).map_err(|error| {
            Failure::new(Exit::BadInput, "could not find the recipe").caused_by(&error)
        })?;
        let digests: Vec<Sha256> = digests.into_iter().map(|digest| digest.sha256).collect();
        Ok(cache.pin_for(&path, &digests)?)
    }

    /// Reads the recipe and its lock.
    pub(crate) fn open(&self, cache: &Cache) -> Result<LockedRecipe, Failure> {
        self.with(cache, |recipe| Ok(LockedRecipe::open(recipe, cache)?))
    }

    /// Reads the recipe, which is there, with its lock beside it, until `work` has ended.
    pub(crate) fn with<T>(
        &self,
        cache: &Cache,
        work: impl FnOnce(ReadRecipe) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let folder = match self.is_packed() {
            true => cache.scratch()?,
            false => return work(self.read()?),
        };
        let unpacked = || {
            let path = match self.artefact()? {
                Some(artefact) => unseal(&artefact, folder.path())?,
                None => {
                    let at = folder.path().join("recipe");
                    InputsTar::open(&self.path())?.unpack(cache, &at, &Silent)?
                }
            };
            work(Recipe::read(&path)?)
        };
        unpacked().map_err(|failure: Failure| failure.about_packed(folder.path(), &self.recipe))
    }

    /// Refuses a Lunikernel or an archive of inputs, for verbs that only take recipes.
    pub(crate) fn refuse_packed(&self) -> Result<(), Failure> {
        let path = self.path();
        let (is, hint) = if self.is_zip() {
            let hint = format!(
                "see what is in it with `{}`, or build it again with `{}`",
                Self::command_for(&path, "inspect"),
                Self::command_for(&path, "build")
            );
            ("a zip, as Lunikernels are", hint)
        } else if is_inputs_tar(&path) {
            let hint = format!("build it with `{}`", Self::command_for(&path, "build"));
            ("an archive of inputs", hint)
        } else {
            return Ok(());
        };
        let message = format!("{} is {is}, and no recipe", path.display());
        Err(Failure::new(Exit::BadInput, message).with_hint(hint))
    }

    /// A failure with the command by which inputs of this recipe are fetched.
    pub(crate) fn explain(&self, error: BuildError) -> Failure {
        let lacks = matches!(error, BuildError::Fetch(FetchError::Offline(_)));
        let failure = Failure::from(error);
        match lacks {
            true => failure.with_hint(format!(
                "fetch them first, without `--offline`: `{}`; or name a mirror on disk with \
                 `--mirror FOLDER`",
                self.command("fetch")
            )),
            false => failure,
        }
    }

    /// Whether it is a Lunikernel or an archive of inputs, which may be a stranger's.
    pub(crate) fn is_packed(&self) -> bool {
        is_inputs_tar(&self.path()) || self.is_zip()
    }

    /// The Lunikernel, where it is one that was named and not a recipe.
    pub(crate) fn artefact(&self) -> Result<Option<Artefact>, Failure> {
        let is_zip = self.is_zip();
        Ok(is_zip.then(|| Artefact::open(&self.path())).transpose()?)
    }

    fn is_zip(&self) -> bool {
        let mut head = [0; 4];
        open_regular(&self.path())
            .and_then(|mut file| file.read_exact(&mut head))
            .is_ok()
            && head == *b"PK\x03\x04"
    }
}

/// Whether what others packed may use the network of this machine.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct NetworkSteps {
    /// Where a Lunikernel or an archive of inputs was given: run steps of it that use the
    /// network if what they made is nowhere to be had
    #[arg(long)]
    run_network_steps: bool,
}

impl NetworkSteps {
    /// Whether steps of `recipe` may.
    pub(crate) fn allowed(self, recipe: &RecipeArg) -> bool {
        self.run_network_steps || !recipe.is_packed()
    }
}

/// How to fetch, as the command line says.
pub(crate) fn fetch_options(context: &Context) -> Result<FetchOptions, Failure> {
    let usual = FetchOptions::default();
    Ok(FetchOptions {
        mirrors: context.mirrors()?,
        credentials: context.credentials()?,
        offline: context.offline(),
        idle_timeout: context.idle_timeout()?.unwrap_or(usual.idle_timeout),
        ..usual
    })
}

/// Fetches into `cache`, as the command line says.
pub(crate) fn fetcher(context: &Context, cache: &Cache) -> Result<Fetcher, Failure> {
    let options = fetch_options(context)?;
    Ok(Fetcher::new(cache.clone(), options, context.progress())?)
}

/// Runs steps in `cache`. The sandbox starts this very program again inside.
pub(crate) fn sandbox(cache: &Cache) -> Native {
    Native::new(cache.clone(), Path::new("/proc/self/exe").to_owned())
}

/// The folder below which `etc/apt` says where packages come from: that of
/// `LUNI_APT_ROOT`, for those who build from other sources than their machine has.
pub(crate) fn apt_root() -> PathBuf {
    std::env::var_os("LUNI_APT_ROOT")
        .filter(|root| !root.is_empty())
        .map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// Builds in `cache`, as the command line says.
pub(crate) fn builder(
    context: &Context,
    cache: Cache,
    surroundings: Surroundings,
) -> Result<Builder, Failure> {
    builder_in(context.sandbox()?, context, cache, surroundings)
}

/// The same, whatever sandbox the command line asks for.
pub(crate) fn builder_in(
    choice: SandboxChoice,
    context: &Context,
    cache: Cache,
    surroundings: Surroundings,
) -> Result<Builder, Failure> {
    let progress = context.progress();
    let sink: LogSink = Arc::new(move |piece: &[u8]| progress.output(piece));
    Ok(Builder {
        fetcher: fetcher(context, &cache)?,
        sandbox: sandbox::chosen(choice, context, &cache, sink)?,
        progress: context.progress(),
        apt_root: apt_root(),
        snapshots: snapshots()?,
        threads: context.jobs().get(),
        surroundings,
        recall: Recall::All,
        network_steps: true,
        cache,
    })
}

/// This program as a shell here finds it again: as it was called.
pub(crate) fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    quoted(Path::new(if called.is_empty() {
        std::ffi::OsStr::new("luni")
    } else {
        &called
    }))
}

/// How many inputs, for people.
pub(crate) fn counted(inputs: usize) -> String {
    match inputs {
        1 => "1 input".to_owned(),
        many => format!("{many} inputs"),
    }
}

/// A size for people, in the units that progress is reported in and limits are given in.
pub(crate) fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}
