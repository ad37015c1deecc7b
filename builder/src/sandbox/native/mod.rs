//! The native sandbox: Linux namespaces, as root or as an ordinary user, with no
//! daemon and nothing to install.
//!
//! A command sees the action's input root as `/`, read-only but for `/build`, its home,
//! `/tmp` and `/dev/shm`; what it writes is gone afterwards but for its outputs below
//! `/build`. It sees:
//!
//! * itself as uid and gid 0 without any capability, pid 32, in a session of its own;
//! * standard input empty, output and error going to one log;
//! * the environment of [`environment`] and nothing of the caller's;
//! * a network of nothing but a loopback interface, or, where its outputs are fixed, the
//!   machine's, and then what `lent` has of the machine's `/etc`;
//! * a fresh /proc with what shows or changes the machine hidden or read-only, a
//!   minimal /dev, no /sys;
//! * an empty home, `/root`, and an empty /tmp;
//! * time stamps of 1980-01-01 on everything that it did not make itself.
//!
//! Limits: time, memory and processes as the action asks, which a watch in pid 1
//! checks many times a second and the kernel holds per process; files of 64 GiB; a
//! log of 64 MiB, of which the rest is dropped. Whoever calls, a command is an
//! ordinary user to the kernel: the caller, or for root one who owns nothing.
//!
//! Not hidden: the kernel's release and the clock, unless others are asked for, the
//! processor, the amount of memory, and, for an ordinary user with supplementary
//! groups, that there are some.
//!
//! Pid 1 watches the command, and where its surroundings take that also passes on what
//! it writes to a terminal, and answers some of its system calls.

mod around;
mod channel;
mod confine;
pub(super) mod contained;
mod filter;
mod given;
mod hint;
pub(super) mod home;
mod inside;
mod launch;
pub(super) mod mounts;
mod numbers;
pub(super) mod outputs;
mod owner;
mod release;
mod spec;
pub(super) mod state;
mod supervise;
mod terminal;
#[cfg_attr(not(target_arch = "x86_64"), path = "trace_elsewhere.rs")]
mod trace;
mod watch;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Instant;

use fs_err::File;
use lunikernel_cache::{Cache, Digest, Sha256, Tree, reapi};

pub use inside::enter_if_asked;

use self::launch::{Ended, Streams};
use self::owner::Owner;
use self::spec::{End, Spec};
use self::state::{State, Wanted};
use super::job::Job;
use super::log::{Log, LogSink};
use super::{
    EntryOrder, Facet, Failure, Outcome, Place, Sandbox, SandboxError, Surroundings, Unable,
    UserId, environment, locale,
};

/// Runs actions in namespaces of this machine's kernel.
#[derive(Clone)]
pub struct Native {
    cache: Cache,
    program: PathBuf,
    sink: Option<LogSink>,
    without_network: bool,
}

impl Native {
    /// A sandbox over `cache`. `program` is an executable whose `main` calls
    /// [`enter_if_asked`] before anything else: `/proc/self/exe` where this one's does.
    #[must_use]
    pub fn new(cache: Cache, program: PathBuf) -> Self {
        Self {
            cache,
            program,
            sink: None,
            without_network: false,
        }
    }

    /// Hands commands' output to `sink` while they run, besides keeping it.
    #[must_use]
    pub fn with_log(mut self, sink: LogSink) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Opens no shell with the network, whatever the action has.
    #[must_use]
    pub fn without_network(mut self) -> Self {
        self.without_network = true;
        self
    }

    /// Whether the state is kept that the action's failed command left.
    #[must_use]
    pub fn keeps(&self, action: &Digest) -> bool {
        state::is_kept(&self.cache, action)
    }

