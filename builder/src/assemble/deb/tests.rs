mod hostile;

use std::error::Error as _;
use std::io::Write as _;

use lunikernel_cache::Cache;
use tar::{EntryType, Header};

use super::*;

/// A tar member: header fields that matter, and content.
#[derive(Clone)]
struct Item {
    name: Vec<u8>,
    kind: EntryType,
    target: &'static str,
    content: Vec<u8>,
    /// What the header says, where that is not the content's size.
    size: Option<u64>,
}

fn item(name: &str, kind: EntryType, target: &'static str, content: &[u8]) -> Item {
    Item {
        name: name.into(),
        kind,
        target,
        content: content.to_vec(),
        size: None,
    }
}

fn file(name: &str) -> Item {
    item(name, EntryType::Regular, "", b"content")
}

fn folder(name: &str) -> Item {
    item(name, EntryType::Directory, "", b"")
}

/// Writes raw headers, because a library refuses to write what has to be tested.
fn tar(items: &[Item]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        let mut header = Header::new_gnu();
        let name = &mut header.as_old_mut().name;
        let length = item.name.len().min(100);
        name[..length].copy_from_slice(&item.name[..length]);
        let target = item.target.as_bytes();
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(item.kind);
        header.set_mode(if item.kind == EntryType::Directory {
            0o755
        } else {
            0o4711
        });
        header.set_uid(7);
        header.set_gid(3_000_000_000);
        header.set_mtime(1);
        if matches!(item.kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_size(item.size.unwrap_or(item.content.len() as u64));
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&item.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(
            bytes,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            0,
            0,
            0,
            "100644",
            content.len()
        )
        .unwrap();
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

const CONTROL: &[u8] = b"Package: demo\nVersion: 1.0-1\nArchitecture: all\nDescription: x\n";

fn control() -> Vec<u8> {
    tar(&[
        folder("./"),
        item("./control", EntryType::Regular, "", CONTROL),
        item("./postinst", EntryType::Regular, "", b"#!/bin/sh\nexit 1\n"),
    ])
}

fn deb(data: &[u8]) -> Vec<u8> {
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control()),
        ("data.tar", data),
    ])
}

fn expected() -> Expected {
    Expected {
        package: "demo".to_owned(),
        version: "1.0-1".to_owned(),
        architecture: "amd64".to_owned(),
    }
}

fn unpack(bytes: &[u8]) -> (Result<Package, DebError>, Cache, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let digest = cache.blobs().put(bytes).unwrap();
    let result = unpack_deb(cache.blobs(), &digest, Some(&expected()));
    (result, cache, folder)
}

