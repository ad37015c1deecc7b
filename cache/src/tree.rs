//! Trees of files as the Remote Execution API has them.

use std::collections::BTreeMap;

use prost::Message as _;

use crate::digest::Digest;
use crate::error::CacheError;
use crate::reapi;
use crate::store::BlobStore;

/// A folder held in memory: what an action gets as input and gives as output.
///
/// It knows what REAPI knows of a file: its name, content and whether it is
/// executable. Owners, modes and devices belong to a [`crate::Rootfs`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// What a folder holds under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its content.
        digest: Digest,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as written in it.
        target: String,
    },
    /// A folder.
    Folder(Tree),
}

/// A path that cannot be in a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The path is absolute, empty, or has `.`, `..` or an empty part.
    #[error("`{path}` is no path below a folder")]
    Path {
        /// The path.
        path: String,
    },
    /// Something that is no folder stands where the path needs one.
    #[error("`{path}` needs `{at}` to be a folder, but it is something else")]
    NotAFolder {
        /// The path that was to be added.
        path: String,
        /// What stands in its way.
        at: String,
    },
}

/// Deepest nesting that is read back, so that hostile input cannot exhaust the stack.
const MAX_DEPTH: usize = 128;
/// Most entries that are read back: shared sub-folders could multiply without end.
const MAX_ENTRIES: usize = 4_000_000;

