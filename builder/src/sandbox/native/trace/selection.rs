//! At which system calls a traced process stops.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use libc::c_int;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::calls::FUTEX_WAIT;
use crate::sandbox::Surroundings;

/// The clocks that show the date.
const OF_THE_DATE: [c_int; 3] = [
    libc::CLOCK_REALTIME,
    libc::CLOCK_REALTIME_COARSE,
    libc::CLOCK_TAI,
];

/// The filter for what these surroundings take. Of several filters the kernel goes by
/// the strictest, so what others refuse stays refused.
pub(in super::super) fn program(around: &Surroundings) -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    if around.kernel_release.is_some() {
        rules.insert(libc::SYS_uname, vec![]);
    }
    if around.clock_ahead != Duration::ZERO {
        rules.extend(time_calls()?);
    }
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Trace(0), arch)
        .and_then(TryInto::try_into)
        .map_err(io::Error::other)
}

fn time_calls() -> io::Result<BTreeMap<i64, Vec<SeccompRule>>> {
    let absolute = u64::from(libc::TIMER_ABSTIME.unsigned_abs());
    let is_date = |argument| {
        OF_THE_DATE.map(|clock| number(argument, Op::Eq, u64::from(clock.unsigned_abs())))
    };
    let mut rules = BTreeMap::new();
    for call in [libc::SYS_gettimeofday, libc::SYS_time] {
        rules.insert(call, vec![]);
    }
    for call in [libc::SYS_mq_timedsend, libc::SYS_mq_timedreceive] {
        rules.insert(call, vec![rule([given(4)])?]);
    }
    for call in [libc::SYS_timer_settime, libc::SYS_timerfd_settime] {
        rules.insert(
            call,
            vec![rule([
                number(1, Op::MaskedEq(absolute), absolute),
                given(2),
            ])?],
        );
    }
    let asked = is_date(0).map(|date| rule([date]));
    rules.insert(libc::SYS_clock_gettime, all(asked)?);
    let slept = is_date(0).map(|date| {
        let absolute = number(1, Op::MaskedEq(absolute), absolute);
        rule([date, absolute, given(2)])
    });
    rules.insert(libc::SYS_clock_nanosleep, all(slept)?);
    let waited =
        |argument: u8, moment: u8| is_date(argument).map(|date| rule([date, given(moment)]));
    rules.insert(libc::SYS_futex_waitv, all(waited(4, 3))?);
    rules.insert(FUTEX_WAIT, all(waited(5, 4))?);
    rules.insert(libc::SYS_futex, futexes()?);
    Ok(rules)
}

/// Operations of futex(2) that wait for a moment, and for one of the date.
fn futexes() -> io::Result<Vec<SeccompRule>> {
    const OF_THE_DATE: c_int = libc::FUTEX_CLOCK_REALTIME;
    let waits = [
        // This one knows no other clock.
        (libc::FUTEX_LOCK_PI, 0x7f),
        (libc::FUTEX_LOCK_PI2 | OF_THE_DATE, 0x7f | OF_THE_DATE),
        (libc::FUTEX_WAIT_BITSET | OF_THE_DATE, 0x7f | OF_THE_DATE),
        (
            libc::FUTEX_WAIT_REQUEUE_PI | OF_THE_DATE,
            0x7f | OF_THE_DATE,
        ),
    ];
    all(waits.map(|(operation, mask)| {
        let mask = Op::MaskedEq(u64::from(mask.unsigned_abs()));
        rule([
            number(1, mask, u64::from(operation.unsigned_abs())),
            given(3),
        ])
    }))
}

fn all<const N: usize>(rules: [io::Result<SeccompRule>; N]) -> io::Result<Vec<SeccompRule>> {
    rules.into_iter().collect()
}

fn rule<const N: usize>(conditions: [io::Result<SeccompCondition>; N]) -> io::Result<SeccompRule> {
    let conditions = conditions.into_iter().collect::<io::Result<Vec<_>>>()?;
    SeccompRule::new(conditions).map_err(io::Error::other)
}

/// The pointer in that argument points somewhere.
fn given(argument: u8) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, Len::Qword, Op::Ne, 0).map_err(io::Error::other)
}

/// The kernel looks at the lower half of these arguments only.
fn number(argument: u8, operator: Op, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, Len::Dword, operator, value).map_err(io::Error::other)
}
