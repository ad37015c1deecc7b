//! Fuzz targets: a function for each parser that meets bytes of others.
//!
//! A target takes any bytes. It panics where the parser does, and where the parser
//! accepts something that it must not: what is read must be written back as it was.
//! The same functions run under libFuzzer (`fuzz_targets/`) and, on machines that
//! have only a stable compiler, under `smoke`, which mutates the seeds.

use std::sync::OnceLock;

use lunikernel_cache::artefact::{Artefact, EntrySource, MANIFEST, Manifest, seal};
use lunikernel_cache::{Cache, Digest, Sha256, Silent, Tree, action_cache, reapi};
use prost::Message as _;

/// A target: what it is called, as its folder of seeds is, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("action_cache_entry", action_cache_entry),
    ("digest", digest),
    ("manifest", manifest),
    ("tree", tree),
    ("zip", zip),
];

/// The Lunikernel zip: an accepted one is rebuilt from its entries, bit for bit.
pub fn zip(data: &[u8]) {
    let Ok(artefact) = Artefact::from_bytes(data.to_vec(), "fuzzed") else {
        return;
    };
    let Ok(checked) = artefact.check(&Silent) else {
        return;
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
}

/// A cache for what accepted zips hold; it goes with the process's temporary files.
fn scratch_cache() -> &'static Cache {
    static CACHE: OnceLock<(tempfile::TempDir, Cache)> = OnceLock::new();
    let (_, cache) = CACHE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let cache = Cache::open(folder.path()).expect("a cache can be made in it");
        (folder, cache)
    });
    cache
}

/// The manifest: an accepted one is its own canonical form.
pub fn manifest(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        let written = manifest
            .to_canonical()
            .expect("what was read can be written");
        assert_eq!(written, data, "accepted though it is not canonical");
    }
}

/// An entry of the action cache; its checksum is mended, so that the message is read.
pub fn action_cache_entry(data: &[u8]) {
    assert!(action_cache::decode_entry(data).is_none() || data.len() >= 32);
    let mended = [Sha256::of(data).as_bytes().as_slice(), data].concat();
    if let Some(result) = action_cache::decode_entry(&mended) {
        let named = action_cache::outputs_of(&result).flatten().count();
        assert!(named <= action_cache::outputs_of(&result).count());
    }
}

/// A REAPI `Tree` message: an accepted one is read back from what it is written as.
pub fn tree(data: &[u8]) {
    let Ok(message) = reapi::Tree::decode(data) else {
        return;
    };
    if let Ok(tree) = Tree::from_reapi(&message, &Digest::of(data)) {
        let again = Tree::from_reapi(&tree.to_reapi(), &tree.digest());
        assert_eq!(again.expect("what was read can be written"), tree);
    }
}

/// A digest as text: an accepted one is written as the same 64 digits.
pub fn digest(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(sha256) = text.parse::<Sha256>() {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        assert_eq!(sha256.hex(), digits.to_ascii_lowercase());
        assert_eq!(sha256.to_string().parse(), Ok(sha256));
    }
}
