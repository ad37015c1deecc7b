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
mod run;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lunikernel_cache::Cache;

use self::connect::Address;
use self::image::Images;
use self::labels::{Mark, Whose};
use self::program::Program;
use super::SandboxError;

pub use self::connect::EngineInfo;
pub use self::error::EngineTrouble;
pub use self::labels::Leftover;
pub use self::run::InDocker;

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
