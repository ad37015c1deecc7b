//! Taking the modules that are wanted, with all that they depend on, from the root of
//! a kernel's package.

mod cloud;
mod index;
pub mod modinfo;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use lunikernel_cache::{BlobStore, CacheError, Digest, Node, NodeKind, Rootfs, RootfsError};

use super::codec::Codec;
use modinfo::ModInfo;

/// The largest module that is read, in bytes. Debian's largest, with the signature
/// and without debug information, has below 10 MiB.
const MAX_MODULE: u64 = 64 << 20;

/// Modules for an initramfs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modules {
    /// The files, to be laid over a root: below `lib/modules/VERSION`, where busybox
    /// looks for them; in a root with a merged /usr that leads into `usr`.
    pub root: Rootfs,
    /// The names of the modules in it, sorted.
    pub names: Vec<String>,
    /// The modules that ask for firmware, with its file names. The firmware is not
    /// in `root`; without it they may not work.
    pub firmware: BTreeMap<String, Vec<String>>,
}

/// Modules could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// There is no such module, nor is it built in.
    #[error("the kernel {version} has no module `{name}`")]
    Unknown {
        /// The module that is wanted.
        name: String,
        /// The kernel's release.
        version: String,
        /// Modules whose names are like it.
        near: Vec<String>,
    },
    /// A module needs one that is not there.
    #[error("the module `{module}` needs `{needs}`, which the kernel {version} does not have")]
    Dependency {
        /// The module.
        module: String,
        /// What it needs.
        needs: String,
        /// The kernel's release.
        version: String,
    },
    /// There are two modules of one name.
    #[error("the module `{name}` is there twice: {first} and {second}")]
    Twice {
        /// The module.
        name: String,
        /// A file of it.
        first: String,
        /// Another one.
        second: String,
    },
    /// A module's file makes no sense.
    #[error("the module {path} {why}")]
    Broken {
        /// Its file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A module was built for another kernel.
    #[error("the module {path} was built for the kernel {found}, expected {expected}")]
    Release {
        /// Its file.
        path: String,
        /// The kernel's release.
        expected: String,
        /// The release in the module.
        found: String,
    },
    /// A module's file could not be decompressed.
    #[error("could not decompress the module {path}")]
    Compressed {
        /// Its file.
        path: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A module has no place in the root.
    #[error("could not place the module")]
    Place(#[from] RootfsError),
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl ModuleError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { near, .. } if !near.is_empty() => {
                Some(format!("there is {}", near.join(", ")))
            }
            Self::Unknown { .. } => Some(
                "`kernel.modules` takes names as `lsmod` shows them, and the word `cloud`"
                    .to_owned(),
            ),
            Self::Dependency { .. } | Self::Release { .. } => {
                Some("kernel and modules must come from one build; check `kernel.from`".to_owned())
            }
            Self::Cache(error) => error.hint(),
            _ => None,
        }
    }
}

/// A module that goes in.
#[derive(Debug)]
struct Chosen {
    /// Its file in the folder of modules, without an ending for compression.
    path: String,
    content: Digest,
    info: ModInfo,
    /// Modules that it needs and that are not built in.
    needs: Vec<String>,
}

/// A module as names are compared: `-` and `_` are the same.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// Takes modules from `root`, where a kernel's package was unpacked.
///
/// `wanted` are names, with `-` or `_`, or the word `cloud`. What is built into the
/// kernel counts as there. Modules are put in decompressed, because the initramfs is
/// compressed as a whole and busybox reads them so; a signature behind the module is
/// part of the file and stays. The index files are written anew for what was chosen.
///
/// # Errors
/// [`ModuleError`].
pub fn take(
    root: &Rootfs,
    blobs: &BlobStore,
    version: &str,
    wanted: &[String],
) -> Result<Modules, ModuleError> {
    let kernel = Available::find(root, blobs, version)?;
    let mut chosen: BTreeMap<String, Chosen> = BTreeMap::new();
    let mut queue: Vec<String> = kernel.resolve(wanted)?;
    while let Some(name) = queue.pop() {
        if chosen.contains_key(&name) {
            continue;
        }
        let Some((path, content)) = kernel.files.get(&name) else {
            continue;
        };
        let module = kernel.load(blobs, &name, path, content)?;
        queue.extend(module.needs.iter().cloned());
        queue.extend(module.info.soft_names());
        chosen.insert(name, module);
    }
    kernel.gather(root, blobs, chosen)
}

/// What a kernel has.
struct Available<'a> {
    version: &'a str,
    /// The folder of modules in the root.
    folder: String,
    /// Modules by name: path in the folder, and content.
    files: BTreeMap<String, (String, Digest)>,
    builtin: BTreeSet<String>,
}

impl<'a> Available<'a> {
    fn find(root: &Rootfs, blobs: &BlobStore, version: &'a str) -> Result<Self, ModuleError> {
        let has_modules = |folder: &String| {
            let kernel = format!("{folder}/");
            root.nodes().any(|(path, _)| path.starts_with(&kernel))
        };
        let folder = ["usr/lib/modules", "lib/modules"]
            .map(|folder| format!("{folder}/{version}"))
            .into_iter()
            .find(has_modules)
            .unwrap_or_default();
        let mut files: BTreeMap<String, (String, Digest)> = BTreeMap::new();
        let below = root.nodes().filter_map(|(path, node)| {
            Some((path.strip_prefix(&folder)?.strip_prefix('/')?, node))
        });
        for (path, node) in below {
            let (Some(name), NodeKind::File { content, .. }) = (module_name(path), &node.kind)
            else {
                continue;
            };
            if let Some((first, _)) = files.get(&name) {
                return Err(ModuleError::Twice {
                    name,
                    first: first.clone(),
                    second: path.to_owned(),
                });
            }
            files.insert(name, (path.to_owned(), *content));
        }
        let builtin = match root.get(&format!("{folder}/modules.builtin")) {
            Some(Node {
                kind: NodeKind::File { content, .. },
                ..
            }) if content.size <= MAX_MODULE => String::from_utf8_lossy(&blobs.read(content)?)
                .lines()
                .filter_map(module_name)
                .collect(),
            _ => BTreeSet::new(),
        };
        Ok(Self {
            version,
            folder,
            files,
            builtin,
        })
    }

