use std::io::Write as _;

use lunikernel_cache::{Cache, Digest, Node, NodeKind, Rootfs};

use super::*;

pub(crate) fn sample(cache: &Cache) -> Rootfs {
    let blob = |bytes: &[u8]| cache.blobs().put(bytes).unwrap();
    let mut root = Rootfs::new();
    let mut put = |path: &str, node: Node| root.insert(path, node).unwrap();
    put("etc/one", Node::file(0o4755, blob(b"one")));
    put("etc-before-slash", Node::file(0o600, blob(&[7; 300_001])));
    put("empty", Node::file(0o644, blob(b"")));
    put("link", Node::symlink("etc/one"));
    put(
        "dev/console",
        Node::of(0o600, NodeKind::CharDevice { major: 5, minor: 1 }),
    );
    put(
        "dev/vda",
        Node::of(
            0o660,
            NodeKind::BlockDevice {
                major: 254,
                minor: 70_000,
            },
        ),
    );
    put("dev/pipe", Node::of(0o644, NodeKind::Fifo));
    let linked = Node {
        uid: 12,
        gid: 34,
        ..Node::of(
            0o755,
            NodeKind::File {
                content: blob(b"shared content"),
                link: Some("g".to_owned()),
            },
        )
    };
    put("hard/a", linked.clone());
    put("hard/z", linked.clone());
    put("a-first", linked.clone());
    // Changed after unpacking: no longer the same file.
    put(
        "hard/changed",
        Node {
            mode: 0o700,
            ..linked
        },
    );
    root
}

fn cache() -> (Cache, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Cache::open(folder.path()).unwrap(), folder)
}

fn archive(root: &Rootfs, cache: &Cache) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(root, cache.blobs(), 1_234_567_890, &mut bytes).unwrap();
    bytes
}

fn members(bytes: &[u8]) -> Result<Vec<Member>, ReadError> {
    let mut reader = CpioReader::new(bytes, 1 << 30);
    let mut found = Vec::new();
    while let Some(member) = reader.next_member()? {
        found.push(member);
    }
    assert!(reader.next_member().unwrap().is_none());
    Ok(found)
}

