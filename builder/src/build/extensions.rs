//! Extensions of TinyCore: laid into the root file system, or kept in it as they are
//! for Core to load when it boots.

use std::collections::BTreeSet;

use lunikernel_cache::{Digest, Node, NodeKind, Rootfs, RootfsError};

use super::{BuildError, Builder};
use crate::recipe::TczInstall;
use crate::source::tcz::{LockedTcz, LockedTczs, TczError};

/// Where Core notes what is installed, and has the script that goes with it.
const INSTALLED: &str = "usr/local/tce.installed";
/// Scripts that Core runs when its extensions are in place.
const SETUP: &str = "tmp/setup.lst";
/// Tells Core to look for modules of the kernel again.
const NEW_MODULES: &str = "etc/sysconfig/newmodules";
/// Where Core looks for extensions in its own initramfs.
const BUILTIN: &str = "tmp/builtin";
/// The group `staff`, by its number in Core.
const STAFF: u32 = 50;

impl Builder {
    /// The file system that a source of extensions is.
    pub(super) fn extensions(
        &self,
        source: &str,
        locked: &LockedTczs,
    ) -> Result<Rootfs, BuildError> {
        match locked.request.install {
            TczInstall::Merge => self.merged(source, locked),
            TczInstall::Onboot => self.kept(source, locked),
        }
    }

    /// What is in all of them, in the order in which Core would load them. Their scripts
    /// need a running system (they ask who its user is), so Core runs them when it has
    /// booted, in the same order, as it does with those that it loads itself.
    fn merged(&self, source: &str, locked: &LockedTczs) -> Result<Rootfs, BuildError> {
        let mut root = Rootfs::new();
        let mut scripts = String::new();
        let empty = self.cache.blobs().put(b"")?;
        for extension in locked.load_order().map_err(failed(source))? {
            let name = format!("{source}: {}", extension.name);
            let layer = self.unpack_archive(&name, &extension.digest())?;
            let layer = layer.ok_or_else(|| BuildError::NotARoot {
                name: name.clone(),
                found: "a file that is none of these",
            })?;
            let in_the_way = |source| BuildError::Layer {
                name: name.clone(),
                source,
            };
            lay_behind(&mut root, &layer).map_err(in_the_way)?;
            let script = format!("{INSTALLED}/{}", stem(extension));
            match root.get(&script).map(|node| node.mode & 0o111 != 0) {
                Some(true) => scripts += &format!("/{script}\n"),
                Some(false) => {}
                None => {
                    let node = of_staff(Node::file(0o664, empty));
                    add(&mut root, &script, node).map_err(in_the_way)?;
                }
            }
            if has_modules(&layer) {
                add(&mut root, NEW_MODULES, Node::file(0o644, empty)).map_err(in_the_way)?;
            }
        }
        if !scripts.is_empty() {
            let content = self.cache.blobs().put(scripts.as_bytes())?;
            add(&mut root, SETUP, Node::file(0o644, content)).map_err(|error| {
                BuildError::Layer {
                    name: format!("the list of scripts of {source}"),
                    source: error,
                }
            })?;
        }
        Ok(root)
    }

    /// All of them as files, laid out as Core expects those in its own initramfs.
    fn kept(&self, source: &str, locked: &LockedTczs) -> Result<Rootfs, BuildError> {
        let blobs = self.cache.blobs();
        let wanted = locked.wanted().map_err(failed(source))?;
        let list: String = wanted.iter().map(|name| format!("{name}\n")).collect();
        let mut files = vec![(format!("{BUILTIN}/onboot.lst"), blobs.put(list.as_bytes())?)];
        for extension in &locked.extensions {
            let path = format!("{BUILTIN}/optional/{}", extension.name);
            let sum = format!("{}  {}\n", extension.md5, extension.name);
            files.push((format!("{path}.md5.txt"), blobs.put(sum.as_bytes())?));
            if !extension.depends.is_empty() {
                let list = extension.depends.join("\n") + "\n";
                files.push((format!("{path}.dep"), blobs.put(list.as_bytes())?));
            }
            files.push((path, extension.digest()));
        }
        lay(&files).map_err(|error| BuildError::Layer {
            name: source.to_owned(),
            source: error,
        })
    }
}

fn failed(source: &str) -> impl Fn(TczError) -> BuildError {
    move |error| BuildError::Extensions {
        source_name: source.to_owned(),
        source: error,
    }
}

