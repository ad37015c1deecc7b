use std::io::{Read as _, Write as _};

use super::super::manifest::{Boot, Protocol};
use super::super::zip::{Crc32Writer, EntrySource, SealError, seal};
use super::*;
use crate::disk::Cache;
use crate::progress::Silent;

fn manifest() -> Manifest {
    let boot = Boot {
        protocol: Protocol::Multiboot,
        cmdline: String::new(),
        min_memory_mib: 16,
    };
    Manifest::new("sample", "1", "unikernel", "x86_64", boot)
}

struct Sample {
    _folder: tempfile::TempDir,
    cache: Cache,
    /// More than one chunk, so that content is read in parts.
    kernel: Vec<u8>,
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            cache: Cache::open(folder.path()).unwrap(),
            _folder: folder,
            kernel: (0..CHUNK + 1000).map(|at| (at % 251) as u8).collect(),
        }
    }

    fn source(&self, name: &str, content: &[u8]) -> EntrySource {
        let mut writer = Crc32Writer::new(self.cache.blobs().writer().unwrap());
        writer.write_all(content).unwrap();
        let (writer, crc32) = writer.finish();
        EntrySource::new(name, writer.commit().unwrap(), crc32)
    }

    fn seal(&self, more: &[EntrySource]) -> Result<Vec<u8>, SealError> {
        let mut sources = vec![self.source("kernel", &self.kernel)];
        sources.extend_from_slice(more);
        let sealed = seal(self.cache.blobs(), manifest(), &sources, &Silent)?;
        Ok(self.cache.blobs().read(&sealed.digest).unwrap())
    }
}

#[test]
fn the_order_of_sources_does_not_matter() {
    let sample = Sample::new();
    let (one, two) = (sample.source("a", b"1"), sample.source("z", b"2"));
    let forward = sample.seal(&[one.clone(), two.clone()]).unwrap();
    assert!(forward == sample.seal(&[two, one]).unwrap());
}

#[test]
fn entries_are_read_and_found_right() {
    let sample = Sample::new();
    let bytes = sample.seal(&[sample.source("empty", b"")]).unwrap();
    let digest = Digest::of(&bytes);
    let artefact = Artefact::from_bytes(bytes, "it").unwrap();
    let read = |name: &str| {
        let mut content = Vec::new();
        let mut reader = artefact.entry(name).unwrap();
        reader.read_to_end(&mut content).unwrap();
        content
    };
    assert!(read("kernel") == sample.kernel);
    assert!(read("empty").is_empty());
    assert_eq!(
        Manifest::parse(&read(MANIFEST)).unwrap(),
        *artefact.manifest()
    );
    assert!(artefact.entry("other").is_err());
    let mut part = [0; 3];
    artefact.read_entry_at("kernel", &mut part, 1).unwrap();
    let mut whole = Vec::new();
    (artefact.entry("kernel").unwrap().read_to_end(&mut whole)).unwrap();
    assert_eq!(part, whole[1..4]);
    let beyond = artefact.read_entry_at("kernel", &mut part, whole.len() as u64 - 2);
    assert!(matches!(beyond, Err(ArtefactError::Io { .. })));
    assert!(
        artefact
            .read_entry_at("kernel", &mut part, u64::MAX)
            .is_err()
    );
    assert!(artefact.read_entry_at("other", &mut [], 0).is_err());
    let checked = artefact.check(&Silent).unwrap();
    assert_eq!((checked.digest, checked.entries), (digest, 3));
    let names: Vec<&str> = artefact.entries().map(|(name, _)| name).collect();
    assert_eq!(names, [MANIFEST, "empty", "kernel"]);
}

