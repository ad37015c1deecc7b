//! Running an action in a container of its own.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Cache, Digest, Tree, reapi};

use super::super::job::Job;
use super::super::lent;
use super::super::locale;
use super::super::log::{Log, LogSink, MAX_LOG};
use super::super::native::contained::{Finish, Left, Start};
use super::super::native::home;
use super::super::native::state::{self, State};
use super::super::native::{self, KILLED};
use super::super::{
    EntryOrder, Facet, Failure, Outcome, Place, Sandbox, SandboxError, Surroundings, Unable, UserId,
};
use super::container::{self, Container, Run};
use super::program::Program;
use super::{Busy, Docker, EngineInfo, EngineTrouble, block, collect};

/// Runs actions in containers of an engine.
#[derive(Clone)]
pub struct InDocker {
    pub(super) docker: Docker,
    pub(super) cache: Cache,
    pub(super) program: PathBuf,
    pub(super) sink: Option<LogSink>,
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
        if let Some((path, tree)) = addition {
            match root.insert(&path, Entry::Folder(tree)) {
                Ok(()) => digest = root.digest(),
                Err(error) => {
                    locale::FALLBACK.clone_into(&mut around.locale);
                    let (facet, why) = (Facet::Locale, error.to_string());
                    unable.push(Unable { facet, why });
                }
            }
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
    ) -> Result<(Option<Failure>, Left), SandboxError> {
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
