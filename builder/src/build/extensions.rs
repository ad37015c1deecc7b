//! Extensions of TinyCore: laid into the root file system, or kept in it as they are
//! for Core to load when it boots.

use lunikernel_cache::{Digest, Node, NodeKind, Rootfs, RootfsError};

use super::{BuildError, Builder};
use crate::recipe::TczInstall;
use crate::source::tcz::{LockedTcz, LockedTczs};

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
        let result = match locked.request.install {
            TczInstall::Merge => self.merged(source, locked)?,
            TczInstall::Onboot => self.kept(source, locked)?,
        };
        result.map_err(|error| BuildError::Layer {
            name: source.to_owned(),
            source: error,
        })
    }

    /// What is in all of them. Their scripts need a running system (they ask who its
    /// user is), so Core runs them when it has booted, in the order in which they were
    /// laid down, as it does with those that it loads itself.
    fn merged(
        &self,
        source: &str,
        locked: &LockedTczs,
    ) -> Result<Result<Rootfs, RootfsError>, BuildError> {
        let mut root = Rootfs::new();
        let mut scripts = String::new();
        let empty = self.cache.blobs().put(b"")?;
        for extension in &locked.extensions {
            let name = format!("{source}: {}", extension.name);
            let layer = self.unpack_archive(&name, &extension.digest())?;
            let layer = layer.ok_or_else(|| BuildError::NotARoot {
                name,
                found: "a file that is none of these",
            })?;
            if let Err(error) = root.overlay(&layer) {
                return Ok(Err(error));
            }
            let stem = stem(extension);
            let script = format!("{INSTALLED}/{stem}");
            match root.get(&script).map(|node| node.mode & 0o111 != 0) {
                Some(true) => scripts += &format!("/{script}\n"),
                Some(false) => {}
                None => {
                    let node = of_staff(Node::file(0o664, empty));
                    if let Err(error) = add(&mut root, &script, node) {
                        return Ok(Err(error));
                    }
                }
            }
            if has_modules(&layer)
                && let Err(error) = add(&mut root, NEW_MODULES, Node::file(0o644, empty))
            {
                return Ok(Err(error));
            }
        }
        if !scripts.is_empty() {
            let content = self.cache.blobs().put(scripts.as_bytes())?;
            if let Err(error) = add(&mut root, SETUP, Node::file(0o644, content)) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(root))
    }

    /// All of them as files, laid out as Core expects those in its own initramfs.
    fn kept(
        &self,
        source: &str,
        locked: &LockedTczs,
    ) -> Result<Result<Rootfs, RootfsError>, BuildError> {
        let blobs = self.cache.blobs();
        let wanted = locked.wanted().map_err(|error| BuildError::Extensions {
            source_name: source.to_owned(),
            source: error,
        })?;
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
        Ok(lay(&files))
    }
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
