//! One tree in every format, packed by the tools that people pack with.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use fs_err as fs;
use lunikernel_cache::{Cache, Node, NodeKind};
use lunikernel_testing::{left_out, this_test};

use super::*;

/// More than a block of every format, and not of one byte.
fn large() -> Vec<u8> {
    (0..300_000u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect()
}

/// A tar archive with one of everything, as pax has it.
pub(super) fn sample_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |kind: tar::EntryType, path: &str, mode: u32, target: &str, content: &[u8]| {
        if path == "bin/ping" {
            let value: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
            tar.append_pax_extensions([("SCHILY.xattr.security.capability", value)])
                .unwrap();
        }
        let mut header = tar::Header::new_ustar();
        header.set_path(path).unwrap();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(if path.starts_with("home") { 1000 } else { 0 });
        header.set_gid(if path.starts_with("home") { 50 } else { 0 });
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        if !target.is_empty() {
            header.set_link_name(target).unwrap();
        }
        if matches!(kind, tar::EntryType::Char | tar::EntryType::Block) {
            header.set_device_major(7).unwrap();
            header.set_device_minor(300).unwrap();
        }
        header.set_cksum();
        tar.append(&header, content).unwrap();
    };
    use tar::EntryType as Kind;
    add(Kind::Directory, "bin", 0o755, "", b"");
    add(Kind::Regular, "bin/busybox", 0o4755, "", b"#!busybox\n");
    add(Kind::Link, "bin/cat", 0o4755, "bin/busybox", b"");
    add(Kind::Regular, "bin/ping", 0o755, "", b"ping");
    add(Kind::Symlink, "bin/sh", 0o777, "busybox", b"");
    add(Kind::Directory, "dev", 0o755, "", b"");
    add(Kind::Char, "dev/tty", 0o620, "", b"");
    add(Kind::Block, "dev/loop", 0o660, "", b"");
    add(Kind::Fifo, "dev/pipe", 0o600, "", b"");
    add(Kind::Directory, "home", 0o2700, "", b"");
    add(Kind::Regular, "home/empty", 0o600, "", b"");
    add(Kind::Regular, "home/large file", 0o640, "", &large());
    add(Kind::Directory, "tmp", 0o1777, "", b"");
    tar.into_inner().unwrap()
}

/// What every reader has to make of [`sample_tar`].
pub(super) fn sample() -> Rootfs {
    let mut root = Rootfs::new();
    let file = |mode, content: &[u8]| Node::file(mode, Digest::of(content));
    let mut put = |path: &str, node: Node| root.insert(path, node).unwrap();
    let linked = || {
        Node::of(
            0o4755,
            NodeKind::File {
                content: Digest::of(b"#!busybox\n"),
                link: Some("busybox".to_owned()),
            },
        )
    };
    put("bin", Node::folder(0o755));
    put("bin/busybox", linked());
    put("bin/cat", linked());
    let mut ping = file(0o755, b"ping");
    ping.xattrs.insert(
        "security.capability".to_owned(),
        b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
    );
    put("bin/ping", ping);
    put("bin/sh", Node::symlink("busybox"));
    put("dev", Node::folder(0o755));
    let (major, minor) = (7, 300);
    put(
        "dev/tty",
        Node::of(0o620, NodeKind::CharDevice { major, minor }),
    );
    put(
        "dev/loop",
        Node::of(0o660, NodeKind::BlockDevice { major, minor }),
    );
    put("dev/pipe", Node::of(0o600, NodeKind::Fifo));
    put("tmp", Node::folder(0o1777));
    let mut own = |path: &str, node: Node| {
        let (uid, gid) = (1000, 50);
        root.insert(path, Node { uid, gid, ..node }).unwrap();
    };
    own("home", Node::folder(0o2700));
    own("home/empty", file(0o600, b""));
    own("home/large file", file(0o640, &large()));
    root
}

/// What is compared: link groups by who is in them, not by what they are called.
pub(super) fn comparable(root: &Rootfs, xattrs: bool) -> Vec<(String, Node)> {
    let groups = |group: &str| -> String {
        let names = root.nodes().filter(|(_, node)| {
            matches!(&node.kind, NodeKind::File { link: Some(link), .. } if link == group)
        });
        names.map(|(path, _)| path).collect::<Vec<_>>().join("+")
    };
    let nodes = root.nodes().map(|(path, node)| {
        let mut node = node.clone();
        if !xattrs {
            node.xattrs.clear();
        }
        if let NodeKind::File { link, .. } = &mut node.kind {
            *link = link.as_deref().map(groups);
        }
        (path.to_owned(), node)
    });
    nodes.collect()
}

