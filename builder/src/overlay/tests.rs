mod disk;

use std::collections::BTreeMap;
use std::io::Read as _;

use fs_err as fs;
use lunikernel_cache::artefact::{Boot, KERNEL, Protocol, seal};
use lunikernel_cache::{Cache, Node, NodeKind, Rootfs, Silent};

use super::*;
use crate::assemble::cpio::{file_type, read_gzip};
use crate::assemble::initramfs::initramfs;

mod limits;
mod zip;

struct Bench {
    folder: tempfile::TempDir,
    cache: Cache,
}

/// What the kernel would have after unpacking: mode and content, or target, by path.
type Unpacked = BTreeMap<String, (u32, String)>;

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        Self { folder, cache }
    }

    fn file(&self, mode: u32, content: &str) -> Node {
        Node::file(mode, self.cache.blobs().put(content.as_bytes()).unwrap())
    }

    /// A base with these nodes and three names of one file, `one`, `three` and `two`.
    fn base(&self, nodes: &[(&str, Node)]) -> Artefact {
        let mut root = Rootfs::new();
        for (path, node) in nodes {
            root.insert(path, node.clone()).unwrap();
        }
        let content = self.cache.blobs().put(b"shared").unwrap();
        for name in ["one", "three", "two"] {
            let kind = NodeKind::File {
                content,
                link: Some("group".to_owned()),
            };
            root.insert(&format!("names/{name}"), Node::of(0o644, kind))
                .unwrap();
        }
        let packed = initramfs(&root, self.cache.blobs(), 0).unwrap();
        self.sealed(Protocol::Linux, Overlay::Initramfs {}, Some(packed.digest))
    }

    fn sealed(&self, protocol: Protocol, overlay: Overlay, packed: Option<Digest>) -> Artefact {
        let blobs = self.cache.blobs();
        let boot = Boot {
            protocol,
            cmdline: String::new(),
            min_memory_mib: 64,
        };
        let manifest = Manifest {
            overlay,
            ..Manifest::new("base", "1", "debian", "x86_64", boot)
        };
        let kernel = blobs.put(b"kernel").unwrap();
        let mut sources = vec![EntrySource::of_blob(blobs, KERNEL, kernel).unwrap()];
        if let Some(packed) = packed {
            sources.push(EntrySource::of_blob(blobs, INITRAMFS, packed).unwrap());
        }
        let sealed = seal(blobs, manifest, &sources, &Silent).unwrap();
        Artefact::open(&blobs.path(&sealed.digest.sha256)).unwrap()
    }

    /// A folder with these files; a path that ends with `/` is a folder, a content that
    /// begins with `->` makes a symbolic link.
    fn overlay(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let top = self.folder.path().join(name);
        fs::create_dir_all(&top).unwrap();
        for (path, content) in files {
            let path = top.join(path);
            if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                fs::create_dir_all(&path).unwrap();
                continue;
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content.strip_prefix("->") {
                Some(target) => fs::os::unix::fs::symlink(target, &path).unwrap(),
                None => fs::write(&path, content).unwrap(),
            }
        }
        top
    }

    fn lay(&self, base: &Artefact, overlays: &[PathBuf]) -> Result<Outcome, OverlayError> {
        let limits = Limits::default();
        let prepared = prepare(base, overlays, &limits, self.cache.blobs(), &Silent)?;
        let mut zip = Vec::new();
        let digest = prepared.write(&mut zip, &Silent)?;
        assert_eq!(digest, Digest::of(&zip));
        let artefact = Artefact::from_bytes(zip, "out").unwrap();
        assert_eq!(artefact.check(&Silent).unwrap().digest, digest);
        // What it says of its paths is what its initramfs has.
        crate::inspect::inspect(&artefact, &Silent).unwrap();
        Ok(Outcome {
            artefact,
            changes: prepared.changes().clone(),
            overlaid: prepared.overlaid().clone(),
        })
    }
}

