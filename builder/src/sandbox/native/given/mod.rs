//! Owners that commands give to files.
//!
//! There is one user only inside, so nothing can really be given to another. Where an action
//! asks for it, pid 1 remembers who was given what, and says so to whoever looks: a filter
//! has the kernel hand the calls to it (`SECCOMP_RET_USER_NOTIF`, seccomp_unotify(2)). Thus
//! every program finds the owners that it set, and copies and unpacks them as root does.
//!
//! What a file may be used for stays as it is, and a file that is made in a folder with the
//! set-group-ID bit belongs to root's group.

mod process;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use libc::{c_int, c_long, seccomp_notif, seccomp_notif_resp};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use self::process::{Place, Process, stat, statx};

/// What changes owners, and what says them.
const CALLS: &[c_long] = &[
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
];
/// Most files whose owners are remembered, so that they fit pid 1's memory.
const MAX_FILES: usize = 1 << 20;
/// How many of the last files that were given away are held open.
const HELD: usize = 512;
/// `-1`, which leaves an owner or a group as it is.
const SAME: u32 = u32::MAX;

/// Has the kernel hand this process's calls, and those of all that it starts, to whoever has
/// the descriptor that comes back. Nothing answers them yet.
///
/// # Errors
/// Where the kernel cannot, or another program has been handed calls already.
pub(super) fn hand_over() -> io::Result<OwnedFd> {
    const SET_MODE_FILTER: c_int = 1;
    let mut program = program()?;
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_mut_ptr().cast(),
    };
    // SAFETY: the program has as many steps as is said, and outlives the call, which copies
    // it; the descriptor that it returns is no one else's.
    unsafe {
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        let fd = libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const filter);
        match c_int::try_from(fd) {
            Ok(fd) if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn program() -> io::Result<BpfProgram> {
    const RETURN: u16 = 0x06;
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let rules = CALLS.iter().map(|call| (*call, vec![])).collect();
    let chosen = SeccompAction::Trace(0);
    let mut program: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, chosen, arch)
        .and_then(TryInto::try_into)
        .map_err(io::Error::other)?;
    // The library has no name for this action.
    for step in &mut program {
        if step.code == RETURN && step.k == libc::SECCOMP_RET_TRACE {
            step.k = libc::SECCOMP_RET_USER_NOTIF;
        }
    }
    Ok(program)
}

/// A file, whatever its names: its number may become another file's, which was made later.
/// Clocks of file systems have ticks; see [`Given::held`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    device: (u32, u32),
    inode: u64,
    born: (i64, u32),
}

impl Identity {
    fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let found = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, wanted)?;
        Ok(Self {
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            born: (found.stx_btime.tv_sec, found.stx_btime.tv_nsec),
        })
    }
}

/// What a process is told.
enum Answer {
    /// The call was made.
    Done,
    /// The kernel is to make it.
    GoOn,
}

/// What has been given to whom.
pub(super) struct Given {
    listener: OwnedFd,
    owners: BTreeMap<Identity, (u32, u32)>,
    /// As long as one of these is open, no other file gets its number. When it is closed,
    /// giving away the others has taken longer than a tick.
    held: VecDeque<OwnedFd>,
}

impl Given {
    /// Nothing yet.
    pub(super) fn new(listener: OwnedFd) -> Self {
        Self {
            listener,
            owners: BTreeMap::new(),
            held: VecDeque::new(),
        }
    }

