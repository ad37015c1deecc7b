//! The container sandbox: any engine with Docker's API, Docker and Podman among them,
//! here or elsewhere.
//!
//! An engine provides the root (an image, imported by digest), the namespaces and the
//! absence of a network. All the rest is done by this very program, which goes in
//! with the inputs and becomes pid 1 there: see [`super::native::contained`]. So a
//! command sees the same as in the native sandbox, and fails in the same ways.
//!
//! Inputs and outputs travel as tar through the API, never as mounts of the engine's
//! machine. Whatever is made in the engine carries labels that say whose it is. It
//! is removed when it has served; what a process leaves that is killed, the next
//! removes.

mod collect;
mod connect;
mod container;
mod error;
mod image;
mod labels;
mod pack;
mod program;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Cache, Digest, Tree, reapi};

use self::connect::Address;
use self::container::{Container, Run};
use self::image::Images;
use self::labels::{Mark, Whose};
use self::program::Program;
use super::job::Job;
use super::lent;
use super::locale;
use super::log::{Log, LogSink, MAX_LOG};
use super::native::contained::{Finish, Start};
use super::native::home;
use super::native::state::{self, State};
use super::native::{self, KILLED};
use super::{
    EntryOrder, Facet, Failure, Outcome, Place, Sandbox, SandboxError, Surroundings, Unable, UserId,
};

pub use self::connect::EngineInfo;
pub use self::error::EngineTrouble;
pub use self::labels::Leftover;

/// A connection to an engine.
#[derive(Clone)]
pub struct Docker {
    shared: Arc<Shared>,
}

struct Shared {
    address: Address,
    info: EngineInfo,
    mark: Mark,
    images: Images,
    program: OnceLock<Program>,
    /// Set when everything is being removed, so that nothing new is made.
    closing: AtomicBool,
    /// How many actions are being run.
    running: AtomicUsize,
}

