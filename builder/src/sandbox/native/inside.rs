//! The inside's first processes: one that makes the namespaces, and pid 1 in them.
//!
//! A process with threads cannot enter new namespaces, so `luni` executes itself
//! again, and that process, which has only one, does it:
//!
//! ```text
//! luni ── luni-sandbox (namespaces) ── pid 1 (mounts, watches) ── pid 2: the command
//! ```
//!
//! Each ends when the one before it does, and with pid 1 the kernel ends everything
//! in the sandbox.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use rustix::thread::{Gid, Uid, UnshareFlags};

use super::spec::{End, Mapped, Report, Spec, Trouble};
use super::{channel, confine, mounts, watch};

/// The name under which this program is started to become a sandbox. It is all
/// that the command sees of pid 1's command line.
pub(super) const NAME: &str = "luni-sandbox";

/// How often the limits are checked.
const TICK: Duration = Duration::from_millis(25);
/// How seldom at most.
const MAX_TICK: Duration = Duration::from_millis(500);
/// How often while the processes are near their limit: starting a few dozen takes longer.
const NEAR_TICK: Duration = Duration::from_millis(1);

/// Becomes a sandbox if this process was started to be one; call it first in `main`,
/// before any thread is started.
#[must_use]
pub fn enter_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    if arguments.next()? != NAME || arguments.len() != 0 {
        return None;
    }
    let failed = |_: io::Error| ExitCode::FAILURE;
    Some(match enter() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error),
    })
}

/// Errors before there is a socket to report them on end the process without a
/// word: only someone who starts it by hand sees that.
fn enter() -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let Some((spec, terminal)) = channel::receive::<Spec>(&control)? else {
        return Ok(());
    };
    match make_namespaces(&spec, &control, terminal) {
        Ok(()) => Ok(()),
        Err(trouble) => channel::send(&control, &Report::Failed(trouble), None),
    }
}

fn make_namespaces(
    spec: &Spec,
    control: &UnixStream,
    terminal: Option<OwnedFd>,
) -> Result<(), Trouble> {
    die_with_parent(control)?;
    let input = match terminal {
        Some(terminal) => terminal,
        None => rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(Trouble::at("open /dev/null"))?,
    };
    rustix::stdio::dup2_stdin(&input).map_err(Trouble::at("replace standard input"))?;
    drop(input);

    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)
        .map_err(Trouble::at("make a user namespace"))?;
    unshare(
        UnshareFlags::NEWPID
            | UnshareFlags::NEWNET
            | UnshareFlags::NEWUTS
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWCGROUP,
    )
    .map_err(Trouble::at("make namespaces for processes and the network"))?;
    let talk = || Trouble::at("have the user mapped");
    channel::send(control, &Report::Unshared, None).map_err(talk())?;
    if channel::receive::<Mapped>(control)
        .map_err(talk())?
        .is_none()
    {
        return Ok(());
    }

    // The way to the cache may be open to this user only as long as it is who it is
    // outside; from here on, descriptors and relative paths do.
    let lower = mounts::hold(&spec.lower).map_err(Trouble::at("open the root's files"))?;
    rustix::process::chdir(&spec.state).map_err(Trouble::at("enter the scratch folder"))?;
    become_root_inside()?;
    // Becoming another user took the wish back.
    die_with_parent(control)?;

    let own = rustix::process::pidfd_open(
        rustix::process::getpid(),
        rustix::process::PidfdFlags::empty(),
    )
    .map_err(Trouble::at("start pid 1"))?;
    match fork().map_err(Trouble::at("start pid 1"))? {
        Some(first) => {
            let _ = rustix::process::waitpid(Some(first), WaitOptions::empty());
            Ok(())
        }
        None => {
            let layers = mounts::Layers { lower };
            let end = die_with_parent(&own).and_then(|()| be_first(spec, control, &layers));
            let report = match end {
                Ok(end) => Report::Ended(end),
                Err(trouble) => Report::Failed(trouble),
            };
            let sent = channel::send(control, &report, None);
            exit(i32::from(sent.is_err()))
        }
    }
}

/// Pid 1: sets up everything, starts the command, and watches it to its end.
fn be_first(spec: &Spec, control: &UnixStream, layers: &mounts::Layers) -> Result<End, Trouble> {
    rustix::process::umask(Mode::empty());
    let build = mounts::enter_root(spec, layers)?;
    rustix::system::sethostname(spec.hostname.as_bytes())
        .map_err(Trouble::at("set the host name"))?;
    rustix::system::setdomainname(b"(none)").map_err(Trouble::at("set the domain name"))?;
    raise_loopback().map_err(Trouble::at("raise the loopback interface"))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Trouble::at("close pid 1 to inspection"))?;
    channel::send(control, &Report::Ready, build.as_ref().map(AsFd::as_fd))
        .map_err(Trouble::at("report that all is ready"))?;
    drop(build);

    let (command, failure) = start(spec)?;
    if let Some((not_started, _)) =
        channel::receive(&failure).map_err(Trouble::at("start the command"))?
    {
        return match not_started {
            NotStarted::Program(errno) => Ok(End::CannotStart(errno)),
            NotStarted::Trouble(trouble) => Err(trouble),
        };
    }
    watch_over(spec, control, command)
}

/// Why the command did not start.
#[derive(serde::Serialize, serde::Deserialize)]
enum NotStarted {
    /// Its program could not be executed.
    Program(i32),
    /// It could not be confined.
    Trouble(Trouble),
}