/// As the format of the kernel has it (`Documentation/driver-api/early-userspace/
/// buffer-format.rst`), in the digits and with the link counts of GNU cpio.
#[test]
fn every_byte_is_as_the_format_has_it() {
    let (cache, _folder) = cache();
    let mut root = Rootfs::new();
    let content = cache.blobs().put(b"text").unwrap();
    let file = Node {
        uid: 1000,
        ..Node::file(0o4755, content)
    };
    root.insert("d/f", file).unwrap();
    let expected = [
        "070701000000010000 41ED 00000000 00000000 00000002 499602D2 00000000",
        "00000000 00000000 00000000 00000000 00000002 00000000 d\0",
        "070701000000020000 89ED 000003E8 00000000 00000001 499602D2 00000004",
        "00000000 00000000 00000000 00000000 00000004 00000000 d/f\0\0\0text",
        "070701000000000000 0000 00000000 00000000 00000001 00000000 00000000",
        "00000000 00000000 00000000 00000000 0000000B 00000000 TRAILER!!!\0",
    ];
    let mut expected = expected.concat().replace(' ', "").into_bytes();
    expected.resize(512, 0);
    assert_eq!(
        archive(&root, &cache).escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[test]
fn what_is_written_is_read() {
    let (cache, _folder) = cache();
    let root = sample(&cache);
    let bytes = archive(&root, &cache);
    assert_eq!(bytes.len() % 512, 0);
    let members = members(&bytes).unwrap();
    let paths: Vec<_> = members.iter().map(|member| &member.header.path).collect();
    assert!(paths.is_sorted() && paths.len() == root.nodes().len());
    for member in &members {
        let header = &member.header;
        let node = root.get(&header.path).unwrap();
        assert_eq!(
            (header.mode & 0o7777, header.uid, header.gid),
            (node.mode, node.uid, node.gid)
        );
        assert_eq!(
            (header.mtime, header.device, header.segment),
            (1_234_567_890, (0, 0), 0)
        );
        let at = header.content_offset as usize;
        assert_eq!(
            Digest::of(&bytes[at..at + header.size as usize]),
            member.content
        );
        assert!(bytes[header.offset as usize..].starts_with(MAGIC));
        match &node.kind {
            NodeKind::Symlink { target } => assert_eq!(member.target.as_ref(), Some(target)),
            NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
                assert_eq!(header.own_device, (*major, *minor));
            }
            NodeKind::File {
                content,
                link: None,
            } => assert_eq!(member.content, *content),
            _ => {}
        }
    }
    let linked: Vec<_> = members
        .iter()
        .filter(|member| member.header.links == 3)
        .map(|member| {
            (
                member.header.path.as_str(),
                member.header.inode,
                member.header.size,
            )
        })
        .collect();
    assert_eq!(
        linked,
        [("a-first", 1, 0), ("hard/a", 1, 0), ("hard/z", 1, 14)]
    );
    let mut inodes: Vec<_> = members.iter().map(|member| member.header.inode).collect();
    inodes.sort_unstable();
    inodes.dedup();
    assert_eq!(inodes, (1..=members.len() as u32 - 2).collect::<Vec<_>>());
}

#[test]
fn segments_and_gzip() {
    let (cache, _folder) = cache();
    let bytes = archive(&sample(&cache), &cache);
    let one = members(&bytes).unwrap();
    let mut gzipped = Vec::new();
    for _ in 0..2 {
        let mut gzip = flate2::write::GzEncoder::new(&mut gzipped, flate2::Compression::fast());
        gzip.write_all(&bytes).unwrap();
        gzip.finish().unwrap();
    }
    let mut reader = read_gzip(gzipped.as_slice(), 1 << 30);
    let mut both = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        both.push(member);
    }
    let (first, second) = both.split_at(one.len());
    assert_eq!(first, one);
    for (member, twin) in second.iter().zip(first) {
        assert_eq!(member.header.segment, 1);
        assert_eq!(
            member.header.offset,
            twin.header.offset + bytes.len() as u64
        );
        assert_eq!(member.content, twin.content);
    }
    let mut small = read_gzip(gzipped.as_slice(), 300_000);
    let error = std::iter::from_fn(|| small.next_member().transpose()).find_map(Result::err);
    assert!(matches!(error, Some(ReadError::Bomb { unit: "bytes", .. })));
}

