//! Files and folders beside the recipe.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use lunikernel_cache::tree::{Entry, is_name};
use lunikernel_cache::{BlobStore, Cache, CacheError, Digest, Hasher, Tree};

/// How deep folders may be nested: as deep as a tree can be read back.
const MAX_DEPTH: usize = 127;
/// Files up to this size are read at once, so that nothing is written for those that
/// the cache has already.
const SMALL: u64 = 1 << 20;

/// A file or folder beside the recipe, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    /// Its path, relative to the recipe's folder.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// The digest of its content; of its top REAPI `Directory` for a folder.
    pub digest: Digest,
}

/// What a source beside the recipe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A file.
    File,
    /// A file that its owner may execute.
    Executable,
    /// A folder with all that is in it.
    Folder,
}

/// Pins a file or folder and copies it into the cache, hashing each byte as it passes.
///
/// # Errors
/// [`FileError`] where the path leaves the recipe's folder, nothing is there, or
/// something in it cannot be kept.
pub fn lock(cache: &Cache, recipe_folder: &Path, path: &str) -> Result<LockedFile, FileError> {
    read(Some(cache.blobs()), recipe_folder, path)
}

/// Says what the lock of a file or folder would be, without copying it anywhere.
///
/// # Errors
/// As [`lock`].
pub fn inspect(recipe_folder: &Path, path: &str) -> Result<LockedFile, FileError> {
    read(None, recipe_folder, path)
}

/// Makes sure that the file or folder still is what was locked, and that the cache
/// has it. Where the cache does already, it is hashed and nothing is written.
///
/// # Errors
/// As [`lock`], and [`FileError::Changed`].
pub fn fetch(cache: &Cache, recipe_folder: &Path, locked: &LockedFile) -> Result<(), FileError> {
    let store = (!is_cached(cache.blobs(), locked)).then_some(cache.blobs());
    let actual = read(store, recipe_folder, &locked.path)?;
    if actual != *locked {
        return Err(FileError::Changed {
            path: locked.path.clone(),
            expected: locked.digest,
            actual: actual.digest,
        });
    }
    Ok(())
}

fn is_cached(blobs: &BlobStore, locked: &LockedFile) -> bool {
    match locked.kind {
        FileKind::File | FileKind::Executable => blobs.contains(&locked.digest),
        FileKind::Folder => {
            Tree::load(blobs, &locked.digest).is_ok_and(|tree| has_files(blobs, &tree))
        }
    }
}

/// Whether the store has the content of every file in `tree`.
pub(crate) fn has_files(blobs: &BlobStore, tree: &Tree) -> bool {
    tree.entries().all(|(_, entry)| match entry {
        Entry::File { digest, .. } => blobs.contains(digest),
        Entry::Symlink { .. } => true,
        Entry::Folder(tree) => has_files(blobs, tree),
    })
}

fn read(
    store: Option<&BlobStore>,
    recipe_folder: &Path,
    path: &str,
) -> Result<LockedFile, FileError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if !path.split('/').all(is_name) {
        return Err(FileError::Path {
            path: path.to_owned(),
        });
    }
    let io = |source| FileError::Io {
        path: path.to_owned(),
        source,
    };
    let top = fs::canonicalize(recipe_folder).map_err(io)?;
    let full = fs::canonicalize(top.join(path)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FileError::NotThere {
            path: path.to_owned(),
        },
        _ => io(error),
    })?;
    if full == top || !full.starts_with(&top) {
        return Err(FileError::LeadsOut {
            path: path.to_owned(),
            target: full,
        });
    }
    let reader = Reader { store };
    let meta = fs::metadata(&full).map_err(io)?;
    let (kind, digest) = if meta.is_dir() {
        let tree = reader.folder(&full, path, MAX_DEPTH)?;
        (FileKind::Folder, reader.put_tree(&tree)?)
    } else if meta.is_file() {
        let kind = match is_executable(&meta) {
            true => FileKind::Executable,
            false => FileKind::File,
        };
        (kind, reader.file(&full, path, meta.len())?)
    } else {
        return Err(unfit(path, "is neither a file nor a folder"));
    };
    Ok(LockedFile {
        path: path.to_owned(),
        kind,
        digest,
    })
}

fn is_executable(meta: &std::fs::Metadata) -> bool {
    meta.permissions().mode() & 0o100 != 0
}

fn unfit(path: &str, why: &'static str) -> FileError {
    FileError::Unfit {
        path: path.to_owned(),
        why,
    }
}

/// Reads files and folders, and copies them where there is a store.
struct Reader<'a> {
    store: Option<&'a BlobStore>,
}

