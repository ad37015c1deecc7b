//! The system calls that commands are refused.
//!
//! The namespaces and the missing capabilities already stop these; the filter keeps
//! commands away from the kernel code behind them, and from memory and state that
//! nothing else accounts for.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

/// Refused with EPERM.
const FORBIDDEN: &[c_long] = &[
    // File systems and the root.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Keys, which namespaces do not divide.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    // The clock.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
];

/// Refused with ENOSYS, because programs then use the older call, which is filtered
/// better or whose memory is accounted for.
const ABSENT: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
];

const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWCGROUP,
];

/// What makes a process that pid 1 cannot trace.
const UNTRACED: libc::c_int = libc::CLONE_UNTRACED;

/// Refused with EPERM where they name pid 1, which is the same user: they could stop or
/// slow down its watch. With the number of the argument that names a process.
const NOT_OF_PID_1: &[(c_long, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
];

/// Refused with EPERM where their first argument says that all processes of a user are
/// meant, pid 1 among them: PRIO_USER, IOPRIO_WHO_USER.
const NOT_OF_A_USER: &[(c_long, u64)] = &[(libc::SYS_setpriority, 2), (libc::SYS_ioprio_set, 3)];

/// What types into a terminal or reads its screen: TIOCSTI, TIOCLINUX.
const TERMINAL_REQUESTS: &[u64] = &[0x5412, 0x541c];

/// Socket families that stay inside: UNIX, INET and INET6 on a loopback of one's own, NETLINK.
const FAMILIES: &[libc::c_int] = &[
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// The same where the network is the one outside, whose UNIX sockets in the abstract
/// namespace and whose NETLINK are not to be reached.
const FAMILIES_OUTSIDE: &[libc::c_int] = &[libc::AF_INET, libc::AF_INET6];

/// What sockets of these may be, and carry: neither raw ones, nor protocols that hardly
/// anyone uses and whose code has seen less care. 0 is the family's own choice.
const KINDS_OUTSIDE: &[libc::c_int] = &[libc::SOCK_STREAM, libc::SOCK_DGRAM];
const PROTOCOLS_OUTSIDE: &[libc::c_int] = &[0, libc::IPPROTO_TCP, libc::IPPROTO_UDP];

/// Pairs of UNIX sockets that stay a pair. One of datagrams does not: each message, or
/// connect(2), may name any other socket.
const PAIRS_OUTSIDE: &[libc::c_int] = &[libc::SOCK_STREAM, libc::SOCK_SEQPACKET];

/// The part of a socket's kind that is not SOCK_NONBLOCK or SOCK_CLOEXEC.
const KIND: u64 = 0xf;

/// PER_LINUX, PER_LINUX32, each also with UNAME26, ADDR_NO_RANDOMIZE or both; the
/// question which it is.
const PERSONALITIES: &[u64] = &[
    0,
    0x8,
    0x2_0000,
    0x2_0008,
    0x4_0000,
    0x4_0008,
    0x6_0000,
    0x6_0008,
    0xffff_ffff,
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters, to be applied in this order, for a command with the network outside or
/// one with a loopback of its own.
///
/// # Errors
/// Where they cannot be compiled, on a processor that the filter does not know.
pub(super) fn programs(network: bool) -> io::Result<Vec<BpfProgram>> {
    let mut programs = Vec::new();
    if cfg!(target_arch = "x86_64") {
        programs.push(without_x32());
    }
    let absent = ABSENT.iter().map(|call| (*call, vec![])).collect();
    programs.push(compile(absent, libc::ENOSYS)?);
    if network {
        // Of two that refuse, the later one's answer counts.
        programs.push(compile(kinds_outside()?, libc::EPERM)?);
        programs.push(compile(families_outside()?, libc::EAFNOSUPPORT)?);
    } else {
        programs.push(compile(families()?, libc::EAFNOSUPPORT)?);
    }
    programs.push(compile(forbidden()?, libc::EPERM)?);
    Ok(programs)
}

fn compile(rules: Rules, errno: libc::c_int) -> io::Result<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)
        .and_then(TryInto::try_into)
        .map_err(io::Error::other)
}

fn families() -> io::Result<Rules> {
    let other = none_of(0, FAMILIES)?;
    Ok([libc::SYS_socket, libc::SYS_socketpair]
        .into_iter()
        .map(|call| (call, vec![other.clone()]))
        .collect())
}

fn families_outside() -> io::Result<Rules> {
    let other = none_of(0, FAMILIES_OUTSIDE)?;
    let no_unix = none_of(0, &[libc::AF_UNIX])?;
    Ok(BTreeMap::from([
        (libc::SYS_socket, vec![other]),
        (libc::SYS_socketpair, vec![no_unix]),
    ]))
}

fn kinds_outside() -> io::Result<Rules> {
    let raw = kind_is_none_of(KINDS_OUTSIDE)?;
    let rare = none_of(2, PROTOCOLS_OUTSIDE)?;
    let loose = kind_is_none_of(PAIRS_OUTSIDE)?;
    Ok(BTreeMap::from([
        (libc::SYS_socket, raw.into_iter().chain([rare]).collect()),
        (libc::SYS_socketpair, loose),
    ]))
}

/// Rules for every kind of socket but these.
fn kind_is_none_of(kinds: &[libc::c_int]) -> io::Result<Vec<SeccompRule>> {
    // Values under a mask can only be compared for being equal.
    (0..=KIND)
        .filter(|kind| {
            !kinds
                .iter()
                .any(|allowed| u64::from(allowed.unsigned_abs()) == *kind)
        })
        .map(|kind| rule(vec![condition(1, Op::MaskedEq(KIND), kind)?]))
        .collect()
}

/// A rule for all values of an argument but these.
fn none_of(argument: u8, values: &[libc::c_int]) -> io::Result<SeccompRule> {
    rule(
        values
            .iter()
            .map(|value| condition(argument, Op::Ne, u64::from(value.unsigned_abs())))
            .collect::<io::Result<_>>()?,
    )
}

fn forbidden() -> io::Result<Rules> {
    let mut rules: Rules = FORBIDDEN.iter().map(|call| (*call, vec![])).collect();
    let clone = NAMESPACES
        .iter()
        .chain([&UNTRACED])
        .map(|flag| {
            let flag = u64::from(flag.unsigned_abs());
            rule(vec![condition(0, Op::MaskedEq(flag), flag)?])
        })
        .collect::<io::Result<_>>()?;
    rules.insert(libc::SYS_clone, clone);
    let ioctl = TERMINAL_REQUESTS
        .iter()
        .map(|request| rule(vec![condition(1, Op::Eq, *request)?]))
        .collect::<io::Result<_>>()?;
    rules.insert(libc::SYS_ioctl, ioctl);
    let personality = PERSONALITIES
        .iter()
        .map(|harmless| condition(0, Op::Ne, *harmless))
        .collect::<io::Result<_>>()?;
    rules.insert(libc::SYS_personality, vec![rule(personality)?]);
    for (call, argument) in NOT_OF_PID_1 {
        let named = rule(vec![condition(*argument, Op::Eq, 1)?])?;
        rules.entry(*call).or_default().push(named);
    }
    for (call, users) in NOT_OF_A_USER {
        let named = rule(vec![condition(0, Op::Eq, *users)?])?;
        rules.entry(*call).or_default().push(named);
    }
    Ok(rules)
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

fn condition(argument: u8, operator: Op, value: u64) -> io::Result<SeccompCondition> {
    // The kernel looks at the lower half of these arguments only.
    SeccompCondition::new(argument, Len::Dword, operator, value).map_err(io::Error::other)
}

/// Refuses the x32 calls, which share the architecture's number and would pass by
/// every rule: theirs are the numbers from 2^30.
fn without_x32() -> BpfProgram {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD_WORD, 0, 0, 0),
        step(JUMP_IF_AT_LEAST, 0, 1, 1 << 30),
        step(
            RETURN,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
        ),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
