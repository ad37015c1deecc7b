//! Finding the kernel in the root of its package.

use std::io::Read as _;

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, CacheError, Digest, NodeKind, Rootfs};

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Its release, as `uname -r` gives it: the name of its modules' folder.
    pub version: String,
    /// The compressed kernel (bzImage).
    pub image: Digest,
}

/// The kernel could not be found.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// There is none.
    #[error("no kernel found: expected one file `boot/vmlinuz-VERSION`")]
    Missing,
    /// There are several.
    #[error("several kernels found, expected one: {}", versions.join(", "))]
    Several {
        /// Their versions.
        versions: Vec<String>,
    },
    /// What should be a kernel is none.
    #[error(
        "`{name}` is no kernel: expected the magic `HdrS` of a bzImage at byte 0x202, found {found}"
    )]
    NoImage {
        /// What the recipe calls it.
        name: String,
        /// What is there.
        found: String,
    },
    /// Modules are wanted, and there is only a kernel.
    #[error(
        "`kernel.modules` wants {}, but `{name}` is the kernel alone, without modules",
        modules.join(", ")
    )]
    NoModules {
        /// What the recipe calls the kernel.
        name: String,
        /// The modules that it wants.
        modules: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl KernelError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing => {
                "`kernel.from` must name a source with a kernel's package, `linux-image-cloud-amd64` for example".to_owned()
            }
            Self::Several { .. } => {
                "name one of them in a source of its own, and that source in `kernel.from`".to_owned()
            }
            Self::NoImage { .. } => {
                "`kernel.from` names a kernel (`iso/boot/vmlinuz`), or a root or an archive that has one at `boot/vmlinuz-VERSION`".to_owned()
            }
            Self::NoModules { .. } => {
                "write `modules: []`; what the root file system has in `/lib/modules` is not touched".to_owned()
            }
            Self::Cache(error) => return error.hint(),
        })
    }
}

/// Finds the one file `boot/vmlinuz-VERSION`.
///
/// # Errors
/// [`KernelError`] where there is none, or several.
pub fn find(root: &Rootfs) -> Result<Kernel, KernelError> {
    let mut found: Vec<Kernel> = root
        .nodes()
        .filter_map(|(path, node)| {
            let version = path.strip_prefix("boot/vmlinuz-")?;
            match &node.kind {
                NodeKind::File { content, .. } if !version.contains('/') => Some(Kernel {
                    version: version.to_owned(),
                    image: *content,
                }),
                _ => None,
            }
        })
        .collect();
    match (found.pop(), found.len()) {
        (None, _) => Err(KernelError::Missing),
        (Some(kernel), 0) => Ok(kernel),
        (Some(kernel), _) => {
            found.push(kernel);
            Err(KernelError::Several {
                versions: found.into_iter().map(|kernel| kernel.version).collect(),
            })
        }
    }
}

/// Where a bzImage has its magic (Documentation/arch/x86/boot.rst), in bytes.
const MAGIC_AT: usize = 0x202;
const MAGIC: &[u8] = b"HdrS";

/// The kernel that `entry` itself is; `name` is what the recipe calls it, and `modules`
/// what it wants with it, which has to be nothing.
///
/// # Errors
/// [`KernelError::NoImage`] where it is no bzImage, [`KernelError::NoModules`].
pub fn alone(
    blobs: &BlobStore,
    name: &str,
    entry: &Entry,
    modules: &[String],
) -> Result<Digest, KernelError> {
    let no_image = |found: String| KernelError::NoImage {
        name: name.to_owned(),
        found,
    };
    let Entry::File { digest, .. } = entry else {
        return Err(no_image("no file".to_owned()));
    };
    let mut head = Vec::new();
    let end = MAGIC_AT + MAGIC.len();
    blobs
        .open(digest)?
        .take(end as u64)
        .read_to_end(&mut head)
        .map_err(CacheError::io("read a kernel from the cache"))?;
    match head.get(MAGIC_AT..end) {
        Some(MAGIC) => {}
        Some(other) => return Err(no_image(format!("`{}`", other.escape_ascii()))),
        None => return Err(no_image(format!("a file of {} bytes", digest.size))),
    }
    if !modules.is_empty() {
        return Err(KernelError::NoModules {
            name: name.to_owned(),
            modules: modules.to_vec(),
        });
    }
    Ok(*digest)
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::{Cache, Node};

    use super::*;

    #[test]
    fn exactly_one() {
        let mut root = Rootfs::new();
        assert!(matches!(find(&root), Err(KernelError::Missing)));
        let image = Digest::of(b"kernel");
        root.insert("boot/vmlinuz-6.1.0-1-cloud-amd64", Node::file(0o644, image))
            .unwrap();
        root.insert("boot/vmlinuz", Node::symlink("vmlinuz-6.1.0-1-cloud-amd64"))
            .unwrap();
        let kernel = find(&root).unwrap();
        assert_eq!(
            (kernel.version.as_str(), kernel.image),
            ("6.1.0-1-cloud-amd64", image)
        );
        root.insert("boot/vmlinuz-7", Node::file(0o644, image))
            .unwrap();
        let error = find(&root).unwrap_err();
        assert_eq!(
            error.to_string(),
            "several kernels found, expected one: 6.1.0-1-cloud-amd64, 7"
        );
    }

    #[test]
    fn a_file_is_a_kernel_by_its_magic_and_brings_no_modules() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let blobs = cache.blobs();
        let mut bytes = vec![0; 0x1000];
        let ask = |bytes: &[u8], modules: &[String]| {
            let digest = blobs.put(bytes).unwrap();
            let entry = Entry::File {
                digest,
                executable: false,
            };
            alone(blobs, "iso/boot/vmlinuz", &entry, modules)
        };
        let error = ask(&bytes, &[]).unwrap_err().to_string();
        assert!(
            error.contains(r"0x202, found `\x00\x00\x00\x00`"),
            "{error}"
        );
        let error = ask(b"MZ", &[]).unwrap_err().to_string();
        assert!(error.contains("a file of 2 bytes"), "{error}");
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(ask(&bytes, &[]).unwrap(), Digest::of(&bytes));
        let error = ask(&bytes, &["cloud".to_owned()]).unwrap_err();
        assert!(error.hint().unwrap().contains("modules: []"), "{error}");
    }
}
