//! What scripts changed, applied to the metadata of a root: devices and attributes stay,
//! which a sandbox does not have.
//!
//! Scripts find each file with its owner and its mode, or nearly (see [`laid_mode`]), and what
//! differs at the end is their doing. A new name of a file that was there, by its inode
//! number, has what the file had.

use std::collections::BTreeMap;

use lunikernel_cache::rootfs::join;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, CacheError, Digest, Node, NodeKind, Rootfs, RootfsError, Tree};

use super::owners::Owners;
use super::scripts::REPORT;

/// The largest report, in bytes: a million paths.
const MAX_REPORT: u64 = 256 << 20;

/// What a run reports.
#[derive(Default)]
struct Report {
    /// What had which inode number before the first script.
    was: BTreeMap<u64, String>,
    /// What there is after the last one.
    is: BTreeMap<String, Seen>,
    /// The first thing that was asked for and cannot be kept.
    unable: Option<String>,
}

/// What a file, folder or link has after the last script.
#[derive(Clone, Copy)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    inode: u64,
}

/// Applies what differs from `before` to `after` to `root`. What packages brought is given
/// to its owners by `give`, who may be users that scripts made; what scripts gave to others
/// is theirs. The inner error says what cannot be kept.
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
    if let Some(Seen {
        owner: (uid, gid), ..
    }) = report.is.get("")
        && (*uid, *gid) != (0, 0)
    {
        return Ok(Err(format!("`/` is {uid}:{gid}'s, and must be root's")));
    }
    let (old, mut given) = (root.clone(), root.clone());
    let mut changes = Changes {
        root,
        report: &report,
    };
    if let Err(why) = changes.folder("", before, after) {
        return Ok(Err(why));
    }
    let there = Owners::of(root, blobs)?;
    for root in [&mut *root, &mut given] {
        if let Err(error) = give(root, &there) {
            return Ok(Err(error.to_string()));
        }
    }
    let known = Known { old, given };
    for (path, seen) in &report.is {
        if let Some(node) = root.get(path) {
            let node = known.settled(path, node, *seen, report.was.get(&seen.inode));
            // It replaces a file at its own place, which nothing refuses.
            let _ = root.insert(path, node);
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
            match kind {
                "was" => {
                    if let Ok(inode) = value.parse() {
                        report.was.insert(inode, below_build(path));
                    }
                }
                "is" => {
                    let _ = report.see(value, path);
                }
                _ => {}
            }
        }
        report
    }

    /// Takes a line that says what there is: `MODE USER:GROUP INODE PATH`.
    fn see(&mut self, mode: &str, rest: &str) -> Option<()> {
        let (owner, rest) = rest.split_once(' ')?;
        let (inode, path) = rest.split_once(' ')?;
        let (user, group) = owner.split_once(':')?;
        let seen = Seen {
            mode: u32::from_str_radix(mode, 8).ok()? & 0o7777,
            owner: (user.parse().ok()?, group.parse().ok()?),
            inode: inode.parse().ok()?,
        };
        self.is.insert(below_build(path), seen);
        Some(())
    }
}

/// A path as it is in the root, which lies in `/build`.
fn below_build(path: &str) -> String {
    let path = match path.strip_prefix("/build") {
        Some(below) if below.is_empty() || below.starts_with('/') => below,
        _ => path,
    };
    path.strip_prefix('/').unwrap_or(path).to_owned()
}

/// The mode with which scripts find a node. They run without the capability by which root
/// passes by modes, so its owner may always read and write it, and enter it.
pub(super) fn laid_mode(node: &Node) -> u32 {
    match node.kind {
        NodeKind::Folder => node.mode | 0o700,
        _ => node.mode | 0o600,
    }
}

/// The root before the first script.
struct Known {
    /// As it was laid out.
    old: Rootfs,
    /// With all owners that packages name.
    given: Rootfs,
}

impl Known {
    /// `node` with the metadata that scripts left at `path`. `origin` is what had its inode
    /// number before.
    fn settled(&self, path: &str, node: &Node, seen: Seen, origin: Option<&String>) -> Node {
        let known = |path: &str| Some((self.old.get(path)?, self.given.get(path)?));
        let of_inode = origin.and_then(|origin| known(origin));
        let (known, is_it) = match of_inode.filter(|(_, real)| is_same(real, node)) {
            Some(known) => (Some(known), true),
            None => (known(path).filter(|(_, real)| is_like(real, node)), false),
        };
        let (uid, gid) = seen.owner;
        let mut settled = Node {
            mode: seen.mode,
            uid,
            gid,
            ..node.clone()
        };
        if let Some((laid, real)) = known {
            if seen.mode == laid_mode(laid) {
                settled.mode = real.mode;
            }
            if settled.uid == laid.uid {
                settled.uid = real.uid;
            }
            if settled.gid == laid.gid {
                settled.gid = real.gid;
            }
            if is_it {
                settled.xattrs.clone_from(&real.xattrs);
            }
        }
        settled
    }
}

/// Whether both are of one kind.
fn is_like(one: &Node, other: &Node) -> bool {
    std::mem::discriminant(&one.kind) == std::mem::discriminant(&other.kind)
}

