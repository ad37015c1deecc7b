//! What is answered to system calls.

use std::io;
use std::time::Duration;

use fs_err as fs;
use libc::{c_int, c_long, pid_t, user_regs_struct};

use super::memory::{peek, poke, registers, set_registers, write};

/// 1980-01-01, in seconds since 1970 or since a machine started. No machine has been up
/// for ten years, so a later moment is one of the clock that shows the date.
const OF_THE_DATE: i64 = lunikernel_cache::checkout::EPOCH;
/// Where, below the top of a stack, nothing of a process lies: past the 128 bytes that
/// its code may use without moving the top (System V ABI, "red zone").
const BELOW_STACK: u64 = 512;
/// futex_wait(2), which the C libraries do not know yet.
pub(super) const FUTEX_WAIT: c_long = 455;
const NANOSECONDS: i64 = 1_000_000_000;

/// An argument of a system call that points to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    Third,
    Fourth,
    Fifth,
}

impl Argument {
    fn of(self, registers: &mut user_regs_struct) -> &mut u64 {
        match self {
            Self::Third => &mut registers.rdx,
            Self::Fourth => &mut registers.r10,
            Self::Fifth => &mut registers.r8,
        }
    }
}

/// The other clock and the other release.
pub(super) struct Answers {
    ahead: Duration,
    release: Option<Vec<u8>>,
}

/// Seconds and nanoseconds, as the kernel has them.
type Moment = (i64, i64);

impl Answers {
    pub(super) fn new(ahead: Duration, release: Option<&str>) -> Self {
        Self {
            ahead,
            release: release.map(|release| release.as_bytes().to_vec()),
        }
    }

    /// Answers the call at which a process has stopped, or prepares it. Returns what is
    /// to be put back when it returns, if anything is. A process that is gone needs no
    /// answer, and a call that cannot be answered runs as it is.
    pub(super) fn answer(&self, pid: pid_t) -> Option<(Argument, u64)> {
        let registers = registers(pid).ok()?;
        let (first, second) = (registers.rdi, registers.rsi);
        let absolute = |flags: u64, bit: c_int| flags & u64::from(bit.unsigned_abs()) != 0;
        let call = registers.orig_rax.cast_signed();
        match call {
            libc::SYS_clock_gettime => {
                let result = self.tell_time(pid, first as c_int, second);
                finish(pid, registers, result.map(|()| 0));
            }
            libc::SYS_gettimeofday => {
                let result = self.tell_time_of_day(pid, first, second);
                finish(pid, registers, result.map(|()| 0));
            }
            libc::SYS_time => finish(pid, registers, self.tell_seconds(pid, first)),
            libc::SYS_uname => {
                let result = self.tell_names(pid, first);
                finish(pid, registers, result.map(|()| 0));
            }
            // The filter lets through only those that wait for a moment of the date.
            libc::SYS_clock_nanosleep => return self.translate(pid, registers, Argument::Third, 0),
            libc::SYS_futex | libc::SYS_futex_waitv => {
                return self.translate(pid, registers, Argument::Fourth, 0);
            }
            FUTEX_WAIT | libc::SYS_mq_timedsend | libc::SYS_mq_timedreceive => {
                return self.translate(pid, registers, Argument::Fifth, 0);
            }
            // These do not say which clock; the moment does.
            libc::SYS_timer_settime if absolute(second, libc::TIMER_ABSTIME) => {
                return self.translate(pid, registers, Argument::Third, 16);
            }
            libc::SYS_timerfd_settime if absolute(second, libc::TFD_TIMER_ABSTIME) => {
                return self.translate(pid, registers, Argument::Third, 16);
            }
            _ => {}
        }
        None
    }

