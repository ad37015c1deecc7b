//! Following the links of a path, as a kernel does, without ever leaving the root.

use std::collections::BTreeMap;

use super::{Node, NodeKind, join};

/// How many links are followed for one path: as many as Linux does (MAXSYMLINKS).
const MAX_LINKS: usize = 40;
/// How many turns the links on one path may take in all: a turn is a run of names up to
/// a link, to `..` or to the end. A target of `d/../d/..` and so on has a thousand, and
/// links in real roots have one or two each.
const MAX_TURNS: usize = 128;
/// The longest target that is followed, in bytes: Linux's PATH_MAX.
const MAX_TARGET: usize = 4096;

/// The way along one path. What it may cost is counted for the whole path.
pub(super) struct Walk<'r> {
    nodes: &'r BTreeMap<String, Node>,
    links: usize,
    turns: usize,
}

/// Something that is no folder, and leads to none.
pub(super) struct Blocked<'r> {
    pub(super) at: String,
    pub(super) kind: &'r NodeKind,
}

impl<'r> Walk<'r> {
    pub(super) fn new(nodes: &'r BTreeMap<String, Node>) -> Self {
        Self {
            nodes,
            links: MAX_LINKS,
            turns: MAX_TURNS,
        }
    }

    /// The real path of the folder `path`, whose end may not be there yet.
    pub(super) fn folder(&mut self, path: &str) -> Result<String, Blocked<'r>> {
        let (mut real, mut rest) = (String::new(), path);
        while !rest.is_empty() {
            let (known, left) = self.known(&real, rest);
            let at = join(&real, known);
            let Some(node) = (!known.is_empty()).then(|| self.nodes.get(&at)).flatten() else {
                return Ok(join(&real, rest));
            };
            real = self.resolve(at.clone()).ok_or(Blocked {
                at,
                kind: &node.kind,
            })?;
            rest = left;
        }
        Ok(real)
    }

    /// The folder that is or that a link leads to at `here`, all of whose parents are
    /// folders; `None` where there is none, or where the way to it is too long. `..` at
    /// the root stays at the root, as in a chroot.
    pub(super) fn resolve(&mut self, mut here: String) -> Option<String> {
        let mut ahead: Vec<&'r str> = Vec::new();
        loop {
            let mut real = match &self.nodes.get(&here)?.kind {
                NodeKind::Folder => here,
                NodeKind::Symlink { target } if target.len() <= MAX_TARGET => {
                    self.links = self.links.checked_sub(1)?;
                    ahead.push(target);
                    let is_absolute = target.starts_with('/');
                    here.truncate(if is_absolute { 0 } else { parent(&here).len() });
                    here
                }
                _ => return None,
            };
            here = loop {
                let Some(rest) = ahead.pop() else {
                    return Some(real);
                };
                let (part, after) = rest.split_once('/').unwrap_or((rest, ""));
                if matches!(part, "" | "." | "..") {
                    if part == ".." {
                        real.truncate(parent(&real).len());
                    }
                    if !after.is_empty() {
                        ahead.push(after);
                    }
                    continue;
                }
                self.turns = self.turns.checked_sub(1)?;
                let (run, after) = split_run(rest);
                let (known, left) = self.known(&real, run);
                if known.is_empty() {
                    return None;
                }
                for rest in [after, left] {
                    if !rest.is_empty() {
                        ahead.push(rest);
                    }
                }
                break join(&real, known);
            };
        }
    }

    /// As many of the names `names` as are there below the real folder `folder`, and
    /// those after them. What is there below something else than a folder is not listed,
    /// so the first part ends with the first link.
    fn known<'n>(&self, folder: &str, names: &'n str) -> (&'n str, &'n str) {
        let whole = join(folder, names);
        // Mostly all of it is there, and it is one look.
        if self.nodes.contains_key(&whole) {
            return (names, "");
        }
        let before = whole.len() - names.len();
        let ends: Vec<usize> = names.match_indices('/').map(|(end, _)| end).collect();
        let there = |end: &usize| {
            let path = whole.get(..before + end);
            path.is_some_and(|path| self.nodes.contains_key(path))
        };
        let count = ends.partition_point(there);
        match count.checked_sub(1).and_then(|last| ends.get(last)) {
            Some(end) => names
                .split_at_checked(*end)
                .map_or(("", names), |(known, left)| {
                    (known, left.strip_prefix('/').unwrap_or(left))
                }),
            None => ("", names),
        }
    }
}

/// The names at the beginning of a target, up to `.`, `..` or an empty one, and the rest.
fn split_run(target: &str) -> (&str, &str) {
    let mut end = 0;
    for part in target.split('/') {
        if matches!(part, "" | "." | "..") {
            break;
        }
        end += part.len() + 1;
    }
    let run = target.get(..end.saturating_sub(1)).unwrap_or(target);
    (run, target.get(end..).unwrap_or_default())
}

/// The folder that a path is in; the root is the empty path.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
