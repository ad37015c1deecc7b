//! Images that others make: xorriso, genisoimage, libarchive.

use fs_err as fs;
use lunikernel_cache::{Digest, Node, NodeKind, Rootfs};

use super::super::fuzz;
use super::super::tests::{comparable, sample_tar, tool, unpacked, without_link};
use super::record::Record;

/// What cannot be made without being root is left out.
fn files(folder: &std::path::Path) -> Rootfs {
    let top = folder.join("files");
    let deep: Vec<String> = (0..12).map(|level| format!("level-{level}")).collect();
    let deep = deep.join("/");
    fs::create_dir_all(top.join(&deep)).unwrap();
    fs::create_dir_all(top.join("boot")).unwrap();
    let long = format!("{}.txt", "name".repeat(50));
    let mut root = Rootfs::new();
    for path in ["boot/core.gz", &format!("{deep}/leaf"), &long, "UPPER.Case"] {
        fs::write(top.join(path), path).unwrap();
        root.insert(path, Node::file(0o644, Digest::of(path.as_bytes())))
            .unwrap();
    }
    let target = format!("../{}./x", "part/".repeat(40));
    for (path, target) in [
        ("long", target.as_str()),
        ("root", "/"),
        ("boot/up", "../UPPER.Case"),
    ] {
        fs::os::unix::fs::symlink(target, top.join(path)).unwrap();
        root.insert(path, Node::symlink(target)).unwrap();
    }
    root
}

/// Kinds alone: the tools choose owners and modes for themselves.
fn kinds(root: &Rootfs) -> Vec<(String, NodeKind)> {
    let nodes = root
        .nodes()
        .filter(|(path, _)| !path.starts_with("rr_moved"));
    nodes
        .map(|(path, node)| (path.to_owned(), node.kind.clone()))
        .collect()
}

#[test]
fn names_links_and_deep_folders_come_from_each_tool() {
    let folder = tempfile::tempdir().unwrap();
    let expected = kinds(&files(folder.path()));
    for (program, options) in [
        ("genisoimage", &["-quiet", "-R"][..]),
        ("genisoimage", &["-quiet", "-R", "-J", "-D"]),
        ("genisoimage", &["-quiet", "-R", "-XA"]),
        ("xorrisofs", &["-quiet", "-R"]),
        (
            "bsdtar",
            &["--format=iso9660", "-C", "files", "-cf", "image", "."],
        ),
    ] {
        let arguments = match program {
            "bsdtar" => options.to_vec(),
            _ => [options, &["-o", "image", "files"]].concat(),
        };
        if !tool(folder.path(), program, &arguments, b"") {
            return;
        }
        let root = unpacked(&folder.path().join("image"));
        assert_eq!(kinds(&root), expected, "{program} {options:?}");
        fs::remove_file(folder.path().join("image")).unwrap();
    }
}

#[test]
fn owners_modes_and_devices_come_along() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain.tar"), sample_tar()).unwrap();
    // It writes a hard link from a tar archive without its type.
    let except = "--exclude=bin/cat";
    let strict = "--options=rockridge=strict";
    let arguments = [
        except,
        strict,
        "--format=iso9660",
        "-cf",
        "image",
        "@plain.tar",
    ];
    if !tool(folder.path(), "bsdtar", &arguments, b"") {
        return;
    }
    let root = unpacked(&folder.path().join("image"));
    assert_eq!(comparable(&root, false), comparable(&without_link(), false));
}

#[test]
fn without_rock_ridge_names_are_as_linux_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("files/BOOT")).unwrap();
    for path in ["BOOT/VMLINUZ", "README.TXT"] {
        fs::write(folder.path().join("files").join(path), path).unwrap();
    }
    let mut expected = Rootfs::new();
    for (path, content) in [
        ("boot/vmlinuz", "BOOT/VMLINUZ"),
        ("readme.txt", "README.TXT"),
    ] {
        let node = Node::file(0o644, Digest::of(content.as_bytes()));
        expected.insert(path, node).unwrap();
    }
    // The fourth level has a second tree, too, which is not Joliet's.
    for level in ["1", "4"] {
        let arguments = ["-quiet", "-iso-level", level, "-o", "image", "files"];
        if !tool(folder.path(), "genisoimage", &arguments, b"") {
            return;
        }
        let root = unpacked(&folder.path().join("image"));
        assert_eq!(root, expected, "{level}");
    }
}

#[test]
fn names_of_joliet_are_without_versions_and_dots() {
    let named = |name: &str| {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let record = record(&name, 20, 1);
        let found = Record::parse(&record).unwrap().unwrap().joliet_name();
        String::from_utf8(found.unwrap()).unwrap()
    };
    for (name, shown) in [
        ("Größe.txt;1", "Größe.txt"),
        ("Größe.txt;2", "Größe.txt;2"),
        ("name.", "name"),
        ("name..;1", "name"),
        ("...", "..."),
    ] {
        assert_eq!(named(name), shown);
    }
}

