use std::fs::Permissions;

use super::*;
use crate::{Cache, Silent, WhenBusy, reapi};
use prost::Message as _;

fn report(root: &Path) -> Report {
    check(&Upkeep::open(root).unwrap(), 3, &Silent).unwrap()
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn naming_tree(tree: &Digest) -> reapi::ActionResult {
    reapi::ActionResult {
        output_directories: vec![reapi::OutputDirectory {
            path: "out".to_owned(),
            tree_digest: Some(tree.to_reapi()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn each_kind_of_damage_is_found_and_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let blobs = cache.blobs();
    let flipped = blobs.put(&[7; 300_000]).unwrap();
    let torn = blobs.put(b"torn by a power cut").unwrap();
    let whole = blobs.put(b"whole").unwrap();

    let mut tree = Tree::new();
    let file = Entry::File {
        digest: flipped,
        executable: false,
    };
    tree.insert("a/b", file).unwrap();
    let message = blobs.put(&tree.to_reapi().encode_to_vec()).unwrap();
    let [names, treeless, garbled] = [b"1", b"2", b"3"].map(|bytes| Digest::of(bytes));
    let actions = cache.actions();
    actions.put(&names, &naming_tree(&message)).unwrap();
    actions
        .put(&treeless, &naming_tree(&Digest::of(b"no such blob")))
        .unwrap();
    actions
        .put(&garbled, &reapi::ActionResult::default())
        .unwrap();
    assert_eq!(
        report(folder.path()).damage.len(),
        1,
        "only the missing tree"
    );

    let mut bytes = vec![7; 300_000];
    bytes[299_999] = 8;
    overwrite(&blobs.path(&flipped.sha256), &bytes);
    overwrite(&blobs.path(&torn.sha256), b"");
    overwrite(&actions.path(&garbled.sha256), b"garbled");
    fs::write(folder.path().join("cas-v1/core"), "").unwrap();

    let found = report(folder.path());
    let fault_of = |path: PathBuf| {
        let mut at_path = found.damage.iter().filter(|found| found.path == path);
        at_path.next().map(|found| found.fault.clone())
    };
    let content = |expected: Digest, actual: &[u8]| {
        Some(Fault::Content {
            expected: expected.sha256,
            actual: Digest::of(actual),
        })
    };
    assert_eq!(
        fault_of(blobs.path(&flipped.sha256)),
        content(flipped, &bytes)
    );
    assert_eq!(fault_of(blobs.path(&torn.sha256)), content(torn, b""));
    assert_eq!(
        fault_of(actions.path(&names.sha256)),
        Some(Fault::Names { blob: flipped })
    );
    assert_eq!(
        fault_of(actions.path(&treeless.sha256)),
        Some(Fault::NamesTree)
    );
    assert_eq!(
        fault_of(actions.path(&garbled.sha256)),
        Some(Fault::Undecodable)
    );
    let root = fs::canonicalize(folder.path()).unwrap();
    assert_eq!(fault_of(root.join("cas-v1/core")), Some(Fault::Stray));
    assert_eq!(found.damage.len(), 6);

    let blobs = blobs.clone();
    drop(cache);
    let alone = Upkeep::open_exclusive(folder.path(), WhenBusy::GiveUp, &Silent).unwrap();
    repair(&alone, &found).unwrap();
    drop(alone);
    assert_eq!(report(folder.path()).damage, []);
    assert!(blobs.contains(&whole) && blobs.contains(&message) && !blobs.contains(&flipped));
}

#[test]
fn a_torn_blob_is_missing_and_is_stored_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let digest = cache.blobs().put(b"torn by a power cut").unwrap();
    overwrite(&cache.blobs().path(&digest.sha256), b"torn");
    assert!(!cache.blobs().contains(&digest));
    assert!(matches!(
        cache.blobs().open(&digest),
        Err(CacheError::Missing { .. })
    ));
    cache.blobs().put(b"torn by a power cut").unwrap();
    assert_eq!(cache.blobs().read(&digest).unwrap(), b"torn by a power cut");
}

#[test]
fn a_checkout_is_compared_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    drop(Cache::open(folder.path()).unwrap());
    let mut tree = Tree::new();
    let file = |content: &[u8], executable| Entry::File {
        digest: Digest::of(content),
        executable,
    };
    tree.insert("bin/sh", file(b"sh", true)).unwrap();
    tree.insert("etc/rc", file(b"rc", false)).unwrap();
    let target = "bin/sh".to_owned();
    tree.insert("init", Entry::Symlink { target }).unwrap();
    tree.insert("proc", Entry::Folder(Tree::new())).unwrap();

    let checkout = folder
        .path()
        .join("roots-v1")
        .join(tree.digest().sha256.hex())
        .join("tree");
    // `dev` and `tmp` are there to mount on; `proc` the tree has itself.
    for folder in ["bin", "etc", "proc", "dev", "tmp"] {
        fs::create_dir_all(checkout.join(folder)).unwrap();
    }
    fs::write(checkout.join("bin/sh"), "sh").unwrap();
    fs::write(checkout.join("etc/rc"), "rc").unwrap();
    fs_err::os::unix::fs::symlink("bin/sh", checkout.join("init")).unwrap();
    let executable = Permissions::from_mode(0o555);
    fs::set_permissions(checkout.join("bin/sh"), executable.clone()).unwrap();
    assert_eq!(report(folder.path()).damage, []);

    fs::create_dir(checkout.join("srv")).unwrap();
    assert_eq!(report(folder.path()).damage.len(), 1);
    fs::remove_dir(checkout.join("srv")).unwrap();
    fs::set_permissions(checkout.join("etc/rc"), executable).unwrap();
    assert!(matches!(
        report(folder.path()).damage.as_slice(),
        [Damage {
            fault: Fault::Content { .. },
            ..
        }]
    ));
}

#[test]
fn links_and_pipes_are_no_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let digest = Digest::of(b"elsewhere");
    let path = cache.blobs().path(&digest.sha256);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "elsewhere").unwrap();
    fs_err::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(!cache.blobs().contains(&digest));
    assert!(cache.blobs().open(&digest).is_err());
    assert_eq!(report(folder.path()).damage.len(), 1);

    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert!(cache.blobs().open(&digest).is_err(), "and it does not wait");
    assert_eq!(report(folder.path()).damage.len(), 1);
    cache.blobs().put(b"elsewhere").unwrap();
    assert_eq!(report(folder.path()).damage, []);
}