/// Runs a program of others; says that the test is left out where it is missing.
pub(super) fn tool(folder: &Path, program: &str, arguments: &[&str], input: &[u8]) -> bool {
    let started = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            left_out(&this_test(), &format!("{program}: {error}"));
            return false;
        }
    };
    // What it does not read it does not need.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    true
}

pub(super) fn unpacked(path: &Path) -> Rootfs {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let digest = cache.blobs().put(&fs::read(path).unwrap()).unwrap();
    let root = unpack(cache.blobs(), &digest).unwrap().unwrap();
    for content in root.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::File { content, .. } => Some(content),
        _ => None,
    }) {
        assert!(cache.blobs().verify(content, "content").is_ok());
    }
    root
}

#[test]
fn tar_comes_with_everything_in_each_compression() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain.tar"), sample_tar()).unwrap();
    assert_eq!(
        comparable(&unpacked(&folder.path().join("plain.tar")), true),
        comparable(&sample(), true)
    );
    for filter in ["--gzip", "--bzip2", "--xz", "--zstd"] {
        let arguments = [filter, "--format=pax", "-cf", "packed", "@plain.tar"];
        if !tool(folder.path(), "bsdtar", &arguments, b"") {
            return;
        }
        let root = unpacked(&folder.path().join("packed"));
        assert_eq!(
            comparable(&root, true),
            comparable(&sample(), true),
            "{filter}"
        );
    }
}

#[test]
fn cpio_comes_with_everything_but_attributes_and_in_segments() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain.tar"), sample_tar()).unwrap();
    let mut all = Vec::new();
    for filter in ["--no-mac-metadata", "--gzip", "--bzip2", "--xz", "--zstd"] {
        // It writes a hard link from a tar archive without its type.
        let except = "--exclude=bin/cat";
        let arguments = [
            filter,
            except,
            "--format=newc",
            "-cf",
            "packed",
            "@plain.tar",
        ];
        if !tool(folder.path(), "bsdtar", &arguments, b"") {
            return;
        }
        let path = folder.path().join("packed");
        assert_eq!(
            comparable(&unpacked(&path), false),
            comparable(&without_link(), false),
            "{filter}"
        );
        all.extend(fs::read(&path).unwrap());
        all.resize(all.len().next_multiple_of(512), 0);
    }
    fs::write(folder.path().join("all"), all).unwrap();
    let root = unpacked(&folder.path().join("all"));
    assert_eq!(comparable(&root, false), comparable(&without_link(), false));
}

/// [`sample`] without its hard link.
pub(super) fn without_link() -> Rootfs {
    let mut root = sample();
    root.remove("bin/cat");
    let Some(mut node) = root.get("bin/busybox").cloned() else {
        return root;
    };
    if let NodeKind::File { link, .. } = &mut node.kind {
        *link = None;
    }
    root.insert("bin/busybox", node).unwrap();
    root
}

/// The last name of a file has its content in what GNU cpio writes, and the first one
/// has it in what `bsdtar` writes.
#[test]
fn hard_links_in_cpio_are_one_file_wherever_its_content_is() {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in [("a", "one"), ("d", "other")] {
        fs::write(folder.path().join(path), content).unwrap();
    }
    for (old, new) in [("a", "b"), ("a", "c"), ("d", "e")] {
        fs::hard_link(folder.path().join(old), folder.path().join(new)).unwrap();
    }
    let names = b"a\nb\nc\nd\ne\n";
    let gnu = ["-o", "-H", "newc", "-O", "packed.gnu"];
    let bsd = ["--format=newc", "-cf", "packed.bsd", "-T", "-"];
    if !tool(folder.path(), "cpio", &gnu, names) || !tool(folder.path(), "bsdtar", &bsd, names) {
        return;
    }
    for packed in ["packed.gnu", "packed.bsd"] {
        let root = unpacked(&folder.path().join(packed));
        let found = comparable(&root, true);
        let kinds: Vec<_> = found.into_iter().map(|(_, node)| node.kind).collect();
        let file = |content: &[u8], link: &str| NodeKind::File {
            content: Digest::of(content),
            link: Some(link.to_owned()),
        };
        let (one, other) = (file(b"one", "a+b+c"), file(b"other", "d+e"));
        assert_eq!(
            kinds,
            [&one, &one, &one, &other, &other].map(Clone::clone),
            "{packed}"
        );
    }
}