    /// Answers the call that waits. A process that is gone needs no answer.
    ///
    /// # Errors
    /// Where the kernel does not take answers.
    pub(super) fn attend(&mut self) -> io::Result<()> {
        // SAFETY: the structure is plain numbers, for which all zeros is a value, and what
        // the kernel wants to be given.
        let mut call: seccomp_notif = unsafe { std::mem::zeroed() };
        let listener = self.listener.as_raw_fd();
        // SAFETY: the descriptor is open, and the kernel writes nothing but the structure.
        let got =
            unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV as _, &raw mut call) };
        if got < 0 {
            return unless_gone();
        }
        let (error, flags) = match self.answer(&call) {
            Ok(Answer::Done) => (0, 0),
            Ok(Answer::GoOn) => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Err(error) => (-error.raw_os_error().unwrap_or(libc::EIO), 0),
        };
        let response = seccomp_notif_resp {
            id: call.id,
            val: 0,
            error,
            flags,
        };
        // SAFETY: the descriptor is open, and the structure outlives the call.
        let sent = unsafe {
            libc::ioctl(
                listener,
                libc::SECCOMP_IOCTL_NOTIF_SEND as _,
                &raw const response,
            )
        };
        if sent < 0 {
            return unless_gone();
        }
        Ok(())
    }

    fn answer(&mut self, call: &seccomp_notif) -> io::Result<Answer> {
        let [first, second, third, fourth, fifth, _] = call.data.args;
        let process = Process::new(call);
        let number = c_long::from(call.data.nr);
        let changes = match number {
            libc::SYS_fchown => Some((Place::open(first), second, third)),
            libc::SYS_fchownat => Some((Place::at(first, second, fifth), third, fourth)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => Some((Place::path(first, 0), second, third)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => {
                let flags = libc::AT_SYMLINK_NOFOLLOW;
                Some((Place::path(first, flags), second, third))
            }
            _ => None,
        };
        if let Some((place, user, group)) = changes {
            // What is not there the kernel names best.
            let Ok(file) = process.find(&place) else {
                return Ok(Answer::GoOn);
            };
            return self.give(file, user as u32, group as u32);
        }
        if self.owners.is_empty() {
            return Ok(Answer::GoOn);
        }
        let place = match number {
            libc::SYS_fstat => Place::open(first),
            libc::SYS_newfstatat => Place::at(first, second, fourth),
            libc::SYS_statx => Place::at(first, second, third),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat => Place::path(first, 0),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => Place::path(first, libc::AT_SYMLINK_NOFOLLOW),
            _ => return Ok(Answer::GoOn),
        };
        let Ok(file) = process.find(&place) else {
            return Ok(Answer::GoOn);
        };
        let identity = Identity::of(file.as_fd())?;
        let Some(owner) = self.owners.get(&identity) else {
            return Ok(Answer::GoOn);
        };
        let listener = self.listener.as_fd();
        match number {
            libc::SYS_statx => {
                let mut told = statx(file.as_fd(), third as c_int, fourth as u32)?;
                (told.stx_uid, told.stx_gid) = *owner;
                process.write(listener, fifth, &told)?;
            }
            libc::SYS_newfstatat => process.write(listener, third, &stat(file.as_fd(), *owner)?)?,
            _ => process.write(listener, second, &stat(file.as_fd(), *owner)?)?,
        }
        Ok(Answer::Done)
    }

    fn give(&mut self, file: OwnedFd, user: u32, group: u32) -> io::Result<Answer> {
        let identity = Identity::of(file.as_fd())?;
        // For all else that a change of owners does, as dropping the set-user-ID bit. The
        // root's own folder can be given, too: whoever asked for this run looks at it.
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        if identity != Identity::of(root.as_fd())? {
            let real = |id| if id == SAME { SAME } else { 0 };
            // SAFETY: the descriptor is open, and the path is a text with a zero at its end.
            let changed = unsafe {
                libc::fchownat(
                    file.as_raw_fd(),
                    c"".as_ptr(),
                    real(user),
                    real(group),
                    libc::AT_EMPTY_PATH,
                )
            };
            if changed < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let (old_user, old_group) = self.owners.get(&identity).copied().unwrap_or_default();
        let or = |id: u32, old: u32| if id == SAME { old } else { id };
        let owner = (or(user, old_user), or(group, old_group));
        if owner == (0, 0) {
            self.owners.remove(&identity);
        } else if self.owners.len() < MAX_FILES || self.owners.contains_key(&identity) {
            self.owners.insert(identity, owner);
            self.held.push_back(file);
            if self.held.len() > HELD {
                self.held.pop_front();
            }
        } else {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(Answer::Done)
    }
}

impl AsFd for Given {
    /// Can be read when a call waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// The error of a call before, but where it says that the process or its call is gone.
fn unless_gone() -> io::Result<()> {
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}
