//! The base: a pinned root file system that packages are installed over, such as Alpine's
//! minirootfs. What is installed in it counts, and its keys are trusted.

use std::collections::BTreeMap;
use std::io::Read;

use lunikernel_cache::{BlobStore, Digest, NodeKind};

use super::error::ApkSourceError;
use super::index::{self, Package};
use super::keys::Keys;
use crate::assemble::codec::Codec;
use crate::assemble::tarball::{self, KeepError, Limits};

/// Where apk keeps its database below the root.
pub(crate) const DATABASE: &str = "lib/apk/db";
/// Where apk keeps the keys that it trusts.
const KEYS: &str = "etc/apk/keys/";
/// Files of the base that are larger are not looked at, in bytes.
const MAX_FILE: u64 = 32 << 20;

/// What locking has to know of a base.
#[derive(Default)]
pub(super) struct Base {
    pub(super) installed: Vec<Package>,
    pub(super) keys: Vec<(String, Vec<u8>)>,
}

/// Reads the archive `digest`, the source `name`. Nothing is stored.
pub(super) fn read(blobs: &BlobStore, name: &str, digest: &Digest) -> Result<Base, ApkSourceError> {
    let limits = Limits {
        devices: true,
        ..Limits::default()
    };
    let file = blobs.open(digest)?;
    let mut contents: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
    let mut kept = 0;
    let root = tarball::read(Codec::Gzip.reader(file), limits, &mut |content, size| {
        // The archive's order is not known, so what may be asked for is kept.
        let mut content = lunikernel_cache::HashingReader::new(content);
        let mut bytes = Vec::new();
        if size <= MAX_FILE && kept < 4 * MAX_FILE {
            (&mut content)
                .take(size)
                .read_to_end(&mut bytes)
                .map_err(KeepError::Read)?;
            kept += size;
        }
        std::io::copy(&mut content, &mut std::io::sink()).map_err(KeepError::Read)?;
        let digest = content.finish();
        if bytes.len() as u64 == size {
            contents.insert(digest, bytes);
        }
        Ok(digest)
    })
    .map_err(|source| ApkSourceError::BaseArchive {
        name: name.to_owned(),
        source: Box::new(source),
    })?;
    let wrong = |path: &str, why: String| ApkSourceError::BaseFile {
        name: name.to_owned(),
        path: path.to_owned(),
        why,
    };
    let database = format!("{DATABASE}/installed");
    let database = root.locate(&database).unwrap_or(database);
    let mut base = Base::default();
    for (path, node) in root.nodes() {
        let NodeKind::File { content, .. } = &node.kind else {
            continue;
        };
        let Some(bytes) = contents.get(content) else {
            continue;
        };
        if path == database {
            let text = str::from_utf8(bytes).map_err(|error| wrong(path, error.to_string()))?;
            base.installed =
                index::parse(text, None).map_err(|error| wrong(path, error.to_string()))?;
        } else if let Some(key) = path.strip_prefix(KEYS)
            && !key.contains('/')
        {
            base.keys.push((key.to_owned(), bytes.clone()));
        }
    }
    Ok(base)
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
