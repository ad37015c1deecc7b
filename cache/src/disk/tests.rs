use super::*;

#[test]
fn a_folder_that_everybody_may_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("shared");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, Permissions::from_mode(0o777)).unwrap();
    let Err(CacheError::OpenToAll { mode, .. }) = Cache::open(&root) else {
        panic!("it was opened");
    };
    assert_eq!(mode, 0o777);
    fs::set_permissions(&root, Permissions::from_mode(0o775)).unwrap();
    drop(Cache::open(&root).unwrap());
    fs::set_permissions(root.join("cas-v1"), Permissions::from_mode(0o777)).unwrap();
    assert!(Cache::open(&root).is_err());
}

#[test]
fn a_part_of_the_cache_that_leads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cache");
    drop(Cache::open(&root).unwrap());
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();

    let key = Sha256::of(b"key");
    let file = folder.path().join("precious");
    fs_err::os::unix::fs::symlink(&file, root.join("locks").join(key.hex())).unwrap();
    assert!(Cache::open(&root).unwrap().lock(&key).is_err());
    assert!(!file.exists(), "no file is created through a link");

    fs::remove_dir(root.join("ac-v1")).unwrap();
    fs_err::os::unix::fs::symlink(&elsewhere, root.join("ac-v1")).unwrap();
    assert!(matches!(
        Cache::open(&root),
        Err(CacheError::OpenToAll { .. })
    ));
}

#[test]
fn what_the_dead_left_goes_and_what_the_living_use_stays() {
    let folder = tempfile::tempdir().unwrap();
    let alive = Cache::open(folder.path()).unwrap();
    let in_use = alive.scratch().unwrap();
    let tmp = alive.root().join("tmp");

    let dead = tmp.join("dead");
    fs::create_dir_all(dead.join("closed")).unwrap();
    fs::write(dead.join(".lock"), "").unwrap();
    fs::write(dead.join("closed/file"), "").unwrap();
    fs::set_permissions(dead.join("closed"), Permissions::from_mode(0o000)).unwrap();
    let never_locked = tmp.join("never-locked");
    fs::create_dir(&never_locked).unwrap();
    fs::write(tmp.join("file"), "").unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs_err::os::unix::fs::symlink(&outside, tmp.join("link")).unwrap();

    drop(Cache::open(folder.path()).unwrap());
    assert!(!dead.exists() && !never_locked.exists());
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 1);
    assert!(in_use.path().exists() && outside.exists());
}

#[test]
fn a_key_is_locked_between_threads_too() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let [one, other] = [Sha256::of(b"1"), Sha256::of(b"2")];
    let held = cache.lock(&one).unwrap();
    let _unrelated = cache.lock(&other).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiting = cache.clone();
    let thread = std::thread::spawn(move || {
        let _lock = waiting.lock(&one).unwrap();
        sender.send(()).unwrap();
    });
    let early = receiver.recv_timeout(std::time::Duration::from_millis(200));
    assert!(early.is_err(), "the key was given twice");
    drop(held);
    receiver.recv().unwrap();
    thread.join().unwrap();
}

#[test]
fn a_download_of_the_wrong_size_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let scratch = cache.scratch().unwrap();
    let file = scratch.path().join("download");
    fs::write(&file, "short").unwrap();
    let whole = crate::Digest::of(b"not so short");
    assert!(matches!(
        cache.blobs().adopt(&file, &whole),
        Err(CacheError::WrongSize { actual: 5, .. })
    ));
    assert!(!cache.blobs().contains(&whole));
}

/// A command may leave a program there that runs as its owner (mode 4755).
#[test]
fn what_commands_wrote_is_out_of_the_reach_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let root = folder.path();
    for name in ["roots-v1", "failed-v1", "tmp"] {
        fs::create_dir_all(root.join(name)).unwrap();
        // As under an umask of 022, and as under one of 002.
        for (before, after) in [(0o755, 0o700), (0o775, 0o770)] {
            fs::set_permissions(root.join(name), Permissions::from_mode(before)).unwrap();
            drop(Cache::open(root).unwrap());
            assert_eq!(mode(&root.join(name)), after, "{name}");
        }
        fs::remove_dir(root.join(name)).unwrap();
        drop(Cache::open(root).unwrap());
        assert_eq!(mode(&root.join(name)) & 0o007, 0, "{name}");
    }
}
