//! Writes those seeds that are made by our own code; run it after a format changed.

use std::path::Path;

use fs_err as fs;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Digest, Tree, reapi};
use lunikernel_fuzz::archives::{ar_of, deb_of, tar_of};
use prost::Message as _;

/// Writes a seed of a target.
type Seed<'a> = dyn Fn(&str, &str, &[u8]) -> std::io::Result<()> + 'a;

fn main() -> std::io::Result<()> {
    let seed = |target: &str, name: &str, bytes: &[u8]| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("seeds")
            .join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };
    let digest = Digest::of(b"content");
    seed("digest", "prefixed", digest.sha256.to_string().as_bytes())?;
    seed("digest", "bare", digest.sha256.hex().as_bytes())?;
    seed(
        "digest",
        "upper",
        digest.sha256.hex().to_uppercase().as_bytes(),
    )?;

    let mut tree = Tree::new();
    let file = |executable| Entry::File { digest, executable };
    let target = "../lib".to_owned();
    for (path, entry) in [
        ("bin/sh", file(true)),
        ("etc/deep/er/motd", file(false)),
        ("lib64", Entry::Symlink { target }),
    ] {
        tree.insert(path, entry).map_err(std::io::Error::other)?;
    }
    seed("tree", "nested", &tree.to_reapi().encode_to_vec())?;
    seed("tree", "empty", &Tree::new().to_reapi().encode_to_vec())?;

    let result = reapi::ActionResult {
        output_files: vec![reapi::OutputFile {
            path: "out".to_owned(),
            digest: Some(digest.to_reapi()),
            is_executable: true,
            ..Default::default()
        }],
        output_directories: vec![reapi::OutputDirectory {
            path: "folder".to_owned(),
            tree_digest: Some(digest.to_reapi()),
            ..Default::default()
        }],
        exit_code: 1,
        stdout_digest: Some(digest.to_reapi()),
        ..Default::default()
    };
    seed("action_cache_entry", "failed", &result.encode_to_vec())?;
    seed("action_cache_entry", "empty", &[])?;
    seed("action_cache_entry", "bad-wire-type", &[0x0f])?;
    archives(&seed)?;
    seed(
        "modinfo",
        "good",
        &module(b"depends=a,b\0alias=pci:v1*\0softdep=pre: c\0"),
    )?;
    seed("modinfo", "bad-alias", &module(b"alias=two words\0"))?;
    seed("modinfo", "bad-depends", &module(b"depends=../x\0"))?;
    seed("modinfo", "bad-no-elf", b"depends=a\0alias=b\0")?;
    seed(
        "kernel",
        "good",
        &kernel(0x10, b"6.1.0-1-amd64 (x) #1 SMP\0"),
    )?;
    seed("kernel", "bad-no-end", &kernel(0x10, b"6.1.0"))?;
    seed("kernel", "bad-control", &kernel(0x10, b"6.1\x1b[31m\0"))?;
    seed("kernel", "bad-pointer", &kernel(0xffff, b"6.1.0\0"))
}

