//! Pid 1 of a container.
//!
//! An engine provides the root, the namespaces and the absence of a network. All the
//! rest is done here, by the same code as in the native sandbox, so that a command
//! sees and may do the same in both. What must be known comes as files in
//! [`FOLDER`], which is gone before the command starts. What the command prints
//! and how it ends goes out as [`Frame`]s on standard output: the logs of engines
//! keep lines of text, and neither bytes nor the end of them.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fs_err as fs;
use fs_err::File;
use lunikernel_cache::checkout::{self, CaptureError, OutputBounds};
use lunikernel_cache::tree::Entry;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::process::DumpableBehavior;
use serde::{Deserialize, Serialize};

use super::inside::{self, Outside};
use super::spec::{End, Spec, Trouble};
use super::state::join;
use super::{around, spec};
use crate::sandbox::frames::{Frame, PIECE};
use crate::sandbox::job::{BUILD, Job};
use crate::sandbox::{Surroundings, Unable};

/// The name of the program, by which it knows that it is to be a sandbox.
pub(in crate::sandbox) const NAME: &str = inside::NAME;

/// Set where the sandbox is a container.
pub(in crate::sandbox) const ASKED: &str = "LUNI_CONTAINER";
/// Where the program, its libraries and [`START`] are put.
pub(in crate::sandbox) const FOLDER: &str = "/tmp/.luni";
/// The file in it that says what to start.
pub(in crate::sandbox) const START: &str = "start.json";

/// Most entries of /build that are named after a failure; each takes a request to get.
const MAX_REMAINS: usize = 1000;

/// What pid 1 of a container must know.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::sandbox) struct Start {
    spec: Spec,
    /// The folders that may be written to, with their modes.
    folders: Vec<(String, u32)>,
    /// Below `/build`.
    outputs: Vec<String>,
    /// Most bytes of the command's output that are passed on.
    max_log: u64,
    /// Whether the engine has to have made a network for it.
    needs_network: bool,
}

impl Start {
    /// `shares` says that the network is the one of the engine's machine.
    pub(in crate::sandbox) fn new(
        job: &Job,
        around: &Surroundings,
        max_log: u64,
        shares: bool,
    ) -> Self {
        let below = job.below_build();
        // Pid 1 hears the command through a pipe; a terminal would lead past it.
        let around = &Surroundings {
            terminal: false,
            ..around.clone()
        };
        Self {
            spec: spec(job, around, PathBuf::new(), PathBuf::new()),
            folders: vec![
                ("/build".to_owned(), 0o755),
                (around.home.clone(), 0o700),
                ("/tmp".to_owned(), 0o1777),
            ],
            outputs: job.outputs.iter().map(|path| join(below, path)).collect(),
            max_log,
            needs_network: job.network && !shares,
        }
    }
}

/// What pid 1 of a container says last.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::sandbox) enum Finish {
    /// The command ended.
    Ended {
        end: End,
        /// What it left.
        left: Left,
        /// What of the surroundings it did not have.
        unable: Vec<Unable>,
    },
    /// It may use the network, and the engine made none.
    NoNetwork,
    /// Setting up failed.
    Failed(Trouble),
}

/// What a command left: of one that did well its outputs, in the order of [`Start`]; of
/// one that failed what is in /build. Paths are relative to /build.
pub(in crate::sandbox) type Left = Vec<(String, Found)>;

/// What is where an output should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Found {
    /// A file or a folder.
    Content,
    Symlink {
        target: String,
    },
    Nothing,
    /// What cannot be kept.
    Refused {
        path: String,
        why: String,
    },
}

/// Whether this process was started to be pid 1 of a container.
pub(super) fn is_asked() -> bool {
    std::env::var_os(ASKED).is_some()
}

