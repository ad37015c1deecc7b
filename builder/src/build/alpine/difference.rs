//! What scripts changed, applied to the metadata of a root: owners, devices and attributes
//! stay, which a sandbox does not have.

use std::collections::BTreeMap;

use lunikernel_cache::checkout::MOUNT_POINTS;
use lunikernel_cache::rootfs::join;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, CacheError, Digest, Node, NodeKind, Rootfs, RootfsError, Tree};

use super::owners::{Owners, numbers};
use super::scripts::{EXEC, REPORT};

/// The largest report, in bytes: a million paths.
const MAX_REPORT: u64 = 256 << 20;

/// What a run reports: modes of files and folders, and owners that were asked for.
#[derive(Default)]
struct Report {
    modes: BTreeMap<String, u32>,
    owners: Vec<Owner>,
    /// The first thing that was asked for and cannot be kept.
    unable: Option<String>,
}

/// That a script gives a path to someone.
struct Owner {
    spec: String,
    path: String,
    /// Which script of which package.
    script: String,
}

/// Applies what differs from `before` to `after` to `root`. What packages brought is given
/// to its owners by `give`, who may be users that scripts made, before scripts give it to
/// others. The inner error says what cannot be kept.
pub(super) fn apply(
    root: &mut Rootfs,
    before: &Tree,
    after: &Tree,
    give: &dyn Fn(&mut Rootfs, &Owners) -> Result<(), RootfsError>,
    blobs: &BlobStore,
) -> Result<Result<(), String>, CacheError> {
    let report = match after.get(REPORT) {
        Some(Entry::File { digest, .. }) if digest.size <= MAX_REPORT => blobs.read(digest)?,
        _ => return Ok(Err("there is no report of modes".to_owned())),
    };
    let report = Report::parse(&String::from_utf8_lossy(&report));
    if let Some(why) = report.unable {
        return Ok(Err(why));
    }
    let mut changes = Changes {
        root,
        report: &report,
    };
    if let Err(why) = changes.folder("", before, after) {
        return Ok(Err(why));
    }
    let there = Owners::of(root, blobs)?;
    if let Err(error) = give(root, &there) {
        return Ok(Err(error.to_string()));
    }
    for Owner { spec, path, script } in &report.owners {
        let owner = numbers(spec, &there.users, &there.groups);
        let given = owner.and_then(|owner| give_away(root, path, owner));
        if let Err(why) = given {
            return Ok(Err(format!(
                "`chown {spec}` by {script} cannot be done: {why}"
            )));
        }
    }
    Ok(Ok(()))
}

impl Report {
    fn parse(text: &str) -> Self {
        let mut report = Self::default();
        let mut script = "";
        for line in text.lines() {
            let Some((kind, rest)) = line.split_once(' ') else {
                continue;
            };
            match kind {
                "script" => script = rest,
                "unable" => {
                    let asked = rest.trim_end();
                    let why = || format!("{script} asks for `{asked}`");
                    report.unable.get_or_insert_with(why);
                }
                _ => {}
            }
            let Some((value, path)) = rest.split_once(' ') else {
                continue;
            };
            let path = match path.strip_prefix("/build") {
                Some(below) if below.is_empty() || below.starts_with('/') => below,
                _ => path,
            };
            let path = path.strip_prefix('/').unwrap_or(path).to_owned();
            match (kind, u32::from_str_radix(value, 8)) {
                ("mode", Ok(mode)) => drop(report.modes.insert(path, mode & 0o7777)),
                ("owner", _) => report.owners.push(Owner {
                    spec: value.to_owned(),
                    path,
                    script: script.to_owned(),
                }),
                _ => {}
            }
        }
        report
    }
}

/// Gives what is at `path` to others. What lies where nothing is kept, and what would be
/// root's anyway, need not be there.
fn give_away(
    root: &mut Rootfs,
    path: &str,
    (uid, gid): (Option<u32>, Option<u32>),
) -> Result<(), String> {
    if let Some(node) = root.get(path) {
        let node = Node {
            uid: uid.unwrap_or(node.uid),
            gid: gid.unwrap_or(node.gid),
            ..node.clone()
        };
        return root.insert(path, node).map_err(|error| error.to_string());
    }
    let first = path.split('/').next().unwrap_or(path);
    let is_ours = [EXEC, REPORT].contains(&first) || MOUNT_POINTS.contains(&first);
    let is_roots = uid.unwrap_or(0) == 0 && gid.unwrap_or(0) == 0;
    if is_ours || is_roots {
        return Ok(());
    }
    Err(format!("`/{path}` is not there any more"))
}

struct Changes<'a> {
    root: &'a mut Rootfs,
    report: &'a Report,
}

