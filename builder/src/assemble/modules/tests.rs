use std::io::Write as _;

use lunikernel_cache::Cache;

use super::*;

/// The smallest ELF file (64-bit, relocatable) with a section `.modinfo`.
fn module(fields: &[&str]) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.shstrtab\0.modinfo\0";
    let mut info = Vec::new();
    for field in fields {
        info.extend_from_slice(field.as_bytes());
        info.push(0);
    }
    let names_at = 64u64;
    let info_at = names_at + NAMES.len() as u64;
    let sections_at = (info_at + info.len() as u64).next_multiple_of(8);
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    for half in [1u16, 62] {
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    bytes.extend_from_slice(&1u32.to_le_bytes());
    for word in [0, 0, sections_at] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&0u32.to_le_bytes());
    // Sizes and numbers of headers, and which section has the names.
    for half in [64u16, 0, 0, 64, 3, 1] {
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    bytes.extend_from_slice(NAMES);
    bytes.extend_from_slice(&info);
    bytes.resize(sections_at as usize + 64, 0);
    for (name, kind, at, size) in [
        (1u32, 3u32, names_at, NAMES.len() as u64),
        (11, 1, info_at, info.len() as u64),
    ] {
        bytes.extend_from_slice(&name.to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        for word in [0, 0, at, size, 0, 1, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
    bytes
}

struct Kernel {
    cache: Cache,
    _folder: tempfile::TempDir,
    root: Rootfs,
}

impl Kernel {
    fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let mut root = Rootfs::new();
        for (path, bytes) in files {
            let content = cache.blobs().put(bytes).unwrap();
            root.insert(
                &format!("lib/modules/1.0/{path}"),
                Node::file(0o600, content),
            )
            .unwrap();
        }
        Self {
            cache,
            _folder: folder,
            root,
        }
    }

    fn take(&self, wanted: &[&str]) -> Result<Modules, ModuleError> {
        let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
        take(&self.root, self.cache.blobs(), "1.0", &wanted)
    }

    fn read(&self, modules: &Modules, path: &str) -> Vec<u8> {
        let node = modules
            .root
            .get(&format!("lib/modules/1.0/{path}"))
            .unwrap();
        let NodeKind::File { content, .. } = &node.kind else {
            panic!("{node:?}");
        };
        assert_eq!(node.mode, 0o644);
        self.cache.blobs().read(content).unwrap()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn what_is_needed_comes_along_decompressed() {
    let mut signed = module(&["depends=low", "vermagic=1.0 SMP", "alias=pci:v1*"]);
    signed.extend_from_slice(b"~Module signature appended~\n");
    let kernel = Kernel::new(&[
        (
            "kernel/top-level.ko",
            module(&["depends=mid,core-part", "alias=net-pf-1"]),
        ),
        ("kernel/mid.ko.gz", gzip(&signed)),
        ("kernel/low.ko.zst", zstd(&module(&["firmware=low.bin"]))),
        ("kernel/soft.ko", module(&["depends=low"])),
        ("kernel/other.ko", module(&["softdep=pre: soft absent"])),
        ("kernel/unwanted.ko", module(&[])),
        ("modules.builtin", b"kernel/core_part.ko\n".to_vec()),
        ("modules.order", b"kernel/mid.ko\n".to_vec()),
    ]);
    let modules = kernel.take(&["top_level", "core-part"]).unwrap();
    assert_eq!(modules.names, ["low", "mid", "top_level"]);
    assert_eq!(kernel.read(&modules, "kernel/mid.ko"), signed);
    assert_eq!(
        modules.firmware,
        [("low".to_owned(), vec!["low.bin".to_owned()])].into()
    );
    let text = |name| String::from_utf8(kernel.read(&modules, name)).unwrap();
    assert_eq!(
        text("modules.dep"),
        "kernel/low.ko:\nkernel/mid.ko: kernel/low.ko\nkernel/top-level.ko: kernel/mid.ko kernel/low.ko\n"
    );
    assert_eq!(
        text("modules.alias"),
        "# Aliases extracted from modules themselves.\nalias pci:v1* mid\nalias net-pf-1 top_level\n"
    );
    assert_eq!(text("modules.order"), "kernel/mid.ko\n");
    let modules = kernel.take(&["other"]).unwrap();
    assert_eq!(modules.names, ["low", "other", "soft"]);
}

#[test]
fn what_is_not_there() {
    let kernel = Kernel::new(&[
        ("kernel/virtio_net.ko", module(&["depends=gone"])),
        ("kernel/old.ko", module(&["vermagic=0.9 SMP"])),
        ("kernel/text.ko", b"no module".to_vec()),
        ("kernel/cut.ko.gz", gzip(&module(&[]))[..20].to_vec()),
    ]);
    let error = |name| kernel.take(&[name]).unwrap_err();
    let unknown = error("virtio-ned");
    assert_eq!(
        unknown.to_string(),
        "the kernel 1.0 has no module `virtio_ned`"
    );
    assert_eq!(unknown.hint().as_deref(), Some("there is virtio_net"));
    assert_eq!(
        error("virtio_net").to_string(),
        "the module `virtio_net` needs `gone`, which the kernel 1.0 does not have"
    );
    assert_eq!(
        error("old").to_string(),
        "the module kernel/old.ko was built for the kernel 0.9, expected 1.0"
    );
    assert!(
        error("text")
            .to_string()
            .starts_with("the module kernel/text.ko is no ELF file")
    );
    assert_eq!(
        error("cut").to_string(),
        "could not decompress the module kernel/cut.ko.gz"
    );
    assert!(matches!(error("cloud"), ModuleError::Unknown { name, .. } if name == "virtio_pci"));
    let twice = Kernel::new(&[("a/x-y.ko", module(&[])), ("b/x_y.ko.xz", module(&[]))]);
    assert!(matches!(twice.take(&[]), Err(ModuleError::Twice { .. })));
    assert!(Kernel::new(&[]).take(&[]).unwrap().names.is_empty());
}

#[test]
fn modules_that_need_each_other() {
    let kernel = Kernel::new(&[
        ("a.ko", module(&["depends=b"])),
        ("b.ko", module(&["depends=a"])),
    ]);
    let modules = kernel.take(&["a"]).unwrap();
    let text = String::from_utf8(kernel.read(&modules, "modules.dep")).unwrap();
    assert_eq!(text, "a.ko: b.ko\nb.ko: a.ko\n");
}

#[test]
fn distances() {
    for (one, other, expected) in [
        ("", "", 0),
        ("a", "", 1),
        ("kitten", "sitting", 3),
        ("ab", "ba", 2),
    ] {
        assert_eq!(distance(one, other), expected);
        assert_eq!(distance(other, one), expected);
    }
}

#[test]
fn any_bytes_are_survived() {
    let good = module(&["depends=a,b", "alias=x"]);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0xa5;
        let _ = ModInfo::parse(&bad);
    }
}