struct Outcome {
    artefact: Artefact,
    changes: Changes,
    overlaid: Overlaid,
}

fn packed(artefact: &Artefact) -> Vec<u8> {
    let mut bytes = Vec::new();
    artefact
        .entry(INITRAMFS)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// Unpacks as `init/initramfs.c` does: hard links are names of one file, and what is
/// written to one of them is in all.
fn unpack(artefact: &Artefact) -> Unpacked {
    let bytes = packed(artefact);
    let mut reader = read_gzip(bytes.as_slice(), 1 << 30);
    let mut files: Vec<String> = Vec::new();
    let mut there: BTreeMap<String, (u32, Option<usize>, String)> = BTreeMap::new();
    let mut inodes: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    while let Some(header) = reader.next_header().unwrap() {
        let mut content = String::new();
        reader.read_to_string(&mut content).unwrap();
        let (folder, _) = header.path.rsplit_once('/').unwrap_or(("", ""));
        assert!(
            folder.is_empty() || there.contains_key(folder),
            "{}",
            header.path
        );
        let kind = header.mode & file_type::MASK;
        let same = |it: &(u32, _, _)| it.0 & file_type::MASK == kind;
        if kind != file_type::FILE {
            there.insert(header.path, (header.mode, None, content));
            continue;
        }
        let key = (header.segment, header.inode);
        let known = (header.links > 1)
            .then(|| inodes.get(&key).copied())
            .flatten();
        let at = match (known, there.get(&header.path)) {
            (Some(at), _) => at,
            (None, Some(old)) if same(old) => old.1.unwrap(),
            _ => {
                files.push(String::new());
                files.len() - 1
            }
        };
        inodes.insert(key, at);
        if known.is_none() || !content.is_empty() {
            files[at] = content;
        }
        there.insert(header.path, (header.mode, Some(at), String::new()));
    }
    let file = |(mode, at, text): (u32, Option<usize>, String)| match at {
        Some(at) => (mode & 0o7777, files[at].clone()),
        None => (mode & 0o7777, text),
    };
    there
        .into_iter()
        .map(|(path, it)| (path, file(it)))
        .collect()
}

fn has(unpacked: &Unpacked, path: &str, mode: u32, content: &str) {
    let found = unpacked.get(path);
    assert_eq!(found, Some(&(mode, content.to_owned())), "{path}");
}

#[test]
fn files_land_where_the_kernel_unpacks_them() {
    let bench = Bench::new();
    let base = bench.base(&[
        ("usr/lib", Node::folder(0o755)),
        ("lib", Node::symlink("usr/lib")),
        ("etc/motd", bench.file(0o600, "old")),
        ("tmp", Node::folder(0o1777)),
        ("link", Node::symlink("etc/motd")),
    ]);
    let overlay = bench.overlay(
        "overlay",
        &[
            ("etc/motd", "new"),
            ("lib/x.so", "so"),
            ("tmp/", ""),
            ("link", "no link"),
            ("opt/deep/file", "deep"),
            ("opt/to", "->../etc/motd"),
        ],
    );
    let out = bench.lay(&base, &[overlay]).unwrap();
    assert_eq!(
        out.changes,
        Changes {
            added: ["opt", "opt/deep", "opt/deep/file", "opt/to", "usr/lib/x.so"]
                .map(str::to_owned)
                .into(),
            changed: ["etc/motd", "link"].map(str::to_owned).into(),
            removed: Vec::new(),
        }
    );
    let unpacked = unpack(&out.artefact);
    has(&unpacked, "etc/motd", 0o644, "new");
    has(&unpacked, "usr/lib/x.so", 0o644, "so");
    has(&unpacked, "lib", 0o777, "usr/lib");
    has(&unpacked, "link", 0o644, "no link");
    has(&unpacked, "tmp", 0o1777, "");
    has(&unpacked, "opt/to", 0o777, "../etc/motd");
    // Nothing of the base was packed again, and folders that it has are no members.
    let (before, after) = (packed(&base), packed(&out.artefact));
    assert!(after.starts_with(&before));
    let mut reader = read_gzip(&after[before.len()..], 1 << 20);
    let mut members = Vec::new();
    while let Some(header) = reader.next_header().unwrap() {
        members.push(header.path);
    }
    let expected = [
        "etc/motd",
        "link",
        "opt",
        "opt/deep",
        "opt/deep/file",
        "opt/to",
        "usr/lib/x.so",
    ];
    assert_eq!(members, expected);
    assert!(!out.overlaid.rewritten);
}

#[test]
fn what_is_removed_is_in_no_archive() {
    let bench = Bench::new();
    let base = bench.base(&[
        ("usr/lib/a/b", bench.file(0o644, "secret")),
        ("lib", Node::symlink("usr/lib")),
        ("etc/motd", bench.file(0o600, "old")),
        ("etc/keep", bench.file(0o640, "keep")),
    ]);
    let overlay = bench.overlay(
        "overlay",
        &[
            ("lib/.wh.a", ""),
            ("lib/a", "a file now"),
            ("etc/.wh.motd", ""),
        ],
    );
    let out = bench.lay(&base, &[overlay]).unwrap();
    assert_eq!(out.changes.removed, ["etc/motd", "usr/lib/a/b"]);
    assert_eq!(out.changes.changed, ["usr/lib/a"]);
    assert!(out.overlaid.rewritten);
    let unpacked = unpack(&out.artefact);
    assert!(!unpacked.contains_key("etc/motd"));
    has(&unpacked, "etc/keep", 0o640, "keep");
    has(&unpacked, "usr/lib/a", 0o644, "a file now");
    has(&unpacked, "names/two", 0o644, "shared");
    let history = History::of(&out.artefact).unwrap();
    assert_eq!(history.overlays, [out.overlaid]);
}

#[test]
fn one_name_of_a_file_is_replaced_or_removed_and_the_others_stay() {
    let bench = Bench::new();
    let base = bench.base(&[]);
    // The last name, `two`, has the content in the archive.
    for (name, others) in [("two", ["one", "three"]), ("one", ["three", "two"])] {
        let path = format!("names/{name}");
        let overlay = bench.overlay(&format!("replace {name}"), &[(&path, "mine")]);
        let out = bench.lay(&base, &[overlay]).unwrap();
        assert_eq!(out.changes.changed, [path.as_str()]);
        assert!(out.changes.removed.is_empty() && out.overlaid.rewritten);
        let unpacked = unpack(&out.artefact);
        has(&unpacked, &path, 0o644, "mine");
        for other in others {
            has(&unpacked, &format!("names/{other}"), 0o644, "shared");
        }
        let whiteout = format!("names/.wh.{name}");
        let overlay = bench.overlay(&format!("remove {name}"), &[(&whiteout, "")]);
        let out = bench.lay(&base, &[overlay]).unwrap();
        assert_eq!(out.changes.removed, [path.as_str()]);
        let unpacked = unpack(&out.artefact);
        assert!(!unpacked.contains_key(&path));
        for other in others {
            has(&unpacked, &format!("names/{other}"), 0o644, "shared");
        }
    }
}

#[test]
fn overlays_are_laid_over_each_other_in_order() {
    let bench = Bench::new();
    let base = bench.base(&[("etc/motd", bench.file(0o644, "old"))]);
    let first = bench.overlay("1", &[("etc/motd", "1"), ("opt/a", "1"), ("to", "->opt")]);
    let second = bench.overlay("2", &[("etc/motd", "2"), ("opt/.wh.a", ""), ("to/b", "2")]);
    let out = bench.lay(&base, &[first.clone(), second.clone()]).unwrap();
    let unpacked = unpack(&out.artefact);
    has(&unpacked, "etc/motd", 0o644, "2");
    has(&unpacked, "opt/b", 0o644, "2");
    assert!(!unpacked.contains_key("opt/a") && !out.overlaid.rewritten);
    assert_eq!(out.overlaid.content.len(), 2);

    let swapped = bench.lay(&base, &[second.clone(), first.clone()]);
    assert!(matches!(swapped, Err(OverlayError::NothingToRemove { .. })));

    // One after the other comes to the same files, and says that it was in two runs.
    let once = bench.lay(&base, &[first]).unwrap();
    let twice = bench.lay(&once.artefact, &[second]).unwrap();
    assert_eq!(unpack(&twice.artefact), unpacked);
    let history = History::of(&twice.artefact).unwrap().overlays;
    assert_eq!(history.len(), 2);
    assert_eq!(
        history[1].base,
        once.artefact.check(&Silent).unwrap().digest
    );
}

#[test]
fn a_folder_that_is_there_keeps_its_mode_whoever_brought_it() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let base = bench.base(&[]);
    let first = bench.overlay("1", &[("scratch/a", "1"), ("plain/a", "1")]);
    let second = bench.overlay("2", &[("scratch/b", "2"), ("plain/b", "2")]);
    let set = |top: &Path, folder: &str, mode| {
        fs::set_permissions(top.join(folder), PermissionsExt::from_mode(mode)).unwrap();
    };
    set(&first, "scratch", 0o1777);
    set(&first, "plain", 0o755);
    set(&second, "scratch", 0o755);
    set(&second, "plain", 0o700);
    let at_once = bench.lay(&base, &[first.clone(), second.clone()]).unwrap();
    let unpacked = unpack(&at_once.artefact);
    has(&unpacked, "scratch", 0o1777, "");
    has(&unpacked, "plain", 0o755, "");
    let once = bench.lay(&base, &[first]).unwrap();
    let twice = bench.lay(&once.artefact, &[second]).unwrap();
    assert_eq!(unpack(&twice.artefact), unpacked);
}