impl Reader<'_> {
    /// Reads the folder at `full`, which messages call `path`.
    fn folder(&self, full: &Path, path: &str, depth: usize) -> Result<Tree, FileError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(unfit(path, "is nested too deeply"));
        };
        let io = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
        let mut tree = Tree::new();
        for entry in fs::read_dir(full).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Ok(name) = entry.file_name().into_string() else {
                let path = format!("{path}/{}", entry.file_name().to_string_lossy());
                return Err(unfit(&path, "has a name that is not UTF-8"));
            };
            let inner = format!("{path}/{name}");
            let meta = entry.metadata().map_err(io)?;
            let kind = meta.file_type();
            let entry = if kind.is_dir() {
                Entry::Folder(self.folder(&entry.path(), &inner, depth)?)
            } else if kind.is_file() {
                Entry::File {
                    digest: self.file(&entry.path(), &inner, meta.len())?,
                    executable: is_executable(&meta),
                }
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path()).map_err(io)?;
                self.link(target, &inner, MAX_DEPTH - depth)?
            } else {
                return Err(unfit(&inner, "is neither a file, a folder nor a link"));
            };
            tree.insert(&name, entry)
                .map_err(|_| unfit(&inner, "has a name that no tree can hold"))?;
        }
        Ok(tree)
    }

    /// A link `level` folders below the top (1: directly in it), where it stays inside.
    fn link(&self, target: PathBuf, path: &str, level: usize) -> Result<Entry, FileError> {
        let leads_out = || FileError::LeadsOut {
            path: path.to_owned(),
            target: target.clone(),
        };
        let Some(text) = target.to_str() else {
            return Err(unfit(path, "links to a name that is not UTF-8"));
        };
        let mut above = level - 1;
        if text.starts_with('/') {
            return Err(leads_out());
        }
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => above = above.checked_sub(1).ok_or_else(leads_out)?,
                _ => above += 1,
            }
        }
        Ok(Entry::Symlink {
            target: text.to_owned(),
        })
    }

    fn file(&self, full: &Path, path: &str, size: u64) -> Result<Digest, FileError> {
        let io = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = fs::File::open(full).map_err(io)?;
        if size <= SMALL {
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            file.read_to_end(&mut bytes).map_err(io)?;
            return Ok(match self.store {
                Some(store) => store.put(&bytes)?,
                None => Digest::of(&bytes),
            });
        }
        let mut hasher = Hasher::new();
        let mut writer = self.store.map(BlobStore::writer).transpose()?;
        let mut buffer = vec![0u8; 1 << 18];
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(io(error)),
            };
            let piece = buffer.get(..count).unwrap_or_default();
            match &mut writer {
                Some(writer) => writer
                    .write_all(piece)
                    .map_err(CacheError::io("copy a file into the cache"))?,
                None => hasher.update(piece),
            }
        }
        Ok(match writer {
            Some(writer) => writer.commit()?,
            None => hasher.finish(),
        })
    }

    fn put_tree(&self, tree: &Tree) -> Result<Digest, FileError> {
        Ok(match self.store {
            Some(store) => tree.store(store)?,
            None => tree.digest(),
        })
    }
}

