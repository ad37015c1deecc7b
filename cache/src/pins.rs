//! Pins: what is never collected, because a lock or a release names it.
//!
//! A pin is a text file `pins/NAME` with one SHA-256 on each line. It may name
//! anything in the cache: a blob, an action (whose result is kept, and every blob
//! that the result names), or a folder laid out for sandboxes. A line `for PATH` says
//! whose pin it is: it counts for as long as there is something at that path. In PATH,
//! `%` and bytes that are no visible ASCII are written as `%` and two digits.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

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
        self.write_pin(name, None, digests)
    }

    /// As [`Cache::pin`], for as long as there is something at `owner`, an absolute
    /// path: the recipe that needs the digests. There is one such pin for each path.
    ///
    /// # Errors
    /// [`CacheError::Io`] where it cannot be written.
    pub fn pin_for(&self, owner: &Path, digests: &[Sha256]) -> Result<(), CacheError> {
        let hex = Sha256::of(owner.as_os_str().as_bytes()).hex();
        self.write_pin(&format!("for-{hex}"), Some(owner), digests)
    }

    fn write_pin(
        &self,
        name: &str,
        owner: Option<&Path>,
        digests: &[Sha256],
    ) -> Result<(), CacheError> {
        check_name(name)?;
        let io = CacheError::io;
        let sorted: BTreeSet<_> = digests.iter().collect();
        let owner = owner.map(|owner| format!("{FOR}{}\n", escape(owner)));
        let lines = sorted.iter().map(|digest| format!("{digest}\n"));
        let text: String = owner.into_iter().chain(lines).collect();
        let place = self.root().join("pins").join(name);
        // Most builds have nothing to do, and should not wait for the disk either.
        if fs::read(&place).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(());
        }
        let scratch = self.scratch()?;
        let file = scratch.path().join("pin");
        let mut writing = fs::File::create(&file).map_err(io("write a pin"))?;
        writing
            .write_all(text.as_bytes())
            .and_then(|()| writing.sync_all())
            .map_err(io("write a pin"))?;
        fs::rename(&file, place).map_err(io("write a pin"))
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

/// What the pins of a cache come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// Everything that must be kept.
    pub pinned: BTreeSet<Sha256>,
    /// The files of pins whose owner is gone: they keep nothing.
    pub ownerless: Vec<PathBuf>,
}

impl Pins {
    /// Reads the pins of the cache at `root`.
    ///
    /// # Errors
    /// [`CacheError::Io`] or [`CacheError::BadPin`] where a pin cannot be read: then
    /// nobody knows what must be kept.
    pub fn read(root: &Path) -> Result<Self, CacheError> {
        let io = CacheError::io;
        let entries = match fs::read_dir(root.join("pins")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(io("read the pins"))?,
        };
        let mut pins = Self::default();
        for entry in entries {
            let path = entry.map_err(io("read the pins"))?.path();
            let text = fs::read_to_string(&path).map_err(io("read a pin"))?;
            let bad = |why: String| CacheError::BadPin {
                name: path.display().to_string(),
                why: format!("cannot be read: {why}"),
            };
            let mut digests = BTreeSet::new();
            let mut is_owned = true;
            for line in text.lines() {
                match line.strip_prefix(FOR) {
                    Some(owner) => {
                        let owner = unescape(owner).ok_or_else(|| bad(format!("`{line}`")))?;
                        is_owned &= !is_gone(&owner);
                    }
                    None => {
                        let digest = line.parse::<Sha256>();
                        digests.insert(digest.map_err(|error| bad(error.to_string()))?);
                    }
                }
            }
            if is_owned {
                pins.pinned.extend(digests);
            } else {
                pins.ownerless.push(path);
            }
        }
        Ok(pins)
    }
}

/// How the line begins that says whose a pin is.
const FOR: &str = "for ";

/// Whether there is nothing at `path`. Where that cannot be found out, there may be.
fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

fn escape(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_graphic() && *byte != b'%' {
            text.push(char::from(*byte));
        } else {
            text += &format!("%{byte:02x}");
        }
    }
    text
}

fn unescape(text: &str) -> Option<PathBuf> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    let path = PathBuf::from(OsString::from_vec(bytes));
    path.is_absolute().then_some(path)
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
        let pinned = || Pins::read(cache.root()).unwrap().pinned;
        assert_eq!(pinned(), BTreeSet::from([two, three]));
        cache.unpin("b").unwrap();
        cache.unpin("b").unwrap();
        assert_eq!(pinned(), BTreeSet::from([two]));
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
            Pins::read(cache.root()),
            Err(CacheError::BadPin { .. })
        ));
        fs::write(cache.root().join("pins/odd"), "for relative\n").unwrap();
        assert!(Pins::read(cache.root()).is_err());
    }

    #[test]
    fn a_pin_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"50% \xff\nrecipe.yaml");
        let owner = folder.path().join(odd);
        fs::write(&owner, "").unwrap();
        let digest = Sha256::of(b"1");
        cache.pin_for(&owner, &[digest]).unwrap();
        let pins = Pins::read(cache.root()).unwrap();
        assert_eq!((pins.pinned.len(), pins.ownerless.len()), (1, 0));
        fs::remove_file(&owner).unwrap();
        let pins = Pins::read(cache.root()).unwrap();
        assert_eq!((pins.pinned.len(), pins.ownerless.len()), (0, 1));
    }
}
