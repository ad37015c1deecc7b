use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::PathBuf;

use super::*;
use crate::digest::Digest;
use crate::disk::Cache;

struct Place {
    folder: tempfile::TempDir,
    cache: Cache,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        Self { folder, cache }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn capture(&self, path: &str) -> Result<Option<Entry>, CaptureError> {
        let folder = fs::File::open(self.folder.path()).unwrap();
        let mut bounds = OutputBounds::default();
        capture(self.cache.blobs(), folder.file().as_fd(), path, &mut bounds)
    }
}

fn sample(blobs: &BlobStore) -> Tree {
    let mut tree = Tree::new();
    let file = |content: &str, executable| Entry::File {
        digest: blobs.put(content.as_bytes()).unwrap(),
        executable,
    };
    tree.insert("a/b/plain", file("plain", false)).unwrap();
    tree.insert("a/program", file("program", true)).unwrap();
    let target = "/etc/passwd".to_owned();
    tree.insert("a/link", Entry::Symlink { target }).unwrap();
    tree.insert("empty", Entry::Folder(Tree::new())).unwrap();
    tree
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let place = Place::new();
    let tree = sample(place.cache.blobs());
    check_out(place.cache.blobs(), &tree, &place.path("out"), None).unwrap();
    for (path, mode) in [
        ("out", 0o755),
        ("out/a/b/plain", 0o644),
        ("out/a/program", 0o755),
    ] {
        let meta = fs::metadata(place.path(path)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, mode, "{path}");
        assert_eq!(meta.mtime(), EPOCH, "{path}");
    }
    let link = fs::symlink_metadata(place.path("out/a/link")).unwrap();
    assert_eq!(link.mtime(), EPOCH);
    assert_eq!(place.capture("out").unwrap(), Some(Entry::Folder(tree)));
}

#[test]
fn a_copy_is_the_same_in_either_order() {
    let place = Place::new();
    let tree = sample(place.cache.blobs());
    check_out(place.cache.blobs(), &tree, &place.path("one"), None).unwrap();
    let one = fs::File::open(place.path("one")).unwrap();
    for order in [Order::Forward, Order::Reverse] {
        let name = format!("{order:?}");
        fs::create_dir(place.path(&name)).unwrap();
        let two = fs::File::open(place.path(&name)).unwrap();
        copy(one.file().as_fd(), two.file().as_fd(), order).unwrap();
        assert_eq!(
            place.capture(&name).unwrap(),
            Some(Entry::Folder(tree.clone()))
        );
        assert_eq!(two.metadata().unwrap().mtime(), EPOCH);
    }
}

#[test]
fn what_a_tree_cannot_hold_is_refused_by_name() {
    let place = Place::new();
    let out = place.path("out");
    let refused = |path: &str| match place.capture(path) {
        Err(CaptureError::Refused { path, why }) => format!("{path}: {why}"),
        other => panic!("{other:?}"),
    };
    fs::create_dir_all(out.join("d")).unwrap();
    assert_eq!(place.capture("out/none").unwrap(), None);
    assert_eq!(place.capture("none/none").unwrap(), None);

    fs::os::unix::fs::symlink("/etc", out.join("up")).unwrap();
    assert_eq!(
        refused("out/up/passwd"),
        "out/up: it is a link or a file where a folder is needed"
    );
    assert!(refused("out/../x").contains("no path"));

    rustix::fs::mkfifoat(CWD, out.join("d/pipe"), Mode::RWXU).unwrap();
    assert_eq!(refused("out"), "out/d/pipe: it is a named pipe");
    fs::remove_file(out.join("d/pipe")).unwrap();

    let socket = std::os::unix::net::UnixListener::bind(out.join("s")).unwrap();
    assert_eq!(refused("out/s"), "out/s: it is a socket");
    drop(socket);
    fs::remove_file(out.join("s")).unwrap();

    use std::os::unix::ffi::OsStrExt as _;
    fs::write(out.join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").unwrap();
    assert!(refused("out").ends_with("its name is not UTF-8"));
}

#[test]
fn permissions_taken_away_do_not_hide_an_output() {
    let place = Place::new();
    let folder = place.path("out/closed");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "x").unwrap();
    fs::set_permissions(folder.join("file"), PermissionsExt::from_mode(0o000)).unwrap();
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o000)).unwrap();
    let Some(Entry::Folder(tree)) = place.capture("out").unwrap() else {
        panic!("no folder");
    };
    assert_eq!(
        tree.get("closed/file"),
        Some(&Entry::File {
            digest: Digest::of(b"x"),
            executable: false
        })
    );
}

