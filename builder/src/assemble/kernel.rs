//! Finding the kernel in the root of its package.

use lunikernel_cache::{Digest, NodeKind, Rootfs};

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

#[cfg(test)]
mod tests {
    use lunikernel_cache::Node;

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
}