/// How often is looked whether something came to be while everything is removed.
const MOST_LOOKS: usize = 60;
/// How often nothing must be there, one time after the other, while an action was run.
const QUIET_LOOKS: usize = 5;
/// How long between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// An action that is being run.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(running: &'a AtomicUsize) -> Self {
        running.fetch_add(1, Ordering::SeqCst);
        Self(running)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Docker {
    /// Finds an engine (by `DOCKER_HOST`, the current context of Docker's client, or at
    /// the usual places), asks which it is, and removes what killed processes of this
    /// machine left in it.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] where there is none, it may not be used, or is too old.
    pub fn connect() -> Result<Self, SandboxError> {
        Self::at(Address::find(&|name| std::env::var(name).ok())?)
    }

    /// Asks each engine which it is: the one that [`Docker::connect`] takes first, and
    /// where nobody named one, all others that answer.
    ///
    /// # Errors
    /// As [`Docker::connect`], where no engine is found; inside, for each of them.
    pub fn each() -> Result<Vec<Result<EngineInfo, SandboxError>>, SandboxError> {
        let all = Address::find_all(&|name| std::env::var(name).ok())?;
        let ask = |address| Self::at(address).map(|docker| docker.engine().clone());
        Ok(all.into_iter().map(ask).collect())
    }

    /// The same for the engine at an address such as `unix:///run/docker.sock`.
    ///
    /// # Errors
    /// As [`Docker::connect`].
    pub fn connect_to(address: &str) -> Result<Self, SandboxError> {
        let named = |name: &str| (name == "DOCKER_HOST").then(|| address.to_owned());
        Self::at(Address::find(&named)?)
    }

    fn at(address: Address) -> Result<Self, SandboxError> {
        let mark = Mark::own(address.is_remote());
        let info = block(|| async {
            let client = client(&address)?;
            let info = EngineInfo::ask(&client, &address).await?;
            // It is not this build's concern where that fails.
            if let Ok(left) = labels::list(&client, &mark, Whose::Gone).await {
                labels::remove(&client, left).await;
            }
            Ok(info)
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                address,
                info,
                mark,
                images: Images::default(),
                program: OnceLock::new(),
                closing: AtomicBool::new(false),
                running: AtomicUsize::new(0),
            }),
        })
    }

    /// Which engine it is.
    #[must_use]
    pub fn engine(&self) -> &EngineInfo {
        &self.shared.info
    }

    /// A sandbox over `cache`. `program` is an executable whose `main` calls
    /// [`super::native::enter_if_asked`] before anything else; it must be the one of this
    /// process, or one with the same libraries.
    #[must_use]
    pub fn sandbox(&self, cache: Cache, program: PathBuf) -> InDocker {
        InDocker {
            docker: self.clone(),
            cache,
            program,
            sink: None,
        }
    }

    /// Removes everything that this process has made in the engine, what is running
    /// included. No sandbox of this connection works afterwards.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] where the engine does not answer.
    pub fn clean_up(&self) -> Result<(), SandboxError> {
        self.shared.closing.store(true, Ordering::SeqCst);
        let client = self.client()?;
        block(|| async {
            // An engine goes on with what it was asked for just before, and has it later.
            let mut quiet = 0;
            for _ in 0..MOST_LOOKS {
                let left = self.list(Whose::Own).await?;
                let busy = self.shared.running.load(Ordering::SeqCst) > 0;
                quiet = if left.is_empty() { quiet + 1 } else { 0 };
                if quiet > if busy { QUIET_LOOKS } else { 0 } {
                    break;
                }
                labels::remove(&client, left).await;
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            Ok(())
        })
    }

    /// Removes what processes of this machine have left in the engine that are gone now,
    /// and returns what was removed; with `dry_run` what would be.
    ///
    /// # Errors
    /// As [`Docker::connect`].
    pub fn sweep(dry_run: bool) -> Result<Vec<Leftover>, SandboxError> {
        let address = Address::find(&|name| std::env::var(name).ok())?;
        let mark = Mark::own(address.is_remote());
        block(|| async {
            let client = client(&address)?;
            let left = labels::list(&client, &mark, Whose::Gone)
                .await
                .map_err(|error| {
                    EngineTrouble::from(error).at("list what is Lunikernel's", &address)
                })?;
            Ok(match dry_run {
                true => left,
                false => labels::remove(&client, left).await,
            })
        })
    }

    async fn list(&self, whose: Whose) -> Result<Vec<Leftover>, SandboxError> {
        let client = self.client()?;
        labels::list(&client, &self.shared.mark, whose)
            .await
            .map_err(|error| {
                EngineTrouble::from(error).at("list what is Lunikernel's", self.address())
            })
    }

    fn address(&self) -> &Address {
        &self.shared.address
    }

    fn info(&self) -> &EngineInfo {
        &self.shared.info
    }

    fn mark(&self) -> &Mark {
        &self.shared.mark
    }

    fn images(&self) -> &Images {
        &self.shared.images
    }

    fn client(&self) -> Result<bollard::Docker, SandboxError> {
        client(&self.shared.address)
    }
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Docker").field(self.info()).finish()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let images = std::mem::take(self.images.get_mut());
        if images.is_empty() {
            return;
        }
        let left: Vec<Leftover> = images
            .into_values()
            .map(|name| Leftover {
                kind: "image",
                name,
            })
            .collect();
        let address = &self.address;
        let _ = block(|| async {
            labels::remove(&client(address)?, left).await;
            Ok(())
        });
    }
}

fn client(address: &Address) -> Result<bollard::Docker, SandboxError> {
    address
        .client()
        .map_err(|trouble| trouble.at("reach the engine", address))
}

