//! The base: a pinned root file system that packages are installed over, such as Alpine's
//! minirootfs. What is installed in it counts, and its keys are trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use lunikernel_cache::{BlobStore, Digest, HashingReader, NodeKind, Rootfs};

use super::error::ApkSourceError;
use super::index::{self, Package};
use super::keys::Keys;
use crate::assemble::apk::Installed;
use crate::assemble::member::{Keep, KeepError};
use crate::assemble::unpack;

/// Where apk keeps its database below the root.
pub(crate) const DATABASE: &str = "lib/apk/db";
/// Where apk keeps the keys that it trusts.
const KEYS: &str = "etc/apk/keys/";
/// The most that the database and the keys may have together, in bytes.
const MAX_READ: u64 = 64 << 20;

/// What locking has to know of a base.
#[derive(Default)]
pub(super) struct Base {
    pub(super) installed: Vec<Package>,
    pub(super) keys: Vec<(String, Vec<u8>)>,
}

/// Reads the archive `digest`, the source `name`. Nothing is stored.
pub(super) fn read(blobs: &BlobStore, name: &str, digest: &Digest) -> Result<Base, ApkSourceError> {
    let wrong = |path: &str, why: String| ApkSourceError::BaseFile {
        name: name.to_owned(),
        path: path.to_owned(),
        why,
    };
    // Which content is asked for is known at the archive's end only, so it is read twice.
    let root = scan(blobs, name, digest, &mut |content, _| {
        let mut content = HashingReader::new(content);
        io::copy(&mut content, &mut io::sink()).map_err(KeepError::Read)?;
        Ok(content.finish())
    })?;
    let database = format!("{DATABASE}/installed");
    let database = root.locate(&database).unwrap_or(database);
    let mut wanted: BTreeMap<&str, Digest> = BTreeMap::new();
    let mut total = 0;
    for (path, node) in root.nodes() {
        let is_key = |key: &str| !key.contains('/');
        if let NodeKind::File { content, .. } = &node.kind
            && (path == database || path.strip_prefix(KEYS).is_some_and(is_key))
        {
            total += content.size;
            if total > MAX_READ {
                let why = format!("the database and the keys have more than {MAX_READ} bytes");
                return Err(wrong(path, why));
            }
            wanted.insert(path, *content);
        }
    }
    let mut base = Base::default();
    if wanted.is_empty() {
        return Ok(base);
    }
    let sizes: BTreeSet<u64> = wanted.values().map(|digest| digest.size).collect();
    let digests: BTreeSet<Digest> = wanted.values().copied().collect();
    let mut contents: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    scan(blobs, name, digest, &mut |content, size| {
        let mut content = HashingReader::new(content);
        let mut bytes = Vec::new();
        if sizes.contains(&size) {
            content.read_to_end(&mut bytes).map_err(KeepError::Read)?;
        }
        io::copy(&mut content, &mut io::sink()).map_err(KeepError::Read)?;
        let digest = content.finish();
        if digests.contains(&digest) {
            contents.insert(digest, bytes);
        }
        Ok(digest)
    })?;
    for (path, digest) in wanted {
        let bytes = contents
            .get(&digest)
            .ok_or_else(|| wrong(path, "it was not found again".to_owned()))?;
        if path == database {
            let text = str::from_utf8(bytes).map_err(|error| wrong(path, error.to_string()))?;
            let installed =
                Installed::parse(text).map_err(|error| wrong(path, error.to_string()))?;
            for (package, head) in installed.heads() {
                let entry = index::parse(head, None)
                    .map_err(|error| wrong(path, format!("the entry of `{package}`: {error}")))?;
                base.installed.extend(entry);
            }
        } else if let Some(key) = path.strip_prefix(KEYS) {
            base.keys.push((key.to_owned(), bytes.clone()));
        }
    }
    Ok(base)
}