    /// Enters the state that the action's failed command left, or else the one in
    /// which it would start, on the caller's terminal. Without `argv`, `/bin/sh` is
    /// run. There is no time limit. Changes to a state that is kept stay.
    ///
    /// Returns the exit code, as shells have it: 128 and the signal for one ended by
    /// a signal, 127 where the program could not be started.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn shell(&self, action: &Digest, argv: Option<Vec<String>>) -> Result<i32, SandboxError> {
        let mut job = Job::read(self.cache.blobs(), action)?;
        job.network &= !self.without_network;
        let (owner, _) = Owner::find(UserId::Usual).map_err(trouble("find out who this is"))?;
        let key = Sha256::of(format!("shell {}", action.sha256).as_bytes());
        let _alone = self.cache.lock(&key)?;
        let lower = state::root(&self.cache, &job, action, &owner)?;
        let state = match State::kept(&self.cache, action, &owner)? {
            Some(state) => state,
            None => State::fresh(&self.cache, &job, action, &owner, &Wanted::USUAL)?,
        };
        if job.network {
            state.lend(&self.cache.root().join(&lower), &owner)?;
        }
        let surroundings = Surroundings::default();
        let mut spec = spec(&job, &surroundings, lower, state.relative(&self.cache));
        spec.argv = argv.unwrap_or_else(|| vec!["/bin/sh".to_owned()]);
        spec.interactive = true;
        spec.around.entry_order = EntryOrder::AsCreated;
        spec.timeout_ms = None;
        if let Ok(term) = std::env::var("TERM") {
            spec.env.retain(|(name, _)| name != "TERM");
            spec.env.push(("TERM".to_owned(), term));
        }
        let terminal = Terminal::lend();
        let ended = launch::run(
            &self.program,
            self.cache.root(),
            &spec,
            &owner,
            &mut Streams::Terminal,
        );
        drop(terminal);
        Ok(match ended?.end {
            End::Exit(code) => code,
            End::Signal(signal) => 128 + signal,
            End::CannotStart(_) => 127,
            End::TimedOut | End::OutOfMemory | End::TooManyProcesses => 137,
        })
    }

    /// What the root lacks of the locale that was asked for; it is made in a sandbox of
    /// its own. The inner error says why it cannot be had.
    fn locale(
        &self,
        job: &Job,
        around: &Surroundings,
    ) -> Result<Result<Option<(String, Tree)>, String>, SandboxError> {
        let quiet = Self {
            sink: None,
            ..self.clone()
        };
        locale::provide(&quiet, &self.cache, job, &around.locale)
    }

    /// What came of a command that ended, and why it failed, if it did.
    fn judge(
        &self,
        job: &Job,
        end: End,
        build: &File,
        result: &mut reapi::ActionResult,
    ) -> Result<Option<Failure>, SandboxError> {
        let (code, failure) = verdict(job, end);
        result.exit_code = code;
        match failure {
            Some(failure) => Ok(Some(failure)),
            None => {
                let folder = build.file().as_fd();
                Ok(outputs::collect(self.cache.blobs(), folder, job, result)?)
            }
        }
    }
}

/// What the inside must know of the action and of what is around it.
fn spec(job: &Job, surroundings: &Surroundings, lower: PathBuf, state: PathBuf) -> Spec {
    Spec {
        argv: job.argv.clone(),
        env: environment(surroundings, &job.env).into_iter().collect(),
        workdir: job.workdir.clone(),
        lower,
        state,
        around: surroundings.clone(),
        timeout_ms: Some(u64::try_from(job.timeout.as_millis()).unwrap_or(u64::MAX)),
        memory_mib: job.memory_mib,
        processes: job.processes,
        network: job.network,
        keeps_owners: job.keeps_owners,
        interactive: false,
    }
}

/// The exit code of a command that ended so, and why it failed, if it did.
pub(super) fn verdict(job: &Job, end: End) -> (i32, Option<Failure>) {
    match end {
        End::Exit(0) => (0, None),
        End::Exit(code) => (code, Some(Failure::ExitCode(code))),
        End::Signal(signal) => (128 + signal, Some(Failure::Signal(signal))),
        End::TimedOut => (KILLED, Some(Failure::TimedOut(job.timeout))),
        End::OutOfMemory => (KILLED, Some(Failure::OutOfMemory(job.memory_mib))),
        End::TooManyProcesses => (KILLED, Some(Failure::TooManyProcesses(job.processes))),
        End::CannotStart(errno) => {
            let failure = Failure::CannotStart {
                program: job.argv.first().cloned().unwrap_or_default(),
                why: io::Error::from_raw_os_error(errno).to_string(),
            };
            (127, Some(failure))
        }
    }
}

