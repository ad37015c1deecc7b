//! Files and folders beside the recipe.

#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString, OsString};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use lunikernel_cache::tree::{Entry, is_name};
use lunikernel_cache::{BlobStore, Cache, CacheError, Digest, Hasher, Tree};

/// How deep folders may be nested: as deep as a tree can be read back.
const MAX_DEPTH: usize = 127;
/// Files up to this size are read at once, so that nothing is written for those that
/// the cache has already.
const SMALL: u64 = 1 << 20;

/// Folders are opened so that they, and not what a link leads to, are read.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// What is wrong with something that is another thing each time one looks.
const CHANGING: &str = "was replaced while it was read";

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
    let (folder, name) = open_parent(&top, &full).map_err(io)?;
    let (kind, digest) = match reader.entry(&folder, &name, path, MAX_DEPTH)? {
        Entry::Folder(tree) if tree.is_empty() => {
            return Err(FileError::Empty {
                path: path.to_owned(),
            });
        }
        Entry::Folder(tree) => (FileKind::Folder, reader.put_tree(&tree)?),
        Entry::File { digest, executable } if executable => (FileKind::Executable, digest),
        Entry::File { digest, .. } => (FileKind::File, digest),
        Entry::Symlink { .. } => return Err(unfit(path, CHANGING)),
    };
    Ok(LockedFile {
        path: path.to_owned(),
        kind,
        digest,
    })
}

/// Opens the folder in which `full`, a path without links below `top`, is, and says
/// what it is called there. From here on everything is reached through descriptors,
/// so that what was examined is what is read, whatever is put in its place meanwhile.
fn open_parent(top: &Path, full: &Path) -> io::Result<(OwnedFd, CString)> {
    let mut folder = rustix::fs::open(top, FOLDER, Mode::empty())?;
    let mut parts = full.strip_prefix(top).unwrap_or(full).iter().peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return Ok((folder, CString::new(part.as_bytes())?));
        }
        folder = rustix::fs::openat(&folder, part, FOLDER, Mode::empty())?;
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Whether a link with this target, `above` folders below the top, stays below it.
pub(crate) fn stays_inside(target: &str, mut above: usize) -> bool {
    !target.starts_with('/')
        && target.split('/').all(|part| {
            let next = match part {
                "" | "." => Some(above),
                ".." => above.checked_sub(1),
                _ => Some(above + 1),
            };
            above = next.unwrap_or(above);
            next.is_some()
        })
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
    /// Reads what is called `name` in `folder`; messages call it `path`. It may have up
    /// to `depth` levels of folders, itself included.
    fn entry(
        &self,
        folder: &OwnedFd,
        name: &CStr,
        path: &str,
        depth: usize,
    ) -> Result<Entry, FileError> {
        let io = |errno: Errno| FileError::Io {
            path: path.to_owned(),
            source: errno.into(),
        };
        // Examined before it is opened, since opening a device may do something.
        let seen = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io)?;
        let seen = FileType::from_raw_mode(seen.st_mode);
        match seen {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(folder, name, Vec::new()).map_err(io)?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                return self.link(target, path, MAX_DEPTH - depth);
            }
            FileType::Directory | FileType::RegularFile => {}
            _ => return Err(unfit(path, "is neither a file, a folder nor a link")),
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(io)?;
        let meta = rustix::fs::fstat(&opened).map_err(io)?;
        if FileType::from_raw_mode(meta.st_mode) != seen {
            return Err(unfit(path, CHANGING));
        }
        if seen == FileType::Directory {
            return Ok(Entry::Folder(self.folder(&opened, path, depth)?));
        }
        let size = u64::try_from(meta.st_size).unwrap_or(0);
        Ok(Entry::File {
            digest: self.file(File::from_parts(opened.into(), path), path, size)?,
            executable: meta.st_mode & 0o100 != 0,
        })
    }

    fn folder(&self, folder: &OwnedFd, path: &str, depth: usize) -> Result<Tree, FileError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(unfit(path, "is nested too deeply"));
        };
        let io = |errno: Errno| FileError::Io {
            path: path.to_owned(),
            source: errno.into(),
        };
        let mut tree = Tree::new();
        for entry in Dir::read_from(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let raw = entry.file_name();
            if matches!(raw.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(name) = raw.to_str() else {
                let path = format!("{path}/{}", raw.to_string_lossy());
                return Err(unfit(&path, "has a name that is not UTF-8"));
            };
            let inner = format!("{path}/{name}");
            let entry = self.entry(folder, raw, &inner, depth)?;
            // Neither git nor a zip would bring it to whoever builds the recipe elsewhere.
            if matches!(&entry, Entry::Folder(tree) if tree.is_empty()) {
                continue;
            }
            tree.insert(name, entry)
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
        if !stays_inside(text, level.saturating_sub(1)) {
            return Err(leads_out());
        }
        Ok(Entry::Symlink {
            target: text.to_owned(),
        })
    }

    fn file(&self, mut file: File, path: &str, size: u64) -> Result<Digest, FileError> {
        let io = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
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
    /// It is a folder without files.
    #[error("`{path}` is a folder in which there is no file")]
    Empty {
        /// The path.
        path: String,
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
            Self::Empty { .. } => Some(
                "empty folders are not kept; `folder: true` in `rootfs.files` makes one".to_owned(),
            ),
            Self::Unfit { .. } => Some("take it out of the folder".to_owned()),
            Self::Changed { .. } => Some("lock it anew with `luni lock`".to_owned()),
            Self::Io { .. } => None,
            Self::Cache(error) => error.hint(),
        }
    }
}
