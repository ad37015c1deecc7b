//! Layers over layers.

use lunikernel_cache::Cache;
use tar::{EntryType, Header};

use super::*;

type Member<'a> = (EntryType, &'a str, u32, &'a str);

const FOLDER: EntryType = EntryType::Directory;
const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

fn tar_of(members: &[Member<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, mode, text) in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let content: &[u8] = match *kind {
            HARD | LINK => {
                header.set_link_name_literal(text).unwrap();
                b""
            }
            EntryType::Char => {
                header.set_device_major(1).unwrap();
                header.set_device_minor(3).unwrap();
                b""
            }
            _ => text.as_bytes(),
        };
        header.set_size(content.len() as u64);
        // As it is: `append_data` would refuse a slash at the beginning.
        let name = header.as_old_mut();
        name.name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

struct World {
    _folder: tempfile::TempDir,
    cache: Cache,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        Self {
            _folder: folder,
            cache,
        }
    }

    fn layer(&self, members: &[Member<'_>]) -> Layer {
        let bytes = tar_of(members);
        let digest = self.cache.blobs().put(&bytes).unwrap();
        let layer = unpack(self.cache.blobs(), &digest, Codec::Plain).unwrap();
        assert_eq!(layer.diff_id, digest.sha256);
        layer
    }

    fn stack(&self, layers: &[&[Member<'_>]]) -> Result<Rootfs, ImageError> {
        let mut stack = Stack::default();
        for members in layers {
            stack.add(&self.layer(members))?;
        }
        Ok(stack.finish())
    }

    /// Each path with the text of its file, its target, or `/` for a folder.
    fn shown(&self, root: &Rootfs) -> Vec<String> {
        let each = root.nodes().map(|(path, node)| match &node.kind {
            NodeKind::File { content, .. } => {
                let bytes = self.cache.blobs().read(content).unwrap();
                format!("{path}={}", String::from_utf8(bytes).unwrap())
            }
            NodeKind::Symlink { target } => format!("{path}>{target}"),
            NodeKind::Folder => format!("{path}/"),
            _ => format!("{path}!"),
        });
        each.collect()
    }
}

#[test]
fn what_a_layer_takes_away_it_takes_from_those_below() {
    let world = World::new();
    let root = world.stack(&[
        &[
            (FOLDER, "a/", 0o700, ""),
            (FILE, "a/x", 0o644, "1"),
            (FILE, "a/y", 0o644, "1"),
            (FOLDER, "o/", 0o755, ""),
            (FILE, "o/p/q", 0o644, "1"),
            (FILE, "o/r", 0o644, "1"),
            (FILE, "top", 0o644, "1"),
            (FILE, "topper", 0o644, "1"),
            (EntryType::Char, "null", 0o666, ""),
        ],
        &[
            (FILE, "a/.wh.x", 0o644, ""),
            (FILE, "a/z", 0o644, "2"),
            (FILE, "o/s", 0o644, "2"),
            (FILE, "o/.wh..wh..opq", 0o644, ""),
            (FILE, ".wh.top", 0o644, ""),
            (FILE, ".wh..wh.plnk", 0o644, ""),
            (FILE, ".wh.never", 0o644, ""),
        ],
    ]);
    let root = root.unwrap();
    let expected = ["a/", "a/y=1", "a/z=2", "null!", "o/", "o/s=2", "topper=1"];
    assert_eq!(world.shown(&root), expected);
    // A folder that is only on the way to a member keeps its mode.
    assert_eq!(root.get("a").unwrap().mode, 0o700);
    let all: &[Member<'_>] = &[(FILE, ".wh..wh..opq", 0o644, ""), (FILE, "new", 0o644, "2")];
    let root = world.stack(&[&[(FILE, "old/x", 0o644, "1")], all]).unwrap();
    assert_eq!(world.shown(&root), ["new=2"]);
}

#[test]
fn one_kind_of_thing_takes_the_place_of_another() {
    let world = World::new();
    let below: &[Member<'_>] = &[
        (FOLDER, "usr/lib/", 0o755, ""),
        (FILE, "usr/lib/x", 0o644, "1"),
        (LINK, "lib", 0o777, "usr/lib"),
        (LINK, "link", 0o777, "usr"),
        (FOLDER, "folder/", 0o755, ""),
        (FILE, "folder/x", 0o644, "1"),
        (FILE, "file", 0o644, "1"),
    ];
    let root = world.stack(&[
        below,
        &[
            // Below a link that stays, and in a folder that takes the place of one.
            (FILE, "lib/y", 0o644, "2"),
            (FOLDER, "link/", 0o755, ""),
            (FILE, "link/.wh..wh..opq", 0o644, ""),
            (FILE, "link/z", 0o644, "2"),
            (FILE, "folder", 0o644, "2"),
            (FOLDER, "/file/", 0o755, ""),
            (FILE, "/file/x", 0o644, "2"),
        ],
    ]);
    let expected = [
        "file/",
        "file/x=2",
        "folder=2",
        "lib>usr/lib",
        "link/",
        "link/z=2",
        "usr/",
        "usr/lib/",
        "usr/lib/x=1",
        "usr/lib/y=2",
    ];
    assert_eq!(world.shown(&root.unwrap()), expected);
}

#[test]
fn hard_links_reach_over_layers() {
    let world = World::new();
    let group = |root: &Rootfs, path: &str| match &root.get(path).unwrap().kind {
        NodeKind::File { link, .. } => link.clone(),
        other => panic!("{path} is {}", other.describe()),
    };
    let below: &[Member<'_>] = &[
        (FILE, "a", 0o4755, "1"),
        (HARD, "b", 0o644, "a"),
        (FILE, "c", 0o755, "3"),
        (FILE, "gone", 0o644, "4"),
    ];
    let root = world.stack(&[
        below,
        &[
            (HARD, "d", 0o644, "c"),
            (HARD, "e", 0o644, "d"),
            (HARD, "kept", 0o644, "gone"),
            (FILE, ".wh.gone", 0o644, ""),
            // The same group in this layer is another one than below.
            (FILE, "a", 0o600, "1"),
            (HARD, "f", 0o644, "a"),
        ],
    ]);
    let root = root.unwrap();
    let expected = ["a=1", "b=1", "c=3", "d=3", "e=3", "f=1", "kept=4"];
    assert_eq!(world.shown(&root), expected);
    assert_eq!(root.get("e").unwrap().mode, 0o755);
    assert!(group(&root, "c").is_some());
    assert_eq!(group(&root, "c"), group(&root, "d"));
    assert_eq!(group(&root, "c"), group(&root, "e"));
    assert_eq!(group(&root, "a"), group(&root, "f"));
    assert_ne!(group(&root, "a"), group(&root, "b"));
    let lost = world.stack(&[below, &[(HARD, "x", 0o644, "nowhere")]]);
    let lost = lost.unwrap_err().to_string();
    assert!(lost.contains("hard link to `nowhere`"), "{lost}");
}

#[test]
fn layers_that_are_packed_unpack_to_the_same_and_bad_ones_are_refused() {
    let world = World::new();
    let blobs = world.cache.blobs();
    let plain = tar_of(&[(FILE, "x", 0o644, "1")]);
    let packed = ruzstd::encoding::compress_to_vec(
        plain.as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    let digest = blobs.put(&packed).unwrap();
    let layer = unpack(blobs, &digest, Codec::Zstd).unwrap();
    assert_eq!(layer.diff_id, Sha256::of(&plain));
    assert!(unpack(blobs, &digest, Codec::Gzip).is_err());
    for (name, kind) in [("../x", FILE), ("x", HARD), ("/../x", FILE)] {
        let bytes = tar_of(&[(kind, name, 0o644, "../y")]);
        let digest = blobs.put(&bytes).unwrap();
        assert!(unpack(blobs, &digest, Codec::Plain).is_err(), "{name}");
    }
    for marker in [".wh.", "a/.wh...", "a/.wh.."] {
        let refused = world.stack(&[&[(FILE, marker, 0o644, "")]]);
        assert!(refused.is_err(), "{marker}");
    }
}