impl Tree {
    /// An empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is directly in it, sorted by name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts `entry` at `path` (parts joined by `/`), creates the folders above it,
    /// and replaces what was there.
    ///
    /// # Errors
    /// [`TreeError`] where the path is none or leads through a file or a link.
    pub fn insert(&mut self, path: &str, entry: Entry) -> Result<(), TreeError> {
        if !path.split('/').all(is_name) {
            return Err(TreeError::Path {
                path: path.to_owned(),
            });
        }
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut here = self;
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            let next = here
                .entries
                .entry(part.to_owned())
                .or_insert_with(|| Entry::Folder(Self::new()));
            here = match next {
                Entry::Folder(tree) => tree,
                _ => {
                    return Err(TreeError::NotAFolder {
                        path: path.to_owned(),
                        at: part.to_owned(),
                    });
                }
            };
        }
        here.entries.insert(name.to_owned(), entry);
        Ok(())
    }

    /// What is at `path`, without following links.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        match path.split_once('/') {
            None => self.entries.get(path),
            Some((name, rest)) => match self.entries.get(name)? {
                Entry::Folder(tree) => tree.get(rest),
                _ => None,
            },
        }
    }

    /// Takes out what is directly in it under `name`.
    pub fn remove(&mut self, name: &str) -> Option<Entry> {
        self.entries.remove(name)
    }

    /// Encodes the folder and all below it as canonical REAPI `Directory` messages
    /// (entries sorted by name, no duplicates), children before parents, hands each
    /// to `sink`, and returns the digest of the top one.
    ///
    /// # Errors
    /// Whatever `sink` returns.
    pub fn encode<E>(
        &self,
        sink: &mut impl FnMut(Digest, Vec<u8>) -> Result<(), E>,
    ) -> Result<Digest, E> {
        let mut children = Vec::new();
        for (name, entry) in self.entries() {
            if let Entry::Folder(tree) = entry {
                children.push((name, tree.encode(sink)?));
            }
        }
        let bytes = self.message(children).encode_to_vec();
        let digest = Digest::of(&bytes);
        sink(digest, bytes)?;
        Ok(digest)
    }

    fn message(&self, children: Vec<(&str, Digest)>) -> reapi::Directory {
        let mut message = reapi::Directory {
            directories: children
                .into_iter()
                .map(|(name, digest)| reapi::DirectoryNode {
                    name: name.to_owned(),
                    digest: Some(digest.to_reapi()),
                })
                .collect(),
            ..Default::default()
        };
        for (name, entry) in self.entries() {
            match entry {
                Entry::File { digest, executable } => message.files.push(reapi::FileNode {
                    name: name.to_owned(),
                    digest: Some(digest.to_reapi()),
                    is_executable: *executable,
                    node_properties: None,
                }),
                Entry::Symlink { target } => message.symlinks.push(reapi::SymlinkNode {
                    name: name.to_owned(),
                    target: target.clone(),
                    node_properties: None,
                }),
                Entry::Folder(_) => {}
            }
        }
        message
    }

    /// The digest of the top `Directory`, without storing anything.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self.encode::<std::convert::Infallible>(&mut |_, _| Ok(())) {
            Ok(digest) => digest,
            Err(never) => match never {},
        }
    }

    /// The digests of all that it is made of: its `Directory` messages and its files.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        let mut all = Vec::new();
        let encoded = self.encode::<std::convert::Infallible>(&mut |digest, _| {
            all.push(digest);
            Ok(())
        });
        match encoded {
            Ok(_) => self.add_files(&mut all),
            Err(never) => match never {},
        }
        all
    }

    fn add_files(&self, all: &mut Vec<Digest>) {
        for (_, entry) in self.entries() {
            match entry {
                Entry::File { digest, .. } => all.push(*digest),
                Entry::Folder(tree) => tree.add_files(all),
                Entry::Symlink { .. } => {}
            }
        }
    }

    /// Stores the `Directory` messages and returns the digest of the top one.
    ///
    /// # Errors
    /// [`CacheError::Io`] where the store cannot be written.
    pub fn store(&self, blobs: &BlobStore) -> Result<Digest, CacheError> {
        self.encode(&mut |_, bytes| blobs.put(&bytes).map(drop))
    }

    /// Reads a stored folder back, with everything below it.
    ///
    /// # Errors
    /// [`CacheError::Missing`] where a message is not there, [`CacheError::Damaged`]
    /// where one cannot be decoded, has names that no folder can have, or is beyond
    /// what is read (128 levels, 4 million entries).
    pub fn load(blobs: &BlobStore, root: &Digest) -> Result<Self, CacheError> {
        let mut budget = MAX_ENTRIES;
        Self::read(root, MAX_DEPTH, &mut budget, &|digest| {
            reapi::Directory::decode(blobs.read(digest)?.as_slice())
                .map_err(|error| damaged(digest, &error.to_string()))
        })
    }

    /// The tree as one REAPI `Tree` message, which is how output folders are kept.
    #[must_use]
    pub fn to_reapi(&self) -> reapi::Tree {
        let mut encoded = BTreeMap::new();
        let root = match self.encode::<std::convert::Infallible>(&mut |digest, bytes| {
            encoded.insert(digest, bytes);
            Ok(())
        }) {
            Ok(digest) => encoded.remove(&digest),
            Err(never) => match never {},
        };
        let decode = |bytes: Vec<u8>| reapi::Directory::decode(bytes.as_slice()).ok();
        reapi::Tree {
            root: root.and_then(decode),
            children: encoded.into_values().filter_map(decode).collect(),
        }
    }

    /// Reads a REAPI `Tree` message; `name` is its digest, for errors.
    ///
    /// # Errors
    /// [`CacheError::Damaged`] where it is incomplete or names what no folder can hold.
    pub fn from_reapi(message: &reapi::Tree, name: &Digest) -> Result<Self, CacheError> {
        let children: BTreeMap<Digest, &reapi::Directory> = message
            .children
            .iter()
            .map(|child| (Digest::of(&child.encode_to_vec()), child))
            .collect();
        let root = message
            .root
            .as_ref()
            .ok_or_else(|| damaged(name, "it has no root"))?;
        let root_digest = Digest::of(&root.encode_to_vec());
        let mut budget = MAX_ENTRIES;
        Self::read(&root_digest, MAX_DEPTH, &mut budget, &|digest| {
            if *digest == root_digest {
                return Ok(root.clone());
            }
            children
                .get(digest)
                .map(|child| (*child).clone())
                .ok_or_else(|| damaged(name, "a folder in it is missing"))
        })
    }

    fn read(
        digest: &Digest,
        depth: usize,
        budget: &mut usize,
        source: &impl Fn(&Digest) -> Result<reapi::Directory, CacheError>,
    ) -> Result<Self, CacheError> {
        let message = source(digest)?;
        let count = message.files.len() + message.directories.len() + message.symlinks.len();
        *budget = budget
            .checked_sub(count)
            .ok_or_else(|| damaged(digest, "it has too many entries"))?;
        if depth == 0 {
            return Err(damaged(digest, "it is nested too deeply"));
        }
        let digest_of = |message: &Option<reapi::Digest>| {
            message
                .as_ref()
                .and_then(Digest::from_reapi)
                .ok_or_else(|| damaged(digest, "an entry has no digest"))
        };
        let mut found = Vec::with_capacity(count);
        for file in &message.files {
            let entry = Entry::File {
                digest: digest_of(&file.digest)?,
                executable: file.is_executable,
            };
            found.push((&file.name, entry));
        }
        for link in &message.symlinks {
            let entry = Entry::Symlink {
                target: link.target.clone(),
            };
            found.push((&link.name, entry));
        }
        for folder in &message.directories {
            let tree = Self::read(&digest_of(&folder.digest)?, depth - 1, budget, source)?;
            found.push((&folder.name, Entry::Folder(tree)));
        }
        let mut tree = Self::new();
        for (name, entry) in found {
            if !is_name(name) {
                return Err(damaged(digest, &format!("`{name}` is no file name")));
            }
            if tree.entries.insert(name.clone(), entry).is_some() {
                return Err(damaged(digest, &format!("`{name}` is in it twice")));
            }
        }
        Ok(tree)
    }
}

