//! Registers and memory of a traced process.

use std::io;
use std::mem::MaybeUninit;

use libc::{c_int, pid_t, user_regs_struct};

const WORD: u64 = 8;
const PAGE: u64 = 4096;
/// Most words of an environment that are searched for its end: the kernel takes no
/// longer one.
const MAX_WORDS: u64 = 4 << 20;

/// One request of ptrace(2), with numbers for both of its arguments.
pub(super) fn request(request: c_int, pid: pid_t, address: u64, data: u64) -> io::Result<()> {
    // SAFETY: callers ask only for what reads no memory of this process, or writes only
    // to what they hold and name in `data`.
    match unsafe {
        libc::syscall(
            libc::SYS_ptrace,
            libc::c_long::from(request),
            pid,
            address,
            data,
        )
    } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The registers of a stopped process.
pub(super) fn registers(pid: pid_t) -> io::Result<user_regs_struct> {
    let mut registers = MaybeUninit::<user_regs_struct>::uninit();
    let place = registers.as_mut_ptr() as u64;
    request(libc::PTRACE_GETREGS as c_int, pid, 0, place)?;
    // SAFETY: the kernel has filled it whole.
    Ok(unsafe { registers.assume_init() })
}

/// Sets the registers of a stopped process.
pub(super) fn set_registers(pid: pid_t, registers: &user_regs_struct) -> io::Result<()> {
    let place = std::ptr::from_ref(registers) as u64;
    request(libc::PTRACE_SETREGS as c_int, pid, 0, place)
}

/// What the event is about at which a process stopped.
pub(super) fn event_message(pid: pid_t) -> io::Result<pid_t> {
    let mut message: libc::c_ulong = 0;
    let place = &raw mut message as u64;
    request(libc::PTRACE_GETEVENTMSG as c_int, pid, 0, place)?;
    pid_t::try_from(message).map_err(io::Error::other)
}

/// Eight bytes of a stopped process's memory.
pub(super) fn peek(pid: pid_t, address: u64) -> io::Result<u64> {
    let mut word = 0u64;
    let place = &raw mut word as u64;
    request(libc::PTRACE_PEEKDATA as c_int, pid, address, place)?;
    Ok(word)
}

/// Sets eight bytes of a stopped process's memory.
pub(super) fn poke(pid: pid_t, address: u64, word: u64) -> io::Result<()> {
    request(libc::PTRACE_POKEDATA as c_int, pid, address, word)
}

/// Writes bytes, eight at least, and none beyond them.
pub(super) fn write(pid: pid_t, address: u64, bytes: &[u8]) -> io::Result<()> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let at = address.wrapping_add(number as u64 * WORD);
        poke(pid, at, u64::from_ne_bytes(*word))?;
    }
    match bytes.last_chunk::<8>() {
        Some(last) if !rest.is_empty() => {
            let at = address.wrapping_add(bytes.len() as u64 - WORD);
            poke(pid, at, u64::from_ne_bytes(*last))
        }
        _ => Ok(()),
    }
}

/// Has a program that is about to start not find the kernel's own code for reading the
/// clock: its address is in the list behind the environment on the new stack (getauxval(3)),
/// where an entry is made one to be ignored.
pub(super) fn hide_kernel_code(pid: pid_t) -> io::Result<()> {
    const AT_IGNORE: u64 = 1;
    let stack = registers(pid)?.rsp;
    let arguments = peek(pid, stack)?;
    // The count, the arguments and a zero.
    let skipped = arguments.saturating_add(2).saturating_mul(WORD);
    let mut words = Words::at(pid, stack.wrapping_add(skipped));
    while words.next()?.1 != 0 {}
    loop {
        let (place, kind) = words.next()?;
        words.next()?;
        match kind {
            libc::AT_NULL => return Ok(()),
            libc::AT_SYSINFO_EHDR => return poke(pid, place, AT_IGNORE),
            _ => {}
        }
    }
}

/// Reads memory word by word, from the kernel in pages.
struct Words {
    pid: pid_t,
    address: u64,
    page: Vec<u8>,
    used: usize,
    left: u64,
}

impl Words {
    fn at(pid: pid_t, address: u64) -> Self {
        Self {
            pid,
            address,
            page: Vec::new(),
            used: 0,
            left: MAX_WORDS,
        }
    }

    /// The next word and its address.
    fn next(&mut self) -> io::Result<(u64, u64)> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("the environment has no end"))?;
        if self.used >= self.page.len() {
            self.page = read_to_page_end(self.pid, self.address)?;
            self.used = 0;
        }
        let word = self
            .page
            .get(self.used..)
            .and_then(<[u8]>::first_chunk::<8>);
        let word = word.ok_or_else(|| io::Error::other("memory ends"))?;
        let found = (self.address, u64::from_ne_bytes(*word));
        self.used += WORD as usize;
        self.address = self.address.wrapping_add(WORD);
        Ok(found)
    }
}

fn read_to_page_end(pid: pid_t, address: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (PAGE - address % PAGE) as usize];
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    // SAFETY: the kernel writes to `bytes`, no more than its length; the other address
    // is one of the other process.
    let got = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    bytes.truncate(got);
    Ok(bytes)
}
