//! From git's objects to a tree in the store.

use std::cell::RefCell;
use std::collections::BTreeMap;

use git2::{ObjectType, Oid, Repository};
use lunikernel_cache::tree::{Entry, is_name};
use lunikernel_cache::{Digest, Tree};

use super::repository::{self, Address};
use super::{GitError, modules};
use crate::fetch::Fetcher;

/// How deep folders may be nested, submodules included: as deep as a tree is read back.
const MAX_DEPTH: usize = 127;
/// How many entries there may be: folders with the same content could multiply.
const MAX_ENTRIES: usize = 1_000_000;
/// How deep submodules may be nested.
const MAX_NESTING: usize = 8;
/// How many submodules there may be in all.
const MAX_SUBMODULES: usize = 256;
/// The largest file: git's objects can only be read whole.
const MAX_FILE: usize = 128 << 20;
/// Most bytes of all files together, each counted for each of its names: as much as a
/// command may leave.
const MAX_BYTES: u64 = lunikernel_cache::checkout::MAX_BYTES;
/// The largest commit, with its message and signatures.
const MAX_COMMIT: usize = 16 << 20;
/// The largest list of what is in one folder; [`MAX_ENTRIES`] names of 30 letters.
const MAX_FOLDER: usize = 64 << 20;
/// The longest target of a link: Linux's PATH_MAX.
const MAX_LINK: usize = 4096;

/// Takes a commit with its submodules apart into the store.
pub(super) struct Checkout<'a> {
    fetcher: &'a Fetcher,
    entries: usize,
    submodules: usize,
    bytes: u64,
}

/// Where in it one is.
struct Here<'a> {
    address: &'a Address,
    repository: &'a Repository,
    modules: BTreeMap<String, String>,
    nesting: usize,
    /// What its files came to be in the store. A commit may give a million names to one
    /// file, which is inflated once.
    stored: RefCell<BTreeMap<Oid, Digest>>,
}

impl<'a> Here<'a> {
    fn unfit(&self, path: &str, why: impl Into<String>) -> GitError {
        GitError::Content {
            url: self.address.shown(),
            path: path.to_owned(),
            why: why.into(),
        }
    }

    fn error(&self, source: git2::Error) -> GitError {
        GitError::Git {
            attempted: "read what came from",
            url: self.address.shown(),
            source,
        }
    }

    /// Refuses what is of another kind than is said of it, or of more than `limit` bytes,
    /// before any of it is loaded.
    fn check(&self, id: Oid, kind: ObjectType, path: &str, limit: usize) -> Result<(), GitError> {
        let header = repository::header(self.repository, id);
        let (size, found) = header.map_err(|error| self.error(error))?;
        if found != kind {
            let what = match kind {
                ObjectType::Blob => "file",
                ObjectType::Tree => "folder",
                _ => "commit",
            };
            return Err(self.unfit(path, format!("is no {what}, though its folder says so")));
        }
        if size > limit {
            let why = format!("is too large: {size} bytes, of at most {limit}");
            return Err(self.unfit(path, why));
        }
        Ok(())
    }

    /// The list of what is in a folder.
    fn folder(&self, id: Oid, path: &str) -> Result<git2::Tree<'a>, GitError> {
        self.check(id, ObjectType::Tree, path, MAX_FOLDER)?;
        self.repository
            .find_tree(id)
            .map_err(|error| self.error(error))
    }

    /// The bytes of a file, of at most `limit`.
    fn read(&self, id: Oid, path: &str, limit: usize) -> Result<Vec<u8>, GitError> {
        self.check(id, ObjectType::Blob, path, limit)?;
        let odb = self.repository.odb().map_err(|error| self.error(error))?;
        let object = odb.read(id).map_err(|error| self.error(error))?;
        Ok(object.data().to_owned())
    }
}

impl<'a> Checkout<'a> {
    pub(super) fn new(fetcher: &'a Fetcher) -> Self {
        Self {
            fetcher,
            entries: 0,
            submodules: 0,
            bytes: 0,
        }
    }

    /// Gets a commit and stores its files; says which it is.
    pub(super) fn commit(
        &mut self,
        address: &Address,
        rev: &str,
        commit: Option<Oid>,
    ) -> Result<(Oid, Tree), GitError> {
        self.level(address, rev, commit, MAX_DEPTH, 0)
    }

