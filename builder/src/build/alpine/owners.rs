//! Owners that scripts give to files.
//!
//! In the sandbox there is one user only, so nothing can be given to another. Programs
//! that stand in for `chown` and `chgrp` write down what they were asked for, and it is
//! done to the metadata afterwards.

use std::collections::BTreeMap;

use lunikernel_cache::{BlobStore, CacheError, Rootfs};

use super::file_at;
use crate::assemble::apk::OwnerNames;

/// Programs that are found before those of the root.
pub(super) const STAND_INS: [(&str, &str); 6] = [
    ("chown", include_str!("chown")),
    ("chgrp", include_str!("chgrp")),
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
        let of = |names: &Names, name: &str| names.0.get(name).map(|(number, _)| *number);
        (of(&self.users, &names.user), of(&self.groups, &names.group))
    }
}

/// Numbers of users or groups by their names, as passwd(5) and group(5) have them.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, (u32, Option<u32>)>);

impl Names {
    /// Reads one of the files.
    pub(super) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            let number = fields.nth(1)?.parse().ok()?;
            Some((
                name,
                (number, fields.next().and_then(|group| group.parse().ok())),
            ))
        };
        Self(text.lines().filter_map(line).collect())
    }

    fn number(&self, word: &str) -> Option<u32> {
        let named = self.0.get(word).map(|(number, _)| *number);
        named.or_else(|| word.parse().ok())
    }
}

/// What `USER`, `USER:GROUP`, `USER:` or `:GROUP` means: the numbers to set.
///
/// # Errors
/// The name that nobody has.
pub(super) fn numbers(
    spec: &str,
    users: &Names,
    groups: &Names,
) -> Result<(Option<u32>, Option<u32>), String> {
    let unknown =
        |kind: &str, name: &str| format!("`{spec}` names the {kind} `{name}`, which is not there");
    let (user, group) = match spec.split_once(':').or_else(|| spec.split_once('.')) {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    };
    let uid = match user {
        "" => None,
        user => Some(users.number(user).ok_or_else(|| unknown("user", user))?),
    };
    let gid = match group {
        None => None,
        // `USER:` is the user's own group.
        Some("") => users.0.get(user).and_then(|(_, group)| *group),
        Some(group) => Some(
            groups
                .number(group)
                .ok_or_else(|| unknown("group", group))?,
        ),
    };
    Ok((uid, gid))
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::{Cache, Node};

    use super::*;

    #[test]
    fn owners_are_found_by_name_and_number() {
        let users = Names::parse("root:x:0:0:root:/root:/bin/sh\nnginx:x:100:101::/:/bin/false\n");
        let groups = Names::parse("root:x:0:\nshadow:x:42:\nnginx:x:101:nginx\n");
        let of = |spec: &str| numbers(spec, &users, &groups);
        assert_eq!(of("root:shadow"), Ok((Some(0), Some(42))));
        assert_eq!(of("nginx"), Ok((Some(100), None)));
        assert_eq!(of("nginx:"), Ok((Some(100), Some(101))));
        assert_eq!(of(":shadow"), Ok((None, Some(42))));
        assert_eq!(of("7:8"), Ok((Some(7), Some(8))));
        assert_eq!(of("root.shadow"), Ok((Some(0), Some(42))));
        assert!(of("nobody").is_err() && of("root:nobody").is_err());
        // POSIX: a name goes before a number.
        let users = Names::parse("7:x:70:71::/:/bin/false\n");
        assert_eq!(numbers("7:8", &users, &groups), Ok((Some(70), Some(8))));
    }

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

    #[test]
    fn whole_folders_are_written_down_by_their_real_names() {
        let folder = tempfile::tempdir().unwrap();
        let build = folder.path().canonicalize().unwrap();
        let at = |path: &str| build.join(path);
        fs_err::create_dir_all(at("var/x/sub")).unwrap();
        fs_err::write(at("var/x/sub/a  b\\n"), "").unwrap();
        fs_err::os::unix::fs::symlink("x", at("var/link")).unwrap();
        let place = format!("build='{}'", build.display());
        let (_, text) = STAND_INS[0];
        assert!(text.contains("\nbuild=/build\n"));
        fs_err::write(at("chown"), text.replace("build=/build", &place)).unwrap();
        let chown = |cwd: &str, arguments: &[&str]| {
            let said = std::process::Command::new("/bin/sh")
                .arg(at("chown"))
                .args(arguments)
                .current_dir(at(cwd))
                .output()
                .unwrap();
            let report = fs_err::read_to_string(at(".luni-report")).unwrap_or_default();
            let _ = fs_err::remove_file(at(".luni-report"));
            let prefix = format!("{}/", build.display());
            let mut lines: Vec<String> = report
                .lines()
                .map(|line| line.replace(&prefix, ""))
                .collect();
            lines.sort();
            said.status.success().then_some(lines)
        };
        let lines = |owner: &str, paths: &[&str]| {
            let line = |path: &&str| format!("owner {owner} {path}");
            Some(paths.iter().map(line).collect::<Vec<String>>())
        };
        let all = ["var/x", "var/x/sub", "var/x/sub/a  b\\n"];
        assert_eq!(chown("var/x", &["-R", "7:8", "."]), lines("7:8", &all));
        assert_eq!(chown("var/x/sub", &["-R", "7", "../"]), lines("7", &all));
        assert_eq!(chown("var", &["-RH", "7", "link"]), lines("7", &all));
        assert_eq!(
            chown("var", &["-R", "7", "link"]),
            lines("7", &["var/link"])
        );
        assert_eq!(
            chown("var", &["-h", "7", "link"]),
            lines("7", &["var/link"])
        );
        assert_eq!(chown("var", &["7", "link"]), lines("7", &["var/x"]));
        assert_eq!(chown("var", &["7", "x/sub/.."]), lines("7", &["var/x"]));
        for refused in [&["7", "gone"][..], &["7"], &["--from=1", "7", "x"]] {
            assert_eq!(chown("var", refused), None, "{refused:?}");
        }
    }
}
