//! What the named mirrors do not have, told once for each.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use lunikernel_cache::Progress;
use url::Url;

use super::error::shown;

/// How many files each mirror was asked for in one call, and how many it did not have.
/// That a place has nothing is no failure and told of nowhere else, so a mistyped
/// address of a mirror would never come to light.
#[derive(Debug, Default)]
pub(super) struct Lacks {
    mirrors: Mutex<BTreeMap<Url, Count>>,
}

#[derive(Debug, Default)]
struct Count {
    asked: usize,
    lacked: usize,
}

impl Lacks {
    /// The mirror was asked for one more file.
    pub(super) fn add(&self, mirror: &Url, lacked: bool) {
        let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let count = mirrors.entry(mirror.clone()).or_default();
        count.asked += 1;
        count.lacked += usize::from(lacked);
    }

    /// One note for each mirror that lacked something, in the order of `mirrors`.
    pub(super) fn tell(&self, mirrors: &[Url], progress: &dyn Progress) {
        let counts = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        for mirror in mirrors {
            let Some(count) = counts.get(mirror).filter(|count| count.lacked > 0) else {
                continue;
            };
            let Count { asked, lacked } = count;
            let what = match (lacked, asked) {
                (1, 1) => "does not have the one input asked of it".to_owned(),
                (lacked, asked) if lacked == asked => {
                    format!("has none of the {asked} inputs asked of it")
                }
                _ => format!("lacks {lacked} of the {asked} inputs asked of it"),
            };
            progress.note(&format!("the mirror {} {what}", shown(mirror)));
        }
    }
}