/// Starts the command. The socket closes when it has started, and says why if not.
fn start(spec: &Spec) -> Result<(Pid, UnixStream), Trouble> {
    let (ours, theirs) = UnixStream::pair().map_err(Trouble::at("start the command"))?;
    match fork().map_err(Trouble::at("start the command"))? {
        Some(command) => Ok((command, ours)),
        None => {
            if spec.interactive {
                take_terminal();
            }
            let failed = match confine::become_command(spec) {
                Ok(error) => NotStarted::Program(error.raw_os_error().unwrap_or(0)),
                Err(trouble) => NotStarted::Trouble(trouble),
            };
            let _ = channel::send(&theirs, &failed, None);
            exit(127)
        }
    }
}

/// Makes the command the one that Ctrl-C and the like go to.
fn take_terminal() {
    let _ = rustix::process::setpgid(None, None);
    // SAFETY: ignoring a signal runs no code of this process; the command gets the
    // default back before it starts.
    unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
    let _ = rustix::termios::tcsetpgrp(io::stdin(), rustix::process::getpgrp());
}

fn watch_over(spec: &Spec, control: &UnixStream, command: Pid) -> Result<End, Trouble> {
    let failed = || Trouble::at("watch over the command");
    let deadline = spec
        .timeout_ms
        .and_then(|timeout| Instant::now().checked_add(Duration::from_millis(timeout)));
    let memory_limit = spec.memory_mib.saturating_mul(1 << 20);
    let pidfd = rustix::process::pidfd_open(command, rustix::process::PidfdFlags::empty())
        .map_err(failed())?;
    let mut pause = TICK;
    loop {
        let tick = Timespec {
            tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(pause.subsec_nanos()),
        };
        let mut events = [
            PollFd::new(&pidfd, PollFlags::IN),
            PollFd::new(control, PollFlags::IN),
        ];
        match rustix::event::poll(&mut events, Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(failed()(errno)),
        }
        let [_, outside] = &events;
        if !outside.revents().is_empty() {
            // The outside sends nothing more: it is gone.
            exit(1);
        }
        // Before those that ended are collected: what was left to pid 1 counts until
        // then, as it does for the kernel, however short it lived.
        let begun = Instant::now();
        let usage =
            watch::measure(memory_limit).map_err(Trouble::at("measure what the command uses"))?;
        let took = begun.elapsed();
        if usage.tasks > spec.processes {
            return Ok(End::TooManyProcesses);
        }
        if let Some(end) = reap(command) {
            return Ok(end);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(End::TimedOut);
        }
        if usage.memory > memory_limit {
            return Ok(End::OutOfMemory);
        }
        pause = if usage.tasks > spec.processes / 2 {
            NEAR_TICK.max(took)
        } else {
            // Measuring many processes takes its time; the command is to have most.
            TICK.max(took.saturating_mul(10))
        }
        .min(MAX_TICK);
    }
}

/// Collects every process that ended; says how the command did, once it has.
fn reap(command: Pid) -> Option<End> {
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == command {
            return match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Some(End::Exit(code)),
                (None, Some(signal)) => Some(End::Signal(signal)),
                (None, None) => continue,
            };
        }
    }
    None
}

fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: the descriptor table, the one thing whose unsharing could invalidate
    // what others hold, is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

fn become_root_inside() -> Result<(), Trouble> {
    let failed = || Trouble::at("become the user that was mapped");
    match rustix::thread::set_thread_groups(&[]) {
        // An ordinary user keeps the groups it has; the kernel insists.
        Ok(()) | Err(rustix::io::Errno::PERM) => {}
        Err(errno) => return Err(failed()(errno)),
    }
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed())?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed())
}

/// Has this process ended with its parent. `parent` is a descriptor that something can
/// be read from once the parent is gone: its pidfd, or a socket whose other end it has.
fn die_with_parent(parent: &impl AsFd) -> Result<(), Trouble> {
    let ask = || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended before the line above, and then nothing ends this process.
        // Its number does not tell: in a new namespace of processes it is always 0.
        match is_gone(parent)? {
            true => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
            false => Ok(()),
        }
    };
    ask().map_err(Trouble::at("ask to be ended with the parent process"))
}

fn is_gone(parent: &impl AsFd) -> io::Result<bool> {
    let mut events = [PollFd::new(parent, PollFlags::IN)];
    let now = Timespec::default();
    Ok(rustix::event::poll(&mut events, Some(&now))? > 0)
}

/// `None` in the child.
fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: this process has one thread, so the child finds no lock held and no
    // structure half-changed.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Ends the process without running what its parent registered to run at its own end.
fn exit(code: i32) -> ! {
    // SAFETY: it takes any number and does not return.
    unsafe { libc::_exit(code) }
}

fn raise_loopback() -> io::Result<()> {
    // SAFETY: the call takes three numbers and returns a descriptor of our own.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: the structure is plain numbers, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the descriptor is open, and the request outlives the call, which only
    // reads it.
    let done = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_parent_that_ended_is_noticed_through_its_socket_and_its_pidfd() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!is_gone(&ours).unwrap());
        drop(theirs);
        assert!(is_gone(&ours).unwrap());

        let mut parent = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&parent);
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        assert!(!is_gone(&pidfd).unwrap());
        parent.kill().unwrap();
        parent.wait().unwrap();
        assert!(is_gone(&pidfd).unwrap());
    }
}
