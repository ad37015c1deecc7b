//! Pins: what is never collected, because a lock or a release names it.
//!
//! A pin is a text file `pins/NAME` with one SHA-256 on each line. It may name
//! anything in the cache: a blob, an action (whose result is kept, and every blob
//! that the result names), or a folder laid out for sandboxes.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use fs_err as fs;

use crate::digest::Sha256;
use crate::disk::Cache;
use crate::error::CacheError;

/// Longest name of a pin; with it, every file system can hold it.
const MAX_NAME: usize = 100;

impl Cache {
    /// Keeps `digests` from being collected, in place of those that a pin of that
    /// name kept so far. Whether they are there is not looked at.
    ///
    /// # Errors
    /// [`CacheError::BadPin`] for a name that is not made of ASCII letters, digits,
    /// `.`, `_` and `-`, begins with a dot, or is longer than 100 bytes;
    /// [`CacheError::Io`] where it cannot be written.
    pub fn pin(&self, name: &str, digests: &[Sha256]) -> Result<(), CacheError> {
        check_name(name)?;
        let io = CacheError::io;
        let sorted: BTreeSet<_> = digests.iter().collect();
        let text: String = sorted.iter().map(|digest| format!("{digest}\n")).collect();
        let scratch = self.scratch()?;
        let file = scratch.path().join("pin");
        let mut writing = fs::File::create(&file).map_err(io("write a pin"))?;
        writing
            .write_all(text.as_bytes())
            .and_then(|()| writing.sync_all())
            .map_err(io("write a pin"))?;
        fs::rename(&file, self.root().join("pins").join(name)).map_err(io("write a pin"))
    }

    /// Lets what the pin of that name kept be collected; a pin that does not exist
    /// is no error.
    ///
    /// # Errors
    /// [`CacheError::BadPin`] as [`Cache::pin`], [`CacheError::Io`] where it cannot
    /// be removed.
    pub fn unpin(&self, name: &str) -> Result<(), CacheError> {
        check_name(name)?;
        match fs::remove_file(self.root().join("pins").join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(CacheError::io("remove a pin")(error))
            }
            _ => Ok(()),
        }
    }
}

/// Everything that is pinned in the cache at `root`.
///
/// # Errors
/// [`CacheError::Io`] or [`CacheError::BadPin`] where a pin cannot be read: then
/// nobody knows what must be kept.
pub fn pinned(root: &Path) -> Result<BTreeSet<Sha256>, CacheError> {
    let io = CacheError::io;
    let entries = match fs::read_dir(root.join("pins")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other.map_err(io("read the pins"))?,
    };
    let mut pinned = BTreeSet::new();
    for entry in entries {
        let path = entry.map_err(io("read the pins"))?.path();
        let text = fs::read_to_string(&path).map_err(io("read a pin"))?;
        for line in text.lines() {
            pinned.insert(line.parse().map_err(|error| CacheError::BadPin {
                name: path.display().to_string(),
                why: format!("cannot be read: {error}"),
            })?);
        }
    }
    Ok(pinned)
}

fn check_name(name: &str) -> Result<(), CacheError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('.');
    if fits && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(CacheError::BadPin {
        name: name.chars().take(MAX_NAME).collect(),
        why: "cannot be: a name has ASCII letters, digits, `.`, `_` and `-`, no dot in front, and at most 100 of them"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_replaces_the_one_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let [one, two, three] = [b"1", b"2", b"3"].map(|bytes| Sha256::of(bytes));
        cache.pin("a.lock", &[one, two]).unwrap();
        cache.pin("b", &[three]).unwrap();
        cache.pin("a.lock", &[two, two]).unwrap();
        assert_eq!(pinned(cache.root()).unwrap(), BTreeSet::from([two, three]));
        cache.unpin("b").unwrap();
        cache.unpin("b").unwrap();
        assert_eq!(pinned(cache.root()).unwrap(), BTreeSet::from([two]));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        for bad in ["", "..", "a/b", ".hidden", "a b", "ä", &"x".repeat(101)] {
            assert!(
                matches!(cache.pin(bad, &[]), Err(CacheError::BadPin { .. })),
                "{bad}"
            );
            assert!(cache.unpin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unreadable_pin_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        fs::write(cache.root().join("pins/odd"), "sha256:12\n").unwrap();
        assert!(matches!(
            pinned(cache.root()),
            Err(CacheError::BadPin { .. })
        ));
    }
}