/// Lays an extension over what is there as Core does when it loads one (`yes n | cp -ai
/// EXTENSION/* /` of its busybox): what is at a path stays there. A folder over a folder
/// gives it its owner and mode; where something else is, a link to a folder too, the folder
/// is left out with all that is in it. `*` does not stand for names with a dot in front.
pub(super) fn lay_behind(root: &mut Rootfs, extension: &Rootfs) -> Result<(), RootfsError> {
    let mut left_out = BTreeSet::new();
    for (path, node) in extension.nodes() {
        let is_folder = matches!(node.kind, NodeKind::Folder);
        let kept = match path.rsplit_once('/') {
            Some((above, _)) => !left_out.contains(above),
            None => !path.starts_with('.'),
        };
        let kept = kept
            && match root.get(path) {
                None => true,
                Some(there) => is_folder && matches!(there.kind, NodeKind::Folder),
            };
        if kept {
            root.insert(path, node.clone())?;
        } else if is_folder {
            left_out.insert(path);
        }
    }
    Ok(())
}

fn lay(files: &[(String, Digest)]) -> Result<Rootfs, RootfsError> {
    let mut root = Rootfs::new();
    for (path, content) in files {
        add(&mut root, path, of_staff(Node::file(0o664, *content)))?;
    }
    Ok(root)
}

fn of_staff(node: Node) -> Node {
    Node { gid: STAFF, ..node }
}

/// Adds a file, the folders above it as Core has them: this is laid over them.
fn add(root: &mut Rootfs, path: &str, node: Node) -> Result<(), RootfsError> {
    for (at, _) in path.match_indices('/') {
        let above = path.get(..at).unwrap_or_default();
        if root.get(above).is_none() {
            let folder = match above {
                "tmp" => Node::folder(0o1777),
                "etc" | "usr" => Node::folder(0o755),
                _ => of_staff(Node::folder(0o775)),
            };
            root.insert(above, folder)?;
        }
    }
    root.insert(path, node)
}

/// What an extension is called where Core notes that it is there.
fn stem(extension: &LockedTcz) -> &str {
    extension
        .name
        .strip_suffix(".tcz")
        .unwrap_or(&extension.name)
}

/// Whether it has modules of the kernel, by the folder that Core looks for.
fn has_modules(root: &Rootfs) -> bool {
    root.nodes().any(|(path, node)| {
        matches!(node.kind, NodeKind::Folder) && path.rsplit('/').next() == Some("modules")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Core 7.2's own busybox did with the same files.
    #[test]
    fn who_was_there_first_keeps_a_path() {
        let file = |text: &str| Node::file(0o644, Digest::of(text.as_bytes()));
        let root = |nodes: &[(&str, Node)]| {
            let mut root = Rootfs::new();
            for (path, node) in nodes {
                root.insert(path, node.clone()).unwrap();
            }
            root
        };
        let core = [
            ("d", Node::folder(0o755)),
            ("d/x", file("old")),
            ("f", file("old")),
            ("fdir", Node::folder(0o755)),
            ("fdir/o", file("old")),
            ("filedst", file("old")),
            ("linkdir", Node::symlink("linkdst")),
            ("linkdst", Node::folder(0o755)),
            ("lnk", Node::symlink("old")),
            ("overlink", Node::symlink("nowhere")),
        ];
        let extension = root(&[
            (".hidden", Node::folder(0o755)),
            (".hidden/x", file("new")),
            ("d", of_staff(Node::folder(0o711))),
            ("d/n", file("new")),
            ("d/x", file("new")),
            ("dangle", Node::symlink("new")),
            ("f", file("new")),
            ("fdir", file("new")),
            ("filedst", Node::folder(0o755)),
            ("filedst/q", file("q")),
            ("linkdir", Node::folder(0o755)),
            ("linkdir-", file("new")),
            ("linkdir/sub", Node::folder(0o755)),
            ("linkdir/sub/z", file("z")),
            ("lnk", Node::symlink("f")),
            ("overlink", file("new")),
        ]);
        let mut merged = root(&core);
        lay_behind(&mut merged, &extension).unwrap();
        let mut expected = root(&core);
        for (path, node) in [
            ("d", of_staff(Node::folder(0o711))),
            ("d/n", file("new")),
            ("dangle", Node::symlink("new")),
            ("linkdir-", file("new")),
        ] {
            expected.insert(path, node).unwrap();
        }
        assert_eq!(merged, expected);
    }
}
