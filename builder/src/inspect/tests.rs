use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use lunikernel_cache::artefact::{Boot, EntrySource, Protocol, seal};
use lunikernel_cache::{Cache, Node, Rootfs, Silent};

use super::*;

/// The start of a bzImage that says it is of `version`.
fn kernel(version: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    bytes[0x300..0x300 + version.len()].copy_from_slice(version);
    bytes
}

#[test]
fn the_version_of_a_kernel() {
    let version = b"6.1.0-18-cloud-amd64 (builder@host) #1 SMP\0";
    assert_eq!(
        linux_version(&kernel(version)).as_deref(),
        Some("6.1.0-18-cloud-amd64 (builder@host) #1 SMP")
    );
    let mut no_pointer = kernel(version);
    no_pointer[0x20e..0x210].fill(0);
    let mut beyond = kernel(version);
    beyond[0x20e..0x210].fill(0xff);
    let unprintable = kernel(b"6.1\x1b[31m\0");
    let endless = [&kernel(version)[..0x300], [b'x'; 0x100].as_slice()].concat();
    for bytes in [
        no_pointer,
        beyond,
        unprintable,
        endless,
        vec![],
        vec![0; 0x203],
    ] {
        assert_eq!(linux_version(&bytes), None);
    }
}

fn sample() -> (tempfile::TempDir, Cache, Vec<EntrySource>, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let blobs = cache.blobs();
    let mut root = Rootfs::new();
    for (path, size) in [("bin/large", 5000), ("etc/small", 10), ("init", 300)] {
        let content = blobs.put(&vec![b'x'; size]).unwrap();
        root.insert(path, Node::file(0o755, content)).unwrap();
    }
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::new(6));
    crate::assemble::cpio::write(&root, blobs, 0, &mut packed).unwrap();
    let packed = packed.finish().unwrap();
    let source = |name: &str, content: &[u8]| {
        let digest = blobs.put(content).unwrap();
        EntrySource::of_blob(blobs, name, digest).unwrap()
    };
    let sources = vec![
        source(KERNEL, &kernel(b"6.1.0\0")),
        source(INITRAMFS, &packed),
    ];
    let boot = Boot {
        protocol: Protocol::Linux,
        cmdline: "console=ttyS0".to_owned(),
        min_memory_mib: 64,
    };
    let manifest = Manifest {
        overlay: Overlay::Initramfs {},
        ..Manifest::new("sample", "1", "debian", "x86_64", boot)
    };
    (folder, cache, sources, manifest)
}

#[test]
fn everything_is_told() {
    let (_folder, cache, sources, manifest) = sample();
    let sealed = seal(cache.blobs(), manifest, &sources, &Silent).unwrap();
    let path = cache.blobs().path(&sealed.digest.sha256);
    let inspection = inspect(&Artefact::open(&path).unwrap(), &Silent).unwrap();
    assert_eq!(inspection.digest, sealed.digest);
    assert_eq!(inspection.manifest, sealed.manifest);
    assert_eq!(inspection.kernel_version.as_deref(), Some("6.1.0"));
    let info = inspection.initramfs.clone().unwrap();
    assert_eq!((info.archives, info.members, info.unpacked), (1, 5, 5310));
    let largest: Vec<&str> = info.largest.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(largest[..3], ["bin/large", "init", "etc/small"]);
    let text = inspection.to_string();
    assert!(text.contains(&sealed.digest.sha256.hex()), "{text}");
    assert!(text.contains("boots by linux, in 64 MiB"), "{text}");
    assert!(text.contains("5000  /bin/large"), "{text}");
}

#[test]
fn a_broken_initramfs_is_told() {
    let (_folder, cache, mut sources, manifest) = sample();
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::new(6));
    packed.write_all(b"this is no archive").unwrap();
    let digest = cache.blobs().put(&packed.finish().unwrap()).unwrap();
    sources[1] = EntrySource::of_blob(cache.blobs(), INITRAMFS, digest).unwrap();
    let sealed = seal(cache.blobs(), manifest, &sources, &Silent).unwrap();
    let bytes = cache.blobs().read(&sealed.digest).unwrap();
    let artefact = Artefact::from_bytes(bytes, "it.zip").unwrap();
    let error = inspect(&artefact, &Silent).unwrap_err();
    assert!(matches!(error, InspectError::Initramfs { .. }), "{error}");
}
