//! The inside's first processes: one that makes the namespaces, and pid 1 in them.
//!
//! A process with threads cannot enter new namespaces, so `luni` executes itself
//! again, and that process, which has only one, does it:
//!
//! ```text
//! luni ── luni-sandbox (namespaces) ── pid 1 (mounts, watches) ── pid 32: the command
//! ```
//!
//! Each ends when the one before it does, and with pid 1 the kernel ends everything
//! in the sandbox.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions};
use rustix::thread::{Gid, Uid, UnshareFlags};

use super::given::Given;
use super::spec::{End, Mapped, Report, Spec, Trouble};
use super::supervise::{self, Running};
use super::terminal::Terminal;
use super::trace::Tracer;
use super::{around, channel, confine, contained, mounts, numbers, release};
use crate::sandbox::{Facet, Unable};

/// The name under which this program is started to become a sandbox. It is all
/// that the command sees of pid 1's command line.
pub(in crate::sandbox) const NAME: &str = "luni-sandbox";

/// The command's process number: one that is free in every sandbox. Engines of containers
/// use up some before pid 1 has its say, now more, now fewer.
const COMMAND: i32 = 32;

/// Becomes a sandbox if this process was started to be one; call it first in `main`,
/// before any thread is started.
#[must_use]
pub fn enter_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    if arguments.next()? != NAME || arguments.len() != 0 {
        return None;
    }
    if contained::is_asked() {
        return Some(contained::enter());
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
    let mut others = UnshareFlags::NEWPID
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWCGROUP;
    // The filter keeps a command with the network from what else lives in its namespace.
    others.set(UnshareFlags::NEWNET, !spec.network);
    unshare(others).map_err(Trouble::at("make namespaces for processes and the network"))?;
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
    let mut outside = Control(control);
    around::set_names(&spec.around)?;
    for unable in around::set_up(&spec.around) {
        outside.unable(unable)?;
    }
    if !spec.network {
        raise_loopback().map_err(Trouble::at("raise the loopback interface"))?;
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Trouble::at("close pid 1 to inspection"))?;
    channel::send(control, &Report::Ready, build.as_ref().map(AsFd::as_fd))
        .map_err(Trouble::at("report that all is ready"))?;
    drop(build);

    run(spec, &mut outside)
}

/// Runs the command to its end, in a root and with names that are set up.
pub(super) fn run(spec: &Spec, outside: &mut dyn Outside) -> Result<End, Trouble> {
    numbers::use_process_ids_to(COMMAND - 1)
        .and_then(|()| numbers::use_process_ids(spec.around.process_ids_used))
        .map_err(Trouble::at("use up process numbers"))?;
    match start(spec, outside)? {
        Started::Running(running) => running.watch_over(),
        Started::Not(end) => Ok(end),
    }
}

/// What pid 1 has of the outside.
pub(super) trait Outside {
    /// Says that something of the surroundings cannot be had.
    fn unable(&mut self, unable: Unable) -> Result<(), Trouble>;

    /// What to wait for while the command runs; `None` where nothing more can come.
    fn event(&self) -> Option<PollFd<'_>>;

    /// Called when that has come.
    fn attend(&mut self) -> io::Result<()>;

    /// Called when the command has been forked off.
    fn forked(&mut self) -> io::Result<()>;
}

/// The socket. The other side says nothing once the command runs, so anything is its end.
struct Control<'a>(&'a UnixStream);

impl Outside for Control<'_> {
    fn unable(&mut self, unable: Unable) -> Result<(), Trouble> {
        channel::send(self.0, &Report::Unable(unable), None)
            .map_err(Trouble::at("report what cannot be had"))
    }

    fn event(&self) -> Option<PollFd<'_>> {
        Some(PollFd::new(self.0, PollFlags::IN))
    }

    fn attend(&mut self) -> io::Result<()> {
        exit(1)
    }

    fn forked(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the process says that becomes the command.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) enum Word {
    /// It can be traced, and waits to hear whether it is.
    Traceable,
    /// Its calls that are about owners are handed over; a descriptor comes along.
    Owners,
    /// Its program could not be executed.
    Program(i32),
    /// It could not be confined.
    Trouble(Trouble),
}

