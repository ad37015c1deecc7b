//! A process whose call waits: what it names, and its memory.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use fs_err as fs;
use libc::{c_int, seccomp_notif};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

/// Longest path, with the zero at its end (PATH_MAX).
const MAX_PATH: usize = 4096;

/// What a call names.
pub(super) struct Place {
    folder: c_int,
    /// Where the path is in the process's memory; none stands for an empty one.
    path: Option<u64>,
    flags: c_int,
}

impl Place {
    // The kernel looks at the lower half of descriptors and flags only.

    pub(super) fn at(folder: u64, path: u64, flags: u64) -> Self {
        Self {
            folder: folder as c_int,
            path: Some(path),
            flags: flags as c_int,
        }
    }

    pub(super) fn path(path: u64, flags: c_int) -> Self {
        Self {
            folder: libc::AT_FDCWD,
            path: Some(path),
            flags,
        }
    }

    pub(super) fn open(file: u64) -> Self {
        Self {
            folder: file as c_int,
            path: None,
            flags: libc::AT_EMPTY_PATH,
        }
    }
}

/// A process that waits for the answer to its call.
pub(super) struct Process<'a> {
    call: &'a seccomp_notif,
}

impl<'a> Process<'a> {
    /// The one that made that call.
    pub(super) fn new(call: &'a seccomp_notif) -> Self {
        Self { call }
    }

    /// Opens what a call names, as the process would: its root is the one of pid 1.
    pub(super) fn find(&self, place: &Place) -> io::Result<OwnedFd> {
        let own = format!("/proc/{}", self.call.pid);
        let path = match place.path {
            Some(0) | None => CString::default(),
            Some(address) => self.path(address)?,
        };
        let at = match place.folder {
            libc::AT_FDCWD => format!("{own}/cwd"),
            number => format!("{own}/fd/{number}"),
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        if path.is_empty() {
            if place.flags & libc::AT_EMPTY_PATH == 0 {
                return Err(io::ErrorKind::NotFound.into());
            }
            return Ok(rustix::fs::open(at, flags, Mode::empty())?);
        }
        let follows = place.flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        // These mean whoever asks.
        for sign in ["/proc/self/fd/", "/dev/fd/"] {
            let number = path.to_bytes().strip_prefix(sign.as_bytes());
            if let Some(number) = number.filter(|number| number.iter().all(u8::is_ascii_digit))
                && follows
            {
                let path = [own.as_bytes(), b"/fd/", number].concat();
                return Ok(rustix::fs::open(path, flags, Mode::empty())?);
            }
        }
        let folder = if path.to_bytes().starts_with(b"/") {
            None
        } else {
            Some(rustix::fs::open(
                at,
                flags | OFlags::DIRECTORY,
                Mode::empty(),
            )?)
        };
        // Where pid 1 may go and the process may not: to what pid 1 has open.
        let within = ResolveFlags::NO_MAGICLINKS;
        let mut followed = flags;
        followed.set(OFlags::NOFOLLOW, !follows);
        let folder = folder.as_ref().map_or(CWD, AsFd::as_fd);
        let found = rustix::fs::openat2(folder, path, followed, Mode::empty(), within)?;
        Ok(found)
    }

    fn path(&self, address: u64) -> io::Result<CString> {
        let memory = fs::File::open(format!("/proc/{}/mem", self.call.pid))?;
        let mut bytes = vec![0; MAX_PATH];
        let mut filled = 0;
        // Up to the end of a page at a time: there may be nothing after it.
        while filled < MAX_PATH {
            let at = address.wrapping_add(filled as u64);
            let page = MAX_PATH - (at % MAX_PATH as u64) as usize;
            let end = MAX_PATH.min(filled + page);
            let place = bytes.get_mut(filled..end).unwrap_or_default();
            memory.file().read_exact_at(place, at)?;
            if let Ok(path) = CStr::from_bytes_until_nul(&bytes)
                && path.count_bytes() < end
            {
                return Ok(path.to_owned());
            }
            filled = end;
        }
        Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
    }

    /// Writes what the process asked for to where it wants it.
    pub(super) fn write<T: Plain>(
        &self,
        listener: BorrowedFd<'_>,
        address: u64,
        value: &T,
    ) -> io::Result<()> {
        let path = format!("/proc/{}/mem", self.call.pid);
        let memory = fs::OpenOptions::new().write(true).open(path)?;
        // Its number may have become another's; from here on, the file is the one that was
        // opened.
        // SAFETY: the descriptor is open, and the number outlives the call, which reads it.
        let valid = unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _,
                &raw const self.call.id,
            )
        };
        if valid < 0 {
            return Err(io::Error::last_os_error());
        }
        let fault = |_| io::Error::from_raw_os_error(libc::EFAULT);
        memory
            .file()
            .write_all_at(value.bytes(), address)
            .map_err(fault)
    }
}

/// What the kernel fills, every byte of it having been set before.
pub(super) trait Plain: Sized {
    fn bytes(&self) -> &[u8] {
        let place = std::ptr::from_ref(self).cast::<u8>();
        // SAFETY: that many bytes of plain numbers lie there, and padding was zeroed.
        unsafe { std::slice::from_raw_parts(place, size_of::<Self>()) }
    }
}

impl Plain for libc::stat {}
impl Plain for libc::statx {}

/// What stat(2) says of a file, but for its owners.
pub(super) fn stat(file: BorrowedFd<'_>, (user, group): (u32, u32)) -> io::Result<libc::stat> {
    // SAFETY: the structure is plain numbers, for which all zeros is a value.
    let mut told: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the kernel writes nothing but the structure.
    match unsafe { libc::fstat(file.as_raw_fd(), &raw mut told) } {
        0 => {
            (told.st_uid, told.st_gid) = (user, group);
            Ok(told)
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// What statx(2) says of a file.
pub(super) fn statx(file: BorrowedFd<'_>, flags: c_int, mask: u32) -> io::Result<libc::statx> {
    // SAFETY: the structure is plain numbers, for which all zeros is a value.
    let mut told: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, the path has a zero at its end, and the kernel writes
    // nothing but the structure.
    let got = unsafe {
        libc::syscall(
            libc::SYS_statx,
            file.as_raw_fd(),
            c"".as_ptr(),
            flags | libc::AT_EMPTY_PATH,
            mask,
            &raw mut told,
        )
    };
    match got {
        0 => Ok(told),
        _ => Err(io::Error::last_os_error()),
    }
}