/// Waits for `work` on a thread of its own, so that this can be called from within
/// other runtimes and thread pools.
fn block<T: Send, F: Future<Output = Result<T, SandboxError>>>(
    work: impl FnOnce() -> F + Send,
) -> Result<T, SandboxError> {
    let run = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| SandboxError::Setup {
                attempted: "start a thread that talks to the engine".to_owned(),
                source,
                hint: None,
            })?
            .block_on(work())
    };
    std::thread::scope(|scope| match scope.spawn(run).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Runs actions in containers of an engine.
#[derive(Clone)]
pub struct InDocker {
    docker: Docker,
    cache: Cache,
    program: PathBuf,
    sink: Option<LogSink>,
}

impl InDocker {
    /// Hands commands' output to `sink` while they run, besides keeping it.
    #[must_use]
    pub fn with_log(mut self, sink: LogSink) -> Self {
        self.sink = Some(sink);
        self
    }

    /// The engine that it uses.
    #[must_use]
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// This program, read once.
    fn program(&self) -> Result<&Program, SandboxError> {
        if let Some(program) = self.docker.shared.program.get() {
            return Ok(program);
        }
        let program = Program::take(&self.program).map_err(|source| SandboxError::Setup {
            attempted: "read this program, which becomes pid 1 of the container".to_owned(),
            source,
            hint: None,
        })?;
        Ok(self.docker.shared.program.get_or_init(|| program))
    }

    async fn run_in(
        &self,
        container: &Container<'_>,
        job: &Job,
        action: &Digest,
        around: &Surroundings,
        addition: Option<(String, Tree)>,
    ) -> Result<Outcome, SandboxError> {
        let _busy = Busy::new(&self.docker.shared.running);
        let blobs = self.cache.blobs();
        let (mut digest, mut root) = state::root_tree(&self.cache, job, action)?;
        let mut around = around.clone();
        let mut unable = unable(&around, self.docker.info());
        if around.home != home::USUAL {
            match home::place(&mut root, &around.home) {
                Ok(()) => digest = root.digest(),
                Err(why) => {
                    home::USUAL.clone_into(&mut around.home);
                    let facet = Facet::Home;
                    unable.push(Unable { facet, why });
                }
            }
        }
        if let Some((path, tree)) = addition
            && root.insert(&path, Entry::Folder(tree)).is_ok()
        {
            digest = root.digest();
        }
        if job.network
            && root.get(lent::CERTIFICATES).is_none()
            && let Some(certificates) = lent::certificates()
        {
            let file = Entry::File {
                digest: blobs.put(&certificates)?,
                executable: false,
            };
            // Where a file is in the way, the root has its own ways.
            if root.insert(lent::CERTIFICATES, file).is_ok() {
                digest = root.digest();
            }
        }
        let image = self.docker.image(blobs, &digest, root.clone()).await?;
        if self.docker.shared.closing.load(Ordering::SeqCst) {
            let trouble = EngineTrouble::Wrong("everything is being removed".to_owned());
            return Err(trouble.at("start a container", self.docker.address()));
        }
        container.create(&image, &root, job, &around).await?;
        let build = state::build_tree(&self.cache, job, action)?;
        let start = Start::new(job, &around, MAX_LOG + 1, container::shares_network());
        container
            .fill(blobs, build, self.program()?, &start)
            .await?;

        let mut log = Log::new(blobs, self.sink.as_ref())?;
        let run = container.run(job, &mut log).await?;
        let mut result = reapi::ActionResult {
            stdout_digest: Some(log.store()?.to_reapi()),
            ..Default::default()
        };
        let took = run.took;
        if let Some(Finish::Ended { unable: more, .. }) = &run.finish {
            unable.extend_from_slice(more);
        }
        let (failure, found) = self.judge(job, run, &mut result)?;
        let (failure, kept) = match failure {
            None => {
                let taken =
                    collect::outputs(&self.docker, container, blobs, job, found, &mut result);
                (taken.await?, None)
            }
            Some(failure) => {
                let tree = collect::remains(&self.docker, container, blobs, found).await?;
                let kept = State::keep_tree(&self.cache, action, &tree)?;
                (Some(failure), Some(kept))
            }
        };
        if failure.is_none() {
            state::forget(&self.cache, action);
        }
        Ok(Outcome {
            result,
            failure,
            took,
            unable,
            kept,
            place: Place {
                sandbox: self.name(),
                engine: Some(self.docker.info().to_string()),
            },
        })
    }

    /// How the command ended, and what it left.
    fn judge(
        &self,
        job: &Job,
        run: Run,
        result: &mut reapi::ActionResult,
    ) -> Result<(Option<Failure>, native::contained::Left), SandboxError> {
        let out_of_memory = Failure::OutOfMemory(job.memory_mib);
        let (code, failure, left) = match run.finish {
            Some(Finish::Ended { end, left, .. }) => match native::verdict(job, end) {
                // The engine's limit was quicker than the watch.
                (code, Some(_)) if run.out_of_memory => (code, Some(out_of_memory), left),
                (code, failure) => (code, failure, left),
            },
            Some(Finish::NoNetwork) => {
                return Err(EngineTrouble::NoNetwork
                    .at("run a step that uses the network", self.docker.address()));
            }
            Some(Finish::Failed(trouble)) => {
                let (attempted, source) = trouble.split();
                return Err(SandboxError::Setup {
                    attempted: format!("{attempted} (in a container)"),
                    source,
                    hint: None,
                });
            }
            None if run.timed_out => {
                let failure = Failure::TimedOut(job.timeout);
                (KILLED, Some(failure), Vec::new())
            }
            None if run.out_of_memory => (KILLED, Some(out_of_memory), Vec::new()),
            None => {
                let said = match run.noise.trim() {
                    "" => "the container ended before its command".to_owned(),
                    noise => format!("the container ended before its command: {noise}"),
                };
                return Err(EngineTrouble::Wrong(said)
                    .at("follow the command to its end", self.docker.address()));
            }
        };
        result.exit_code = code;
        Ok((failure, left))
    }
}

impl Sandbox for InDocker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn run(&self, action: &Digest, around: &Surroundings) -> Result<Outcome, SandboxError> {
        let job = Job::read(self.cache.blobs(), action)?;
        let mut around = around.clone();
        let mut unable = Vec::new();
        let quiet = Self {
            sink: None,
            ..self.clone()
        };
        let addition = match locale::provide(&quiet, &self.cache, &job, &around.locale)? {
            Ok(addition) => addition,
            Err(why) => {
                locale::FALLBACK.clone_into(&mut around.locale);
                let facet = Facet::Locale;
                unable.push(Unable { facet, why });
                None
            }
        };
        let mut outcome = block(|| async {
            let container = Container::new(&self.docker)?;
            let outcome = self.run_in(&container, &job, action, &around, addition);
            let outcome = outcome.await;
            container.remove().await;
            outcome
        })?;
        outcome.unable.append(&mut unable);
        Ok(outcome)
    }
}

/// What of the surroundings a container cannot have.
fn unable(around: &Surroundings, engine: &EngineInfo) -> Vec<Unable> {
    let usual = Surroundings::default();
    let podman = engine.is_podman();
    let all = [
        (
            podman && around.domainname != usual.domainname,
            Facet::DomainName,
            "Podman sets no domain name",
        ),
        (
            around.user_id != UserId::Usual,
            Facet::UserId,
            "the engine decides as whom containers run",
        ),
        (
            around.entry_order != EntryOrder::AsCreated,
            Facet::EntryOrder,
            "folders of a container are in the order of the engine's disk",
        ),
        (
            around.inodes_used != usual.inodes_used,
            Facet::Inodes,
            "inode numbers in a container are the engine's",
        ),
        (
            around.terminal,
            Facet::Terminal,
            "commands in a container have no terminal",
        ),
    ];
    all.into_iter()
        .filter(|(asked, ..)| *asked)
        .map(|(_, facet, why)| Unable {
            facet,
            why: why.to_owned(),
        })
        .collect()
}