impl Changes<'_> {
    /// Applies what differs in one folder, and below it.
    fn folder(&mut self, at: &str, before: &Tree, after: &Tree) -> Result<(), String> {
        for (name, _) in before.entries() {
            let path = join(at, name);
            // At the top, what is not there now was not taken along.
            if !at.is_empty() && after.get(name).is_none() {
                self.root.remove(&path);
            }
        }
        for (name, entry) in after.entries() {
            let path = join(at, name);
            if path == REPORT {
                continue;
            }
            // Its lines in the report and in apk's database could be those of others.
            if name.contains(char::is_control) {
                return Err(format!(
                    "\"{}\" has a control character in its name",
                    path.escape_debug()
                ));
            }
            self.entry(&path, before.get(name), entry)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &str, was: Option<&Entry>, is: &Entry) -> Result<(), String> {
        let mode = self.report.modes.get(path).copied();
        match (was, is) {
            (Some(Entry::Folder(was)), Entry::Folder(is)) => {
                self.change_mode(path, mode, 0o755);
                self.folder(path, was, is)
            }
            (_, Entry::Folder(is)) => {
                self.replace(path, Node::folder(mode.unwrap_or(0o755)))?;
                self.folder(path, &Tree::new(), is)
            }
            (
                Some(Entry::File {
                    digest: was,
                    executable,
                }),
                Entry::File { digest, .. },
            ) => {
                if was != digest {
                    self.change_content(path, *digest);
                }
                self.change_mode(path, mode, if *executable { 0o755 } else { 0o644 });
                Ok(())
            }
            (_, Entry::File { digest, executable }) => {
                let usual = if *executable { 0o755 } else { 0o644 };
                self.replace(path, Node::file(mode.unwrap_or(usual), *digest))
            }
            (Some(Entry::Symlink { target: was }), Entry::Symlink { target }) if was == target => {
                Ok(())
            }
            (_, Entry::Symlink { target }) => self.replace(path, Node::symlink(target.clone())),
        }
    }

    /// Puts a node there in place of whatever is.
    fn replace(&mut self, path: &str, node: Node) -> Result<(), String> {
        self.root.remove(path);
        let placed = self.root.insert(path, node);
        placed.map_err(|error| error.to_string())
    }

    /// A file that was there has other content now; a capability that it had would be the
    /// old content's.
    fn change_content(&mut self, path: &str, content: Digest) {
        if let Some(node) = self.root.get(path) {
            let node = Node {
                kind: NodeKind::File {
                    content,
                    link: None,
                },
                xattrs: BTreeMap::new(),
                ..node.clone()
            };
            // It replaces a file at its own place, which nothing refuses.
            let _ = self.root.insert(path, node);
        }
    }

    /// A mode other than that with which the sandbox laid the file out is a script's doing.
    fn change_mode(&mut self, path: &str, mode: Option<u32>, laid_out: u32) {
        if let (Some(mode), Some(node)) =
            (mode.filter(|mode| *mode != laid_out), self.root.get(path))
        {
            let node = Node {
                mode,
                ..node.clone()
            };
            // As above.
            let _ = self.root.insert(path, node);
        }
    }
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::Cache;

    use super::*;

    /// Applies a report to a root in which scripts left the empty files of `left`.
    fn applied(report: &str, left: &[&str]) -> Result<Rootfs, String> {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let blobs = cache.blobs();
        let file = |content: &str| Entry::File {
            digest: blobs.put(content.as_bytes()).unwrap(),
            executable: false,
        };
        let mut root = Rootfs::new();
        let empty = blobs.put(b"").unwrap();
        for path in ["bin/busybox", "srv/www/index", ".luni/f", REPORT] {
            root.insert(path, Node::file(0o644, empty)).unwrap();
        }
        let before = root.to_tree().unwrap();
        let mut after = Tree::new();
        for (name, entry) in before.entries() {
            if ![EXEC, REPORT].contains(&name) {
                after.insert(name, entry.clone()).unwrap();
            }
        }
        after.insert(REPORT, file(report)).unwrap();
        for path in left {
            after.insert(path, file("")).unwrap();
        }
        apply(&mut root, &before, &after, &|_, _| Ok(()), blobs).unwrap()?;
        Ok(root)
    }

    #[test]
    fn names_with_lines_in_them_cannot_be_kept() {
        let name = "srv/x\nmode 4777 bin/busybox";
        let report = format!("mode 644 {name}\n");
        let said = applied(&report, &[name]).unwrap_err();
        assert!(said.contains("a control character"), "{said}");
        let root = applied("mode 4755 srv/x y\n", &["srv/x y"]).unwrap();
        assert_eq!(root.get("srv/x y").unwrap().mode, 0o4755);
    }

    #[test]
    fn owners_are_not_lost() {
        let report = "owner 7:8 /build/srv\nowner 0:0 /build/gone\nowner 9 /build/.luni/x\n\
                      owner 9 /tmp/x\nowner 0:0 /build\n";
        let root = applied(report, &[]).unwrap();
        let owner = |path: &str| {
            let node = root.get(path).unwrap();
            (node.uid, node.gid)
        };
        assert_eq!(owner("srv"), (7, 8));
        assert_eq!(owner("srv/www"), (0, 0));
        // Files of a package that are called as our own stay, too.
        assert_eq!(root.get(".luni/f"), root.get(REPORT));
        for lost in ["/build/srv/gone", "//srv/x", "/build", "/build/srv/."] {
            let said =
                applied(&format!("script the script of a\nowner 7:8 {lost}\n"), &[]).unwrap_err();
            assert!(
                said.contains("`chown 7:8` by the script of a cannot be done"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_cannot_be_kept_is_told_with_the_script() {
        let report = "script the .post-install script of a 1\nowner 0:0 /build/srv\n\
                      script the .trigger script of b 2\nunable mknod /dev/x c 1 3 \n\
                      script the .trigger script of c 3\nunable setcap x\n";
        let said = applied(report, &[]).unwrap_err();
        assert_eq!(
            said,
            "the .trigger script of b 2 asks for `mknod /dev/x c 1 3`"
        );
        let report = "script the .post-install script of a 1\nowner nobody /build/srv\n";
        let said = applied(report, &[]).unwrap_err();
        assert!(
            said.contains("by the .post-install script of a 1"),
            "{said}"
        );
    }
}