/// Is pid 1 of a container, to its end.
pub(super) fn enter() -> ExitCode {
    let Ok(mut outside) = Engine::take_over() else {
        return ExitCode::FAILURE;
    };
    let finish = match be_first(&mut outside) {
        Ok(finish) => finish,
        Err(trouble) => Finish::Failed(trouble),
    };
    match outside.finish(&finish) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn be_first(outside: &mut Engine) -> Result<Finish, Trouble> {
    let text = fs::read(Path::new(FOLDER).join(START))
        .map_err(Trouble::at("read what is to be started"))?;
    let start: Start = serde_json::from_slice(&text)
        .map_err(io::Error::other)
        .map_err(Trouble::at("read what is to be started"))?;
    let spec = &start.spec;
    outside.left = start.max_log;
    if start.needs_network && !has_network().map_err(Trouble::at("look for a network"))? {
        return Ok(Finish::NoNetwork);
    }
    prepare(&start).map_err(Trouble::at("prepare the container's folders"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Trouble::at("close pid 1 to inspection"))?;

    for unable in around::set_up(&spec.around) {
        outside.unable(unable)?;
    }
    outside
        .listen()
        .map_err(Trouble::at("listen to the command"))?;
    let end = inside::run(spec, outside)?;
    end_all();
    outside
        .drain()
        .map_err(Trouble::at("pass on what the command printed"))?;
    let left = match end {
        End::Exit(0) => survey(&start.outputs)?,
        _ => remains(),
    };
    Ok(Finish::Ended {
        end,
        left,
        unable: std::mem::take(&mut outside.unable),
    })
}

/// Whether there is an interface besides loopback. Below two lines of titles, each has
/// one that begins with its name and a colon (proc(5)).
fn has_network() -> io::Result<bool> {
    let interfaces = fs::read_to_string("/proc/self/net/dev")?;
    let mut names = interfaces.lines().filter_map(|line| line.split_once(':'));
    Ok(names.any(|(name, _)| name.trim() != "lo"))
}

/// Removes what only pid 1 needed, and gives the folders the look that they have in
/// every sandbox.
fn prepare(start: &Start) -> io::Result<()> {
    fs::remove_dir_all(FOLDER)?;
    let times = checkout::times();
    for (path, mode) in &start.folders {
        fs::set_permissions(path, PermissionsExt::from_mode(*mode))?;
        rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?;
    }
    // Devices that engines add. Where /dev cannot be written to, they stay.
    for name in ["/dev/core", "/dev/console"] {
        let _ = fs::remove_file(name);
    }
    let _ = fs::set_permissions("/dev", PermissionsExt::from_mode(0o555));
    Ok(())
}

/// Ends every other process, and waits until none is left: what they made no longer
/// changes.
fn end_all() {
    // SAFETY: to pid 1, -1 means every other process of its namespace.
    unsafe { libc::kill(-1, libc::SIGKILL) };
    while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {}
}

/// What is directly in /build. It is only for a person to look at, so what cannot be
/// read or named is left out.
fn remains() -> Left {
    let entries = fs::read_dir(Path::new("/").join(BUILD))
        .into_iter()
        .flatten();
    let mut left: Left = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let kind = entry.file_type().ok()?;
            let found = if kind.is_symlink() {
                let target = fs::read_link(entry.path()).ok()?;
                let target = target.into_os_string().into_string().ok()?;
                Found::Symlink { target }
            } else if kind.is_dir() || kind.is_file() {
                Found::Content
            } else {
                return None;
            };
            Some((entry.file_name().into_string().ok()?, found))
        })
        .collect();
    left.sort_by(|one, other| one.0.cmp(&other.0));
    left.truncate(MAX_REMAINS);
    left
}