#[test]
fn what_newc_cannot_hold() {
    let (cache, _folder) = cache();
    let refused = |path: &str, node: Node| {
        let mut root = Rootfs::new();
        root.insert(path, node).unwrap();
        let error = write(&root, cache.blobs(), 0, &mut std::io::sink()).unwrap_err();
        (error.to_string(), error.hint())
    };
    let content = cache.blobs().put(b"x").unwrap();
    let capable = Node {
        xattrs: [("security.capability".to_owned(), vec![1])].into(),
        ..Node::file(0o755, content)
    };
    let (text, hint) = refused("bin/ping", capable);
    assert_eq!(
        text,
        "`bin/ping` has the extended attribute security.capability, which an initramfs cannot hold"
    );
    assert!(hint.unwrap().contains("remove: [/bin/ping]"));
    let huge = Digest {
        size: 1 << 32,
        ..content
    };
    assert!(
        refused("huge", Node::file(0o644, huge))
            .0
            .contains("less than 4 GiB")
    );
    let long = "d/".repeat(2100) + "x";
    assert!(
        refused(&long, Node::file(0o644, content))
            .0
            .contains("at most 4095 bytes, got 409")
    );
    assert!(
        refused("s", Node::symlink("t".repeat(4096)))
            .0
            .contains("too long")
    );
    let device = NodeKind::CharDevice {
        major: 4096,
        minor: 0,
    };
    assert!(refused("dev", Node::of(0o600, device)).0.contains("4096:0"));
    let missing = Digest { size: 2, ..content };
    assert!(
        refused("gone", Node::file(0o644, missing))
            .0
            .contains("no blob")
    );
    let trailer = refused("TRAILER!!!", Node::file(0o644, content)).0;
    assert!(trailer.contains("cannot be called `TRAILER!!!`"));
    let orphan = serde_json::from_str::<Rootfs>(r#"{"a/b":{"mode":420,"kind":"fifo"}}"#);
    let error = orphan.unwrap_err().to_string();
    assert!(error.contains("needs `a` to be a folder"), "{error}");
}

/// A member with any fields: (name with its NUL, mode, size announced, content).
fn raw(name: &[u8], mode: u32, size: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let fields = [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() as u32, 0];
    for field in fields {
        write!(bytes, "{field:08x}").unwrap();
    }
    bytes.extend_from_slice(name);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn hostile_archives() {
    let trailer = raw(b"TRAILER!!!\0", 0, 0, b"");
    let refused = |parts: &[Vec<u8>], why: &str| {
        let mut bytes = parts.concat();
        bytes.extend_from_slice(&trailer);
        let error = members(&bytes).unwrap_err();
        let text = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(text.contains(why), "expected {why}: {text}");
    };
    let file = |name: &[u8]| raw(name, 0o100_644, 1, b"x");
    refused(
        &[file(b"/etc/passwd\0")],
        "is refused: its path is absolute",
    );
    refused(&[file(b"a/../../x\0")], "has `..` in it");
    refused(
        &[file(b"a\0"), file(b"./a\0")],
        "another member of that name",
    );
    refused(&[file(b"a\0b\0")], "one NUL at its end");
    refused(&[file(b"ab")], "one NUL at its end");
    refused(&[file(b"caf\xe9\0")], "a name in UTF-8");
    refused(&[file(&[b'x'; 5000])], "a name of 1 to 4095 bytes");
    // The longest name that Linux takes, one byte more, and one that is only announced.
    let long = |size: usize| [vec![b'x'; size - 1], vec![0]].concat();
    refused(&[file(&long(4096))], "a part of its path is longer");
    refused(&[file(&long(4097))], "a name of 1 to 4095 bytes");
    for size in ["00000000", "00000001", "00001001", "ffffffff"] {
        let mut announced = file(b"x\0");
        announced[6 + 11 * 8..6 + 12 * 8].copy_from_slice(size.as_bytes());
        refused(&[announced], "a name of 1 to 4095 bytes");
    }
    refused(&[raw(b"x\0", 0o100_644, u32::MAX, b"")], "more than");
    refused(
        &[raw(b"x\0", 0o100_644, 1 << 20, b"")],
        "before the member does",
    );
    refused(
        &[raw(b"d\0", 0o040_755, 1, b"x")],
        "it has content, and it is no file",
    );
    refused(&[raw(b"l\0", 0o120_777, 0, b"")], "its target has 0 bytes");
    refused(&[raw(b"s\0", 0o140_777, 0, b"")], "no known file type");
    refused(&[raw(b"s\0", 0o1_100_777, 0, b"")], "unknown bits");
    refused(&[vec![b'x'; 200]], "expected a newc header");
    let mut digits = file(b"x\0");
    digits[6] = b'+';
    refused(&[digits], "eight hexadecimal digits");
    let mut padding = file(b"x\0");
    *padding.last_mut().unwrap() = 1;
    refused(&[padding], "zeros that fill up");
    assert!(members(b"").is_err());
    assert!(members(&file(b"x\0")).is_err(), "no trailer");
    let root = [raw(b".\0", 0o040_755, 0, b""), file(b"./x\0"), trailer].concat();
    let found = members(&root).unwrap();
    assert_eq!(
        (found[0].header.path.as_str(), found[1].header.path.as_str()),
        ("", "x")
    );
    assert!(members(&[&root[..], b"\0\0\0\0garbage"].concat()).is_err());
    for at in 0..root.len() {
        let mut bad = root.clone();
        bad[at] ^= 0x11;
        let _ = members(&bad);
        let _ = members(&root[..at]);
    }
}
