//! Laying overlays over the paths of a base: what is written behind it, and what has to
//! go from it.

use std::collections::{BTreeMap, BTreeSet};

use lunikernel_cache::checkout::EACH;
use lunikernel_cache::{Node, NodeKind, Rootfs};
use serde::Serialize;

use super::OverlayError;
use super::content::{Content, MAX_NAMES};
use super::paths::Paths;
use crate::assemble::cpio::PATH_MAX;

/// What overlays do to a base. Paths are real ones, sorted, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// What the base does not have.
    pub added: Vec<String>,
    /// What takes the place of a file or link of the base.
    pub changed: Vec<String>,
    /// What the base has and the result does not. Of a folder, all that is in it too.
    pub removed: Vec<String>,
}

/// Overlays laid over each other, ready to be written behind a base.
#[derive(Debug)]
pub(super) struct Laid {
    /// What is written, in folders some of which the base has.
    pub(super) root: Rootfs,
    /// The paths of the base that must go from it, because the kernel that unpacks it
    /// could not take them away: what is removed, and names of files of several names
    /// that are replaced (writing to one would write to all).
    pub(super) gone: BTreeSet<String>,
    /// The paths of the base.
    pub(super) original: Paths,
    /// The same without those that must go.
    pub(super) base: Paths,
    /// The paths of the result.
    pub(super) paths: Paths,
    pub(super) changes: Changes,
}

/// Lays `overlays`, with what errors call them, one after the other over `base`.
pub(super) fn lay(base: Paths, overlays: &[(String, Content)]) -> Result<Laid, OverlayError> {
    let mut laying = Laying {
        root: Rootfs::new(),
        gone: BTreeSet::new(),
        now: base.clone(),
        base,
        names: 0,
    };
    for (label, content) in overlays {
        for path in &content.removed {
            laying.remove(label, path)?;
        }
        let mut landed: BTreeMap<String, &str> = BTreeMap::new();
        for (path, node) in content.root.nodes() {
            let Some(at) = laying.put(label, path, node)? else {
                continue;
            };
            if let Some(other) = landed.insert(at, path) {
                return Err(OverlayError::SamePlace {
                    overlay: label.clone(),
                    one: other.to_owned(),
                    two: path.to_owned(),
                });
            }
        }
    }
    Ok(laying.finish())
}

struct Laying {
    root: Rootfs,
    gone: BTreeSet<String>,
    base: Paths,
    /// The base with all that was laid over it so far.
    now: Paths,
    /// How much the paths take to which something was put: a path of a few bytes may lead
    /// through links to one that is long.
    names: u64,
}

impl Laying {
    fn remove(&mut self, label: &str, path: &str) -> Result<(), OverlayError> {
        let found = self.now.find(path);
        let Some((at, Some(_))) = found else {
            return Err(OverlayError::NothingToRemove {
                overlay: label.to_owned(),
                path: path.to_owned(),
            });
        };
        self.now.remove(&at);
        self.root.remove(&at);
        if self.base.has(&at) {
            self.gone.insert(at);
        }
        Ok(())
    }

    /// Puts `node` at `path`; returns the real path where that is not a folder that is
    /// there already.
    fn put(
        &mut self,
        label: &str,
        path: &str,
        node: &Node,
    ) -> Result<Option<String>, OverlayError> {
        let clash = |at: &str, found: &NodeKind| OverlayError::Clash {
            overlay: label.to_owned(),
            path: path.to_owned(),
            by: node.kind.describe(),
            at: at.to_owned(),
            found: found.describe(),
        };
        let Some((at, there)) = self.now.find(path) else {
            return Err(self.leads_nowhere(label, path));
        };
        let folder = at.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !self.now.is_folder(folder) {
            return Err(self.leads_nowhere(label, path));
        }
        let is_folder = matches!(node.kind, NodeKind::Folder);
        match there {
            // Nothing changes, whoever brought it: the content of an overlay does not say
            // whether a folder on the way was listed, and runs can be split.
            Some(NodeKind::Folder) if is_folder => return Ok(None),
            Some(NodeKind::Symlink { .. }) if is_folder && self.now.folder(&at).is_some() => {
                return Ok(None);
            }
            Some(found @ NodeKind::Folder) => return Err(clash(&at, found)),
            Some(found) if is_folder => return Err(clash(&at, found)),
            _ => {}
        }
        if has_more_names(there) && self.base.has(&at) {
            self.gone.insert(at.clone());
        }
        self.now.put(&at, &node.kind);
        self.insert(label, path, &at, node)?;
        Ok(Some(at))
    }

    fn insert(
        &mut self,
        label: &str,
        path: &str,
        at: &str,
        node: &Node,
    ) -> Result<(), OverlayError> {
        if at.len() >= PATH_MAX {
            return Err(OverlayError::LongPath {
                overlay: label.to_owned(),
                path: path.to_owned(),
                length: at.len(),
            });
        }
        self.names += EACH + at.len() as u64;
        if self.names > MAX_NAMES {
            return Err(OverlayError::TooManyPaths {
                overlay: label.to_owned(),
            });
        }
        let inserted = self.root.insert(at, node.clone());
        inserted.map_err(|source| OverlayError::Lay {
            overlay: label.to_owned(),
            source,
        })
    }

    /// Which part of `path` is in its way.
    fn leads_nowhere(&self, label: &str, path: &str) -> OverlayError {
        let mut above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        let at = above.find(|folder| self.now.folder(folder).is_none());
        let at = at.unwrap_or(path);
        let found = self.now.find(at).and_then(|(_, there)| there);
        OverlayError::Clash {
            overlay: label.to_owned(),
            path: at.to_owned(),
            by: "a folder",
            at: self.now.find(at).map_or(at.to_owned(), |(at, _)| at),
            found: found.map_or("a link that leads nowhere", NodeKind::describe),
        }
    }

    fn finish(self) -> Laid {
        let mut base = self.base.clone();
        let (mut lost, mut changes) = (BTreeSet::new(), Changes::default());
        for path in &self.gone {
            lost.extend(base.remove(path));
        }
        for (path, _) in self.root.nodes() {
            if base.is_folder(path) {
                continue;
            }
            if self.base.has(path) {
                changes.changed.push(path.to_owned());
            } else {
                changes.added.push(path.to_owned());
            }
        }
        let removed = lost.into_iter().filter(|path| !self.now.has(path));
        changes.removed = removed.collect();
        Laid {
            root: self.root,
            gone: self.gone,
            original: self.base,
            base,
            paths: self.now,
            changes,
        }
    }
}

/// Whether it is one of several names of a file.
fn has_more_names(there: Option<&NodeKind>) -> bool {
    matches!(there, Some(NodeKind::File { link: Some(_), .. }))
}
