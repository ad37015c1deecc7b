//! Composing the root file system.

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, Digest, Node, NodeKind, Rootfs};

use super::BuildError;
use super::materials::{Material, Materials};
use crate::assemble::kernel;
use crate::assemble::modules;
use crate::flavour::Flavour;
use crate::recipe::{DeviceKind, FileSpec, Recipe};

/// A kernel, and the modules that go with it.
pub(super) struct Kernel {
    /// The compressed kernel.
    pub(super) image: Digest,
    modules: Rootfs,
}

/// The kernel and the modules that the recipe wants with it.
pub(super) fn kernel(
    recipe: &Recipe,
    materials: &Materials<'_>,
    blobs: &BlobStore,
) -> Result<Kernel, BuildError> {
    let from = &recipe.kernel.from;
    let root = match materials.kernel(from)? {
        Material::Rootfs(root) => root,
        material => {
            let image = kernel::alone(blobs, from, &material.to_entry()?, &recipe.kernel.modules)?;
            return Ok(Kernel {
                image,
                modules: Rootfs::new(),
            });
        }
    };
    let kernel = kernel::find(&root)?;
    let taken = modules::take(&root, blobs, &kernel.version, &recipe.kernel.modules)?;
    Ok(Kernel {
        image: kernel.image,
        modules: taken.root,
    })
}

/// The whole root file system: packages, less what is removed, and the kernel's
/// modules; below them what the flavour adds where no package has it; over all what
/// the recipe adds, so that its author has the last word.
pub(super) fn rootfs(
    recipe: &Recipe,
    flavour: &dyn Flavour,
    materials: &Materials<'_>,
    kernel: &Kernel,
    blobs: &BlobStore,
) -> Result<Rootfs, BuildError> {
    let spec = &recipe.rootfs;
    let mut root = materials.root(&spec.from)?;
    for path in &spec.remove {
        if !root.remove(below_root(path)) {
            return Err(BuildError::NothingToRemove { path: path.clone() });
        }
    }
    let layer = |name: &str| {
        let name = name.to_owned();
        move |source| BuildError::Layer { name, source }
    };
    root.overlay(&kernel.modules)
        .map_err(layer("the kernel's modules"))?;
    let guest = flavour.guest(recipe, blobs)?;
    root.underlay(&guest)
        .map_err(layer("the flavour's files"))?;
    for (path, file) in &spec.files {
        let added = file_spec(path, file, materials, blobs)?;
        root.overlay(&added).map_err(layer(path))?;
    }
    Ok(root)
}

/// What one entry of `rootfs.files` adds.
fn file_spec(
    path: &str,
    file: &FileSpec,
    materials: &Materials<'_>,
    blobs: &BlobStore,
) -> Result<Rootfs, BuildError> {
    let mut added = Rootfs::new();
    let at = below_root(path);
    let mode = file.mode.map(|mode| mode.0);
    let mut put = |path: &str, mode: u32, kind: NodeKind| {
        let node = Node {
            uid: file.uid,
            gid: file.gid,
            ..Node::of(mode, kind)
        };
        added
            .insert(path, node)
            .map_err(|source| BuildError::Layer {
                name: path.to_owned(),
                source,
            })
    };
    if let Some(reference) = &file.from {
        copy(at, &materials.get(reference)?.to_entry()?, mode, &mut put)?;
    } else if let Some(text) = &file.content {
        let content = blobs.put(text.as_bytes())?;
        put(
            at,
            mode.unwrap_or(0o644),
            NodeKind::File {
                content,
                link: None,
            },
        )?;
    } else if let Some(target) = &file.symlink {
        let target = target.clone();
        put(at, 0o777, NodeKind::Symlink { target })?;
    } else if let Some(device) = &file.device {
        let (major, minor) = (device.major, device.minor);
        let kind = match device.kind {
            DeviceKind::Char => NodeKind::CharDevice { major, minor },
            DeviceKind::Block => NodeKind::BlockDevice { major, minor },
        };
        put(at, mode.unwrap_or(0o600), kind)?;
    } else {
        put(at, mode.unwrap_or(0o755), NodeKind::Folder)?;
    }
    Ok(added)
}

/// Copies a file or folder; `mode` is for the top of it.
fn copy(
    path: &str,
    entry: &Entry,
    mode: Option<u32>,
    put: &mut impl FnMut(&str, u32, NodeKind) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    match entry {
        Entry::File { digest, executable } => {
            let usual = if *executable { 0o755 } else { 0o644 };
            let kind = NodeKind::File {
                content: *digest,
                link: None,
            };
            put(path, mode.unwrap_or(usual), kind)
        }
        Entry::Symlink { target } => put(
            path,
            0o777,
            NodeKind::Symlink {
                target: target.clone(),
            },
        ),
        Entry::Folder(tree) => {
            put(path, mode.unwrap_or(0o755), NodeKind::Folder)?;
            tree.entries()
                .try_for_each(|(name, entry)| copy(&format!("{path}/{name}"), entry, None, put))
        }
    }
}

/// A recipe's absolute path as a root file system has it.
fn below_root(path: &str) -> &str {
    path.trim_start_matches('/')
}