/// The exit code of what SIGKILL ended, as shells have it.
pub(super) const KILLED: i32 = 137;

impl Sandbox for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn run(&self, action: &Digest, surroundings: &Surroundings) -> Result<Outcome, SandboxError> {
        let job = Job::read(self.cache.blobs(), action)?;
        let (owner, unable) =
            Owner::find(surroundings.user_id).map_err(trouble("find out who this is"))?;
        let mut unable: Vec<Unable> = unable.into_iter().collect();
        let mut around = surroundings.clone();
        let lower = state::root(&self.cache, &job, action, &owner)?;
        if let Err(why) = home::check_unpacked(&around.home, &self.cache.root().join(&lower)) {
            home::USUAL.clone_into(&mut around.home);
            let facet = Facet::Home;
            unable.push(Unable { facet, why });
        }
        let made = match self.locale(&job, &around)? {
            Ok(made) => made,
            Err(why) => {
                locale::FALLBACK.clone_into(&mut around.locale);
                let facet = Facet::Locale;
                unable.push(Unable { facet, why });
                None
            }
        };
        let on_disk = around.entry_order == EntryOrder::AsCreated;
        let wanted = Wanted {
            home: &around.home,
            addition: made.as_ref().map(|(path, tree)| (path.as_str(), tree)),
            inodes_used: if on_disk { around.inodes_used } else { 0 },
        };
        let state = State::fresh(&self.cache, &job, action, &owner, &wanted)?;
        if job.network {
            state.lend(&self.cache.root().join(&lower), &owner)?;
        }
        let spec = spec(&job, &around, lower, state.relative(&self.cache));

        let log = Log::new(self.cache.blobs(), self.sink.as_ref())?;
        let mut streams = Streams::Log(Box::new(log));
        let start = Instant::now();
        let ended = launch::run(
            &self.program,
            self.cache.root(),
            &spec,
            &owner,
            &mut streams,
        )?;
        let took = start.elapsed();
        let Ended { end, build, .. } = ended;
        unable.extend(ended.unable);

        let mut result = reapi::ActionResult::default();
        if let Streams::Log(log) = streams {
            result.stdout_digest = Some(log.store()?.to_reapi());
        }
        let memory = build.map(|folder| File::from_parts(folder.into(), "/build"));
        let disk = state.build()?;
        let failure = self.judge(&job, end, memory.as_ref().unwrap_or(&disk), &mut result)?;
        let kept = match failure {
            Some(_) => Some(state.keep(&self.cache, action, memory.as_ref())?),
            None => {
                state::forget(&self.cache, action);
                None
            }
        };
        Ok(Outcome {
            result,
            failure,
            took,
            unable,
            kept,
            place: Place {
                sandbox: self.name(),
                engine: None,
            },
        })
    }
}

/// For `map_err`: setting up failed at what was attempted.
fn trouble(attempted: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| setup_error(attempted.to_owned(), source)
}

fn setup_error(attempted: String, source: io::Error) -> SandboxError {
    let hint = hint::hint(&attempted, &source);
    SandboxError::Setup {
        attempted,
        source,
        hint,
    }
}

/// The terminal, lent to a command: signals that its keys send go to the command
/// and not to this process, and it is taken back when this is dropped.
struct Terminal {
    before: Vec<(libc::c_int, libc::sighandler_t)>,
}

impl Terminal {
    fn lend() -> Self {
        let ignored = [libc::SIGINT, libc::SIGQUIT, libc::SIGTTOU];
        let before = ignored
            .into_iter()
            .map(|signal| {
                // SAFETY: ignoring a signal runs no code of this process.
                (signal, unsafe { libc::signal(signal, libc::SIG_IGN) })
            })
            .collect();
        Self { before }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetpgrp(io::stdin(), rustix::process::getpgrp());
        for (signal, action) in &self.before {
            if *action != libc::SIG_ERR {
                // SAFETY: this puts back the action that was there before.
                unsafe { libc::signal(*signal, *action) };
            }
        }
    }
}