#[test]
fn nesting_has_an_end() {
    let place = Place::new();
    let deep = "d/".repeat(140);
    fs::create_dir_all(place.path("out").join(deep)).unwrap();
    assert!(matches!(
        place.capture("out"),
        Err(CaptureError::Refused { why, .. }) if why.contains("deep")
    ));
}

#[test]
fn a_survey_sees_what_a_capture_takes_and_stores_nothing() {
    let place = Place::new();
    let out = place.path("out");
    fs::create_dir_all(out.join("d")).unwrap();
    fs::write(out.join("d/f"), "content").unwrap();
    fs::os::unix::fs::symlink("d", out.join("l")).unwrap();
    let folder = fs::File::open(place.folder.path()).unwrap();
    let survey = |path: &str| survey(folder.file().as_fd(), path, &mut OutputBounds::default());
    let Some(Entry::Folder(tree)) = survey("out").unwrap() else {
        panic!("no folder");
    };
    let digest = Digest::of(b"");
    let executable = false;
    assert_eq!(tree.get("d/f"), Some(&Entry::File { digest, executable }));
    assert!(!place.cache.blobs().contains(&Digest::of(b"content")));
    assert!(survey("nothing").unwrap().is_none());
    for path in ["out/l/f", "out/../out"] {
        let (one, other) = (survey(path), place.capture(path));
        let (Err(CaptureError::Refused { why, .. }), Err(CaptureError::Refused { why: same, .. })) =
            (one, other)
        else {
            panic!("{path} is taken");
        };
        assert_eq!(why, same);
    }
}

#[test]
fn bounds_are_those_of_all_outputs_and_of_each_name() {
    let place = Place::new();
    fs::create_dir(place.path("out")).unwrap();
    let large = fs::File::create(place.path("large")).unwrap();
    large.set_len(MAX_BYTES / 2).unwrap();
    fs::hard_link(place.path("large"), place.path("out/one")).unwrap();
    let folder = fs::File::open(place.folder.path()).unwrap();
    let mut bounds = OutputBounds::default();
    let mut surveyed = |path: &str| survey(folder.file().as_fd(), path, &mut bounds);
    // Both are one file, which counts under each of its names.
    assert!(surveyed("large").unwrap().is_some());
    assert!(surveyed("out").unwrap().is_some());
    fs::write(place.path("more"), "1").unwrap();
    let Err(CaptureError::Refused { why, .. }) = surveyed("more") else {
        panic!("it is taken");
    };
    assert_eq!(why, "all outputs together are larger than 16 GiB");

    let mut deep = place.path("deep");
    for _ in 0..20 {
        deep.push("d".repeat(210));
    }
    // Longer than one call takes.
    let (above, below) = (deep.ancestors().nth(9).unwrap(), "d".repeat(210));
    fs::create_dir_all(above).unwrap();
    let mut at = fs::File::open(above).unwrap();
    for _ in 0..9 {
        rustix::fs::mkdirat(at.file(), below.as_str(), Mode::RWXU).unwrap();
        let next = open_folder(
            at.file().as_fd(),
            &std::ffi::CString::new(below.as_str()).unwrap(),
        );
        at = fs::File::from_parts(next.unwrap().into(), "deep");
    }
    let Err(CaptureError::Refused { why, .. }) = place.capture("deep") else {
        panic!("it is taken");
    };
    assert_eq!(why, "its path is longer than 4095 bytes");
}
