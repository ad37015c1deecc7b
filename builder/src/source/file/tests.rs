//! Files and folders beside a recipe, good and bad.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fs_err::os::unix::fs::symlink;
use rustix::fs::{CWD, RenameFlags};

use super::*;

struct Recipe {
    folder: tempfile::TempDir,
    cache: Cache,
}

fn recipe() -> Recipe {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    fs::create_dir_all(folder.path().join("r/files/deep")).unwrap();
    fs::write(folder.path().join("outside"), b"secret").unwrap();
    let recipe = Recipe { folder, cache };
    recipe.write("files/plain", b"plain");
    recipe.write("files/deep/large", &vec![7; 3 << 20]);
    recipe.write("files/init", b"#!/bin/sh\n");
    fs::set_permissions(
        recipe.at("files/init"),
        std::fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    symlink("../plain", recipe.at("files/deep/link")).unwrap();
    recipe
}

impl Recipe {
    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join("r").join(path)
    }
    fn write(&self, path: &str, bytes: &[u8]) {
        fs::write(self.at(path), bytes).unwrap();
    }
    fn lock(&self, path: &str) -> Result<LockedFile, FileError> {
        lock(&self.cache, &self.at(""), path)
    }
}

#[test]
fn a_folder_is_kept_with_content_links_and_executable_bits() {
    let recipe = recipe();
    let locked = recipe.lock("files/").unwrap();
    assert_eq!(
        (locked.path.as_str(), locked.kind),
        ("files", FileKind::Folder)
    );
    let tree = Tree::load(recipe.cache.blobs(), &locked.digest).unwrap();
    let file = |bytes: &[u8], executable| Entry::File {
        digest: Digest::of(bytes),
        executable,
    };
    assert_eq!(tree.get("plain"), Some(&file(b"plain", false)));
    assert_eq!(tree.get("init"), Some(&file(b"#!/bin/sh\n", true)));
    assert_eq!(
        tree.get("deep/large"),
        Some(&file(&vec![7; 3 << 20], false))
    );
    let target = "../plain".to_owned();
    assert_eq!(tree.get("deep/link"), Some(&Entry::Symlink { target }));
    assert!(has_files(recipe.cache.blobs(), &tree));
    assert_eq!(inspect(&recipe.at(""), "files").unwrap(), locked);
}

#[test]
fn a_file_is_its_content() {
    let recipe = recipe();
    let locked = recipe.lock("files/init").unwrap();
    assert_eq!(locked.kind, FileKind::Executable);
    assert_eq!(locked.digest, Digest::of(b"#!/bin/sh\n"));
    assert_eq!(recipe.lock("files/plain").unwrap().kind, FileKind::File);
}

/// Neither git nor a Lunikernel brings them along, so that who builds the recipe elsewhere
/// would have another folder.
#[test]
fn empty_folders_are_left_out() {
    let recipe = recipe();
    let before = recipe.lock("files").unwrap();
    fs::create_dir_all(recipe.at("files/empty/with/more")).unwrap();
    fs::create_dir_all(recipe.at("files/deep/empty")).unwrap();
    assert_eq!(recipe.lock("files").unwrap(), before);
    let error = recipe.lock("files/empty").unwrap_err();
    assert!(matches!(error, FileError::Empty { .. }), "{error}");
    symlink("no matter where", recipe.at("files/empty/with/link")).unwrap();
    assert_ne!(recipe.lock("files").unwrap(), before);
}

#[test]
fn what_changed_is_named_and_what_is_missing_in_the_cache_is_copied_again() {
    let recipe = recipe();
    let locked = recipe.lock("files").unwrap();
    let large = Digest::of(&vec![7; 3 << 20]);
    fs::remove_file(recipe.cache.blobs().path(&large.sha256)).unwrap();
    fetch(&recipe.cache, &recipe.at(""), &locked).unwrap();
    assert!(recipe.cache.blobs().contains(&large));

    recipe.write("files/plain", b"new");
    let error = fetch(&recipe.cache, &recipe.at(""), &locked).unwrap_err();
    assert!(matches!(error, FileError::Changed { .. }), "{error}");
    assert!(!recipe.cache.blobs().contains(&Digest::of(b"new")));
}

#[test]
fn nothing_outside_the_recipe_is_taken() {
    let recipe = recipe();
    symlink("../outside", recipe.at("out")).unwrap();
    for path in [
        "",
        ".",
        "..",
        "/etc/hosts",
        "../outside",
        "files/../files",
        "a\0b",
    ] {
        let error = recipe.lock(path).unwrap_err();
        assert!(matches!(error, FileError::Path { .. }), "{path:?}: {error}");
    }
    assert!(matches!(
        recipe.lock("out"),
        Err(FileError::LeadsOut { .. })
    ));
    assert!(matches!(
        recipe.lock("none"),
        Err(FileError::NotThere { .. })
    ));
    for target in ["/etc/hosts", "../../outside", "x/../../../y"] {
        symlink(target, recipe.at("files/deep/bad")).unwrap();
        let error = recipe.lock("files").unwrap_err();
        assert!(
            matches!(error, FileError::LeadsOut { .. }),
            "{target}: {error}"
        );
        fs::remove_file(recipe.at("files/deep/bad")).unwrap();
    }
    recipe.lock("files").unwrap();
}

#[test]
fn what_no_tree_can_hold_is_refused() {
    let recipe = recipe();
    let odd = recipe
        .at("files")
        .join(std::ffi::OsStr::from_bytes(b"\xff"));
    fs::write(&odd, b"").unwrap();
    assert!(matches!(recipe.lock("files"), Err(FileError::Unfit { .. })));
    fs::remove_file(&odd).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(recipe.at("files/socket")).unwrap();
    let error = recipe.lock("files").unwrap_err();
    assert!(matches!(error, FileError::Unfit { .. }), "{error}");
    let error = recipe.lock("files/socket").unwrap_err();
    assert!(matches!(error, FileError::Unfit { .. }), "{error}");
}

#[test]
fn what_is_put_in_its_place_meanwhile_is_not_followed() {
    let recipe = recipe();
    let secret = recipe.folder.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("large"), b"secret").unwrap();
    fs::create_dir(recipe.at("files/busy")).unwrap();
    recipe.write("files/busy/file", b"plain");
    recipe.write("files/deep/large", b"small here");
    symlink(
        recipe.folder.path().join("outside"),
        recipe.at("other file"),
    )
    .unwrap();
    symlink(&secret, recipe.at("other folder")).unwrap();
    let pairs = [
        (recipe.at("files/busy/file"), recipe.at("other file")),
        (recipe.at("files/deep"), recipe.at("other folder")),
    ];
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    let (mut taken, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (one, other) in &pairs {
                    rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
                }
            }
        });
        let _stop = Stop(&stop);
        for _ in 0..20_000 {
            if let Ok(read) = inspect(&recipe.at(""), "files/busy/file") {
                assert_eq!(read.digest, Digest::of(b"plain"));
            }
        }
        // On a busy machine the other thread may come to nothing for a long time.
        let deadline = Instant::now() + Duration::from_secs(120);
        for round in 0.. {
            if round >= 200 && (taken > 0 && refused > 0 || Instant::now() >= deadline) {
                break;
            }
            for path in ["files", "files/busy/file", "files/deep"] {
                match recipe.lock(path) {
                    Ok(_) => taken += 1,
                    Err(_) => refused += 1,
                }
            }
        }
    });
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    assert!(!recipe.cache.blobs().contains(&Digest::of(b"secret")));
}