#[test]
fn a_base_that_changes_meanwhile_is_what_is_told_of() {
    use std::os::unix::fs::FileExt as _;
    let bench = Bench::new();
    let sealed = bench.base(&[("etc/motd", bench.file(0o644, "old"))]);
    let path = bench.folder.path().join("base.zip");
    fs::copy(sealed.label(), &path).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let base = Artefact::open(&path).unwrap();
    let overlay = bench.overlay("it", &[("etc/motd", "new")]);
    let limits = Limits::default();
    let prepared = prepare(&base, &[overlay], &limits, bench.cache.blobs(), &Silent).unwrap();
    let zip = fs::read(&path).unwrap();
    // The name in its header, and its content.
    let header = zip.windows(12).position(|it| it == b"kernelkernel");
    let at = header.unwrap() + KERNEL.len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.file().write_all_at(b"KERNEL", at as u64).unwrap();
    let error = prepared.write(&mut Vec::new(), &Silent).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("base.zip") && told.contains("`kernel`"),
        "{told}"
    );
    let hint = error.hint().unwrap();
    assert!(!hint.contains("cache verify"), "{hint}");
}

#[test]
fn hard_links_of_a_folder_stay_names_of_one_file() {
    let bench = Bench::new();
    let base = bench.base(&[]);
    let top = bench.overlay("links", &[("opt/a", "same")]);
    fs::hard_link(top.join("opt/a"), top.join("opt/b")).unwrap();
    let out = bench.lay(&base, &[top]).unwrap();
    let bytes = packed(&out.artefact);
    let mut reader = read_gzip(bytes.as_slice(), 1 << 20);
    let mut found = Vec::new();
    while let Some(header) = reader.next_header().unwrap() {
        if header.path.starts_with("opt/") {
            found.push((header.links, header.inode, header.size));
        }
    }
    assert_eq!(found, [(2, 2, 0), (2, 2, 4)]);
    has(&unpack(&out.artefact), "opt/a", 0o644, "same");
}

