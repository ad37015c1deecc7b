//! Packages that no honest tool makes.

use super::*;

#[test]
fn hostile_names() {
    refused(
        &[file("/etc/passwd")],
        "`/etc/passwd` is refused: its path is absolute",
    );
    refused(&[file(".//etc/passwd")], "its path is absolute");
    refused(
        &[file("./../x")],
        "`./../x` is refused: its path has `..` in it",
    );
    refused(&[file("./a/../../x")], "its path has `..` in it");
    refused(&[file("./a//x")], "empty part");
    refused(&[file("././x")], "empty part, a `.`");
    refused(&[file("./x/")], "empty part");
    refused(&[file("./")], "`./` is refused: its path has an empty part");
    refused(&[file("./a"), file("a")], "another member of that name");
    refused(
        &[folder("./a"), folder("./a/")],
        "another member of that name",
    );
    let latin = Item {
        name: b"./caf\xe9".to_vec(),
        ..file("")
    };
    refused(&[latin], "its name is not UTF-8");
    let long = "x/".repeat(2500);
    refused(
        &[
            item("@", EntryType::GNULongName, "", long.as_bytes()),
            folder("cut"),
        ],
        "its path is longer than 4095 bytes",
    );
    refused(
        &[
            file(&format!("./{}", "n".repeat(98))),
            {
                let name = format!("./{}", "n".repeat(256));
                item("@", EntryType::GNULongName, "", name.as_bytes())
            },
            file("cut"),
        ],
        "longer than 255 bytes",
    );
}

#[test]
fn links_that_lead_elsewhere() {
    let link = item("./lib", EntryType::Symlink, "/etc", b"");
    refused(
        &[link.clone(), file("./lib/passwd")],
        "`lib` above it is a symbolic link",
    );
    refused(&[file("./f"), file("./f/x")], "`f` above it is a file");
    refused(&[file("./d/x"), file("./d")], "is a folder");
    refused(
        &[item("./x", EntryType::Link, "../../etc/shadow", b"")],
        "its target `../../etc/shadow` is refused",
    );
    refused(
        &[item("./x", EntryType::Link, "./not-here", b"")],
        "hard link to `not-here`, which is no file",
    );
    refused(
        &[link, item("./x", EntryType::Link, "./lib", b"")],
        "which is no file",
    );
    refused(
        &[item("./x", EntryType::Symlink, "", b"")],
        "its target is empty",
    );
}

#[test]
fn what_does_not_belong() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        refused(
            &[item("./dev/x", kind, "", b"")],
            "`./dev/x` is refused: it is a device",
        );
    }
    refused(
        &[item("./x", EntryType::GNUSparse, "", b"")],
        "not supported",
    );
    refused(
        &[item("./x", EntryType::Directory, "", b"data")],
        "it has content",
    );
    refused(
        &[
            item("g", EntryType::XGlobalHeader, "", b"12 path=abc\n"),
            file("./x"),
        ],
        "it sets `path` for all members",
    );
    refused(
        &[
            item("x", EntryType::XHeader, "", b"99 path=abc\n"),
            file("./x"),
        ],
        "malformed",
    );
    refused(
        &[
            item("x", EntryType::XHeader, "", b"9 size=9\n"),
            file("./x"),
        ],
        "different sizes",
    );
    refused(
        &[item("x", EntryType::XHeader, "", b"11 path=ab\n")],
        "without the member",
    );
    let device = tar(&[item("./dev/x", EntryType::Char, "", b"")]);
    let (_, cache, _folder) = unpack(&deb(&device));
    let limits = Limits {
        devices: true,
        ..Limits::default()
    };
    let root = tarball::unpack(device.as_slice(), limits, cache.blobs()).unwrap();
    let kind = NodeKind::CharDevice { major: 1, minor: 3 };
    assert_eq!(root.get("dev/x").unwrap().kind, kind);
}

#[test]
fn sizes_that_lie_and_bombs() {
    let liar = Item {
        size: Some(1 << 20),
        ..file("./x")
    };
    refused(std::slice::from_ref(&liar), "the archive ends within it");
    let bomb = Item {
        size: Some(1 << 40),
        ..file("./x")
    };
    refused(&[bomb], "unpacks to more than 67108864 bytes at `./x`");
    let extra = Item {
        size: Some(2 << 20),
        ..item("@", EntryType::GNULongName, "", b"")
    };
    refused(&[extra, file("x")], "expected at most 1048576");
    // A real one: 100 MiB of zeros in 100 KiB.
    let zeros = tar(&[item("./zeros", EntryType::Regular, "", &vec![0; 100 << 20])]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let text = refusal(&ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control()),
        ("data.tar.gz", &gzip.finish().unwrap()),
    ]));
    assert!(text.contains("bytes at `./zeros`"), "{text}");
    // Names that imply many folders, each with a path of its own.
    let deep: Vec<Item> = (0..80)
        .flat_map(|number| {
            let name = format!("{number}/{}\0", "d/".repeat(2000));
            let long = item("@", EntryType::GNULongName, "", name.as_bytes());
            [long, folder("x")]
        })
        .collect();
    refused(&deep, "unpacks to more than 268435456 bytes of names");
    let mut behind = tar(&[file("./x")]);
    behind.extend_from_slice(b"more");
    let text = refusal(&deb(&behind));
    assert!(text.contains("something behind its end"), "{text}");
    let (_, cache, _folder) = unpack(&deb(&tar(&[])));
    let limits = Limits {
        members: 1,
        ..Limits::default()
    };
    let two = tar(&[file("a"), file("b")]);
    let error = tarball::unpack(two.as_slice(), limits, cache.blobs()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it unpacks to more than 1 members at `b`"
    );
}