/// Of one file are names with the same number and the same place; what the flags and
/// fields of a record say counts.
#[test]
fn records_are_taken_at_their_word() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join("files").join(name);
    fs::create_dir(folder.path().join("files")).unwrap();
    fs::write(file("one"), "one").unwrap();
    fs::hard_link(file("one"), file("two")).unwrap();
    fs::write(file("other"), "another").unwrap();
    let arguments = ["-quiet", "-R", "--hardlinks", "-o", "image", "files"];
    if !tool(folder.path(), "xorrisofs", &arguments, b"") {
        return;
    }
    let original = fs::read(folder.path().join("image")).unwrap();
    let at = |name: &[u8]| {
        let found = original.windows(name.len()).position(|part| part == name);
        found.unwrap() - 33
    };
    let (one, two, other) = (at(b"ONE.;1"), at(b"TWO.;1"), at(b"OTHER.;1"));
    // Behind a name of even length is a byte more.
    let fields = other + 33 + 8 + 1;
    assert_eq!(original[fields..fields + 3], *b"PX,");
    let changed = |change: &dyn Fn(&mut [u8])| {
        let mut image = original.clone();
        change(&mut image);
        fuzz(&image)
    };
    let kind = |root: &Rootfs, name: &str| match &root.get(name).unwrap().kind {
        NodeKind::File { content, link } => (*content, link.clone()),
        kind => panic!("{kind:?}"),
    };
    let root = fuzz(&original).unwrap().unwrap();
    let (content, link) = kind(&root, "one");
    assert_eq!(content, Digest::of(b"one"));
    assert!(link.is_some());
    assert_eq!(kind(&root, "two"), (content, link));
    let alone = (Digest::of(b"another"), None);
    assert_eq!(kind(&root, "other"), alone);

    // The same number in another place.
    let root = changed(&|image| image.copy_within(other + 2..other + 18, two + 2));
    let root = root.unwrap().unwrap();
    assert_eq!(kind(&root, "one"), (content, None));
    assert_eq!(kind(&root, "two"), alone);
    // The same number and place, and one name each.
    let root = changed(&|image| {
        for fields in [one, two].map(|at| at + 33 + 6 + 1) {
            image[fields + 12..fields + 20].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 1]);
        }
    });
    let root = root.unwrap().unwrap();
    assert_eq!(kind(&root, "two"), (content, None));
    // Behind an extended attribute record, which has the first block.
    let root = changed(&|image| {
        image[other + 1] = 1;
        image[other + 2] -= 1;
    });
    assert_eq!(kind(&root.unwrap().unwrap(), "other"), alone);
    // A file that goes with another one, such as a resource fork.
    let root = changed(&|image| image[other + 25] |= 4).unwrap().unwrap();
    assert!(root.get("other").is_none() && root.get("two").is_some());
    // A part of a file, and no other behind it.
    let error = changed(&|image| image[two + 25] |= 0x80).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("the last part of a file in it is missing"),
        "{error}"
    );
    // What is behind the end of the fields is none.
    let root = changed(&|image| {
        image[fields..fields + 8].copy_from_slice(b"ST\x04\x01NM\x28\x01");
    });
    assert_eq!(kind(&root.unwrap().unwrap(), "other"), alone);
}

#[test]
fn without_rock_ridge_names_are_those_of_joliet() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("files/A Folder")).unwrap();
    let paths = [
        "A Folder/Größe.config.d",
        "a rather long name, in lower case",
    ];
    let mut expected = Rootfs::new();
    for path in paths {
        fs::write(folder.path().join("files").join(path), path).unwrap();
        let node = Node::file(0o644, Digest::of(path.as_bytes()));
        expected.insert(path, node).unwrap();
    }
    for program in ["genisoimage", "xorrisofs"] {
        let arguments = match program {
            "genisoimage" => &["-quiet", "-input-charset", "utf-8"][..],
            _ => &["-quiet", "--norock", "-input-charset", "utf-8"],
        };
        let arguments = [arguments, &["-J", "-o", "image", "files"]].concat();
        if !tool(folder.path(), program, &arguments, b"") {
            return;
        }
        let root = unpacked(&folder.path().join("image"));
        assert_eq!(root, expected, "{program}");
        fs::remove_file(folder.path().join("image")).unwrap();
    }
}

#[test]
fn compressed_files_are_refused_with_a_hint_that_helps() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("files")).unwrap();
    fs::write(folder.path().join("files/much"), [0; 100_000]).unwrap();
    let arguments = ["-outdev", "image", "-map", "files", "/"];
    let compressed = ["-set_filter_r", "--zisofs", "/", "--", "-commit"];
    let arguments = [&arguments[..], &compressed].concat();
    if !tool(folder.path(), "xorriso", &arguments, b"") {
        return;
    }
    let image = fs::read(folder.path().join("image")).unwrap();
    let error = fuzz(&image).unwrap_err();
    let told = "`much` is compressed (zisofs), which is not supported";
    assert_eq!(error.to_string(), told);
    assert!(error.hint().unwrap().contains("`mkisofs`"));
}

