//! As whom commands run, seen from outside.

use std::io;

use fs_err as fs;

use super::launch::write_map;
use super::trouble;
use crate::sandbox::{Facet, SandboxError, Unable, UserId};

/// As whom commands run when root starts them: a number that no one else has, so
/// that nothing of the machine belongs to them, and the kernel counts their
/// processes, which it does not do for root. (It is "luni" in ASCII.)
const NOBODY_ELSE: u32 = 0x6c75_6e69;
/// Where the number above does not exist, as in a container: the usual nobody.
const NOBODY: u32 = 65_534;
/// The same two for [`UserId::Other`].
const ANOTHER: u32 = NOBODY_ELSE + 1;
const NOBODY_BUT_ONE: u32 = NOBODY - 1;

/// The user outside who is root inside. There is only this one, so that it works
/// for ordinary users without any configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
    /// Whether it is another than the one of this process.
    switched: bool,
    /// Whether it is [`UserId::Other`].
    other: bool,
}

impl Owner {
    /// This process's user; for root, one without any rights, if there is one. The
    /// other user is had by root only; else it is said why not.
    pub(super) fn find(wanted: UserId) -> io::Result<(Self, Option<Unable>)> {
        let uid = rustix::process::geteuid().as_raw();
        let own = Self {
            uid,
            gid: rustix::process::getegid().as_raw(),
            switched: false,
            other: false,
        };
        let other = wanted == UserId::Other;
        let unable = |why: &str| {
            other.then(|| Unable {
                facet: Facet::UserId,
                why: why.to_owned(),
            })
        };
        if uid != 0 {
            return Ok((own, unable("only root can run commands as another user")));
        }
        let (uids, gids) = (
            fs::read_to_string("/proc/self/uid_map")?,
            fs::read_to_string("/proc/self/gid_map")?,
        );
        let candidates = if other {
            [ANOTHER, NOBODY_BUT_ONE]
        } else {
            [NOBODY_ELSE, NOBODY]
        };
        let found = candidates
            .into_iter()
            .find(|id| covers(&uids, *id) && covers(&gids, *id));
        Ok(match found {
            Some(id) => {
                let owner = Self {
                    uid: id,
                    gid: id,
                    switched: true,
                    other,
                };
                (owner, None)
            }
            None => (own, unable("there is no other user in this container")),
        })
    }

    /// Whether it is [`UserId::Other`].
    pub(super) fn is_other(&self) -> bool {
        self.other
    }

    /// Whom files must be given to, if not to this process's user.
    pub(super) fn switch(&self) -> Option<u32> {
        self.switched.then_some(self.uid)
    }

    /// The owner's number.
    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Makes the owner root in the user namespace of process `pid`.
    pub(super) fn map(&self, pid: u32) -> Result<(), SandboxError> {
        let failed = || trouble("map the user of the sandbox");
        if !self.switched {
            // The kernel asks this of users who map their own group.
            write_map(pid, "setgroups", "deny").map_err(failed())?;
        }
        write_map(pid, "uid_map", &format!("0 {} 1\n", self.uid)).map_err(failed())?;
        write_map(pid, "gid_map", &format!("0 {} 1\n", self.gid)).map_err(failed())
    }
}

/// Whether a map of `/proc` (first inside, first outside, count) has `id` inside.
fn covers(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(_), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        u64::from(id) >= first && u64::from(id) - first < count
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read_as_the_kernel_writes_them() {
        let whole = "         0          0 4294967295\n";
        assert!(covers(whole, NOBODY_ELSE) && covers(whole, 0));
        let container = "0 1000 1\n1 100000 65536\n";
        assert!(covers(container, NOBODY));
        assert!(!covers(container, NOBODY_ELSE));
        assert!(!covers("", 0) && !covers("nonsense\n", 0));
    }
}
