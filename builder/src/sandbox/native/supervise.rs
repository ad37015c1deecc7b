//! Pid 1 while the command runs: one loop that waits for everything.

use std::io;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::given::Given;
use super::inside::Outside;
use super::spec::{End, Spec, Trouble};
use super::terminal::Terminal;
use super::trace::Tracer;
use super::watch::{self, Usage};

/// How often the limits are checked.
const TICK: Duration = Duration::from_millis(25);
/// How seldom at most.
const MAX_TICK: Duration = Duration::from_millis(500);
/// How often while the processes are near their limit: starting a few dozen takes longer.
const NEAR_TICK: Duration = Duration::from_millis(1);
/// How many processes that stopped or ended are seen to before the limits are looked
/// at again: ones that stop without end must not keep the watch from its work.
const AT_ONCE: usize = 256;

/// A command that runs.
pub(super) struct Running<'a> {
    pub(super) spec: &'a Spec,
    pub(super) outside: &'a mut dyn Outside,
    pub(super) command: Pid,
    /// The terminal that it writes to, if to one.
    pub(super) terminal: Option<Terminal>,
    /// What answers some of its system calls, if anything does.
    pub(super) tracer: Option<Tracer>,
    /// Whom it gave files to, where that is remembered.
    pub(super) given: Option<Given>,
}

/// Has ends and stops of processes wait until [`Running::watch_over`] looks for them.
/// The command gets the signal back before it starts.
pub(super) fn hold_signals() -> io::Result<()> {
    let set = child_signal();
    // SAFETY: the set outlives the call, which only reads it.
    match unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn child_signal() -> libc::sigset_t {
    // SAFETY: the set is plain numbers, and both calls write nothing but it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        set
    }
}

/// A descriptor that can be read when a process ended or stopped.
fn child_events() -> io::Result<OwnedFd> {
    let set = child_signal();
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the set outlives the call, which only reads it; the descriptor that it
    // returns is no one else's.
    unsafe {
        match libc::signalfd(-1, &raw const set, flags) {
            fd if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Running<'_> {
    /// Watches the command to its end, or to the first limit that it passes.
    pub(super) fn watch_over(mut self) -> Result<End, Trouble> {
        let end = self.wait_for_end();
        if let Some(terminal) = &self.terminal {
            terminal
                .drain()
                .map_err(Trouble::at("pass on the command's output"))?;
        }
        end
    }

    fn wait_for_end(&mut self) -> Result<End, Trouble> {
        let failed = || Trouble::at("watch over the command");
        let deadline = self
            .spec
            .timeout_ms
            .and_then(|timeout| Instant::now().checked_add(Duration::from_millis(timeout)));
        // Only a tracer has to see to every process at once. The others that ended are
        // collected when the limits are looked at, so that until then they count.
        let children = match &self.tracer {
            Some(_) => child_events(),
            None => pidfd_open(self.command, PidfdFlags::empty()).map_err(Into::into),
        };
        let children = children.map_err(failed())?;
        let memory_limit = self.spec.memory_mib.saturating_mul(1 << 20);
        let mut look = Instant::now();
        let mut usage = Usage::default();
        let mut ended = true;
        loop {
            let begun = Instant::now();
            let due = begun >= look;
            // Before those that ended are collected: what was left to pid 1 counts until
            // then, as it does for the kernel, however short it lived. Traced processes
            // stop far too often for that.
            if due || (ended && self.tracer.is_none()) {
                usage = watch::measure(memory_limit)
                    .map_err(Trouble::at("measure what the command uses"))?;
                if usage.tasks > self.spec.processes {
                    return Ok(End::TooManyProcesses);
                }
                let took = begun.elapsed();
                let pause = if usage.tasks > self.spec.processes / 2 {
                    NEAR_TICK.max(took)
                } else {
                    // Measuring many processes takes its time; the command is to have most.
                    TICK.max(took.saturating_mul(10))
                };
                look = Instant::now() + pause.min(MAX_TICK);
            }
            if (due || ended)
                && let Some(end) = self.see_to_children(&children).map_err(failed())?
            {
                return Ok(end);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(End::TimedOut);
            }
            if usage.memory > memory_limit {
                return Ok(End::OutOfMemory);
            }
            ended = self.wait(&children, look).map_err(failed())?;
        }
    }

    /// Waits until there is something to do, `until` at most. Says whether a process ended
    /// or stopped.
    fn wait(&mut self, children: &OwnedFd, until: Instant) -> io::Result<bool> {
        let pause = until.saturating_duration_since(Instant::now());
        let pause = Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(pause.subsec_nanos()),
        };
        let mut events = vec![PollFd::new(children, PollFlags::IN)];
        if let Some(terminal) = &self.terminal {
            events.push(PollFd::from_borrowed_fd(terminal.as_fd(), PollFlags::IN));
        }
        if let Some(given) = &self.given {
            events.push(PollFd::from_borrowed_fd(given.as_fd(), PollFlags::IN));
        }
        let outside = self.outside.event();
        events.extend(outside);
        match rustix::event::poll(&mut events, Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = events
            .iter()
            .map(|event| !event.revents().is_empty())
            .collect();
        drop(events);
        let mut ready = ready.into_iter();
        let ended = ready.next() == Some(true);
        if let Some(terminal) = &self.terminal
            && ready.next() == Some(true)
        {
            terminal.relay()?;
        }
        if let Some(given) = &mut self.given
            && ready.next() == Some(true)
        {
            given.attend()?;
        }
        if ready.next() == Some(true) {
            self.outside.attend()?;
        }
        Ok(ended)
    }

    /// Collects processes that ended, and has those that stopped go on; says how the
    /// command did, once it has ended.
    fn see_to_children(&mut self, children: &OwnedFd) -> io::Result<Option<End>> {
        if self.tracer.is_some() {
            // Signals do not add up, so it is read before and not after looking.
            let mut told = [0; size_of::<libc::signalfd_siginfo>()];
            match rustix::io::read(children, &mut told) {
                Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        for _ in 0..AT_ONCE {
            let Some((pid, status)) = next_child() else {
                return Ok(None);
            };
            if libc::WIFSTOPPED(status) {
                if let Some(tracer) = &mut self.tracer {
                    tracer.stopped(pid, status);
                }
                continue;
            }
            if let Some(tracer) = &mut self.tracer {
                tracer.ended(pid);
            }
            if pid == self.command.as_raw_pid() {
                return Ok(Some(if libc::WIFEXITED(status) {
                    End::Exit(libc::WEXITSTATUS(status))
                } else {
                    End::Signal(libc::WTERMSIG(status))
                }));
            }
        }
        // There may be more; the signal for them has been read.
        raise_again();
        Ok(None)
    }
}

/// Has [`child_events`] be readable once more.
fn raise_again() {
    // SAFETY: the signal is held, so nothing is interrupted.
    unsafe { libc::kill(libc::getpid(), libc::SIGCHLD) };
}

/// A process that ended or, being traced, stopped, with its status.
fn next_child() -> Option<(libc::pid_t, libc::c_int)> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
    (pid > 0).then_some((pid, status))
}
