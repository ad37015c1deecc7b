//! A terminal that a command's output goes to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Winsize};

/// Most that is read at once.
const PIECE: usize = 64 << 10;
/// More than the kernel holds of what was written and not yet read.
const MAX_HELD: usize = 1 << 20;

/// A pseudo-terminal, with pid 1 at its other end, which passes on what is written.
///
/// Pid 1 leads the session that it controls. Were it the command, the kernel would
/// throw away at the command's end what is still on its way.
pub(super) struct Terminal {
    ours: OwnedFd,
    /// Held open, so that our end is never hung up.
    theirs: OwnedFd,
}

impl Terminal {
    /// Makes one in this process's /dev, for this process's session.
    pub(super) fn open() -> io::Result<Self> {
        match rustix::process::setsid() {
            // It leads a session already.
            Ok(_) | Err(Errno::PERM) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&ours)?;
        rustix::pty::unlockpt(&ours)?;
        rustix::fs::fcntl_setfl(&ours, OFlags::RDWR | OFlags::NONBLOCK)?;
        let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
        // Bytes come out as they went in.
        let mut mode = rustix::termios::tcgetattr(&theirs)?;
        mode.make_raw();
        rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &mode)?;
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&theirs, size)?;
        rustix::process::ioctl_tiocsctty(&theirs)?;
        Ok(Self { ours, theirs })
    }

    /// For the process that becomes the command: makes this its output, and it the one
    /// that the terminal's keys go to.
    pub(super) fn take(&self) -> io::Result<()> {
        rustix::process::setpgid(None, None)?;
        // SAFETY: ignoring a signal runs no code of this process; the command gets the
        // default back before it starts.
        unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
        rustix::termios::tcsetpgrp(&self.theirs, rustix::process::getpgrp())?;
        rustix::stdio::dup2_stdout(&self.theirs)?;
        rustix::stdio::dup2_stderr(&self.theirs)?;
        Ok(())
    }

    /// Passes on a piece of what was written, if there is something; returns its length.
    pub(super) fn relay(&self) -> io::Result<usize> {
        let mut piece = vec![0; PIECE];
        match rustix::io::read(&self.ours, &mut piece) {
            Ok(count) => {
                let mut rest = piece.get(..count).unwrap_or_default();
                while !rest.is_empty() {
                    match rustix::io::write(rustix::stdio::stdout(), rest) {
                        Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                        Err(Errno::INTR) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                Ok(count)
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::IO) => Ok(0),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Passes on all that was written until now. The kernel says that there is nothing
    /// only when nothing is on its way either.
    pub(super) fn drain(&self) -> io::Result<()> {
        let mut passed = 0;
        while passed < MAX_HELD {
            match self.relay()? {
                0 => break,
                count => passed += count,
            }
        }
        Ok(())
    }
}

impl AsFd for Terminal {
    /// Has something to read when something was written.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ours.as_fd()
    }
}