#[test]
fn opening_is_quick_and_the_content_is_judged_at_its_end() {
    let sample = Sample::new();
    let mut bytes = sample.seal(&[]).unwrap();
    let last = bytes.len() - 22 - (46 + 15) - (46 + 6) - 1;
    bytes[last] ^= 1;
    let artefact = Artefact::from_bytes(bytes, "it").unwrap();
    let mut reader = artefact.entry("kernel").unwrap();
    let mut content = Vec::new();
    let error = reader.read_to_end(&mut content).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("`kernel` is damaged"), "{error}");
    assert!(
        reader.read(&mut [0]).is_err(),
        "an error is not followed by an end"
    );
    assert!(artefact.check(&Silent).is_err());
}

#[test]
fn a_blob_that_changed_is_not_sealed() {
    let sample = Sample::new();
    let mut source = sample.source("a", b"x");
    source.crc32 ^= 1;
    assert!(matches!(
        sample.seal(&[source]),
        Err(SealError::Content { .. })
    ));

    let digest = sample.cache.blobs().put(b"as it was").unwrap();
    let path = sample.cache.blobs().path(&digest.sha256);
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, b"as it is.").unwrap();
    assert!(EntrySource::of_blob(sample.cache.blobs(), "a", digest).is_err());
}

#[test]
fn what_cannot_be_an_entry_is_not_sealed() {
    let sample = Sample::new();
    let source = |name: &str| sample.source(name, b"x");
    let refused = |sources: &[EntrySource]| sample.seal(sources).unwrap_err().to_string();
    assert!(refused(&[source("a b")]).contains("`a b` cannot be"));
    assert!(refused(&[source("../a")]).contains("`..`"));
    assert!(refused(&[source("a"), source("a")]).contains("twice"));
    assert!(refused(&[source("kernel")]).contains("twice"));
    assert!(refused(&[source(MANIFEST)]).contains("twice"));
    assert!(refused(&[source("a"), source("a/b")]).contains("inside another"));
    let mut large = source("large");
    large.digest.size = u64::from(u32::MAX);
    assert!(refused(&[large.clone()]).contains("4294967294"));
    large.digest.size = u64::from(u32::MAX) - 100;
    assert!(refused(&[large]).contains("is the limit"));
}

#[test]
fn a_file_that_changes_after_opening_is_noticed() {
    let sample = Sample::new();
    let bytes = sample.seal(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it.zip");
    fs_err::write(&path, &bytes).unwrap();
    let artefact = Artefact::open(&path).unwrap();
    let mut changed = bytes;
    changed[4] ^= 1;
    fs_err::write(&path, &changed).unwrap();
    let error = artefact.check(&Silent).unwrap_err().to_string();
    assert!(error.contains("changed at byte 0"), "{error}");
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Artefact::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is no regular file"), "{error}");
    let missing = Artefact::open(&folder.path().join("none")).unwrap_err();
    assert!(missing.hint().is_some());
}

#[test]
fn what_changes_after_it_was_checked_is_noticed() {
    use std::os::unix::fs::FileExt as _;
    use std::time::{Duration, SystemTime};
    let sample = Sample::new();
    let bytes = sample.seal(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it.zip");
    fs_err::write(&path, &bytes).unwrap();
    let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
    let age = |hours: u64| {
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600);
        file.file().set_modified(then).unwrap();
    };
    age(1);
    let artefact = Artefact::open(&path).unwrap();
    let digest = artefact.check(&Silent).unwrap().digest;
    artefact.check_again(&digest, &Silent).unwrap();
    // Another time alone changes nothing; it is only looked at again.
    age(2);
    artefact.check_again(&digest, &Silent).unwrap();
    assert!(artefact.check_again(&Digest::of(b""), &Silent).is_err());

    let at = artefact.find("kernel").unwrap().content_at();
    file.file().write_all_at(b"XXXXXXXX", at).unwrap();
    age(3);
    let error = artefact.check_again(&digest, &Silent).unwrap_err();
    assert!(matches!(error, ArtefactError::Changed { .. }), "{error}");
    assert!(error.hint().is_some());
    // What is in memory cannot change.
    let artefact = Artefact::from_bytes(bytes, "it").unwrap();
    artefact.check_again(&digest, &Silent).unwrap();
}