/// Whether both have the same in them. Folders do: what is below them has lines of its own.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.kind, &other.kind) {
        (NodeKind::File { content: one, .. }, NodeKind::File { content: other, .. }) => {
            one == other
        }
        (one, other) => one == other,
    }
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
        let Some(Seen { mode, .. }) = self.report.is.get(path).copied() else {
            return Err(format!("the mode of `/{path}` was not reported"));
        };
        match (was, is) {
            (Some(Entry::Folder(was)), Entry::Folder(is)) => self.folder(path, was, is),
            (_, Entry::Folder(is)) => {
                self.replace(path, Node::folder(mode))?;
                self.folder(path, &Tree::new(), is)
            }
            (Some(Entry::File { digest: was, .. }), Entry::File { digest, .. }) => {
                if was != digest {
                    self.change_content(path, *digest);
                }
                Ok(())
            }
            (_, Entry::File { digest, .. }) => self.replace(path, Node::file(mode, *digest)),
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
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::Cache;

    use super::super::scripts::EXEC;
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
        let key = Node {
            gid: 42,
            ..Node::file(0o440, empty)
        };
        root.insert("srv/key", key).unwrap();
        let before = root.to_tree().unwrap();
        let mut after = Tree::new();
        for (name, entry) in before.entries() {
            if ![EXEC, REPORT].contains(&name) {
                after.insert(name, entry.clone()).unwrap();
            }
        }
        for path in left {
            after.insert(path, file("")).unwrap();
        }
        // As the run itself would; what the report has comes later, and counts.
        let seen = root.nodes().map(|(path, node)| {
            let mode = laid_mode(node);
            format!("is {mode:o} {}:{} 0 /build/{path}\n", node.uid, node.gid)
        });
        let report = format!("{}{report}", seen.collect::<String>());
        after.insert(REPORT, file(&report)).unwrap();
        apply(&mut root, &before, &after, &|_, _| Ok(()), blobs).unwrap()?;
        Ok(root)
    }

    #[test]
    fn names_with_lines_in_them_cannot_be_kept() {
        let name = "srv/x\nmode 4777 bin/busybox";
        let report = format!("is 644 0:0 9 {name}\n");
        let said = applied(&report, &[name]).unwrap_err();
        assert!(said.contains("a control character"), "{said}");
        let root = applied("is 4755 0:0 9 srv/x y\n", &["srv/x y"]).unwrap();
        assert_eq!(root.get("srv/x y").unwrap().mode, 0o4755);
        // What could not be looked at is not taken for open to all.
        let said = applied("", &["srv/x"]).unwrap_err();
        assert_eq!(said, "the mode of `/srv/x` was not reported");
    }

    #[test]
    fn other_names_of_a_file_have_its_mode_and_its_owner() {
        let meta = |report: &str, left: &[&str], path: &str| {
            let root = applied(report, left).unwrap();
            let node = root.get(path).unwrap().clone();
            (node.mode, node.uid, node.gid)
        };
        let was = "was 7 /build/srv/key\nis 640 0:42 7 /build/srv/key\n";
        let left = |line: &str| meta(&format!("{was}{line}\n"), &["srv/new"], "srv/new");
        assert_eq!(left("is 640 0:42 7 /build/srv/new"), (0o440, 0, 42));
        assert_eq!(left("is 600 0:42 7 /build/srv/new"), (0o600, 0, 42));
        assert_eq!(left("is 640 7:8 7 /build/srv/new"), (0o440, 7, 8));
        // Another file, whatever it was made from.
        assert_eq!(left("is 640 0:0 8 /build/srv/new"), (0o640, 0, 0));
        assert_eq!(meta(was, &[], "srv/key"), (0o440, 0, 42));
        // Setting a usual mode is noticed.
        let opened = "is 644 0:42 7 /build/srv/key\n";
        assert_eq!(meta(opened, &[], "srv/key"), (0o644, 0, 42));
    }

    #[test]
    fn owners_are_not_lost() {
        let report = "is 755 7:8 1 /build/srv\nis 644 9:0 1 /build/.luni/x\nis 777 0:0 1 /\n";
        let root = applied(report, &[]).unwrap();
        let owner = |path: &str| {
            let node = root.get(path).unwrap();
            (node.uid, node.gid)
        };
        assert_eq!(owner("srv"), (7, 8));
        assert_eq!(owner("srv/www"), (0, 0));
        // Files of a package that are called as our own stay, too.
        assert_eq!(root.get(".luni/f"), root.get(REPORT));
        let said = applied("is 755 7:8 1 /\n", &[]).unwrap_err();
        assert_eq!(said, "`/` is 7:8's, and must be root's");
    }

    #[test]
    fn what_cannot_be_kept_is_told_with_the_script() {
        let report = "script the .post-install script of a 1\n\
                      script the .trigger script of b 2\nunable mknod /dev/x c 1 3 \n\
                      script the .trigger script of c 3\nunable setcap x\n";
        let said = applied(report, &[]).unwrap_err();
        assert_eq!(
            said,
            "the .trigger script of b 2 asks for `mknod /dev/x c 1 3`"
        );
    }
}
