//! How much memory and how many processes a command uses, seen from pid 1.

use std::io;

use fs_err as fs;

/// What all processes but pid 1 use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processes and threads.
    pub(super) tasks: u64,
    /// Bytes; exact only where a quick upper bound came near the limit.
    pub(super) memory: u64,
}

/// Measures. A process that ends meanwhile counts for nothing.
pub(super) fn measure(memory_limit: u64) -> io::Result<Usage> {
    let mut usage = Usage::default();
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == 1 {
            continue;
        }
        if let Some((tasks, resident)) = quick(pid) {
            usage.tasks += tasks;
            usage.memory = usage.memory.saturating_add(resident);
            processes.push(pid);
        }
    }
    let kept = memory_files().saturating_add(shared_segments());
    usage.memory = usage.memory.saturating_add(kept);
    if usage.memory > memory_limit {
        // Pages that several processes share were counted for each of them.
        let (mut private, mut shared) = (0u64, 0u64);
        for pid in processes {
            if let Some((anonymous, mapped)) = proportional(pid) {
                private = private.saturating_add(anonymous);
                shared = shared.saturating_add(mapped);
            }
        }
        usage.memory = private.saturating_add(shared.max(kept));
    }
    Ok(usage)
}

/// Threads, and resident bytes, of a process: from the fields 20 and 24 of
/// `/proc/PID/stat` (proc(5)), which follow the name in brackets.
fn quick(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let threads = fields.get(17)?.parse().ok()?;
    let pages: u64 = fields.get(21)?.parse().ok()?;
    Some((threads, pages.saturating_mul(page_size())))
}

fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// A process's own bytes and those it shares as memory, each divided by its sharers.
fn proportional(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_ascii_whitespace().next())
            .and_then(|kibibytes| kibibytes.parse::<u64>().ok())
            .map(|kibibytes| kibibytes.saturating_mul(1024))
    };
    Some((field("Pss_Anon:")?, field("Pss_Shmem:")?))
}

/// Bytes in /dev/shm, which stay used while no process has them mapped.
fn memory_files() -> u64 {
    rustix::fs::statvfs("/dev/shm").map_or(0, |shm| {
        shm.f_blocks
            .saturating_sub(shm.f_bfree)
            .saturating_mul(shm.f_frsize)
    })
}

/// Bytes in System V segments: the field `rss` of `/proc/sysvipc/shm`.
fn shared_segments() -> u64 {
    let Ok(text) = fs::read_to_string("/proc/sysvipc/shm") else {
        return 0;
    };
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    let Some(column) = lines
        .next()
        .and_then(|mut names| names.position(|name| name == "rss"))
    else {
        return 0;
    };
    lines
        .filter_map(|mut fields| fields.nth(column)?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}