/// Reads the archive from its beginning to its end.
fn scan(
    blobs: &BlobStore,
    name: &str,
    digest: &Digest,
    keep: &mut Keep<'_>,
) -> Result<Rootfs, ApkSourceError> {
    let mut file = blobs.open(digest)?;
    let read = unpack::read(&mut file, digest.size, keep);
    let root = read.map_err(|source| ApkSourceError::BaseArchive {
        name: name.to_owned(),
        source: Box::new(source),
    })?;
    root.ok_or_else(|| ApkSourceError::NoArchive {
        name: name.to_owned(),
    })
}

impl Base {
    /// Trusts its keys.
    pub(super) fn trust(&self, name: &str, keys: &mut Keys) -> Result<(), ApkSourceError> {
        for (key, pem) in &self.keys {
            keys.add(key, pem).map_err(|why| ApkSourceError::Key {
                path: format!("{name}/{KEYS}{key}"),
                why,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::write::GzEncoder;
    use lunikernel_cache::Cache;

    use super::*;

    /// A base with `filler` bytes before its database and its key.
    fn base(filler: u64, database: &[u8]) -> Vec<u8> {
        let gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        let mut add = |path: &str, size: u64, content: &mut dyn Read| {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(size);
            archive.append_data(&mut header, path, content).unwrap();
        };
        for name in 0..5 {
            let size = filler / 5;
            add(&format!("a/{name}"), size, &mut io::repeat(name).take(size));
        }
        let size = database.len() as u64;
        add("lib/apk/db/installed", size, &mut { database });
        add("etc/apk/keys/a.rsa.pub", 3, &mut &b"key"[..]);
        add("etc/apk/keys/folder/none", 3, &mut &b"key"[..]);
        archive.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn what_is_installed_counts_wherever_it_is_in_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let database = b"C:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nP:old\nV:1\nA:x86_64\nS:1\n\n";
        let digest = cache.blobs().put(&base(140 << 20, database)).unwrap();
        let base = read(cache.blobs(), "base", &digest).unwrap();
        let names: Vec<&str> = base.installed.iter().map(|p| &*p.name).collect();
        assert_eq!(names, ["old"]);
        assert_eq!(base.keys, [("a.rsa.pub".to_owned(), b"key".to_vec())]);
    }

    #[test]
    fn a_base_is_any_archive_that_can_be_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let database = b"C:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nP:old\nV:1\nA:x86_64\nS:1\n\n";
        let mut plain = Vec::new();
        let packed = base(0, database);
        let mut decoder = flate2::read::MultiGzDecoder::new(&*packed);
        decoder.read_to_end(&mut plain).unwrap();
        let digest = cache.blobs().put(&plain).unwrap();
        let read_back = read(cache.blobs(), "base", &digest).unwrap();
        assert_eq!(read_back.installed.len(), 1);
        let digest = cache.blobs().put(b"no archive").unwrap();
        let error = read(cache.blobs(), "base", &digest).err().unwrap();
        let said = format!("{error}; {}", error.hint().unwrap_or_default());
        assert!(
            said.starts_with("the base `base` is no archive; expected tar or"),
            "{said}"
        );
    }

    #[test]
    fn a_database_that_a_build_could_not_read_is_refused_when_locking() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let entry = "C:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nP:old\nV:1\nA:x86_64\nS:1\n";
        for (more, expected) in [
            ("R:file\n", "is about a folder, and none is named before it"),
            (
                "F:etc\nZ:x\n",
                "is about a file, and none is named before it",
            ),
            ("S:2\n", "the entry of `old`: line 6: `S:` is there twice"),
        ] {
            let archive = base(0, format!("{entry}{more}\n").as_bytes());
            let digest = cache.blobs().put(&archive).unwrap();
            let error = read(cache.blobs(), "base", &digest).err().unwrap();
            let said = error.to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_database_that_is_too_large_is_no_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let database = vec![b'\n'; (MAX_READ + 1) as usize];
        let digest = cache.blobs().put(&base(0, &database)).unwrap();
        let error = read(cache.blobs(), "base", &digest).err().unwrap();
        assert!(
            error.to_string().contains("lib/apk/db/installed"),
            "{error}"
        );
    }
}
