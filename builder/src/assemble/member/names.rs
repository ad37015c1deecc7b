//! How much the names of an archive take once they are in a root.

use lunikernel_cache::checkout::{EACH, MAX_NAMES, MAX_PATH};
use lunikernel_cache::{Node, NodeKind, Rootfs};

/// What [`MAX_NAMES`] is of, for messages: all paths of one archive, with those of the
/// folders that members only imply, and targets of links and attributes. Without a bound,
/// a name of 4 KB makes two thousand folders whose paths take 4 MB.
const UNIT: &str = "bytes of names, links and attributes";

/// A bound that is not kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) limit: u64,
    pub(crate) unit: &'static str,
}

/// Counts what the members of one archive add to a root.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: u64,
}

impl Names {
    /// Takes note of what `node` at `path` adds to `root`, before it is put there.
    ///
    /// What counts is where it comes to be: a path of a few bytes may lead through
    /// links to a place whose path is long.
    pub(crate) fn add(&mut self, root: &Rootfs, path: &str, node: &Node) -> Result<(), Excess> {
        // Where links lead nowhere, the root refuses it.
        let place = root.locate(path).unwrap_or_else(|| path.to_owned());
        if place.len() > MAX_PATH {
            return Err(Excess {
                limit: MAX_PATH as u64,
                unit: "bytes of path, with links followed,",
            });
        }
        // Where a folder is there, those above it are.
        let ends = place.rmatch_indices('/').map(|(at, _)| at);
        let new = std::iter::once(place.len())
            .chain(ends)
            .take_while(|end| place.get(..*end).is_some_and(|at| root.get(at).is_none()));
        let paths: u64 = new.map(|end| EACH + end as u64).sum();
        let target = match &node.kind {
            NodeKind::Symlink { target } => target.len() as u64,
            _ => 0,
        };
        let attributes = node.xattrs.iter();
        let attributes: u64 = attributes
            .map(|(name, value)| EACH + name.len() as u64 + value.len() as u64)
            .sum();
        let all = paths.saturating_add(target).saturating_add(attributes);
        self.taken = self.taken.saturating_add(all);
        match self.taken {
            0..=MAX_NAMES => Ok(()),
            _ => Err(Excess {
                limit: MAX_NAMES,
                unit: UNIT,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(root: &mut Rootfs, path: &str, node: Node) -> u64 {
        let mut names = Names::default();
        assert_eq!(names.add(root, path, &node), Ok(()));
        root.insert(path, node).unwrap();
        names.taken
    }

    #[test]
    fn folders_that_are_only_implied_count_once() {
        let mut root = Rootfs::new();
        let node = || Node::folder(0o755);
        assert_eq!(taken(&mut root, "a/b/c", node()), 3 * EACH + 1 + 3 + 5);
        assert_eq!(taken(&mut root, "a/b/d", node()), EACH + 5);
        assert_eq!(taken(&mut root, "a/b/d", node()), 0);
    }

    #[test]
    fn a_path_counts_as_long_as_the_place_that_links_lead_to() {
        let mut root = Rootfs::new();
        let folder = vec!["d"; 2000].join("/");
        assert!(taken(&mut root, &folder, Node::folder(0o755)) > 4_000_000);
        let link = Node::symlink(&folder);
        assert_eq!(taken(&mut root, "l", link.clone()), EACH + 1 + 3999);
        let file = Node::of(0o600, NodeKind::Fifo);
        assert_eq!(taken(&mut root, "l/x", file), EACH + 4001);
        let beyond = format!("l/{}", "x".repeat(100));
        let excess = Names::default().add(&root, &beyond, &link).unwrap_err();
        assert_eq!(excess.limit, 4095);
    }

    #[test]
    fn attributes_count_for_each_name_of_a_file() {
        let mut root = Rootfs::new();
        let mut node = Node::of(0o600, NodeKind::Fifo);
        node.xattrs.insert("user.x".to_owned(), vec![0; 60_000]);
        for path in ["a", "b"] {
            assert_eq!(
                taken(&mut root, path, node.clone()),
                2 * EACH + 1 + 6 + 60_000
            );
        }
    }
}
