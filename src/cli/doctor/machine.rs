//! The machine itself.

use std::time::{Duration, SystemTime};

use lunikernel_builder::source::deb::date::Date;
use lunikernel_cache::Cache;

use super::super::Context;
use super::super::workshop::size;
use super::{Finding, State};
use crate::failure::Failure;

/// What a toolchain, its root and an artefact take together, roughly.
const ROOM: u64 = 2 << 30;

/// What `luni` and a compiler take together, roughly.
const MEMORY: u64 = 1 << 30;

const OTHER_FOLDER: &str = "name a folder that you may write to with `--cache DIR`";

/// When this program was not yet written: 2026-01-01. A clock that says less is wrong.
const BEFORE: Duration = Duration::from_secs(1_767_225_600);

/// No distribution's signature is valid for as long as this.
const BEYOND: Duration = Duration::from_secs(30 * 365 * 86_400);

pub(super) fn processors() -> Finding {
    let what = "processors";
    match std::thread::available_parallelism() {
        Ok(count) if count.get() > 1 => Finding::works(what, count.to_string()),
        Ok(_) => Finding::gap(
            what,
            State::Limited,
            "1: verify cannot vary how many processors a build uses",
        ),
        Err(error) => Finding::gap(what, State::Unknown, error.to_string()),
    }
}

pub(super) fn memory() -> Finding {
    let what = "memory";
    let text = fs_err::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .and_then(|kibibytes| kibibytes.parse::<u64>().ok())
        .map(|kibibytes| kibibytes.saturating_mul(1024));
    match available {
        Some(bytes) if bytes >= MEMORY => Finding::works(what, format!("{} free", size(bytes))),
        Some(bytes) => Finding::gap(
            what,
            State::Limited,
            format!("{} free: a compiler may need more", size(bytes)),
        ),
        None => Finding::gap(what, State::Unknown, "/proc/meminfo does not say"),
    }
}

/// Signatures of distributions are valid for a time, so the clock must be about right.
pub(super) fn clock() -> Finding {
    let what = "clock";
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seen = Date::from_seconds(since_1970.as_secs()).to_string();
    if since_1970 < BEFORE || since_1970 > BEFORE + BEYOND {
        return Finding::gap(
            what,
            State::Limited,
            format!("{seen}, which cannot be: signatures would look expired or not yet valid"),
        )
        .mended_by("sudo timedatectl set-ntp true");
    }
    Finding::works(what, seen)
}

/// Whether the cache can be opened and has room.
pub(super) fn disk(context: &Context) -> Finding {
    let what = "cache";
    let opened = context.cache_folder().and_then(|folder| {
        let cache = Cache::open(&folder)?;
        // Opening writes nothing where everything is there already.
        drop(cache.scratch()?);
        Ok::<_, Failure>(folder)
    });
    let folder = match opened {
        Ok(folder) => folder,
        Err(failure) => {
            let mend = failure.hint().unwrap_or(OTHER_FOLDER).to_owned();
            return Finding::gap(what, State::Broken, failure.in_one_line()).mended_by(mend);
        }
    };
    let place = folder.display();
    match rustix::fs::statvfs(&folder) {
        Err(errno) => Finding::gap(what, State::Unknown, format!("{place}: {errno}")),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            if free >= ROOM {
                return Finding::works(what, format!("{place}, {} free", size(free)));
            }
            Finding::gap(
                what,
                State::Limited,
                format!("{place}, only {} free", size(free)),
            )
            .mended_by("`luni cache gc --max-size 1G`, or name a larger disk with `--cache DIR`")
        }
    }
}