enum Started<'a> {
    Running(Running<'a>),
    Not(End),
}

/// Starts the command. The socket closes when it has started, and says why if not.
fn start<'a>(spec: &'a Spec, outside: &'a mut dyn Outside) -> Result<Started<'a>, Trouble> {
    let failed = || Trouble::at("start the command");
    let terminal = if spec.around.terminal {
        open_terminal(outside)?
    } else {
        None
    };
    supervise::hold_signals().map_err(failed())?;
    let (ours, theirs) = UnixStream::pair().map_err(failed())?;
    let Some(command) = fork().map_err(failed())? else {
        if spec.interactive {
            take_terminal();
        }
        let word = match confine::become_command(spec, terminal.as_ref(), &theirs) {
            Ok(error) => Word::Program(error.raw_os_error().unwrap_or(0)),
            Err(trouble) => Word::Trouble(trouble),
        };
        let _ = channel::send(&theirs, &word, None);
        exit(127)
    };
    drop(theirs);
    outside.forked().map_err(Trouble::at("start the command"))?;
    let mut tracer = None;
    let mut given = None;
    loop {
        match channel::receive(&ours).map_err(failed())? {
            None => break,
            Some((Word::Traceable, _)) => {
                tracer = trace_command(spec, outside, command)?;
                channel::send(&ours, &tracer.is_some(), None).map_err(failed())?;
            }
            Some((Word::Owners, listener)) => given = listener.map(Given::new),
            Some((Word::Program(errno), _)) => return Ok(Started::Not(End::CannotStart(errno))),
            Some((Word::Trouble(trouble), _)) => return Err(trouble),
        }
    }
    Ok(Started::Running(Running {
        spec,
        outside,
        command,
        terminal,
        tracer,
        given,
    }))
}

fn open_terminal(outside: &mut dyn Outside) -> Result<Option<Terminal>, Trouble> {
    match Terminal::open() {
        Ok(terminal) => Ok(Some(terminal)),
        Err(error) => {
            let facet = Facet::Terminal;
            let why = format!("no terminal can be made here: {error}");
            outside.unable(Unable { facet, why })?;
            Ok(None)
        }
    }
}

/// Has another clock and another release be answered to the command.
fn trace_command(
    spec: &Spec,
    outside: &mut dyn Outside,
    command: Pid,
) -> Result<Option<Tracer>, Trouble> {
    let around = &spec.around;
    let error = match Tracer::attach(command.as_raw_pid(), around) {
        Ok(tracer) => {
            if let Some(release) = &around.kernel_release
                && let Err(error) = release::cover(release)
            {
                let facet = Facet::KernelRelease;
                let why = format!("only uname(2) says another, and not /proc: {error}");
                outside.unable(Unable { facet, why })?;
            }
            return Ok(Some(tracer));
        }
        Err(error) => error,
    };
    let asked = [
        (Facet::Clock, around.clock_ahead != Duration::ZERO),
        (Facet::KernelRelease, around.kernel_release.is_some()),
    ];
    for (facet, _) in asked.into_iter().filter(|(_, asked)| *asked) {
        let why = format!("commands cannot be traced here (ptrace): {error}");
        outside.unable(Unable { facet, why })?;
    }
    Ok(None)
}

/// Makes the command the one that Ctrl-C and the like go to.
fn take_terminal() {
    let _ = rustix::process::setpgid(None, None);
    // SAFETY: ignoring a signal runs no code of this process; the command gets the
    // default back before it starts.
    unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
    let _ = rustix::termios::tcsetpgrp(io::stdin(), rustix::process::getpgrp());
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
pub(super) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: this process has one thread, so the child finds no lock held and no
    // structure half-changed.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Ends the process without running what its parent registered to run at its own end.
pub(super) fn exit(code: i32) -> ! {
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
