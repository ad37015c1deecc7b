//! Another clock and another kernel release, by answering the command's system calls.
//!
//! Pid 1 traces the command and all that it starts (ptrace(2)). A filter has the kernel
//! stop a process at the few calls that tell the time or the release; pid 1 answers
//! them in the kernel's place. Calls that wait for a moment of that other clock get the
//! moment translated on their way in. So that C libraries make calls at all instead of
//! reading the clock by themselves, every new program is kept from finding the kernel's
//! code for that (vdso(7)).
//!
//! All other calls run as fast as ever; without a tracer nothing of this is there.

mod calls;
mod memory;
mod selection;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use libc::{c_int, pid_t};

pub(super) use self::selection::program;
use crate::sandbox::Surroundings;

/// Answers system calls.
pub(super) struct Tracer {
    answers: calls::Answers,
    /// Which register of a process is to be put back when its call returns, and what
    /// was in it.
    waiting: BTreeMap<pid_t, (calls::Argument, u64)>,
}

/// How a process goes on.
enum Resume {
    /// With that signal, or none for 0.
    Run(c_int),
    /// To the end of its system call.
    ToReturn,
    /// Not yet: it was stopped by a signal, and waits for another.
    StayStopped,
}

/// Whether these surroundings take a tracer.
pub(super) fn is_needed(around: &Surroundings) -> bool {
    around.clock_ahead != Duration::ZERO || around.kernel_release.is_some()
}

impl Tracer {
    /// Traces the process `pid`, which must not have become the command yet.
    pub(super) fn attach(pid: pid_t, around: &Surroundings) -> io::Result<Self> {
        let options = libc::PTRACE_O_TRACESYSGOOD
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_TRACESECCOMP
            | libc::PTRACE_O_EXITKILL;
        memory::request(
            libc::PTRACE_SEIZE as _,
            pid,
            0,
            u64::from(options.unsigned_abs()),
        )?;
        Ok(Self {
            answers: calls::Answers::new(around.clock_ahead, around.kernel_release.as_deref()),
            waiting: BTreeMap::new(),
        })
    }

    /// Sees to a process that stopped. One that was killed meanwhile needs nothing.
    pub(super) fn stopped(&mut self, pid: pid_t, status: c_int) {
        let (request, signal) = match self.see_to(pid, status) {
            Resume::Run(signal) => (libc::PTRACE_CONT as c_int, signal),
            Resume::ToReturn => (libc::PTRACE_SYSCALL as c_int, 0),
            Resume::StayStopped => (libc::PTRACE_LISTEN as c_int, 0),
        };
        let _ = memory::request(request, pid, 0, u64::from(signal.unsigned_abs()));
    }

    /// Forgets a process that ended.
    pub(super) fn ended(&mut self, pid: pid_t) {
        self.waiting.remove(&pid);
    }

    fn see_to(&mut self, pid: pid_t, status: c_int) -> Resume {
        const AT_RETURN: c_int = libc::SIGTRAP | 0x80;
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            libc::PTRACE_EVENT_SECCOMP => match self.answers.answer(pid) {
                Some(restore) => {
                    self.waiting.insert(pid, restore);
                    Resume::ToReturn
                }
                None => Resume::Run(0),
            },
            libc::PTRACE_EVENT_EXEC => {
                // The other threads are gone, and the one that goes on has this number now.
                self.waiting.remove(&pid);
                if let Ok(former) = memory::event_message(pid) {
                    self.waiting.remove(&former);
                }
                let _ = memory::hide_kernel_code(pid);
                Resume::Run(0)
            }
            libc::PTRACE_EVENT_STOP => match signal {
                libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
                    Resume::StayStopped
                }
                _ => Resume::Run(0),
            },
            0 if signal == AT_RETURN => {
                if let Some((argument, value)) = self.waiting.remove(&pid) {
                    let _ = calls::put_back(pid, argument, value);
                }
                Resume::Run(0)
            }
            0 => Resume::Run(signal),
            _ => Resume::Run(0),
        }
    }
}