/// Looks at the outputs. What is refused here is what the native sandbox refuses, and is
/// not sent at all.
fn survey(outputs: &[String]) -> Result<Left, Trouble> {
    let failed = || Trouble::at("look at what the command made");
    let build = File::open(Path::new("/").join(BUILD)).map_err(failed())?;
    let mut found = Vec::with_capacity(outputs.len());
    let mut bounds = OutputBounds::default();
    for path in outputs {
        let at = match checkout::survey(build.file().as_fd(), path, &mut bounds) {
            Ok(Some(Entry::Symlink { target })) => Found::Symlink { target },
            Ok(Some(_)) => Found::Content,
            Ok(None) => Found::Nothing,
            Err(CaptureError::Refused { path, why }) => Found::Refused { path, why },
            Err(CaptureError::Cache(error)) => {
                return Err(failed()(io::Error::other(error)));
            }
        };
        found.push((path.clone(), at));
    }
    Ok(found)
}

/// The way out: standard output, on which frames go, and what is still to go.
struct Engine {
    out: OwnedFd,
    /// The command's output.
    pipe: Option<PipeReader>,
    unable: Vec<Unable>,
    pending: Vec<u8>,
    /// How much more of the command's output is passed on.
    left: u64,
}

impl Engine {
    /// Takes standard output away from everyone else.
    fn take_over() -> io::Result<Self> {
        let out = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
        rustix::io::ioctl_fionbio(&out, true)?;
        let outside = Self {
            out,
            pipe: None,
            unable: Vec::new(),
            pending: Vec::new(),
            left: 0,
        };
        outside.deafen()?;
        rustix::stdio::dup2_stdin(null(OFlags::RDONLY)?)?;
        Ok(outside)
    }

    /// Makes standard output and error a pipe, for the command to inherit.
    fn listen(&mut self) -> io::Result<()> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::stdio::dup2_stdout(&writer)?;
        rustix::stdio::dup2_stderr(&writer)?;
        self.pipe = Some(reader);
        Ok(())
    }

    /// Lets go of the pipe's other end, so that it closes with the last process that
    /// writes to it.
    fn deafen(&self) -> io::Result<()> {
        let nothing = null(OFlags::WRONLY)?;
        rustix::stdio::dup2_stdout(&nothing)?;
        rustix::stdio::dup2_stderr(&nothing)?;
        Ok(())
    }

    /// Reads once what the command printed.
    fn read(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        let mut buffer = [0; PIECE];
        match pipe.read(&mut buffer) {
            Ok(0) => self.pipe = None,
            Ok(count) => {
                let read = buffer.get(..count).unwrap_or_default();
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let passed = read.get(..left).unwrap_or(read);
                self.left -= passed.len() as u64;
                if !passed.is_empty() {
                    Frame::Output(passed.to_vec()).write(&mut self.pending);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes once what is pending.
    fn write(&mut self) -> io::Result<()> {
        match rustix::io::write(&self.out, &self.pending) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// Passes on all that is left in the pipe, once nobody writes to it any more.
    fn drain(&mut self) -> io::Result<()> {
        while self.pipe.is_some() {
            self.read()?;
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            let mut events = [PollFd::new(&self.out, PollFlags::OUT)];
            match rustix::event::poll(&mut events, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => self.write()?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn finish(&mut self, finish: &Finish) -> io::Result<()> {
        Frame::End(serde_json::to_string(finish)?).write(&mut self.pending);
        self.flush()
    }
}

impl Outside for Engine {
    fn unable(&mut self, unable: Unable) -> Result<(), Trouble> {
        self.unable.push(unable);
        Ok(())
    }

    fn forked(&mut self) -> io::Result<()> {
        self.deafen()
    }

    /// What waits to go out goes before anything new comes in.
    fn event(&self) -> Option<PollFd<'_>> {
        if !self.pending.is_empty() {
            return Some(PollFd::new(&self.out, PollFlags::OUT));
        }
        let pipe = self.pipe.as_ref()?;
        Some(PollFd::new(pipe, PollFlags::IN))
    }

    fn attend(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            self.read()?;
        }
        self.write()
    }
}

fn null(flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        "/dev/null",
        flags | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}
