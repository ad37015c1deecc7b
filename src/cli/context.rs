//! What every verb gets: the global options, made ready for use.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lunikernel_builder::fetch::{Credentials, MIRROR_SCHEMES};
use lunikernel_cache::{Cache, Progress};
use serde::Serialize;
use url::Url;

use super::environment::variable;
use super::sandbox::{Engine, SandboxChoice};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::paint;
use crate::progress;

/// Options that every verb takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every verb")]
pub(crate) struct Options {
    /// The cache's folder [default: $LUNI_CACHE, else $XDG_CACHE_HOME/lunikernel,
    /// else ~/.cache/lunikernel]
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// A mirror to try before the recorded places, an address, folder or archive; may be
    /// given several times [default: $LUNI_MIRRORS, separated by spaces]
    #[arg(long, global = true, value_name = "URL", value_parser = mirror)]
    mirror: Vec<Url>,

    /// Do not use the network
    #[arg(long, global = true)]
    offline: bool,

    /// What steps run in: auto is native where that works, else docker, which is any
    /// engine with Docker's API [default: $LUNI_SANDBOX, else auto]
    #[arg(long, global = true, value_name = "WHICH")]
    sandbox: Option<SandboxChoice>,

    /// How much is done at once [default: the number of processors]
    #[arg(long, short, global = true, value_name = "N", value_parser = jobs)]
    jobs: Option<NonZeroUsize>,

    /// Print data as JSON; an error becomes {"error": …}
    #[arg(long, global = true)]
    json: bool,

    /// Print nothing but data and errors
    #[arg(long, short, global = true)]
    quiet: bool,
}

/// The global options, made ready for use.
#[derive(Debug)]
pub(crate) struct Context {
    options: Options,
    progress: Arc<dyn Progress>,
    engine: Engine,
}