#[test]
fn a_later_segment_goes_over_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let pack = |files: &[(&str, &[u8])]| {
        let (mut root, mut bytes) = (Rootfs::new(), Vec::new());
        for (path, content) in files {
            let content = cache.blobs().put(content).unwrap();
            root.insert(path, Node::file(0o644, content)).unwrap();
        }
        crate::assemble::cpio::write(&root, cache.blobs(), 0, &mut bytes).unwrap();
        bytes
    };
    let one = pack(&[("etc/a", b"1"), ("etc/b", b"1")]);
    let two = pack(&[("etc/b", b"2")]);
    let root = fuzz(&[one, two].concat()).unwrap().unwrap();
    let content = |path: &str| root.get(path).unwrap().kind.clone();
    let file = |text: &[u8]| Node::file(0, Digest::of(text)).kind;
    assert_eq!(content("etc/a"), file(b"1"));
    assert_eq!(content("etc/b"), file(b"2"));
}

#[test]
fn what_is_no_archive_is_told_from_one_that_is_broken() {
    for none in [&b""[..], b"hello", b"#!/bin/sh\n", &[0; 4096], b"MZ\x90\0"] {
        assert!(fuzz(none).unwrap().is_none(), "{none:?}");
    }
    let tar = sample_tar();
    let error = fuzz(&tar[..tar.len() / 2]).unwrap_err();
    assert!(error.to_string().contains("home/large file"), "{error}");
    let error = fuzz(b"\x1f\x8b\x08\0\0\0").unwrap_err();
    assert!(matches!(error, UnpackError::Damaged { .. }), "{error}");
}