    fn has(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.builtin.contains(name)
    }

    /// The modules that `wanted` stands for.
    fn resolve(&self, wanted: &[String]) -> Result<Vec<String>, ModuleError> {
        let mut names = Vec::new();
        for word in wanted {
            if word == "cloud" {
                names.extend(cloud::REQUIRED.map(str::to_owned));
                let welcome = cloud::WELCOME.into_iter().filter(|name| self.has(name));
                names.extend(welcome.map(str::to_owned));
            } else {
                names.push(normal(word));
            }
        }
        match names.iter().find(|name| !self.has(name)) {
            None => Ok(names),
            Some(name) => Err(ModuleError::Unknown {
                name: name.clone(),
                version: self.version.to_owned(),
                near: self.near(name),
            }),
        }
    }

    /// Up to five names that are like `name`.
    fn near(&self, name: &str) -> Vec<String> {
        let mut near: Vec<_> = self
            .files
            .keys()
            .chain(&self.builtin)
            .filter_map(|other| {
                let distance = if other.contains(name) || name.contains(other.as_str()) {
                    1
                } else {
                    distance(name, other)
                };
                (distance <= 1 + name.len() / 4).then_some((distance, other))
            })
            .collect();
        near.sort_unstable();
        near.dedup();
        near.into_iter()
            .take(5)
            .map(|(_, name)| name.clone())
            .collect()
    }

    fn load(
        &self,
        blobs: &BlobStore,
        name: &str,
        path: &str,
        content: &Digest,
    ) -> Result<Chosen, ModuleError> {
        let broken = |why| ModuleError::Broken {
            path: path.to_owned(),
            why,
        };
        let (plain_path, codec) = Codec::of_name(path);
        let mut bytes = Vec::new();
        codec
            .reader(blobs.open(content)?)
            .take(MAX_MODULE + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| ModuleError::Compressed {
                path: path.to_owned(),
                source,
            })?;
        if bytes.len() as u64 > MAX_MODULE {
            return Err(broken(format!("is larger than {MAX_MODULE} bytes")));
        }
        let info = ModInfo::parse(&bytes).map_err(broken)?;
        if let Some(found) = info.release.as_ref().filter(|found| *found != self.version) {
            return Err(ModuleError::Release {
                path: path.to_owned(),
                expected: self.version.to_owned(),
                found: found.clone(),
            });
        }
        if let Some(needs) = info.depends.iter().find(|needs| !self.has(needs)) {
            return Err(ModuleError::Dependency {
                module: name.to_owned(),
                needs: needs.clone(),
                version: self.version.to_owned(),
            });
        }
        let needs = info
            .depends
            .iter()
            .filter(|needs| self.files.contains_key(*needs))
            .cloned()
            .collect();
        Ok(Chosen {
            path: plain_path.to_owned(),
            content: match codec {
                Codec::Plain => *content,
                _ => blobs.put(&bytes)?,
            },
            info,
            needs,
        })
    }

    /// The root of what was chosen, with its index files.
    fn gather(
        &self,
        root: &Rootfs,
        blobs: &BlobStore,
        chosen: BTreeMap<String, Chosen>,
    ) -> Result<Modules, ModuleError> {
        let folder = format!("lib/modules/{}", self.version);
        let mut modules = Modules::default();
        for (name, module) in &chosen {
            modules.root.insert(
                &format!("{folder}/{}", module.path),
                Node::file(0o644, module.content),
            )?;
            modules.names.push(name.clone());
            if !module.info.firmware.is_empty() {
                modules
                    .firmware
                    .insert(name.clone(), module.info.firmware.clone());
            }
        }
        for name in [
            "modules.builtin",
            "modules.builtin.modinfo",
            "modules.order",
        ] {
            if let Some(Node {
                kind: NodeKind::File { content, .. },
                ..
            }) = root.get(&format!("{}/{name}", self.folder))
            {
                modules
                    .root
                    .insert(&format!("{folder}/{name}"), Node::file(0o644, *content))?;
            }
        }
        let indexes = [
            ("modules.dep", index::dep(&chosen)),
            ("modules.alias", index::alias(&chosen)),
            ("modules.softdep", index::softdep(&chosen)),
        ];
        for (name, text) in indexes {
            let content = blobs.put(text.as_bytes())?;
            modules
                .root
                .insert(&format!("{folder}/{name}"), Node::file(0o644, content))?;
        }
        Ok(modules)
    }
}

/// The name of the module in the file `path`; `None` where it is no module.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    let (plain, _) = Codec::of_name(file);
    plain.strip_suffix(".ko").map(normal)
}

/// How many letters must be put in, taken out or changed to get from one to the other
/// (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (cell, theirs) in row.iter_mut().skip(1).zip(other.chars()) {
            let change = diagonal + usize::from(letter != theirs);
            diagonal = *cell;
            left = change.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
