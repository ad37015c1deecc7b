//! The outside of a running sandbox.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags};

use super::inside::NAME;
use super::owner::Owner;
use super::spec::{End, Mapped, Report, Spec};
use super::{channel, trouble};
use crate::sandbox::log::Log;
use crate::sandbox::{SandboxError, Unable};

/// Where a command's input and output go.
pub(super) enum Streams<'a> {
    /// Input is empty, output goes to the log.
    Log(Box<Log<'a>>),
    /// All three are those of this process.
    Terminal,
}

/// What is left when a sandbox has ended.
pub(super) struct Ended {
    pub(super) end: End,
    /// `/build`, where that was a memory file system.
    pub(super) build: Option<OwnedFd>,
    /// What of the surroundings could not be had.
    pub(super) unable: Vec<Unable>,
}

/// Runs a sandbox to its end. When this returns, every process in it is gone,
/// whether it returns an error or not.
pub(super) fn run(
    program: &Path,
    cache: &Path,
    spec: &Spec,
    owner: &Owner,
    streams: &mut Streams<'_>,
) -> Result<Ended, SandboxError> {
    let mut running = Running::start(program, cache, streams)
        .map_err(trouble("start the sandbox's first process"))?;
    let terminal = io::stdin();
    let terminal = matches!(streams, Streams::Terminal).then(|| terminal.as_fd());
    channel::send(&running.control, spec, terminal)
        .map_err(trouble("tell the sandbox what to run"))?;
    running.attend(owner, streams)
}

struct Running {
    child: Child,
    control: UnixStream,
    output: Option<PipeReader>,
}

impl Running {
    fn start(program: &Path, cache: &Path, streams: &Streams<'_>) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command
            .arg0(NAME)
            .env_clear()
            .current_dir(cache)
            .stdin(OwnedFd::from(theirs));
        let output = match streams {
            Streams::Terminal => None,
            Streams::Log(_) => {
                let (reader, writer) = io::pipe()?;
                command.stdout(writer.try_clone()?).stderr(writer);
                Some(reader)
            }
        };
        let child = command.spawn()?;
        Ok(Self {
            child,
            control: ours,
            output,
        })
    }

    /// Serves the inside until nothing of it is left.
    fn attend(&mut self, owner: &Owner, streams: &mut Streams<'_>) -> Result<Ended, SandboxError> {
        let mut end = None;
        let mut build = None;
        let mut unable = Vec::new();
        let mut talking = true;
        let mut buffer = vec![0; 64 << 10];
        while talking || self.output.is_some() {
            let (control, output) = self
                .wait(talking)
                .map_err(trouble("wait for the sandbox"))?;
            if control {
                let told =
                    channel::receive(&self.control).map_err(trouble("hear from the sandbox"))?;
                match told {
                    None => talking = false,
                    Some((Report::Unshared, _)) => {
                        owner.map(self.child.id())?;
                        channel::send(&self.control, &Mapped, None)
                            .map_err(trouble("let the sandbox go on"))?;
                    }
                    Some((Report::Ready, descriptor)) => build = descriptor,
                    Some((Report::Unable(what), _)) => unable.push(what),
                    Some((Report::Ended(how), _)) => end = Some(how),
                    Some((Report::Failed(failed), _)) => {
                        let (attempted, source) = failed.split();
                        return Err(super::setup_error(attempted, source));
                    }
                }
            }
            if output {
                self.drain(&mut buffer, streams)
                    .map_err(trouble("keep the command's log"))?;
            }
        }
        let status = self.child.wait().map_err(trouble("wait for the sandbox"))?;
        match end {
            Some(end) => Ok(Ended { end, build, unable }),
            None => Err(super::setup_error(
                "follow the command to its end".to_owned(),
                io::Error::other(format!("the sandbox's own process was ended ({status})")),
            )),
        }
    }

    /// Which of the control socket and the output have something.
    fn wait(&self, talking: bool) -> io::Result<(bool, bool)> {
        let mut events = Vec::with_capacity(2);
        if talking {
            events.push(PollFd::new(&self.control, PollFlags::IN));
        }
        if let Some(output) = &self.output {
            events.push(PollFd::new(output, PollFlags::IN));
        }
        match rustix::event::poll(&mut events, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok((false, false)),
            Err(errno) => return Err(errno.into()),
        }
        let mut ready = events.iter().map(|event| !event.revents().is_empty());
        let control = talking && ready.next().unwrap_or(false);
        Ok((control, ready.next().unwrap_or(false)))
    }

    fn drain(&mut self, buffer: &mut [u8], streams: &mut Streams<'_>) -> io::Result<()> {
        let (Some(output), Streams::Log(log)) = (&mut self.output, streams) else {
            return Ok(());
        };
        match output.read(buffer)? {
            0 => self.output = None,
            count => log.take(buffer.get(..count).unwrap_or_default())?,
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its end ends pid 1, and that everything else; only then does the other end
        // of the socket close.
        let mut rest = Vec::new();
        let _ = self.control.read_to_end(&mut rest);
    }
}

/// Gives a folder to the user as whom commands run, where that is another.
pub(super) fn hand_over(folder: BorrowedFd<'_>, owner: &Owner) -> io::Result<()> {
    if let Some(id) = owner.switch() {
        rustix::fs::fchown(
            folder,
            Some(rustix::fs::Uid::from_raw(id)),
            Some(rustix::fs::Gid::from_raw(id)),
        )?;
    }
    Ok(())
}

/// Writes a map of `/proc`; it must be written at once.
pub(super) fn write_map(pid: u32, name: &str, content: &str) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/{name}"), content)
}
