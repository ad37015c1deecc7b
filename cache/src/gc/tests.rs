use std::path::PathBuf;

use super::*;
use crate::tree::{Entry, Tree};
use crate::{Cache, Digest, Silent, Upkeep, WhenBusy, reapi};
use prost::Message as _;

const DAY: u64 = 24 * 60 * 60;

fn exclusive(root: &Path) -> Exclusive {
    Upkeep::open_exclusive(root, WhenBusy::GiveUp, &Silent).unwrap()
}

/// Stores something and says when it was last used, in days before now.
fn put(cache: &Cache, bytes: &[u8], days: u64) -> Digest {
    let digest = cache.blobs().put(bytes).unwrap();
    age(&cache.blobs().path(&digest.sha256), days);
    digest
}

fn record(cache: &Cache, action: &[u8], result: &reapi::ActionResult, days: u64) -> Digest {
    let action = Digest::of(action);
    cache.actions().put(&action, result).unwrap();
    age(&cache.actions().path(&action.sha256), days);
    action
}

fn age(path: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * DAY);
    let file = fs::File::open(path).unwrap();
    file.file().set_modified(then).unwrap();
}

fn naming(blob: &Digest) -> reapi::ActionResult {
    reapi::ActionResult {
        output_files: vec![reapi::OutputFile {
            path: "out".to_owned(),
            digest: Some(blob.to_reapi()),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn run(root: &Path, policy: Policy) -> Plan {
    let exclusive = exclusive(root);
    let inventory = Inventory::take(&exclusive).unwrap();
    let plan = Plan::new(&exclusive, &inventory, &policy, SystemTime::now()).unwrap();
    collect(&exclusive, &plan, &Silent).unwrap();
    let left = Inventory::take(&exclusive).unwrap();
    assert_eq!(left.bytes(), plan.keep_bytes, "the plan tells what stays");
    let again = crate::verify::check(&exclusive, 2, &Silent).unwrap();
    assert_eq!(again.damage, [], "what stays is whole");
    plan
}

fn older_than(days: u64) -> Policy {
    Policy {
        older_than: Some(Duration::from_secs(days * DAY)),
        ..Policy::default()
    }
}

fn at_most(bytes: u64) -> Policy {
    Policy {
        max_size: Some(bytes),
        ..Policy::default()
    }
}

#[test]
fn least_recently_used_goes_first_until_it_fits() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let old = put(&cache, &[1; 1000], 9);
    let middle = put(&cache, &[2; 1000], 5);
    let young = put(&cache, &[3; 1000], 1);
    let blobs = cache.blobs().clone();
    drop(cache);

    assert!(run(folder.path(), at_most(3000)).remove.is_empty());
    let plan = run(folder.path(), at_most(2999));
    assert_eq!(plan.freed_bytes(), 1000);
    assert!(!blobs.contains(&old) && blobs.contains(&middle));
    run(folder.path(), at_most(1000));
    assert!(!blobs.contains(&middle) && blobs.contains(&young));
    run(folder.path(), at_most(0));
    assert!(!blobs.contains(&young));
}

#[test]
fn reading_keeps_a_blob_young() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let read = put(&cache, b"read", 9);
    let unread = put(&cache, b"unread", 9);
    cache.blobs().read(&read).unwrap();
    let blobs = cache.blobs().clone();
    drop(cache);
    run(folder.path(), older_than(3));
    assert!(blobs.contains(&read) && !blobs.contains(&unread));
}

#[test]
fn a_result_goes_with_its_blob_and_keeps_it_young() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let in_tree = put(&cache, &[7; 1000], 9);
    let mut tree = Tree::new();
    let file = Entry::File {
        digest: in_tree,
        executable: true,
    };
    tree.insert("bin/tool", file).unwrap();
    let tree = put(&cache, &tree.to_reapi().encode_to_vec(), 9);
    let result = reapi::ActionResult {
        output_directories: vec![reapi::OutputDirectory {
            path: "out".to_owned(),
            tree_digest: Some(tree.to_reapi()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let used = record(&cache, b"used lately", &result, 1);
    let blob = put(&cache, b"blob", 9);
    let unused = record(&cache, b"unused", &naming(&blob), 9);
    let (blobs, actions) = (cache.blobs().clone(), cache.actions().clone());
    drop(cache);

    run(folder.path(), older_than(3));
    assert!(actions.get(&used, &blobs).unwrap().is_some());
    assert!(blobs.contains(&in_tree) && blobs.contains(&tree));
    assert!(actions.get(&unused, &blobs).unwrap().is_none());
    assert!(!actions.path(&unused.sha256).exists() && !blobs.contains(&blob));

    // Too much by the blob alone: it goes, and with it the result that names it.
    let plan = run(folder.path(), at_most(999));
    assert_eq!(plan.remove.len(), 2, "{plan:?}");
    // The result first: who ends it in between leaves none without its blobs.
    assert_eq!(plan.remove[0].kind, Kind::Result);
    assert!(blobs.contains(&tree) && !blobs.contains(&in_tree));
    assert!(!actions.path(&used.sha256).exists());
}

#[test]
fn a_blob_of_several_results_is_as_young_as_the_youngest() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let blob = put(&cache, b"blob", 9);
    let result = naming(&blob);
    for (action, days) in [(&b"a"[..], 8), (b"b", 1), (b"c", 8)] {
        record(&cache, action, &result, days);
    }
    let blobs = cache.blobs().clone();
    drop(cache);
    let plan = run(folder.path(), older_than(3));
    assert!(blobs.contains(&blob) && plan.remove.len() == 2, "{plan:?}");
}

#[test]
fn what_is_pinned_stays_with_all_that_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let pinned = put(&cache, b"pinned", 99);
    let output = put(&cache, b"output of a pinned action", 99);
    let action = record(&cache, b"action", &naming(&output), 99);
    let loose = put(&cache, b"loose", 99);
    cache.pin("a", &[pinned.sha256, action.sha256]).unwrap();
    let (blobs, actions) = (cache.blobs().clone(), cache.actions().clone());
    drop(cache);

    let policy = Policy {
        max_size: Some(0),
        older_than: Some(Duration::ZERO),
    };
    let plan = run(folder.path(), policy);
    assert_eq!(plan.pinned_bytes, plan.keep_bytes);
    assert!(blobs.contains(&pinned) && !blobs.contains(&loose));
    assert!(actions.get(&action, &blobs).unwrap().is_some());
}

#[test]
fn time_stamps_of_the_future_keep_nothing_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let digest = put(&cache, b"from the future", 0);
    let path = cache.blobs().path(&digest.sha256);
    let future = SystemTime::now() + Duration::from_secs(1000 * DAY);
    let file = fs::File::open(&path).unwrap();
    file.file().set_modified(future).unwrap();
    drop(cache);
    run(folder.path(), at_most(0));
    assert!(!path.exists());
}

#[test]
fn folders_without_write_permission_go_too() {
    let folder = tempfile::tempdir().unwrap();
    drop(Cache::open(folder.path()).unwrap());
    let checkout = folder
        .path()
        .join("roots-v1")
        .join(Digest::of(b"x").sha256.hex());
    let below = checkout.join("usr");
    fs::create_dir_all(&below).unwrap();
    fs::write(below.join("f"), "1234").unwrap();
    for path in [&below, &checkout] {
        fs::set_permissions(path, Permissions::from_mode(0o555)).unwrap();
    }
    let plan = run(folder.path(), at_most(0));
    assert_eq!(plan.freed_bytes(), 4);
    assert!(!checkout.exists());
    let left: Vec<PathBuf> = fs::read_dir(folder.path().join("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(left, [] as [PathBuf; 0]);
}

#[test]
fn what_a_sandbox_left_under_another_user_goes_too() {
    if !rustix::process::geteuid().is_root() {
        // An ordinary user's sandbox leaves files of that user, as the test above has.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    drop(Cache::open(folder.path()).unwrap());
    let hex = Digest::of(b"x").sha256.hex();
    for kind in ["roots-v1", "failed-v1"] {
        let top = folder.path().join(kind).join(&hex);
        fs::create_dir_all(top.join("tree/usr")).unwrap();
        fs::write(top.join("tree/usr/f"), "1234").unwrap();
        for path in ["tree/usr/f", "tree/usr", "tree", ""] {
            std::os::unix::fs::chown(top.join(path), Some(0x6c75_6e69), Some(0x6c75_6e69)).unwrap();
        }
    }
    assert_eq!(run(folder.path(), at_most(0)).freed_bytes(), 8);
    for kind in ["roots-v1", "failed-v1"] {
        let left = fs::read_dir(folder.path().join(kind)).unwrap().count();
        assert_eq!(left, 0, "{kind}");
    }
}

#[test]
fn a_pin_whose_owner_is_gone_keeps_nothing_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("recipe.yaml");
    let root = folder.path().join("cache");
    let cache = Cache::open(&root).unwrap();
    let (blob, made) = (put(&cache, b"input", 9), put(&cache, b"zip", 9));
    let action = record(&cache, b"action", &naming(&made), 9);
    fs::write(&recipe, "").unwrap();
    cache
        .pin_for(&recipe, &[blob.sha256, action.sha256])
        .unwrap();
    let blobs = cache.blobs().clone();
    drop(cache);
    assert_eq!(run(&root, at_most(0)).freed_bytes(), 0);
    fs::remove_file(&recipe).unwrap();
    run(&root, at_most(0));
    assert!(!blobs.contains(&blob) && !blobs.contains(&made));
    assert_eq!(fs::read_dir(root.join("pins")).unwrap().count(), 0);
}

#[test]
fn what_the_dead_left_goes_too() {
    let folder = tempfile::tempdir().unwrap();
    drop(Cache::open(folder.path()).unwrap());
    let dead = folder.path().join("tmp/dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("half-a-blob"), "half").unwrap();
    run(folder.path(), Policy::default());
    assert!(!dead.exists());
}

#[test]
fn nothing_is_collected_while_another_uses_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let busy = Upkeep::open_exclusive(folder.path(), WhenBusy::GiveUp, &Silent);
    assert!(matches!(busy, Err(CacheError::Busy { .. })));
    drop(cache);
    let looking = Upkeep::open(folder.path()).unwrap();
    let busy = Upkeep::open_exclusive(folder.path(), WhenBusy::GiveUp, &Silent);
    assert!(matches!(busy, Err(CacheError::Busy { .. })));
    drop(looking);
    let alone = exclusive(folder.path());
    // Nor does a build begin while something is collected.
    let locked = crate::locks::lock_file(
        &folder.path().join("lock"),
        rustix::fs::FlockOperation::NonBlockingLockShared,
    );
    assert!(locked.is_err());
    drop(alone);
}

#[test]
fn what_was_found_out_about_the_machine_goes_too() {
    let folder = tempfile::tempdir().unwrap();
    drop(Cache::open(folder.path()).unwrap());
    let probes = folder.path().join(Kind::Probe.folder());
    fs::create_dir_all(&probes).unwrap();
    for (name, days) in [("old", 9), ("new", 1)] {
        let path = probes.join(Digest::of(name.as_bytes()).sha256.hex());
        fs::write(&path, "works").unwrap();
        age(&path, days);
    }
    let plan = run(folder.path(), older_than(5));
    assert_eq!(plan.remove.len(), 1, "{plan:?}");
    assert_eq!(plan.remove[0].kind, Kind::Probe);
    assert_eq!(fs::read_dir(&probes).unwrap().count(), 1);
    run(folder.path(), at_most(0));
    assert_eq!(fs::read_dir(&probes).unwrap().count(), 0);
}