/// Tar archives, packages and cpio archives, of which the bad ones try to get out.
fn archives(seed: &Seed<'_>) -> std::io::Result<()> {
    const FILE: u8 = b'0';
    const HARD: u8 = b'1';
    const LINK: u8 = b'2';
    const FOLDER: u8 = b'5';
    let pax = b"29 SCHILY.xattr.user.a=hallo\n";
    let good = tar_of(&[
        (FOLDER, "./", "", b""),
        (FOLDER, "./usr/", "", b""),
        (
            FILE,
            "./usr/share/doc/demo/copyright",
            "",
            b"License: MIT\n",
        ),
        (LINK, "./bin", "usr/bin", b""),
        (b'L', "././@LongLink", "", b"./usr/a-long-name\0"),
        (FILE, "./usr/a", "", b"#!/bin/sh\n"),
        (HARD, "./usr/b", "./usr/a-long-name", b""),
        (b'x', "./PaxHeaders/c", "", pax),
        (FILE, "./usr/c", "", b""),
    ]);
    seed("tar", "good", &good)?;
    seed("deb", "good", &deb_of(&good))?;
    for (name, member) in [
        ("bad-parent", (FILE, "../x", "", &b"x"[..])),
        ("bad-absolute", (FILE, "/x", "", b"x")),
        ("bad-device", (b'3', "./x", "", b"")),
        ("bad-type", (b'Z', "./x", "", b"")),
        ("bad-hard-link", (HARD, "./x", "../../etc/passwd", b"")),
        ("bad-pax", (b'x', "./x", "", b"999 a=b\n")),
        ("bad-folder-with-content", (FOLDER, "./x", "", b"x")),
    ] {
        seed("tar", name, &tar_of(&[member]))?;
    }
    let below = [(LINK, "./a", "/etc", &b""[..]), (FILE, "./a/b", "", b"x")];
    seed("tar", "bad-below-link", &tar_of(&below))?;
    let twice = [(FILE, "./a", "", &b"x"[..]), (FILE, "./a", "", b"y")];
    seed("tar", "bad-twice", &tar_of(&twice))?;
    seed("deb", "bad-below-link", &deb_of(&tar_of(&below)))?;
    let version: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let data: (&str, &[u8]) = ("data.tar", &good);
    let control = tar_of(&[(FILE, "./control", "", b"Package: a\nVersion: 1\n")]);
    let control: (&str, &[u8]) = ("control.tar", &control);
    seed(
        "deb",
        "bad-no-architecture",
        &ar_of(&[version, control, data]),
    )?;
    seed("deb", "bad-order", &ar_of(&[version, data, control]))?;
    seed(
        "deb",
        "bad-version",
        &ar_of(&[("debian-binary", b"3.0\n"), control, data]),
    )?;
    seed(
        "deb",
        "bad-compression",
        &ar_of(&[version, ("control.tar.xz", &good), data]),
    )?;
    seed("deb", "bad-truncated", &deb_of(&good)[..600])?;

    let member = |name: &str, mode: u32, content: &[u8]| {
        let mut bytes = b"070701".to_vec();
        let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
        for field in [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
            bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let end = member("TRAILER!!!", 0, b"");
    let folder = member("./a", 0o040_755, b"");
    let file = member("a/b", 0o100_644, b"hello");
    let link = member("c", 0o120_777, b"a/b");
    let root = member(".", 0o040_755, b"");
    let first = [&root[..], &folder, &file, &link, &end].concat();
    seed("cpio", "good", &first)?;
    seed(
        "cpio",
        "good-segments",
        &[&first[..], &[0; 64], &file, &end].concat(),
    )?;
    for (name, bytes) in [
        ("bad-parent", [member("../a", 0o100_644, b"x"), end.clone()]),
        ("bad-absolute", [member("/a", 0o100_644, b"x"), end.clone()]),
        ("bad-mode", [member("a", 0o177_644, b""), end.clone()]),
        ("bad-twice", [file.clone(), file.clone()]),
        ("bad-no-end", [folder, file]),
    ] {
        seed("cpio", name, &bytes.concat())?;
    }
    Ok(())
}

/// An ELF file of 64 bits with a section `.modinfo`.
fn module(modinfo: &[u8]) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    let sections = 64 + modinfo.len() + names.len();
    for (number, width) in [
        (1, 2),
        (62, 2),
        (1, 4),
        (0, 8),
        (0, 8),
        (sections, 8),
        (0, 4),
        (64, 2),
        (0, 2),
        (0, 2),
        (64, 2),
        (3, 2),
        (2, 2),
    ] {
        bytes.extend_from_slice(&(number as u64).to_le_bytes()[..width]);
    }
    bytes.extend_from_slice(modinfo);
    bytes.extend_from_slice(names);
    let mut section = |name: u32, kind: u32, offset: usize, size: usize| {
        bytes.extend_from_slice(&name.to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        for number in [0, 0, offset, size, 0, 1, 0] {
            bytes.extend_from_slice(&(number as u64).to_le_bytes());
        }
    };
    section(0, 0, 0, 0);
    section(1, 1, 64, modinfo.len());
    section(10, 3, 64 + modinfo.len(), names.len());
    bytes
}

/// The beginning of a kernel for x86, `pointer` bytes behind 0x200 its version.
fn kernel(pointer: u16, version: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 0x200];
    bytes.extend_from_slice(b"\0\0HdrS\x0f\x02\0\0\0\0\0\0");
    bytes.extend_from_slice(&pointer.to_le_bytes());
    bytes.extend_from_slice(version);
    bytes
}
