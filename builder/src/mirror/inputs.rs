//! Everything that a lock names, down to the files of its trees.

use lunikernel_cache::tree::Entry;
use lunikernel_cache::{BlobStore, CacheError, Digest, Tree};

use crate::lock::{LockFile, LockedSource};
use crate::source::file::FileKind;

/// What has to come from elsewhere: all blobs of all sources, a git tree as the files
/// and REAPI `Directory` messages that it is made of. The recipe's own files are not
/// among them. Sorted, each once.
///
/// # Errors
/// [`CacheError::Missing`] where a folder of a tree is not in `blobs`.
pub fn inputs(lock: &LockFile, blobs: &BlobStore) -> Result<Vec<Digest>, CacheError> {
    collect(lock, blobs, false)
}

/// As [`inputs`], with the recipe's own files: all that a build needs.
///
/// # Errors
/// As [`inputs`].
pub fn with_own_files(lock: &LockFile, blobs: &BlobStore) -> Result<Vec<Digest>, CacheError> {
    collect(lock, blobs, true)
}

fn collect(lock: &LockFile, blobs: &BlobStore, own: bool) -> Result<Vec<Digest>, CacheError> {
    let mut all = Vec::new();
    for source in lock.sources.values() {
        match source {
            LockedSource::File(_) if !own => {}
            LockedSource::File(file) if file.kind == FileKind::Folder => {
                add_tree(&file.digest, blobs, &mut all)?;
            }
            LockedSource::Git(git) => add_tree(&git.tree, blobs, &mut all)?,
            other => all.extend(other.digests()),
        }
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn add_tree(root: &Digest, blobs: &BlobStore, all: &mut Vec<Digest>) -> Result<(), CacheError> {
    let tree = Tree::load(blobs, root)?;
    // What is stored may be encoded in another way than it would be now.
    let same = tree.encode(&mut |digest, _| {
        all.push(digest);
        Ok::<_, CacheError>(())
    })?;
    if same != *root {
        return Err(CacheError::Damaged {
            what: "folder",
            digest: root.sha256,
            why: "it is not encoded as it has to be".to_owned(),
        });
    }
    add_files(&tree, all);
    Ok(())
}

fn add_files(tree: &Tree, all: &mut Vec<Digest>) {
    for (_, entry) in tree.entries() {
        match entry {
            Entry::File { digest, .. } => all.push(*digest),
            Entry::Folder(tree) => add_files(tree, all),
            Entry::Symlink { .. } => {}
        }
    }
}
