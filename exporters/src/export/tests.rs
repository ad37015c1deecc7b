//! What changes while it is exported, and what is too long for its loader.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fs_err as fs;
use lunikernel_cache::artefact::{
    Artefact, ArtefactError, Boot, EntrySource, INITRAMFS, KERNEL, Manifest, Protocol, seal,
};
use lunikernel_cache::{Cache, Progress, Silent, Task};

use super::*;
use crate::boot::BootError;
use crate::checks::Firmware;

/// Writes to a file when the first task begins.
#[derive(Debug)]
struct Meddler {
    path: PathBuf,
    at: u64,
}

impl Progress for Meddler {
    fn start(&self, _verb: &'static str, _what: &str, _total: Option<u64>) -> Box<dyn Task> {
        let file = fs::OpenOptions::new().write(true).open(&self.path).unwrap();
        file.file().write_all_at(b"KERNEL", self.at).unwrap();
        Box::new(Silent)
    }

    fn note(&self, _text: &str) {}
}

/// A Lunikernel whose kernel is six bytes, in a file, and its digest.
fn sealed(folder: &Path) -> (PathBuf, Digest) {
    let cache = Cache::open(&folder.join("cache")).unwrap();
    let blobs = cache.blobs();
    let boot = Boot {
        protocol: Protocol::Linux,
        cmdline: String::new(),
        min_memory_mib: 64,
    };
    let manifest = Manifest::new("it", "1", "debian", "x86_64", boot);
    let kernel = blobs.put(b"kernel").unwrap();
    let initramfs = blobs.put(&[0x1f, 0x8b, 8]).unwrap();
    let entries = [(KERNEL, kernel), (INITRAMFS, initramfs)]
        .map(|(name, digest)| EntrySource::of_blob(blobs, name, digest).unwrap());
    let sealed = seal(blobs, manifest, &entries, &Silent).unwrap();
    let path = folder.join("it.luni.zip");
    fs::write(&path, blobs.read(&sealed.digest).unwrap()).unwrap();
    (path, sealed.digest)
}

fn to_the_network(system: System, artefact: Digest) -> Export<'static> {
    Export {
        system,
        artefact,
        loaders: None,
        formats: [Format::Pxe].into(),
        size: None,
        clusters: Clusters::Plain,
        sha256: false,
        guest_features: Vec::new(),
    }
}

#[test]
fn a_command_line_is_as_long_as_what_is_in_front_leaves_room_for() {
    let folder = tempfile::tempdir().unwrap();
    let (path, digest) = sealed(folder.path());
    let artefact = Arc::new(Artefact::open(&path).unwrap());
    let system = |length: usize, firmware| {
        let words = "w".repeat(length);
        System::new(Arc::clone(&artefact), &words, firmware)
    };
    for (firmware, longest) in [
        (Firmware::Uefi, 2047),
        (Firmware::Hybrid, 2000),
        (Firmware::Bios, 2000),
    ] {
        assert!(system(longest, firmware).is_ok(), "{firmware:?}");
        let error = system(longest + 1, firmware).unwrap_err();
        let told = format!("longer than {longest} characters");
        assert!(error.to_string().contains(&told), "{error}");
    }
    // The longest names that GRUB has for the parts of the largest image that is a file of FAT.
    assert!("BOOT_IMAGE=(uki)8388607+8388607 ".len() + 2000 <= 2047);
    for (at, length) in [2000, 2001].into_iter().enumerate() {
        let system = system(length, Firmware::Uefi).unwrap();
        let out = folder.path().join(at.to_string());
        fs::create_dir(&out).unwrap();
        let exported = to_the_network(system, digest).write(&out, &Silent);
        assert_eq!(exported.is_ok(), length == 2000);
    }
}

#[test]
fn a_lunikernel_that_changes_meanwhile_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let (path, digest) = sealed(folder.path());
    let zip = fs::read(&path).unwrap();
    // Long ago, so that what is written now has another time.
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
    file.file().set_modified(then).unwrap();

    let artefact = Arc::new(Artefact::open(&path).unwrap());
    let system = System::new(artefact, "", Firmware::Uefi).unwrap();
    let export = to_the_network(system, digest);
    let out = |name: &str| {
        let out = folder.path().join(name);
        fs::create_dir(&out).unwrap();
        out
    };
    let sound = export.write(&out("sound"), &Silent).unwrap();
    assert_eq!(sound.files.len(), 2);

    let header = zip.windows(12).position(|it| it == b"kernelkernel");
    let at = (header.unwrap() + KERNEL.len()) as u64;
    let torn = out("torn");
    let error = export.write(&torn, &Meddler { path, at }).unwrap_err();
    let is_changed = matches!(
        error,
        ExportError::Boot(BootError::Artefact(ArtefactError::Changed { .. }))
    );
    assert!(is_changed && !error.is_of_the_request(), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(fs::read_dir(&torn).unwrap().count(), 0);
}

/// Fails where any work begins.
#[derive(Debug)]
struct Idle;

impl Progress for Idle {
    fn start(&self, verb: &'static str, what: &str, _total: Option<u64>) -> Box<dyn Task> {
        panic!("work begins: {verb} {what}")
    }

    fn note(&self, _text: &str) {}
}

#[test]
fn what_is_in_the_way_of_the_manifest_is_told_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let (path, digest) = sealed(folder.path());
    let artefact = Arc::new(Artefact::open(&path).unwrap());
    let system = System::new(artefact, "", Firmware::Uefi).unwrap();
    let out = folder.path().join("out");
    fs::create_dir_all(out.join("it.export.json")).unwrap();
    let error = to_the_network(system, digest).write(&out, &Idle);
    let error = error.map(drop).unwrap_err();
    assert!(error.to_string().contains("it.export.json"), "{error}");
    assert!(error.hint().is_some() && error.is_of_the_request());
}
