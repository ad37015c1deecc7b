//! Archives among the sources, through the binary.

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use fs_err as fs;
use lunikernel_cache::artefact::{Artefact, KERNEL};
use lunikernel_cache::{Digest, NodeKind};
use md5::{Digest as _, Md5};
use std::io::{Read as _, Write as _};
use support::{bzimage, luni, root_of, transcript};
use tar::EntryType;

/// A tar archive of these members: type, name, mode, content or target.
fn tar_of(members: &[(EntryType, &str, u32, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (kind, path, mode, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_path(path).unwrap();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(50);
        let mut content = *content;
        if *kind == EntryType::Symlink && !content.is_empty() {
            header
                .set_link_name(str::from_utf8(content).unwrap())
                .unwrap();
            content = b"";
        }
        header.set_size(content.len() as u64);
        if *kind == EntryType::Char {
            header.set_device_major(5).unwrap();
            header.set_device_minor(1).unwrap();
        }
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// An archive with a kernel and, in another archive, a root.
fn release() -> Vec<u8> {
    let root = tar_of(&[
        (EntryType::Directory, "bin", 0o755, b""),
        (EntryType::Regular, "bin/su", 0o4755, b"#!su\n"),
        (EntryType::Char, "dev/console", 0o620, b""),
        (EntryType::Regular, "etc/motd", 0o640, b"Welcome\n"),
    ]);
    gzip(&tar_of(&[
        (EntryType::Regular, "boot/rootfs", 0o644, &gzip(&root)),
        (EntryType::Regular, "boot/vmlinuz", 0o644, &bzimage()),
    ]))
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new(archive: &[u8], rest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Its name says nothing about what it is.
        let archive_path = folder.path().join("release.bin");
        fs::write(&archive_path, archive).unwrap();
        let recipe = format!(
            "apiVersion: lunikernel/v1\nname: unpacked\nversion: 1.0.0\nflavour: debian\n\
             sources:\n  release:\n    url: {{url: \"file://{}\"}}\n{rest}",
            archive_path.display()
        );
        fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
        Self { folder }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        luni(self.folder.path()).args(arguments).output().unwrap()
    }

    fn locked(self) -> Self {
        let output = self.run(&["lock"]);
        assert!(output.status.success(), "{}", transcript(&output));
        self
    }
}

#[test]
fn an_archive_is_a_folder_wherever_one_is_asked_for() {
    let world = World::new(
        &release(),
        "rootfs:\n  from: [release/boot/rootfs]\n  files:\n    /etc/copy: {from: release/boot/rootfs/etc/motd}\n    \
         /boot/rootfs: {from: release/boot/rootfs}\nkernel: {from: release/boot/vmlinuz, modules: []}\n",
    )
    .locked();
    let first = world.run(&["build", "-o", "one.zip"]);
    assert!(first.status.success(), "{}", transcript(&first));
    let root = root_of(&world.path("one.zip"));
    let node = |path: &str| root.get(path).unwrap();
    assert_eq!((node("bin/su").mode, node("bin/su").gid), (0o4755, 50));
    assert_eq!(node("etc/motd").mode, 0o640);
    assert_eq!(node("etc/copy").kind, node("etc/motd").kind);
    assert_eq!(
        node("dev/console").kind,
        NodeKind::CharDevice { major: 5, minor: 1 }
    );
    // Where a file is asked for, it is the file.
    assert!(matches!(node("boot/rootfs").kind, NodeKind::File { .. }));
    let artefact = Artefact::open(&world.path("one.zip")).unwrap();
    let mut kernel = Vec::new();
    let mut entry = artefact.entry(KERNEL).unwrap();
    entry.read_to_end(&mut kernel).unwrap();
    assert_eq!(kernel, bzimage());
}

/// A release often has a link for what is newest.
#[test]
fn links_in_an_archive_are_followed_within_it() {
    let release = gzip(&tar_of(&[
        (EntryType::Symlink, "latest", 0o777, b"v2/boot"),
        (EntryType::Regular, "v2/boot/vmlinuz-2", 0o644, &bzimage()),
        (EntryType::Symlink, "v2/boot/vmlinuz", 0o777, b"vmlinuz-2"),
        (EntryType::Symlink, "v2/kernel", 0o777, b"/latest/vmlinuz"),
        (EntryType::Symlink, "v2/out", 0o777, b"../../x"),
        (EntryType::Regular, "v2/etc/motd", 0o644, b"Welcome\n"),
    ]));
    let rest = |kernel: &str| {
        format!("rootfs: {{from: [release/v2]}}\nkernel: {{from: {kernel}, modules: []}}\n")
    };
    for kernel in ["release/latest/vmlinuz", "release/v2/kernel"] {
        let world = World::new(&release, &rest(kernel)).locked();
        let built = world.run(&["build", "-o", "one.zip"]);
        assert!(built.status.success(), "{}", transcript(&built));
        let artefact = Artefact::open(&world.path("one.zip")).unwrap();
        let mut found = Vec::new();
        let mut entry = artefact.entry(KERNEL).unwrap();
        entry.read_to_end(&mut found).unwrap();
        assert_eq!(found, bzimage());
    }
    let world = World::new(&release, &rest("release/v2/out")).locked();
    let said = transcript(&world.run(&["build"]));
    let why = "`release/v2/out` is a link to `../../x`, which leads out of the source";
    assert!(said.contains(why), "{said}");
}

#[test]
fn what_is_unpacked_once_is_remembered() {
    let rest = "rootfs: {from: [release/boot/rootfs]}\nkernel: {from: release/boot/vmlinuz, modules: []}\n";
    let world = World::new(&release(), rest).locked();
    let first = world.run(&["build"]);
    let said = transcript(&first);
    assert!(first.status.success(), "{said}");
    assert!(said.contains("unpacking release/boot/rootfs"), "{said}");
    let recipe = fs::read_to_string(world.path("recipe.yaml")).unwrap();
    let changed = recipe.replace("version: 1.0.0", "version: 1.0.1");
    fs::write(world.path("recipe.yaml"), changed).unwrap();
    let second = world.run(&["build"]);
    let said = transcript(&second);
    assert!(second.status.success(), "{said}");
    assert!(!said.contains("unpacking"), "{said}");
}

#[test]
fn what_is_no_root_and_no_kernel_is_told() {
    let says = |archive: &[u8], rest: &str, expected: &[&str]| {
        let world = World::new(archive, rest).locked();
        let output = world.run(&["build"]);
        let text = transcript(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        for expected in expected {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
    };
    let kernel = "kernel: {from: release/boot/vmlinuz, modules: []}\n";
    says(
        &release(),
        &format!("rootfs: {{from: [release/boot/vmlinuz]}}\n{kernel}"),
        &["`release/boot/vmlinuz` is used as a root", "tar or cpio"],
    );
    says(
        &release(),
        &format!("rootfs: {{from: [release/boot/rootfs/etc/none]}}\n{kernel}"),
        &[
            "`release` has no file or folder `boot/rootfs/etc/none`",
            "hint: there are `release/boot/rootfs/etc/motd`",
            "; paths are relative to the top of the source",
        ],
    );
    says(
        &release(),
        &format!("rootfs: {{from: [release/boot/rotfs]}}\n{kernel}"),
        &["hint: did you mean `release/boot/rootfs`?"],
    );
    says(
        &release(),
        "kernel: {from: release/boot/vmlinuz}\n",
        &["wants cloud", "hint: write `modules: []`"],
    );
    says(
        &release(),
        "kernel: {from: release/boot/rootfs/etc/motd, modules: []}\n",
        &[
            "`release/boot/rootfs/etc/motd` is no kernel",
            "HdrS",
            "8 bytes",
        ],
    );
    says(
        &release(),
        "kernel: {from: release, modules: []}\n",
        &["no kernel found", "boot/vmlinuz-VERSION"],
    );
    let boot = "rootfs: {from: [release/boot/rootfs]}\nkernel: {from: release/x, modules: []}\n";
    let told = [
        "there is no `release/x`: `release` is a zip archive",
        "hint: unpack it",
    ];
    says(
        b"PK\x03\x04 and so on",
        boot,
        &[
            told[0].replace("release/x", "release/boot/rootfs").as_str(),
            told[1],
        ],
    );
    says(
        b"some text",
        "kernel: {from: release/x, modules: []}\n",
        &[
            "`release` is a file, and no archive that is read",
            "hint: the file itself is `release`",
        ],
    );
    let outside = tar_of(&[(EntryType::Symlink, "up", 0o777, b"")]);
    says(
        &outside,
        "kernel: {from: release, modules: []}\n",
        &["could not unpack `release`", "`up` is refused"],
    );
}

/// An extension of TinyCore that its mirror says depends on `depends`.
fn put_extension(mirror: &Path, stem: &str, depends: &str, members: &[(&str, &str)]) {
    let members: Vec<_> = members
        .iter()
        .map(|(path, text)| (EntryType::Regular, *path, 0o644, text.as_bytes()))
        .collect();
    let bytes = gzip(&tar_of(&members));
    let sum: String = Md5::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let put = |ending: &str, bytes: &[u8]| {
        fs::write(mirror.join(format!("{stem}.tcz{ending}")), bytes).unwrap();
    };
    put(".md5.txt", format!("{sum}  {stem}.tcz\n").as_bytes());
    put("", &bytes);
    if !depends.is_empty() {
        put(".dep", depends.as_bytes());
    }
}

/// As when Core loads them: what is there stays, and dependencies come from the last to
/// the first.
#[test]
fn extensions_are_laid_behind_what_is_there() {
    let rest = "  ext:\n    tcz: {mirror: \"MIRROR/\", extensions: [a.tcz]}\n\
        rootfs: {from: [release/boot/rootfs, ext]}\n\
        kernel: {from: release/boot/vmlinuz, modules: []}\n";
    let world = World::new(&release(), rest);
    let mirror = world.path("tcz");
    fs::create_dir(&mirror).unwrap();
    put_extension(
        &mirror,
        "a",
        "b.tcz\nc.tcz\n",
        &[("etc/mine", "a"), ("both", "a")],
    );
    put_extension(&mirror, "b", "", &[("etc/motd", "b"), ("both", "b")]);
    put_extension(&mirror, "c", "", &[("both", "c"), ("bin/su/x", "c")]);
    let recipe = fs::read_to_string(world.path("recipe.yaml")).unwrap();
    let recipe = recipe.replace("MIRROR", &format!("file://{}", mirror.display()));
    fs::write(world.path("recipe.yaml"), recipe).unwrap();
    let world = world.locked();
    let built = world.run(&["build", "-o", "one.zip"]);
    assert!(built.status.success(), "{}", transcript(&built));
    let root = root_of(&world.path("one.zip"));
    let text = |path: &str| match &root.get(path).unwrap().kind {
        NodeKind::File { content, .. } => *content,
        other => panic!("{path}: {other:?}"),
    };
    for (path, expected) in [
        ("etc/motd", "Welcome\n"),
        ("etc/mine", "a"),
        ("both", "c"),
        ("bin/su", "#!su\n"),
    ] {
        assert_eq!(text(path), Digest::of(expected.as_bytes()), "{path}");
    }
    assert_eq!(root.get("bin/su").unwrap().mode, 0o4755);
}