#[test]
fn every_cut_and_every_flipped_bit_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path());
    let arguments = ["-quiet", "-R", "-o", "image", "files"];
    if !tool(folder.path(), "genisoimage", &arguments, b"") {
        return;
    }
    let image = fs::read(folder.path().join("image")).unwrap();
    // Behind the last file is padding.
    let whole = image.len() - 300 * 1024;
    for cut in (0..whole).step_by(whole / 40 + 1) {
        let cut = image.get(..cut).unwrap();
        assert!(!matches!(fuzz(cut), Ok(Some(_))), "{} bytes", cut.len());
    }
    let original = fuzz(&image).unwrap().unwrap();
    let mut flipped = image;
    // What no check of the format covers (names, modes, content) may come out changed.
    for at in (16 * 2048..60 * 2048).step_by(331) {
        flipped[at] ^= 0x04;
        let _ = fuzz(&flipped);
        flipped[at] ^= 0x04;
    }
    // Where the tree is may not: its magic, its block size, its root folder's place and size,
    // which the folder itself repeats.
    let descriptor = 16 * 2048;
    let mut refused = 0;
    for (at, bit) in (0..190).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        flipped[descriptor + at] ^= 1 << bit;
        match fuzz(&flipped) {
            Ok(Some(root)) => assert!(root == original, "bit {bit} of byte {at}"),
            Ok(None) | Err(_) => refused += 1,
        }
        flipped[descriptor + at] ^= 1 << bit;
    }
    // The type, the magic, the block size; the root's length, place, size and name.
    assert!(refused > 8 * (1 + 5 + 2 + 4 + 4), "{refused}");
    // Content is the one file's that it is of.
    let place = |text: &[u8]| flipped.windows(text.len()).position(|part| part == text);
    let at = place(b"boot/core.gz").unwrap();
    flipped[at] ^= 1;
    let root = fuzz(&flipped).unwrap().unwrap();
    let changed: Vec<&str> = root
        .nodes()
        .filter(|(path, node)| original.get(path) != Some(node))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(changed, ["boot/core.gz"]);
}

/// Each of these folders goes on to the end of the image, over those behind it.
#[test]
fn folders_that_overlap_are_refused() {
    const FOLDERS: u32 = 40;
    let image = overlapping(FOLDERS);
    let error = fuzz(&image).unwrap_err().to_string();
    assert!(error.contains("folders that do not overlap"), "{error}");
    let root = fuzz(&overlapping(2)).unwrap().unwrap();
    assert_eq!(root.nodes().len(), 2);
}

/// A folder says itself where it is and how large, and no other is in the same place.
#[test]
fn folders_are_where_they_say() {
    const FOLDER: usize = 19 * 2048;
    for (at, told) in [(2, "sector 19"), (10, "2048 bytes")] {
        let mut image = overlapping(1);
        image[FOLDER + at] ^= 2;
        let error = fuzz(&image).unwrap_err().to_string();
        assert!(
            error.contains("a record of itself") && error.contains(told),
            "{error}"
        );
    }
    // Records of the root: its own, the one above, and those of two folders.
    const FIRST: usize = 18 * 2048 + 34 + 34;
    const SECOND: usize = FIRST + 38;
    let mut image = overlapping(2);
    image.copy_within(FIRST + 2..FIRST + 18, SECOND + 2);
    let error = fuzz(&image).unwrap_err().to_string();
    assert!(error.contains("a folder that is in two places"), "{error}");
}

fn overlapping(folders: u32) -> Vec<u8> {
    let sector = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.resize(2048, 0);
        bytes
    };
    let mut descriptor = sector(b"\x01CD001\x01");
    descriptor[128..132].copy_from_slice(&[0, 8, 8, 0]);
    descriptor[156..190].copy_from_slice(&record(b"\0", 18, 1));
    let mut root = record(b"\0", 18, 1);
    root.extend(record(b"\x01", 18, 1));
    for number in 0..folders {
        let name = format!("{number:04}");
        root.extend(record(name.as_bytes(), 19 + number, folders - number));
    }
    let own = |number: u32| sector(&record(b"\0", 19 + number, folders - number));
    let mut image = vec![0; 16 * 2048];
    for part in [descriptor, sector(b"\xffCD001\x01"), sector(&root)] {
        image.extend(part);
    }
    image.extend((0..folders).flat_map(own));
    image
}

/// The record of a folder.
fn record(name: &[u8], extent: u32, sectors: u32) -> Vec<u8> {
    let mut bytes = vec![0; (33 + name.len()).next_multiple_of(2)];
    bytes[0] = bytes.len() as u8;
    for (at, number) in [(2, extent), (10, sectors * 2048)] {
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&number.to_be_bytes());
    }
    (bytes[25], bytes[28], bytes[31], bytes[32]) = (2, 1, 1, name.len() as u8);
    bytes[33..33 + name.len()].copy_from_slice(name);
    bytes
}