/// A file or folder beside the recipe could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Its path is none below the recipe's folder.
    #[error("`{path}` is no path below the recipe's folder")]
    Path {
        /// The path.
        path: String,
    },
    /// Nothing is there.
    #[error("there is no `{path}` beside the recipe")]
    NotThere {
        /// The path.
        path: String,
    },
    /// It, or a link in it, leads out of what may be taken.
    #[error("`{path}` leads out to {}", target.display())]
    LeadsOut {
        /// The path.
        path: String,
        /// Where it leads.
        target: PathBuf,
    },
    /// It is something that cannot be kept.
    #[error("`{path}` {why}")]
    Unfit {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is not what was locked.
    #[error("`{path}` has changed since it was locked: expected {expected}, got {actual}")]
    Changed {
        /// The path.
        path: String,
        /// What was locked.
        expected: Digest,
        /// What it is now.
        actual: Digest,
    },
    /// It cannot be read; the source names the file.
    #[error("could not read `{path}`")]
    Io {
        /// The path.
        path: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl FileError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Path { .. } => {
                Some("write a relative path without `.` and `..`, such as `files/init`".to_owned())
            }
            Self::NotThere { .. } => {
                Some("paths are relative to the folder of recipe.yaml".to_owned())
            }
            Self::LeadsOut { .. } => {
                Some("copy what it links to into the recipe's folder".to_owned())
            }
            Self::Unfit { .. } => Some("take it out of the folder".to_owned()),
            Self::Changed { .. } => Some("lock it anew with `luni lock`".to_owned()),
            Self::Io { .. } => None,
            Self::Cache(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use fs_err::os::unix::fs::symlink;

    use super::*;

    struct Recipe {
        folder: tempfile::TempDir,
        cache: Cache,
    }

    fn recipe() -> Recipe {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        fs::create_dir_all(folder.path().join("r/files/deep")).unwrap();
        fs::write(folder.path().join("outside"), b"secret").unwrap();
        let recipe = Recipe { folder, cache };
        recipe.write("files/plain", b"plain");
        recipe.write("files/deep/large", &vec![7; 3 << 20]);
        recipe.write("files/init", b"#!/bin/sh\n");
        fs::set_permissions(
            recipe.at("files/init"),
            std::fs::Permissions::from_mode(0o700),
        )
        .unwrap();
        symlink("../plain", recipe.at("files/deep/link")).unwrap();
        recipe
    }

    impl Recipe {
        fn at(&self, path: &str) -> PathBuf {
            self.folder.path().join("r").join(path)
        }
        fn write(&self, path: &str, bytes: &[u8]) {
            fs::write(self.at(path), bytes).unwrap();
        }
        fn lock(&self, path: &str) -> Result<LockedFile, FileError> {
            lock(&self.cache, &self.at(""), path)
        }
    }

    #[test]
    fn a_folder_is_kept_with_content_links_and_executable_bits() {
        let recipe = recipe();
        let locked = recipe.lock("files/").unwrap();
        assert_eq!(
            (locked.path.as_str(), locked.kind),
            ("files", FileKind::Folder)
        );
        let tree = Tree::load(recipe.cache.blobs(), &locked.digest).unwrap();
        let file = |bytes: &[u8], executable| Entry::File {
            digest: Digest::of(bytes),
            executable,
        };
        assert_eq!(tree.get("plain"), Some(&file(b"plain", false)));
        assert_eq!(tree.get("init"), Some(&file(b"#!/bin/sh\n", true)));
        assert_eq!(
            tree.get("deep/large"),
            Some(&file(&vec![7; 3 << 20], false))
        );
        let target = "../plain".to_owned();
        assert_eq!(tree.get("deep/link"), Some(&Entry::Symlink { target }));
        assert!(has_files(recipe.cache.blobs(), &tree));
        assert_eq!(inspect(&recipe.at(""), "files").unwrap(), locked);
    }

    #[test]
    fn a_file_is_its_content() {
        let recipe = recipe();
        let locked = recipe.lock("files/init").unwrap();
        assert_eq!(locked.kind, FileKind::Executable);
        assert_eq!(locked.digest, Digest::of(b"#!/bin/sh\n"));
        assert_eq!(recipe.lock("files/plain").unwrap().kind, FileKind::File);
    }

    #[test]
    fn what_changed_is_named_and_what_is_missing_in_the_cache_is_copied_again() {
        let recipe = recipe();
        let locked = recipe.lock("files").unwrap();
        let large = Digest::of(&vec![7; 3 << 20]);
        fs::remove_file(recipe.cache.blobs().path(&large.sha256)).unwrap();
        fetch(&recipe.cache, &recipe.at(""), &locked).unwrap();
        assert!(recipe.cache.blobs().contains(&large));

        recipe.write("files/plain", b"new");
        let error = fetch(&recipe.cache, &recipe.at(""), &locked).unwrap_err();
        assert!(matches!(error, FileError::Changed { .. }), "{error}");
        assert!(!recipe.cache.blobs().contains(&Digest::of(b"new")));
    }

    #[test]
    fn nothing_outside_the_recipe_is_taken() {
        let recipe = recipe();
        symlink("../outside", recipe.at("out")).unwrap();
        for path in [
            "",
            ".",
            "..",
            "/etc/hosts",
            "../outside",
            "files/../files",
            "a\0b",
        ] {
            let error = recipe.lock(path).unwrap_err();
            assert!(matches!(error, FileError::Path { .. }), "{path:?}: {error}");
        }
        assert!(matches!(
            recipe.lock("out"),
            Err(FileError::LeadsOut { .. })
        ));
        assert!(matches!(
            recipe.lock("none"),
            Err(FileError::NotThere { .. })
        ));
        for target in ["/etc/hosts", "../../outside", "x/../../../y"] {
            symlink(target, recipe.at("files/deep/bad")).unwrap();
            let error = recipe.lock("files").unwrap_err();
            assert!(
                matches!(error, FileError::LeadsOut { .. }),
                "{target}: {error}"
            );
            fs::remove_file(recipe.at("files/deep/bad")).unwrap();
        }
        recipe.lock("files").unwrap();
    }

    #[test]
    fn what_no_tree_can_hold_is_refused() {
        let recipe = recipe();
        let odd = recipe
            .at("files")
            .join(std::ffi::OsStr::from_bytes(b"\xff"));
        fs::write(&odd, b"").unwrap();
        assert!(matches!(recipe.lock("files"), Err(FileError::Unfit { .. })));
        fs::remove_file(&odd).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(recipe.at("files/socket")).unwrap();
        let error = recipe.lock("files").unwrap_err();
        assert!(matches!(error, FileError::Unfit { .. }), "{error}");
        let error = recipe.lock("files/socket").unwrap_err();
        assert!(matches!(error, FileError::Unfit { .. }), "{error}");
    }
}
