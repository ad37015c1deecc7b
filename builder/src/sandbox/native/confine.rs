//! The last steps before the command: what it may use, and what it may not do.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use fs_err as fs;
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets, CpuSet};

use super::inside::Word;
use super::spec::{Spec, Trouble};
use super::terminal::Terminal;
use super::{channel, filter, given, trace};

/// Largest file: 64 GiB, more than any build makes and less than a disk.
const MAX_FILE: u64 = 64 << 30;
/// Open files of a process.
const MAX_FILES: u64 = 4096;
/// Stack of a process; also what the length of a command line is limited by.
const STACK: u64 = 8 << 20;
/// Processes beyond the limit that the kernel allows, so that the watch sees that
/// the limit was passed instead of a command that fails for no visible reason.
const SPARE_PROCESSES: u64 = 16;

/// Confines this process and becomes the command; returns only where that fails.
/// `waiting` is the socket on which pid 1 waits for it to have started.
pub(super) fn become_command(
    spec: &Spec,
    terminal: Option<&Terminal>,
    waiting: &UnixStream,
) -> Result<io::Error, Trouble> {
    match terminal {
        Some(terminal) => terminal.take().map_err(Trouble::at("take the terminal"))?,
        None if spec.interactive => {}
        None => drop(rustix::process::setsid().map_err(Trouble::at("start a session"))?),
    }
    set_surroundings(spec)?;
    let traced = trace::is_needed(&spec.around) && ask_to_be_traced(waiting)?;
    set_limits(spec)?;
    join_empty_keyring();
    reset_signals();
    close_descriptors().map_err(Trouble::at("close what the command must not hold"))?;
    drop_capabilities()?;
    rustix::thread::set_no_new_privs(true)
        .map_err(Trouble::at("forbid the command to gain privileges"))?;
    // The filter is the last step: it forbids some of those before it.
    let failed = || Trouble::at("compile the system-call filter");
    let mut programs = filter::programs(spec.network).map_err(failed())?;
    if traced {
        programs.push(trace::program(&spec.around).map_err(failed())?);
    }
    for program in programs {
        seccompiler::apply_filter(&program)
            .map_err(io::Error::other)
            .map_err(Trouble::at("apply the system-call filter (seccomp)"))?;
    }
    if spec.keeps_owners {
        let failed = || Trouble::at("have calls that are about owners handed to pid 1 (seccomp)");
        let listener = given::hand_over().map_err(failed())?;
        channel::send(waiting, &Word::Owners, Some(listener.as_fd())).map_err(failed())?;
    }
    let (program, arguments) = spec
        .argv
        .split_first()
        .ok_or_else(|| Trouble::at("find the command")(io::Error::other("it is empty")))?;
    Ok(Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .exec())
}

/// Whether pid 1 traces this process from now on.
fn ask_to_be_traced(waiting: &UnixStream) -> Result<bool, Trouble> {
    let failed = || Trouble::at("ask to be traced");
    channel::send(waiting, &Word::Traceable, None).map_err(failed())?;
    let answer = channel::receive(waiting).map_err(failed())?;
    Ok(answer.is_some_and(|(traced, _)| traced))
}

fn set_surroundings(spec: &Spec) -> Result<(), Trouble> {
    // Until here the process was closed to inspection; it has nothing to hide from
    // itself, and must write to its own folder in /proc.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
        .map_err(Trouble::at("open the process to itself"))?;
    // Should memory run out, the kernel is to end a command before anything else.
    fs::write("/proc/self/oom_score_adj", "500").map_err(Trouble::at(
        "offer the command to the kernel should memory run out",
    ))?;
    if let Some(count) = spec.around.cpus {
        restrict_processors(count).map_err(Trouble::at("restrict the processors"))?;
    }
    rustix::process::chdir(format!("/{}", spec.workdir))
        .map_err(Trouble::at(format!("enter /{}", spec.workdir)))?;
    rustix::process::umask(Mode::from_raw_mode(spec.around.umask & 0o777));
    Ok(())
}