fn damaged(digest: &Digest, why: &str) -> CacheError {
    CacheError::Damaged {
        what: "folder",
        digest: digest.sha256,
        why: why.to_owned(),
    }
}

/// Whether `name` can name one entry of a folder.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> Entry {
        Entry::File {
            digest: Digest::of(content.as_bytes()),
            executable: false,
        }
    }

    #[test]
    fn order_of_insertion_does_not_matter() {
        let (mut one, mut two) = (Tree::new(), Tree::new());
        for (path, content) in [("a/b", "1"), ("a/a", "2"), ("z", "3")] {
            one.insert(path, file(content)).unwrap();
        }
        for (path, content) in [("z", "3"), ("a/a", "2"), ("a/b", "1")] {
            two.insert(path, file(content)).unwrap();
        }
        assert_eq!(one.digest(), two.digest());
        assert_eq!(
            Tree::from_reapi(&one.to_reapi(), &one.digest()).unwrap(),
            one
        );
    }

    #[test]
    fn the_empty_folder_has_the_digest_of_no_bytes() {
        assert_eq!(Tree::new().digest(), Digest::of(b""));
    }

    #[test]
    fn paths_that_leave_are_refused() {
        let mut tree = Tree::new();
        for path in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\0b"] {
            assert!(tree.insert(path, file("x")).is_err(), "{path:?}");
        }
        tree.insert("f", file("x")).unwrap();
        assert!(matches!(
            tree.insert("f/g", file("x")),
            Err(TreeError::NotAFolder { .. })
        ));
    }

    #[test]
    fn hostile_messages_are_refused() {
        let evil = |name: &str| reapi::Tree {
            root: Some(reapi::Directory {
                files: vec![reapi::FileNode {
                    name: name.to_owned(),
                    digest: Some(Digest::of(b"").to_reapi()),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            children: vec![],
        };
        let name = Digest::of(b"");
        assert!(Tree::from_reapi(&evil("fine"), &name).is_ok());
        for bad in ["..", "", "a/b", "."] {
            assert!(Tree::from_reapi(&evil(bad), &name).is_err(), "{bad:?}");
        }
    }
}
