//! Images that others make: xorriso, genisoimage, libarchive.

use fs_err as fs;
use lunikernel_cache::{Digest, Node, NodeKind, Rootfs};

use super::super::fuzz;
use super::super::tests::{comparable, sample_tar, tool, unpacked, without_link};

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
    let arguments = ["-quiet", "-o", "image", "files"];
    if !tool(folder.path(), "genisoimage", &arguments, b"") {
        return;
    }
    let root = unpacked(&folder.path().join("image"));
    let mut expected = Rootfs::new();
    for (path, content) in [
        ("boot/vmlinuz", "BOOT/VMLINUZ"),
        ("readme.txt", "README.TXT"),
    ] {
        let node = Node::file(0o644, Digest::of(content.as_bytes()));
        expected.insert(path, node).unwrap();
    }
    assert_eq!(root, expected);
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
    let mut flipped = image;
    for at in (16 * 2048..60 * 2048).step_by(331) {
        flipped[at] ^= 0x04;
        let _ = fuzz(&flipped);
        flipped[at] ^= 0x04;
    }
}