fn restrict_processors(count: usize) -> io::Result<()> {
    let available = rustix::thread::sched_getaffinity(None)?;
    let mut chosen = CpuSet::new();
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| available.is_set(*cpu))
        .take(count.max(1))
        .for_each(|cpu| chosen.set(cpu));
    Ok(rustix::thread::sched_setaffinity(None, &chosen)?)
}

fn set_limits(spec: &Spec) -> Result<(), Trouble> {
    let memory = spec.memory_mib.saturating_mul(1 << 20);
    let limits = [
        (Resource::Core, 0, 0),
        (Resource::Fsize, MAX_FILE, MAX_FILE),
        (Resource::Nofile, 1024, MAX_FILES),
        (Resource::Stack, STACK, u64::MAX),
        (Resource::Memlock, 64 << 10, 64 << 10),
        // Memory that is only reserved counts here and not in the watch's sum, so
        // this is wider: it stops what grows faster than the watch looks.
        (
            Resource::Data,
            memory.saturating_mul(2),
            memory.saturating_mul(2),
        ),
        (
            Resource::Nproc,
            spec.processes.saturating_add(SPARE_PROCESSES),
            spec.processes.saturating_add(SPARE_PROCESSES),
        ),
    ];
    for (resource, soft, hard) in limits {
        // No limit may be raised: the machine's own may be lower.
        let ceiling = rustix::process::getrlimit(resource).maximum;
        let bound = |wanted: u64| ceiling.map_or(wanted, |ceiling| wanted.min(ceiling));
        let finite = |value: u64| (value != u64::MAX).then_some(value);
        let limit = Rlimit {
            current: finite(bound(soft)),
            maximum: finite(bound(hard)),
        };
        rustix::process::setrlimit(resource, limit)
            .map_err(Trouble::at(format!("limit the command ({resource:?})")))?;
    }
    Ok(())
}

/// Keys of the outside's session must not be reachable. A kernel without keyrings
/// has none to reach.
fn join_empty_keyring() {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: this operation takes a name or a null pointer and no other argument.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, anonymous) };
}

/// Whether this process has no capability and cannot get one.
fn none_can_be_had() -> rustix::io::Result<bool> {
    let held = rustix::thread::capabilities(None)?;
    let bounded = (0..u64::BITS).any(|number| {
        let one = CapabilitySet::from_bits_retain(1 << number);
        // Numbers that the kernel does not know are errors.
        rustix::thread::capability_is_in_bounding_set(one).unwrap_or(false)
    });
    Ok(held.permitted.is_empty() && held.inheritable.is_empty() && !bounded)
}

/// A command must not notice which signals its caller ignored or held back.
fn reset_signals() {
    // Handler, flags, restorer and mask, as the kernel has them: by itself, as the C library
    // changes none of the signals that it keeps for itself.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the default action runs no code of this process, and what says so
        // outlives the call. Signals that cannot be changed are refused without effect.
        unsafe {
            let (new, old) = (default.as_ptr(), std::ptr::null_mut::<u64>());
            libc::syscall(
                libc::SYS_rt_sigaction,
                libc::c_long::from(signal),
                new,
                old,
                size_of::<u64>(),
            );
        }
    }
    // SAFETY: the set is plain numbers, filled by the first call, and outlives both.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Whatever the caller of this program left open closes when the command starts.
fn close_descriptors() -> io::Result<()> {
    const ON_EXEC: libc::c_uint = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: nothing is closed yet, so no descriptor that is in use goes away.
    match unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, ON_EXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn drop_capabilities() -> Result<(), Trouble> {
    let failed = || Trouble::at("give up capabilities");
    if none_can_be_had().map_err(failed())? {
        // A container's engine has taken them all, the one for what follows included.
        return Ok(());
    }
    rustix::thread::set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_SETUID_FIXUP
            | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
    )
    .map_err(failed())?;
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(one) {
            // The first number that the kernel does not know.
            Err(rustix::io::Errno::INVAL) => break,
            other => other.map_err(failed())?,
        }
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(failed())
}
