//! Who there is in a root, and programs whose work cannot be kept.

use std::collections::BTreeMap;

use lunikernel_cache::{BlobStore, CacheError, Rootfs};

use super::file_at;
use crate::assemble::apk::OwnerNames;

/// Programs that are found before those of the root.
pub(super) const STAND_INS: [(&str, &str); 4] = [
    ("mknod", UNABLE),
    ("mkfifo", UNABLE),
    ("setcap", UNABLE),
    ("setfattr", UNABLE),
];
/// Stands in for those whose work cannot be kept.
const UNABLE: &str = include_str!("unable");

/// Who there is in a system.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub(super) users: Names,
    pub(super) groups: Names,
}

impl Owners {
    /// Those of a root.
    pub(super) fn of(root: &Rootfs, blobs: &BlobStore) -> Result<Self, CacheError> {
        let names = |path: &str| -> Result<Names, CacheError> {
            Ok(match file_at(root, path) {
                Some(digest) => Names::parse(&String::from_utf8_lossy(&blobs.read(&digest)?)),
                None => Names::default(),
            })
        };
        Ok(Self {
            users: names("etc/passwd")?,
            groups: names("etc/group")?,
        })
    }

    /// The numbers of those whom a package names, where they are there.
    pub(super) fn numbers(&self, names: &OwnerNames) -> (Option<u32>, Option<u32>) {
        let of = |names: &Names, name: &str| names.0.get(name).copied();
        (of(&self.users, &names.user), of(&self.groups, &names.group))
    }
}

/// Numbers of users or groups by their names, as passwd(5) and group(5) have them.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, u32>);

impl Names {
    /// Reads one of the files.
    pub(super) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            Some((name, fields.nth(1)?.parse().ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::{Cache, Node};

    use super::*;

    #[test]
    fn names_of_packages_are_those_of_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let mut root = Rootfs::new();
        for (path, text) in [
            ("etc/passwd", "web:x:100:101::/:/bin/false\n"),
            ("etc/group", "web:x:102:\ndata:x:103:\n"),
        ] {
            let digest = cache.blobs().put(text.as_bytes()).unwrap();
            root.insert(path, Node::file(0o644, digest)).unwrap();
        }
        let owners = Owners::of(&root, cache.blobs()).unwrap();
        let of = |user: &str, group: &str| {
            let (user, group) = (user.to_owned(), group.to_owned());
            owners.numbers(&OwnerNames { user, group })
        };
        assert_eq!(of("web", "web"), (Some(100), Some(102)));
        assert_eq!(of("web", "data"), (Some(100), Some(103)));
        assert_eq!(of("data", "ghost"), (None, None));
        let none = Owners::of(&Rootfs::new(), cache.blobs()).unwrap();
        assert!(none.users.0.is_empty() && none.groups.0.is_empty());
    }
}