impl Context {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            progress: progress::for_terminal(options.quiet),
            options,
            engine: Engine::default(),
        }
    }

    /// What steps run in.
    pub(crate) fn sandbox(&self) -> Result<SandboxChoice, Failure> {
        if let Some(choice) = self.options.sandbox {
            return Ok(choice);
        }
        match variable("LUNI_SANDBOX")?.unwrap_or_default().as_str() {
            "" | "auto" => Ok(SandboxChoice::Auto),
            "native" => Ok(SandboxChoice::Native),
            "docker" => Ok(SandboxChoice::Docker),
            "mix" => Ok(SandboxChoice::Mix),
            other => Err(Failure::new(
                Exit::Usage,
                format!("`{other}` in LUNI_SANDBOX is no sandbox"),
            )
            .with_hint("use `auto`, `native`, `docker` or `mix`")),
        }
    }

    /// The engine of containers.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Opens the cache.
    pub(crate) fn cache(&self) -> Result<Cache, Failure> {
        let folder = self.cache_folder()?;
        Cache::open(&folder).map_err(|error| {
            let failure = Failure::from(error);
            match failure.hint() {
                Some(_) => failure,
                None => failure.with_hint(format!(
                    "the cache would be {}: name another folder with `--cache DIR` or LUNI_CACHE",
                    folder.display()
                )),
            }
        })
    }

    /// Where the cache is, or would be.
    pub(crate) fn cache_folder(&self) -> Result<PathBuf, Failure> {
        let from = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        self.options
            .cache
            .clone()
            .or_else(|| from("LUNI_CACHE"))
            .or_else(|| Some(from("XDG_CACHE_HOME")?.join("lunikernel")))
            .or_else(|| Some(from("HOME")?.join(".cache/lunikernel")))
            .ok_or_else(|| {
                Failure::new(Exit::Failed, "there is no home folder to keep the cache in")
                    .with_hint("name a folder for it with `--cache DIR`")
            })
    }

    /// Mirrors to try first, in this order.
    pub(crate) fn mirrors(&self) -> Result<Vec<Url>, Failure> {
        if !self.options.mirror.is_empty() {
            return Ok(self.options.mirror.clone());
        }
        let named = variable("LUNI_MIRRORS")?.unwrap_or_default();
        named
            .split_whitespace()
            .map(|text| {
                mirror(text).map_err(|error| {
                    Failure::new(
                        Exit::Usage,
                        format!("`{text}` in LUNI_MIRRORS is no mirror: {error}"),
                    )
                    .with_hint("write folders, or addresses such as `file:///srv/mirror`, separated by spaces")
                })
            })
            .collect()
    }

    /// How long nothing may come from a server before it is given up, where
    /// `LUNI_IDLE_TIMEOUT` says so.
    pub(crate) fn idle_timeout(&self) -> Result<Option<Duration>, Failure> {
        let named = variable("LUNI_IDLE_TIMEOUT")?.unwrap_or_default();
        if named.is_empty() {
            return Ok(None);
        }
        match named.parse::<u32>() {
            Ok(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds.into()))),
            _ => Err(Failure::new(
                Exit::Usage,
                format!("`{named}` in LUNI_IDLE_TIMEOUT is no number of seconds"),
            )
            .with_hint("write a whole number above 0, such as `30`")),
        }
    }

    /// What is shown to mirrors that want to know who asks, where `LUNI_MIRROR_AUTH` says
    /// so. Never an option: other users see the options of a program that runs.
    pub(crate) fn credentials(&self) -> Result<Credentials, Failure> {
        let named = variable("LUNI_MIRROR_AUTH")?.unwrap_or_default();
        Credentials::parse(&named).map_err(|error| {
            Failure::new(Exit::Usage, format!("in LUNI_MIRROR_AUTH {error}")).with_hint(
                "write `https://HOST/PATH=bearer:TOKEN` or `https://HOST/PATH=basic:USER:PASSWORD`, \
                 separated by spaces",
            )
        })
    }

    /// Whether the network is off limits.
    pub(crate) fn offline(&self) -> bool {
        self.options.offline
    }

    /// How much is done at once.
    pub(crate) fn jobs(&self) -> NonZeroUsize {
        self.options
            .jobs
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }

    /// Whether data are printed as JSON.
    pub(crate) fn json(&self) -> bool {
        self.options.json
    }

    /// Whether nothing but data and errors is printed.
    pub(crate) fn quiet(&self) -> bool {
        self.options.quiet
    }

    /// Takes reports of progress.
    pub(crate) fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.progress)
    }

    /// A runtime for what waits for the network.
    pub(crate) fn runtime(&self) -> Result<tokio::runtime::Runtime, Failure> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| {
                Failure::new(Exit::Failed, "could not start threads").caused_by(&error)
            })
    }

    /// Tells a person something on standard error, unless they asked for quiet.
    pub(crate) fn say(&self, text: &str) {
        if !self.options.quiet {
            paint::tell(&format!("{text}\n"));
        }
    }

    /// Prints data, as they are, to standard output.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        self.print_on(text).map(drop)
    }

    /// The same for those who have more to print, and stop where nobody reads it.
    pub(crate) fn print_on(&self, text: &str) -> Result<ControlFlow<()>, Failure> {
        self.print_bytes(text.as_bytes())
    }

    /// The same for what need not be text.
    pub(crate) fn print_bytes(&self, bytes: &[u8]) -> Result<ControlFlow<()>, Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            // A reader such as `head` has seen enough; that is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
            Err(error) => Err(
                Failure::new(Exit::Failed, "could not write to standard output").caused_by(&error),
            ),
        }
    }

    /// Prints data as JSON, on as many lines as are easy to read.
    pub(crate) fn print_json(&self, data: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(data).map_err(|error| {
            Failure::new(Exit::Failed, "could not write the result as JSON").caused_by(&error)
        })?;
        self.print(&(text + "\n"))
    }
}

/// A mirror by its address, or by the path of its folder or archive, which must be there:
/// a mistyped address would otherwise be taken for a path.
fn mirror(text: &str) -> Result<Url, String> {
    let url = mirror_or_folder(text)?;
    if !text.contains("://") && !Path::new(text).exists() {
        return Err(format!("there is no such folder; {MIRROR_EXPECTED}"));
    }
    Ok(url)
}

const MIRROR_EXPECTED: &str =
    "expected a folder that is there, or an address such as `file:///srv/mirror`";

/// The same where a folder may still be made.
pub(crate) fn mirror_or_folder(text: &str) -> Result<Url, String> {
    if let Ok(url) = Url::parse(text)
        && (text.contains("://") || url.scheme() == "file")
    {
        return match url.scheme() {
            scheme if MIRROR_SCHEMES.contains(&scheme) => Ok(url),
            other => Err(format!(
                "mirrors are not reached by {other}; {MIRROR_EXPECTED}"
            )),
        };
    }
    let path = std::path::absolute(text).map_err(|error| error.to_string())?;
    Url::from_file_path(&path).map_err(|()| "it is no path".to_owned())
}

fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "expected a number from 1".to_owned())
}