#[test]
fn what_does_not_fit_is_refused() {
    let bench = Bench::new();
    let base = bench.base(&[
        ("etc/motd", bench.file(0o644, "old")),
        ("usr/lib", Node::folder(0o755)),
        ("lib", Node::symlink("usr/lib")),
        ("nowhere", Node::symlink("not/there")),
    ]);
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Files<'_>, &str); 10] = [
        (
            "file over folder",
            &[("etc", "x")],
            "`etc` is a file, and `/etc` is a folder",
        ),
        (
            "link over folder",
            &[("usr/lib", "->x")],
            "`usr/lib` is a symbolic link, and",
        ),
        (
            "folder over file",
            &[("etc/motd/x", "")],
            "`etc/motd` is a folder, and `/etc/motd` is a file",
        ),
        (
            "through nothing",
            &[("nowhere/x", "")],
            "`/nowhere` is a symbolic link",
        ),
        (
            "same place",
            &[("lib/a", "1"), ("usr/lib/a", "2")],
            "are the same file there",
        ),
        (
            "not there",
            &[("etc/.wh.none", "")],
            "should remove `/etc/none`",
        ),
        (
            "whiteout below nothing",
            &[("none/.wh.none", "")],
            "should remove `/none/none`",
        ),
        (
            "opaque",
            &[("etc/.wh..wh..opq", "")],
            "emptying a whole folder",
        ),
        (
            "twice",
            &[("etc/.wh..wh.motd", "")],
            "no file can have the name",
        ),
        ("nothing", &[("usr/lib/", "")], "nothing would change"),
    ];
    for (name, files, expected) in cases {
        let overlay = bench.overlay(name, files);
        let Err(error) = bench.lay(&base, &[overlay]) else {
            panic!("{name} was taken");
        };
        assert!(error.to_string().contains(expected), "{name}: {error}");
        assert!(error.hint().is_some() && error.is_bad_input(), "{name}");
    }
    // With a whiteout that says so, it is meant.
    let meant = bench.overlay("meant", &[(".wh.etc", ""), ("etc", "x")]);
    let unpacked = unpack(&bench.lay(&base, &[meant]).unwrap().artefact);
    has(&unpacked, "etc", 0o644, "x");
    assert!(!unpacked.contains_key("etc/motd"));
}

