//! What the store and the zip hold.

use std::fmt::Debug;
use std::sync::OnceLock;

use lunikernel_cache::artefact::{Artefact, EntrySource, MANIFEST, Manifest, seal};
use lunikernel_cache::tree::is_name;
use lunikernel_cache::{
    Cache, Digest, NodeKind, Rootfs, Sha256, Silent, Tree, action_cache, reapi,
};
use prost::Message as _;

/// A root file system as JSON.
pub(crate) fn rootfs(data: &[u8]) -> bool {
    let Ok(root) = serde_json::from_slice::<Rootfs>(data) else {
        return false;
    };
    require_sound(&root);
    true
}

/// No path leaves the root, whatever is on the way to a node is a folder, no mode has
/// unknown bits, and it is read back from what it is written as.
pub(crate) fn require_sound(root: &Rootfs) {
    for (path, node) in root.nodes() {
        assert!(path.split('/').all(is_name), "{path:?} leaves the root");
        assert!(node.mode <= 0o7777, "{path:?} has mode {:o}", node.mode);
        if let Some((above, _)) = path.rsplit_once('/') {
            let above = root.get(above).map(|node| &node.kind);
            assert_eq!(above, Some(&NodeKind::Folder), "above {path:?}");
        }
    }
    let json = serde_json::to_vec(root).expect("what was read can be written");
    let again: Rootfs = serde_json::from_slice(&json).expect("what was written can be read");
    assert_eq!(&again, root);
}

/// The Lunikernel zip: an accepted one is rebuilt from its entries, bit for bit.
pub(crate) fn zip(data: &[u8]) -> bool {
    let Ok(artefact) = Artefact::from_bytes(data.to_vec(), "fuzzed") else {
        return false;
    };
    let Ok(checked) = artefact.check(&Silent) else {
        return false;
    };
    assert_eq!(checked.digest, Digest::of(data));
    let blobs = scratch_cache().blobs();
    let names = artefact.entries().filter(|(name, _)| *name != MANIFEST);
    let sources: Vec<EntrySource> = names
        .map(|(name, digest)| {
            let mut content = blobs.writer().expect("the scratch cache can be written");
            let mut reader = artefact.entry(name).expect("it was listed");
            std::io::copy(&mut reader, &mut content).expect("it was checked");
            let stored = content.commit().expect("the scratch cache can be written");
            assert_eq!(stored, digest);
            let mut source = EntrySource::of_blob(blobs, name, digest).expect("it was stored");
            source.executable = artefact.manifest().entries[name].executable;
            source
        })
        .collect();
    let sealed = seal(blobs, artefact.manifest().clone(), &sources, &Silent);
    let sealed = sealed.expect("what was read can be written");
    assert_eq!(sealed.digest, checked.digest, "rebuilt differently");
    true
}

/// A cache for what accepted zips hold; it goes with the process's temporary files.
pub(super) fn scratch_cache() -> &'static Cache {
    static CACHE: OnceLock<(tempfile::TempDir, Cache)> = OnceLock::new();
    let (_, cache) = CACHE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let cache = Cache::open(folder.path()).expect("a cache can be made in it");
        (folder, cache)
    });
    cache
}

/// The manifest: an accepted one is its own canonical form.
pub(crate) fn manifest(data: &[u8]) -> bool {
    let read = Manifest::parse(data);
    is_canonical(read.map(|manifest| manifest.to_canonical()), data)
}

/// Whether `data` could be read; what is written again of it has to be the same.
pub(super) fn is_canonical<E: Debug>(written: Result<Result<Vec<u8>, E>, E>, data: &[u8]) -> bool {
    let Ok(written) = written else {
        return false;
    };
    let written = written.expect("what was read can be written");
    assert_eq!(written, data, "accepted though it is not canonical");
    true
}

/// An entry of the action cache; its checksum is mended, so that the message is read.
pub(crate) fn action_cache_entry(data: &[u8]) -> bool {
    assert!(action_cache::decode_entry(data).is_none() || data.len() >= 32);
    let mended = [Sha256::of(data).as_bytes().as_slice(), data].concat();
    let Some(result) = action_cache::decode_entry(&mended) else {
        return false;
    };
    let named = action_cache::outputs_of(&result).flatten().count();
    assert!(named <= action_cache::outputs_of(&result).count());
    true
}

/// A REAPI `Tree` message: an accepted one is read back from what it is written as.
pub(crate) fn tree(data: &[u8]) -> bool {
    let Ok(message) = reapi::Tree::decode(data) else {
        return false;
    };
    let Ok(tree) = Tree::from_reapi(&message, &Digest::of(data)) else {
        return false;
    };
    let again = Tree::from_reapi(&tree.to_reapi(), &tree.digest());
    assert_eq!(again.expect("what was read can be written"), tree);
    true
}

/// A digest as text: an accepted one is written as the same 64 digits.
pub(crate) fn digest(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else {
        return false;
    };
    let Ok(sha256) = text.parse::<Sha256>() else {
        return false;
    };
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    assert_eq!(sha256.hex(), digits.to_ascii_lowercase());
    assert_eq!(sha256.to_string().parse(), Ok(sha256));
    true
}