/// The error and all its causes, as a person sees them.
fn refusal(bytes: &[u8]) -> String {
    let (result, ..) = unpack(bytes);
    let error = result.expect_err("it should have been refused");
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn refused(items: &[Item], why: &str) {
    let text = refusal(&deb(&tar(items)));
    assert!(
        text.starts_with("could not unpack data.tar of the package demo 1.0-1: "),
        "{text}"
    );
    assert!(text.contains(why), "{text}");
}

#[test]
fn everything_that_a_package_may_hold() {
    let long = format!("./usr/share/{}/{}", "a".repeat(120), "b".repeat(120));
    let pax = |record: &str| {
        let length = record.len() + 4;
        format!("{length} {record}\n")
    };
    let xattr = pax("SCHILY.xattr.security.capability=\u{1}\n\u{2}");
    let copyright = b"Format: copyright-format/1.0\n\nFiles: *\nLicense: MIT\n";
    let data = tar(&[
        folder("./"),
        folder("./usr/"),
        item("./usr/tool", EntryType::Regular, "", b"tool"),
        item("./usr/same", EntryType::Link, "./usr/tool", b""),
        item("./usr/link", EntryType::Symlink, "../../../etc/passwd", b""),
        item(
            "@LongLink",
            EntryType::GNULongName,
            "",
            format!("{long}\0").as_bytes(),
        ),
        file("cut"),
        item("pax", EntryType::XHeader, "", xattr.as_bytes()),
        file("./usr/ping"),
        item(
            "./usr/share/doc/demo/copyright",
            EntryType::Regular,
            "",
            copyright,
        ),
    ]);
    let (result, cache, _folder) = unpack(&deb(&data));
    let package = result.unwrap();
    assert_eq!(package.control.package, "demo");
    assert_eq!(package.licences.into_iter().collect::<Vec<_>>(), ["MIT"]);
    let root = package.root;
    let tool = root.get("usr/tool").unwrap();
    assert_eq!((tool.mode, tool.uid, tool.gid), (0o4711, 7, 3_000_000_000));
    let NodeKind::File { content, link } = &tool.kind else {
        panic!("{tool:?}");
    };
    assert_eq!(cache.blobs().read(content).unwrap(), b"tool");
    assert_eq!(link.as_deref(), Some("usr/tool"));
    assert_eq!(root.get("usr/same"), Some(tool));
    let target = "../../../etc/passwd".to_owned();
    assert_eq!(
        root.get("usr/link").unwrap().kind,
        NodeKind::Symlink { target }
    );
    assert!(root.get(&long[2..]).is_some());
    assert!(root.get("cut").is_none());
    assert_eq!(
        root.get("usr/ping").unwrap().xattrs["security.capability"],
        b"\x01\n\x02"
    );
}

/// What a tool makes of `input`.
fn piped(tool: &str, input: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let output = std::process::Command::new(tool)
        .stdin(file)
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn every_compression() {
    let data = tar(&[folder("./"), file("./x")]);
    let (plain, ..) = unpack(&deb(&data));
    let plain = plain.unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&data).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&data).unwrap();
    let mut zstd = ruzstd::encoding::compress_to_vec(
        &data[..700],
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    zstd.extend(ruzstd::encoding::compress_to_vec(
        &data[700..],
        ruzstd::encoding::CompressionLevel::Fastest,
    ));
    for (ending, bytes) in [
        ("gz", gzip.finish().unwrap()),
        ("bz2", bzip2.finish().unwrap()),
        ("xz", piped("xz", &data)),
        ("zst", zstd),
    ] {
        let name = format!("data.tar.{ending}");
        let with = |data: &[u8]| {
            ar(&[
                ("debian-binary", b"2.0\n"),
                ("control.tar", &control()),
                (&name, data),
            ])
        };
        let (result, ..) = unpack(&with(&bytes));
        assert_eq!(result.unwrap(), plain, "{name}");
        let text = refusal(&with(&bytes[..bytes.len() - 3]));
        assert!(
            text.contains(&format!("could not unpack {name} of")),
            "{text}"
        );
        let text = refusal(&with(&[&bytes[..], b"garbage behind"].concat()));
        assert!(
            text.contains(&format!("could not unpack {name} of")),
            "{text}"
        );
    }
}

#[test]
fn the_container() {
    let data = tar(&[folder("./")]);
    let good = deb(&data);
    for cut in [0, 5, 30, 70, 1000, good.len() - 1, good.len() - 1030] {
        let text = refusal(&good[..cut]);
        assert!(text.contains("demo 1.0-1"), "{cut}: {text}");
    }
    let with = |members: &[(&str, &[u8])]| refusal(&ar(members));
    let (control, version) = (control(), &b"2.0\n"[..]);
    assert!(with(&[("control.tar", &control)]).contains("`debian-binary` first"));
    assert!(with(&[("debian-binary", b"3.0\n")]).contains("version 2 of the format, found 3.0"));
    assert!(
        with(&[("debian-binary", version), ("data.tar", &data)])
            .contains("`control.tar` second, found data.tar")
    );
    let parts = [
        ("debian-binary", version),
        ("control.tar", &control[..]),
        ("data.tar", &data[..]),
        ("extra", b"x"),
    ];
    assert!(with(&parts).contains("nothing behind `data.tar`, found extra"));
    let signed = [parts[0], ("_gpgorigin", b"odd"), parts[1], parts[2]];
    assert!(unpack(&ar(&signed)).0.is_ok());
    let mut lie = good.clone();
    lie[8 + 48..8 + 58].copy_from_slice(b"-4        ");
    assert!(refusal(&lie).contains("has size \"-4        \""));
    let empty = tar(&[folder("./")]);
    let text = with(&[
        ("debian-binary", version),
        ("control.tar", &empty),
        ("data.tar", &data),
    ]);
    assert_eq!(
        text,
        "the control file of the package demo 1.0-1 is missing"
    );
}

#[test]
fn another_package_than_the_lock_says() {
    let folder_ = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder_.path()).unwrap();
    let digest = cache.blobs().put(&deb(&tar(&[folder("./")]))).unwrap();
    let other = Expected {
        version: "2.0".to_owned(),
        ..expected()
    };
    let error = unpack_deb(cache.blobs(), &digest, Some(&other)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the package demo 2.0 has Version `1.0-1`, expected `2.0`"
    );
    assert!(error.hint().is_some());
    assert!(unpack_deb(cache.blobs(), &digest, None).is_ok());
}

#[test]
fn any_bytes_are_survived() {
    let good = deb(&tar(&[folder("./"), file("./x")]));
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        let _ = fuzz(&bad);
    }
}