#[test]
fn a_base_with_neither_initramfs_nor_disk_says_so() {
    let bench = Bench::new();
    let base = bench.sealed(Protocol::Multiboot, Overlay::None {}, None);
    let overlay = bench.overlay("overlay", &[("a", "b")]);
    let Err(error) = bench.lay(&base, &[overlay]) else {
        panic!("nothing can be laid over it");
    };
    let expected = "cannot be overlaid: it has neither an initramfs nor a disk";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn a_list_of_paths_that_is_no_canonical_one_is_refused() {
    let paths = Paths::of_json(br#"{"a":"folder","a/b":{"link":"c"},"f":"name"}"#).unwrap();
    assert_eq!(paths.folder("a").as_deref(), Some("a"));
    for bad in [
        "",
        "{",
        "{}\n",
        r#"{"a":"folder", "b":"file"}"#,
        r#"{"b":"file","a":"file"}"#,
        r#"{"a/b":"file"}"#,
        r#"{"a":"file","a/b":"file"}"#,
        r#"{"..":"folder"}"#,
        r#"{"a":"socket"}"#,
    ] {
        assert!(Paths::of_json(bad.as_bytes()).is_none(), "{bad}");
    }
    let link = |length| format!(r#"{{"a":{{"link":"{}"}}}}"#, "x".repeat(length));
    assert!(Paths::of_json(link(4095).as_bytes()).is_some());
    assert!(Paths::of_json(link(4096).as_bytes()).is_none());
}
