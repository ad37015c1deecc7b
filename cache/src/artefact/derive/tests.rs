use super::super::manifest::{Boot, Overlay, Protocol};
use super::super::zip::seal;
use super::super::{INITRAMFS, KERNEL};
use super::*;
use crate::disk::Cache;
use crate::progress::Silent;

fn manifest() -> Manifest {
    let boot = Boot {
        protocol: Protocol::Linux,
        cmdline: String::new(),
        min_memory_mib: 16,
    };
    Manifest {
        overlay: Overlay::Initramfs {},
        ..Manifest::new("sample", "1", "debian", "x86_64", boot)
    }
}

/// A zip of entries, some of them executable.
fn sealed(cache: &Cache, entries: &[(&str, &[u8])]) -> Vec<u8> {
    let sources: Vec<EntrySource> = (entries.iter())
        .map(|(name, content)| {
            let digest = cache.blobs().put(content).unwrap();
            let source = EntrySource::of_blob(cache.blobs(), *name, digest).unwrap();
            if name.ends_with(".sh") {
                source.executable()
            } else {
                source
            }
        })
        .collect();
    let sealed = seal(cache.blobs(), manifest(), &sources, &Silent).unwrap();
    cache.blobs().read(&sealed.digest).unwrap()
}

#[test]
fn what_is_derived_is_what_would_have_been_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let blobs = cache.blobs();
    // More than one chunk, so that content is read in parts.
    let base = [b"\x1f\x8b\x08".as_slice(), &vec![7; 300 << 10]].concat();
    let whole = [base.as_slice(), b"more"].concat();
    let before = [
        (KERNEL, b"kernel".as_slice()),
        (INITRAMFS, &base),
        ("files/run.sh", b"#!"),
    ];
    let after = [
        (KERNEL, b"kernel".as_slice()),
        (INITRAMFS, &whole),
        ("files/run.sh", b"#!"),
        ("new", b"entry"),
    ];
    let artefact = Artefact::from_bytes(sealed(&cache, &before), "base").unwrap();
    let (checked, mut sums) = artefact.check_keeping(INITRAMFS, &Silent).unwrap();
    assert_eq!(checked, artefact.check(&Silent).unwrap());
    sums.crc32.update(b"more");
    sums.hasher.update(b"more");
    let more = blobs.put(b"more").unwrap();
    let entry = EntrySource::new(INITRAMFS, sums.hasher.finish(), sums.crc32.finalize());
    let new = blobs.put(b"entry").unwrap();
    let changed = [
        Derived {
            entry,
            content: Content::Behind(more),
        },
        Derived {
            entry: EntrySource::of_blob(blobs, "new", new).unwrap(),
            content: Content::Blob,
        },
    ];
    let derived = |changed: &[Derived]| {
        let mut out = Vec::new();
        derive(&artefact, manifest(), changed, blobs, &mut out, &Silent).map(|it| (it, out))
    };
    let (digest, out) = derived(&changed).unwrap();
    assert!(out == sealed(&cache, &after), "other bytes than sealed");
    assert_eq!(digest, Digest::of(&out));
    let (digest, _) = derived(&[]).unwrap();
    assert_eq!(digest, checked.digest);

    // Sums that are not those of the content do not get into a header.
    let mut wrong = changed.clone();
    wrong[0].content = Content::Behind(new);
    let error = derived(&wrong).unwrap_err();
    assert!(
        matches!(error, DeriveError::Seal(SealError::Content { .. })),
        "{error}"
    );
    assert!(artefact.check_keeping("none", &Silent).is_err());
}
