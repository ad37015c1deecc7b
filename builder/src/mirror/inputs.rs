//! Everything that a lock names, down to the files of its trees.

use lunikernel_cache::{BlobStore, CacheError, Digest, Tree};

use crate::lock::{LockFile, LockedSource};
use crate::source::file::FileKind;

/// What has to come from elsewhere: all blobs of all sources and of what pinned steps
/// made, a tree as the files and REAPI `Directory` messages that it is made of. The recipe's own files are not
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

/// Those of [`inputs`] that are in the store already. What is in trees is not known before
/// their folders are there: of a tree whose folders are not all there, nothing counts.
#[must_use]
pub fn present(lock: &LockFile, blobs: &BlobStore) -> Vec<Digest> {
    let mut found = Vec::new();
    let trees = lock.steps.values().map(|step| &step.outputs);
    let mut trees: Vec<&Digest> = trees.collect();
    for source in lock.sources.values() {
        match source {
            LockedSource::File(_) => {}
            LockedSource::Git(git) => trees.push(&git.tree),
            other => found.extend(other.digests()),
        }
    }
    for tree in trees {
        found.extend(parts(tree, blobs).unwrap_or_default());
    }
    found.retain(|digest| blobs.contains(digest));
    found.sort_unstable();
    found.dedup();
    found
}

fn collect(lock: &LockFile, blobs: &BlobStore, own: bool) -> Result<Vec<Digest>, CacheError> {
    let mut all = Vec::new();
    for source in lock.sources.values() {
        match source {
            LockedSource::File(_) if !own => {}
            LockedSource::File(file) if file.kind == FileKind::Folder => {
                all.extend(parts(&file.digest, blobs)?);
            }
            LockedSource::Git(git) => all.extend(parts(&git.tree, blobs)?),
            other => all.extend(other.digests()),
        }
    }
    for step in lock.steps.values() {
        all.extend(parts(&step.outputs, blobs)?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// All that a tree is made of.
fn parts(root: &Digest, blobs: &BlobStore) -> Result<Vec<Digest>, CacheError> {
    let tree = Tree::load(blobs, root)?;
    // What is stored may be encoded in another way than it would be now.
    if tree.digest() != *root {
        return Err(CacheError::Damaged {
            what: "folder",
            digest: root.sha256,
            why: "it is not encoded as it has to be".to_owned(),
        });
    }
    Ok(tree.digests())
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::tree::Entry;
    use lunikernel_cache::{Cache, Sha256};

    use super::*;
    use crate::lock::LockedStep;
    use crate::source::file::LockedFile;
    use crate::source::git::LockedGit;
    use crate::source::url::LockedUrl;

    #[test]
    fn all_that_a_lock_names_is_among_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let blobs = cache.blobs();
        // A tree of two folders and a file.
        let tree = |text: &str| {
            let digest = blobs.put(text.as_bytes()).unwrap();
            let executable = false;
            let mut tree = Tree::new();
            tree.insert("deep/file", Entry::File { digest, executable })
                .unwrap();
            tree.store(blobs).unwrap();
            let mut parts = tree.digests();
            assert!(parts.len() == 3 && parts.contains(&digest));
            parts.sort_unstable();
            (tree.digest(), parts)
        };
        let (git, step, own) = (tree("git"), tree("step"), tree("own"));
        let web = blobs.put(b"web").unwrap();
        let mut lock = LockFile::new();
        let mut add = |name: &str, source| lock.sources.insert(name.to_owned(), source);
        add(
            "git",
            LockedSource::Git(LockedGit {
                url: "https://nowhere.example/git".to_owned(),
                rev: "main".to_owned(),
                commit: "0".repeat(40),
                tree: git.0,
            }),
        );
        add(
            "own",
            LockedSource::File(LockedFile {
                path: "files".to_owned(),
                kind: FileKind::Folder,
                digest: own.0,
            }),
        );
        let (sha256, size) = (web.sha256, web.size);
        let url = "https://nowhere.example/web".to_owned();
        add("web", LockedSource::Url(LockedUrl { url, sha256, size }));
        let asked = Sha256::of(b"");
        let outputs = step.0;
        let locked = LockedStep { asked, outputs };
        lock.steps.insert("step".to_owned(), locked);

        let mut expected = [git.1, step.1, vec![web]].concat();
        expected.sort_unstable();
        assert_eq!(inputs(&lock, blobs).unwrap(), expected);
        assert_eq!(present(&lock, blobs), expected);
        expected.extend(own.1);
        expected.sort_unstable();
        assert_eq!(with_own_files(&lock, blobs).unwrap(), expected);

        // What is not encoded as it would be now is not what its parts are encoded to.
        let mut other = blobs.read(&git.0).unwrap();
        other.extend([0xa0, 0x06, 0x01]);
        let other = blobs.put(&other).unwrap();
        let asked = Sha256::of(b"");
        let locked = LockedStep {
            asked,
            outputs: other,
        };
        let mut damaged = lock.clone();
        damaged.steps.insert("step".to_owned(), locked);
        let refused = inputs(&damaged, blobs).unwrap_err();
        assert!(matches!(refused, CacheError::Damaged { .. }), "{refused}");

        // What cannot be read is not left out.
        blobs.discard(&step.0).unwrap();
        let missing = inputs(&lock, blobs).unwrap_err();
        assert!(matches!(missing, CacheError::Missing { .. }), "{missing}");
    }
}