    fn now(&self, clock: c_int) -> io::Result<Moment> {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the place outlives the call.
        match unsafe { libc::clock_gettime(clock, &raw mut now) } {
            0 => Ok(later((now.tv_sec, now.tv_nsec), self.ahead)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn tell_time(&self, pid: pid_t, clock: c_int, place: u64) -> io::Result<()> {
        write_moment(pid, place, self.now(clock)?)
    }

    fn tell_time_of_day(&self, pid: pid_t, time: u64, zone: u64) -> io::Result<()> {
        let (seconds, nanoseconds) = self.now(libc::CLOCK_REALTIME)?;
        if time != 0 {
            write_moment(pid, time, (seconds, nanoseconds / 1000))?;
        }
        if zone != 0 {
            // Minutes west of Greenwich and summer time, which Linux no longer keeps.
            poke(pid, zone, 0)?;
        }
        Ok(())
    }

    fn tell_seconds(&self, pid: pid_t, place: u64) -> io::Result<u64> {
        let (seconds, _) = self.now(libc::CLOCK_REALTIME)?;
        let seconds = seconds.cast_unsigned();
        if place != 0 {
            poke(pid, place, seconds)?;
        }
        Ok(seconds)
    }

    fn tell_names(&self, pid: pid_t, place: u64) -> io::Result<()> {
        let names = rustix::system::uname();
        let release = self.release.as_deref();
        let machine = if runs_as_32_bits(pid) {
            b"i686".as_slice()
        } else {
            names.machine().to_bytes()
        };
        let fields = [
            names.sysname().to_bytes(),
            names.nodename().to_bytes(),
            release.unwrap_or(names.release().to_bytes()),
            names.version().to_bytes(),
            machine,
            names.domainname().to_bytes(),
        ];
        // Each takes 65 bytes with a zero at the end.
        let mut answer = [0; 65 * 6];
        for (field, name) in answer.as_chunks_mut::<65>().0.iter_mut().zip(fields) {
            for (to, from) in field.iter_mut().take(64).zip(name) {
                *to = *from;
            }
        }
        write(pid, place, &answer)
    }

    /// Has a call that waits for a moment, which is `offset` bytes into what `argument`
    /// points to, wait for the same on this machine's clock.
    fn translate(
        &self,
        pid: pid_t,
        mut registers: user_regs_struct,
        argument: Argument,
        offset: u64,
    ) -> Option<(Argument, u64)> {
        let place = *argument.of(&mut registers);
        let at = |base: u64, number: u64| base.wrapping_add(number * 8);
        let moment_at = place.wrapping_add(offset);
        let seconds = peek(pid, at(moment_at, 0)).ok()?.cast_signed();
        let nanoseconds = peek(pid, at(moment_at, 1)).ok()?.cast_signed();
        let timer = offset != 0;
        if timer && seconds < OF_THE_DATE {
            return None;
        }
        let earlier = earlier((seconds, nanoseconds), self.ahead)?;
        // A copy, as other threads may read the original.
        let copy = registers.rsp.wrapping_sub(BELOW_STACK) & !0xf;
        for number in 0..offset / 8 {
            poke(pid, at(copy, number), peek(pid, at(place, number)).ok()?).ok()?;
        }
        write_moment(pid, copy.wrapping_add(offset), earlier).ok()?;
        *argument.of(&mut registers) = copy;
        set_registers(pid, &registers).ok()?;
        Some((argument, place))
    }
}

/// Whether a process asked to be told that the machine has 32 bits (personality(2)).
fn runs_as_32_bits(pid: pid_t) -> bool {
    const PER_LINUX32: u32 = 8;
    let kind = fs::read_to_string(format!("/proc/{pid}/personality")).ok();
    let kind = kind.and_then(|text| u32::from_str_radix(text.trim(), 16).ok());
    kind.is_some_and(|kind| kind & 0xff == PER_LINUX32)
}

fn write_moment(pid: pid_t, place: u64, (seconds, rest): Moment) -> io::Result<()> {
    poke(pid, place, seconds.cast_unsigned())?;
    poke(pid, place.wrapping_add(8), rest.cast_unsigned())
}

/// Has the call return `result` without being made.
fn finish(pid: pid_t, mut registers: user_regs_struct, result: io::Result<u64>) {
    // What can fail is only writing to where the process wants its answer.
    let fault = u64::from(libc::EFAULT.unsigned_abs()).wrapping_neg();
    registers.orig_rax = u64::MAX;
    registers.rax = result.unwrap_or(fault);
    let _ = set_registers(pid, &registers);
}

/// Puts a register back in which a call had an argument.
pub(super) fn put_back(pid: pid_t, argument: Argument, value: u64) -> io::Result<()> {
    let mut registers = registers(pid)?;
    *argument.of(&mut registers) = value;
    set_registers(pid, &registers)
}

fn later((seconds, nanoseconds): Moment, ahead: Duration) -> Moment {
    let sum = nanoseconds + i64::from(ahead.subsec_nanos());
    let ahead = i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX);
    let seconds = seconds.saturating_add(ahead);
    (seconds.saturating_add(sum / NANOSECONDS), sum % NANOSECONDS)
}

/// `None` for what is no moment, or the one that means none. What would be before 1970
/// has passed all the same one nanosecond later.
fn earlier((seconds, nanoseconds): Moment, ahead: Duration) -> Option<Moment> {
    if seconds < 0 || !(0..NANOSECONDS).contains(&nanoseconds) || (seconds, nanoseconds) == (0, 0) {
        return None;
    }
    let borrowed = nanoseconds - i64::from(ahead.subsec_nanos());
    let ahead = i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX);
    let seconds = seconds.saturating_sub(ahead) - i64::from(borrowed < 0);
    let moment = (seconds, borrowed.rem_euclid(NANOSECONDS));
    Some(moment.max((0, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_moved_there_and_back() {
        let ahead = Duration::new(100, 700_000_000);
        assert_eq!(later((5, 400_000_000), ahead), (106, 100_000_000));
        assert_eq!(earlier((106, 100_000_000), ahead), Some((5, 400_000_000)));
        assert_eq!(earlier((106, 900_000_000), ahead), Some((6, 200_000_000)));
        assert_eq!(earlier((50, 0), ahead), Some((0, 1)));
        for none in [(0, 0), (-1, 0), (5, -1), (5, NANOSECONDS)] {
            assert_eq!(earlier(none, ahead), None, "{none:?}");
        }
        assert_eq!(later((i64::MAX, 0), ahead).0, i64::MAX);
    }
}