    fn level(
        &mut self,
        address: &Address,
        rev: &str,
        commit: Option<Oid>,
        depth: usize,
        nesting: usize,
    ) -> Result<(Oid, Tree), GitError> {
        let fetched = repository::get(self.fetcher, address, rev, commit)?;
        let mut here = Here {
            address,
            repository: &fetched.repository,
            modules: BTreeMap::new(),
            nesting,
            stored: RefCell::default(),
        };
        here.check(fetched.commit, ObjectType::Commit, "", MAX_COMMIT)?;
        let top = fetched
            .repository
            .find_commit(fetched.commit)
            .map_err(|error| here.error(error))?;
        let top = here.folder(top.tree_id(), "")?;
        if let Some(entry) = top.get_name(".gitmodules") {
            let bytes = here.read(entry.id(), ".gitmodules", 1 << 20)?;
            here.modules = modules::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|why| here.unfit(".gitmodules", why))?;
        }
        let tree = self.folder(&here, &top, "", depth)?;
        Ok((fetched.commit, tree))
    }

    fn folder(
        &mut self,
        here: &Here<'_>,
        folder: &git2::Tree<'_>,
        above: &str,
        depth: usize,
    ) -> Result<Tree, GitError> {
        let mut tree = Tree::new();
        for entry in folder.iter() {
            let bytes = entry.name_bytes();
            let path = format!("{above}{}", String::from_utf8_lossy(bytes));
            let Ok(name) = str::from_utf8(bytes) else {
                return Err(here.unfit(&path, "has a name that is not UTF-8"));
            };
            if !is_name(name) || name.eq_ignore_ascii_case(".git") {
                return Err(here.unfit(&path, "has a name that no tree can hold"));
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(here.unfit(
                    &path,
                    format!("is entry number {}, of at most {MAX_ENTRIES}", self.entries),
                ));
            }
            let entry = self.entry(here, &entry, &path, depth)?;
            if tree.get(name).is_some() {
                return Err(here.unfit(&path, "is there twice"));
            }
            tree.insert(name, entry)
                .map_err(|error| here.unfit(&path, error.to_string()))?;
        }
        Ok(tree)
    }

    fn entry(
        &mut self,
        here: &Here<'_>,
        entry: &git2::TreeEntry<'_>,
        path: &str,
        depth: usize,
    ) -> Result<Entry, GitError> {
        let too_deep = || here.unfit(path, "is nested too deeply");
        match entry.filemode_raw() & 0o170_000 {
            0o100_000 => {
                let digest = self.file(here, entry.id(), path)?;
                Ok(Entry::File {
                    digest,
                    executable: entry.filemode_raw() & 0o100 != 0,
                })
            }
            0o120_000 => {
                let bytes = here.read(entry.id(), path, MAX_LINK)?;
                match String::from_utf8(bytes) {
                    Ok(target) if !target.is_empty() && !target.contains('\0') => {
                        Ok(Entry::Symlink { target })
                    }
                    _ => Err(here.unfit(path, "links to a name that no file can have")),
                }
            }
            0o040_000 => {
                let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
                let folder = here.folder(entry.id(), path)?;
                let folder = self.folder(here, &folder, &format!("{path}/"), depth)?;
                Ok(Entry::Folder(folder))
            }
            0o160_000 => {
                let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
                Ok(Entry::Folder(self.submodule(
                    here,
                    entry.id(),
                    path,
                    depth,
                )?))
            }
            mode => Err(here.unfit(
                path,
                format!("is of a kind that git does not have: mode {mode:o}"),
            )),
        }
    }

    /// Stores a file, unless that was done under another name of it.
    fn file(&mut self, here: &Here<'_>, id: Oid, path: &str) -> Result<Digest, GitError> {
        let known = here.stored.borrow().get(&id).copied();
        let digest = match known {
            Some(digest) => digest,
            None => {
                let bytes = here.read(id, path, MAX_FILE)?;
                let digest = self.fetcher.cache().blobs().put(&bytes)?;
                here.stored.borrow_mut().insert(id, digest);
                digest
            }
        };
        self.bytes = self.bytes.saturating_add(digest.size);
        if self.bytes > MAX_BYTES {
            let why = format!("makes all files together larger than {MAX_BYTES} bytes");
            return Err(here.unfit(path, why));
        }
        Ok(digest)
    }

    fn submodule(
        &mut self,
        here: &Here<'_>,
        commit: Oid,
        path: &str,
        depth: usize,
    ) -> Result<Tree, GitError> {
        self.submodules += 1;
        if here.nesting == MAX_NESTING || self.submodules > MAX_SUBMODULES {
            return Err(here.unfit(path, "is one submodule too many"));
        }
        let url = here
            .modules
            .get(path)
            .ok_or_else(|| here.unfit(path, "is a submodule that `.gitmodules` does not name"))?;
        let address = here.address.submodule(url);
        let address = address.map_err(|source| GitError::Submodule {
            url: here.address.shown(),
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let rev = commit.to_string();
        let (_, tree) = self.level(&address, &rev, Some(commit), depth, here.nesting + 1)?;
        Ok(tree)
    }
}
