//! What scripts changed, applied to the metadata of a root: owners, devices and attributes
//! stay, which a sandbox does not have.

use std::collections::BTreeMap;

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, CacheError, Digest, Node, NodeKind, Rootfs, Tree};

use super::file_at;
use super::owners::{Names, numbers};
use super::scripts::REPORT;

/// The largest report, in bytes: a million paths.
const MAX_REPORT: u64 = 256 << 20;

/// What a run reports: modes of files and folders, and owners that were asked for.
#[derive(Default)]
struct Report {
    modes: BTreeMap<String, u32>,
    owners: Vec<(String, String)>,
}

/// Applies what differs from `before` to `after` to `root`. The inner error says what
/// cannot be kept.
pub(super) fn apply(
    root: &mut Rootfs,
    before: &Tree,
    after: &Tree,
    blobs: &BlobStore,
) -> Result<Result<(), String>, CacheError> {
    let report = match after.get(REPORT) {
        Some(Entry::File { digest, .. }) if digest.size <= MAX_REPORT => blobs.read(digest)?,
        _ => return Ok(Err("there is no report of modes".to_owned())),
    };
    let report = Report::parse(&String::from_utf8_lossy(&report));
    let mut changes = Changes {
        root,
        report: &report,
    };
    if let Err(why) = changes.folder("", before, after) {
        return Ok(Err(why));
    }
    let names = |path: &str| -> Result<Names, CacheError> {
        Ok(match file_at(root, path) {
            Some(digest) => Names::parse(&String::from_utf8_lossy(&blobs.read(&digest)?)),
            None => Names::default(),
        })
    };
    let (users, groups) = (names("etc/passwd")?, names("etc/group")?);
    for (spec, path) in &report.owners {
        match numbers(spec, &users, &groups) {
            Err(why) => return Ok(Err(why)),
            Ok(owner) => give(root, path, owner),
        }
    }
    Ok(Ok(()))
}

impl Report {
    fn parse(text: &str) -> Self {
        let mut report = Self::default();
        for line in text.lines() {
            let Some((kind, rest)) = line.split_once(' ') else {
                continue;
            };
            let Some((value, path)) = rest.split_once(' ') else {
                continue;
            };
            let path = path.strip_prefix("/build/").unwrap_or(path).to_owned();
            match (kind, u32::from_str_radix(value, 8)) {
                ("mode", Ok(mode)) => drop(report.modes.insert(path, mode & 0o7777)),
                ("owner", _) => report.owners.push((value.to_owned(), path)),
                _ => {}
            }
        }
        report
    }
}

/// Gives what is at `path` to others. What is not there any more, or lies where nothing
/// is kept, needs no owner.
fn give(root: &mut Rootfs, path: &str, (uid, gid): (Option<u32>, Option<u32>)) {
    if let Some(node) = root.get(path) {
        let node = Node {
            uid: uid.unwrap_or(node.uid),
            gid: gid.unwrap_or(node.gid),
            ..node.clone()
        };
        // It replaces a node of its own kind at its own place, which nothing refuses.
        let _ = root.insert(path, node);
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

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