/// Each name is short for the format and makes two thousand folders.
#[test]
fn cpio_names_that_imply_many_folders_are_bounded() {
    let mut bytes = Vec::new();
    for number in 0..100 {
        let name = format!("{number:08}/{}b", "a/".repeat(2000));
        bytes.extend(cpio_member(&name, 0o100_644, 1, 1, b""));
    }
    bytes.extend(cpio_member("TRAILER!!!", 0, 1, 1, b""));
    let error = fuzz(&bytes).unwrap_err();
    let UnpackError::Member(MemberError::Bomb { limit, unit, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(*limit, 256 << 20);
    assert!(unit.contains("names"), "{unit}");
}

/// Programs do not agree on which one they see; and setting it anew for all names would
/// take time that grows with their square.
#[test]
fn names_of_one_file_in_cpio_have_one_content() {
    let member = |name: &str, content: &[u8]| cpio_member(name, 0o100_644, 7, 3, content);
    let end = cpio_member("TRAILER!!!", 0, 0, 1, b"");
    let same = [member("a", b"1"), member("b", b"1"), end.clone()].concat();
    assert!(fuzz(&same).is_ok());
    let other = [member("a", b"1"), member("b", b"2"), end].concat();
    let error = fuzz(&other).unwrap_err().to_string();
    assert!(
        error.contains("`b` is refused: another name of the same file"),
        "{error}"
    );
}

/// What one archive takes besides content is gone for those behind it.
#[test]
fn zeros_of_all_archives_in_a_file_count_together() {
    let end = cpio_member("TRAILER!!!", 0, 0, 1, b"");
    let zeros = vec![0; 1 << 20];
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&end).unwrap();
    for _ in 0..4 {
        packed.write_all(&zeros).unwrap();
    }
    let packed = packed.finish().unwrap();
    let read = |times: usize| {
        let mut keep = |_: &mut dyn Read, _| Ok(Digest::of(b""));
        let into = Collector::new(Limits::default(), &mut keep);
        initramfs::read_within(packed.repeat(times).as_slice(), into, 10 << 20)
    };
    assert!(read(2).is_ok());
    let error = read(3).unwrap_err().to_string();
    assert!(error.contains("more than 10485760 bytes"), "{error}");
}

/// A tape's last block is filled up; hundreds of gigabytes are something else.
#[test]
fn zeros_behind_a_tar_are_bounded() {
    let read = |zeros: u64| {
        let limits = Limits {
            total: 1 << 20,
            devices: true,
            ..Limits::default()
        };
        let tar = sample_tar();
        let reader = tar.as_slice().chain(io::repeat(0).take(zeros));
        tarball::read(reader, limits, &mut |content, _| {
            let mut content = HashingReader::new(content);
            io::copy(&mut content, &mut io::sink()).map_err(KeepError::Read)?;
            Ok(content.finish())
        })
    };
    assert_eq!(read(1 << 20).unwrap().nodes().len(), sample().nodes().len());
    let error = read(3 << 20).unwrap_err().to_string();
    assert!(error.contains("at `the zeros behind its end`"), "{error}");
    assert!(read(u64::MAX).is_err());
}

#[test]
fn names_of_one_file_below_a_linked_folder_all_have_its_content() {
    let end = || cpio_member("TRAILER!!!", 0, 0, 1, b"");
    let below = |later: Vec<u8>| {
        let all = [
            cpio_member("usr", 0o040_755, 1, 2, b""),
            cpio_member("usr/lib", 0o040_755, 2, 2, b""),
            cpio_member("lib", 0o120_777, 3, 1, b"usr/lib"),
            end(),
            cpio_member("lib/a", 0o100_644, 7, 2, b""),
            later,
            cpio_member("lib/b", 0o100_644, 7, 2, b"content"),
            end(),
        ];
        fuzz(&all.concat())
    };
    let root = below(Vec::new()).unwrap().unwrap();
    for path in ["usr/lib/a", "usr/lib/b"] {
        let file = NodeKind::File {
            content: Digest::of(b"content"),
            link: Some("1:lib/a".to_owned()),
        };
        assert_eq!(root.get(path).unwrap().kind, file, "{path}");
    }
    // Something else is there by the time that the content comes.
    let error = below(cpio_member("usr/lib/a", 0o100_644, 8, 1, b"other")).unwrap_err();
    assert!(error.to_string().contains("not there any more"), "{error}");
}

/// A member of a newc archive, whose inode is `inode`.
fn cpio_member(name: &str, mode: u32, inode: u32, links: u32, content: &[u8]) -> Vec<u8> {
    let fields = [
        inode,
        mode,
        0,
        0,
        links,
        0,
        content.len() as u32,
        0,
        0,
        0,
        0,
        name.len() as u32 + 1,
        0,
    ];
    let mut bytes = b"070701".to_vec();
    for field in fields {
        bytes.extend(format!("{field:08x}").into_bytes());
    }
    bytes.extend(name.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `tar -r` leaves the old member in front of the new one, and unpacking takes the last.
#[test]
fn of_two_members_of_one_name_the_last_counts() {
    use tar::EntryType as Kind;
    let read = |members: &[(Kind, &str, u32, &str)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, path, mode, text) in members {
            let mut header = tar::Header::new_ustar();
            header.set_path(path).unwrap();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_uid(0);
            header.set_gid(0);
            let content = match kind {
                Kind::Symlink | Kind::Link => {
                    header.set_link_name(text).unwrap();
                    ""
                }
                _ => text,
            };
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        fuzz(&tar.into_inner().unwrap()).map(Option::unwrap)
    };
    let root = read(&[
        (Kind::Regular, "a", 0o644, "old"),
        (Kind::Regular, "l", 0o644, "old"),
        (Kind::Directory, "d", 0o755, ""),
        (Kind::Regular, "d/x", 0o644, "x"),
        (Kind::Regular, "a", 0o600, "new"),
        (Kind::Symlink, "l", 0o777, "a"),
        (Kind::Directory, "d", 0o700, ""),
    ])
    .unwrap();
    assert_eq!(root.get("a"), Some(&Node::file(0o600, Digest::of(b"new"))));
    assert_eq!(root.get("l"), Some(&Node::symlink("a")));
    assert_eq!(root.get("d"), Some(&Node::folder(0o700)));
    assert!(root.get("d/x").is_some());
    // What another file is another name of, and what is not of its kind, stays.
    for members in [
        [
            (Kind::Regular, "a", 0o644, "old"),
            (Kind::Link, "b", 0o644, "a"),
            (Kind::Regular, "a", 0o644, "new"),
        ],
        [
            (Kind::Directory, "a", 0o755, ""),
            (Kind::Regular, "a/x", 0o644, "x"),
            (Kind::Regular, "a", 0o644, "new"),
        ],
        [
            (Kind::Regular, "b", 0o644, "x"),
            (Kind::Regular, "a", 0o644, "new"),
            (Kind::Directory, "a", 0o755, ""),
        ],
    ] {
        let error = read(&members).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("another member of that name"), "{text}");
    }
}
