//! The cache under real processes: killed at any moment, on a full disk, two at once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use lunikernel_cache::inventory::{Inventory, Kind};
use lunikernel_cache::{
    Cache, CacheError, Digest, Existing, NewFile, Sha256, Silent, Upkeep, WhenBusy, reapi, verify,
};
use lunikernel_testing::{left_out, this_test};

/// Says to this program, run again by itself, that it is the other process.
const ROLE: &str = "LUNI_CACHE_TEST_ROLE";
const ROOT: &str = "LUNI_CACHE_TEST_ROOT";

/// This program again, in another process, as `role`.
fn start(role: &str, root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "other_process", "--nocapture"])
        .env(ROLE, role)
        .env(ROOT, root)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test of its own: what the processes of the tests below do.
#[test]
fn other_process() {
    let (Ok(role), Some(root)) = (std::env::var(ROLE), std::env::var_os(ROOT)) else {
        return;
    };
    let root = Path::new(&root);
    match role.as_str() {
        "store" => store_for_ever(&Cache::open(root).unwrap()),
        "work once" => work_once(&Cache::open(root).unwrap()),
        "collect" => collect_everything(root),
        "keep" => keep_for_good(root),
        other => panic!("no such role: {other}"),
    }
}

fn result_naming(blobs: &[Digest]) -> reapi::ActionResult {
    let output = |digest: &Digest| reapi::OutputFile {
        path: digest.sha256.hex(),
        digest: Some(digest.to_reapi()),
        ..Default::default()
    };
    reapi::ActionResult {
        output_files: blobs.iter().map(output).collect(),
        ..Default::default()
    }
}

/// Stores blobs and results in every way there is, until it is killed.
fn store_for_ever(cache: &Cache) {
    for number in 0u32.. {
        // What other processes stored is not stored again.
        let round = format!("{} {number}", std::process::id());
        let small = cache.blobs().put(round.as_bytes()).unwrap();
        let bytes = round.repeat(5000).into_bytes();
        let mut writer = cache.blobs().writer().unwrap();
        for piece in bytes.chunks(1000) {
            writer.write_all(piece).unwrap();
        }
        let large = writer.commit().unwrap();
        let scratch = cache.scratch().unwrap();
        let file = scratch.path().join("download");
        fs::write(&file, format!("download {round}")).unwrap();
        let adopted = Digest::of(format!("download {round}").as_bytes());
        cache.blobs().adopt(&file, &adopted).unwrap();
        let action = Digest::of(format!("action {round}").as_bytes());
        let result = result_naming(&[small, large, adopted]);
        cache.actions().put(&action, &result).unwrap();
        if number == 0 {
            println!("\nat work");
        }
    }
}

fn wait_for_line(child: &mut Child, wanted: &str) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines.map_while(Result::ok).any(|line| line == wanted);
    assert!(found, "the other process ended without saying `{wanted}`");
}

#[test]
fn killed_at_any_moment_leaves_a_whole_cache() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for moment in 0..24u32 {
        let mut child = start("store", root);
        wait_for_line(&mut child, "at work");
        // Uneven steps, so that the moments fall on different lines of the work.
        std::thread::sleep(Duration::from_micros(u64::from(moment * moment) * 137));
        child.kill().unwrap();
        child.wait().unwrap();

        let report = verify::check(&Upkeep::open(root).unwrap(), 2, &Silent).unwrap();
        assert_eq!(report.damage, [], "killed at moment {moment}");
    }
    let inventory = Inventory::take(&Upkeep::open(root).unwrap()).unwrap();
    assert!(inventory.sum(Kind::Result).0 >= 24, "each stored something");

    let cache = Cache::open(root).unwrap();
    let scratch: Vec<_> = fs::read_dir(root.join("tmp")).unwrap().collect();
    assert_eq!(scratch.len(), 1, "only that of the living: {scratch:?}");
    drop(cache);
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
}

/// Does the work under the lock of its key unless it is done, and says which.
fn work_once(cache: &Cache) {
    let key = Digest::of(b"the work");
    let _lock = cache.lock(&key.sha256).unwrap();
    if cache.actions().get(&key, cache.blobs()).unwrap().is_some() {
        println!("\nfound it done");
        return;
    }
    std::thread::sleep(Duration::from_millis(300));
    let output = cache.blobs().put(b"output").unwrap();
    cache.sync().unwrap();
    let result = result_naming(&[output]);
    cache.actions().put(&key, &result).unwrap();
    println!("\ndid it");
}

#[test]
fn the_same_work_at_once_is_done_once() {
    let folder = tempfile::tempdir().unwrap();
    let children: Vec<Child> = (0..4).map(|_| start("work once", folder.path())).collect();
    let said: Vec<String> = children
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    let count = |what: &str| said.iter().filter(|said| said.contains(what)).count();
    assert_eq!(
        (count("did it"), count("found it done")),
        (1, 3),
        "{said:?}"
    );
}

fn collect_everything(root: &Path) {
    use lunikernel_cache::gc::{Plan, Policy, collect};
    let alone = Upkeep::open_exclusive(root, WhenBusy::Wait, &Silent).unwrap();
    let policy = Policy {
        max_size: Some(0),
        ..Policy::default()
    };
    let inventory = Inventory::take(&alone).unwrap();
    let now = std::time::SystemTime::now();
    let plan = Plan::new(&alone, &inventory, &policy, now).unwrap();
    collect(&alone, &plan, &Silent).unwrap();
}

#[test]
fn collecting_waits_for_those_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let digest = cache.blobs().put(b"in use").unwrap();
    let mut child = start("collect", folder.path());
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    assert!(cache.blobs().contains(&digest));
    let blobs = cache.blobs().clone();
    drop(cache);
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!blobs.contains(&digest));
}

#[test]
fn a_killed_collection_leaves_every_result_whole() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut cut_short = 0;
    for moment in 0..4u32 {
        let cache = Cache::open(root).unwrap();
        for number in 0..150u32 {
            let blob = cache.blobs().put(&number.to_le_bytes()).unwrap();
            let action = Digest::of(format!("action {number}").as_bytes());
            cache
                .actions()
                .put(&action, &result_naming(&[blob]))
                .unwrap();
        }
        drop(cache);
        let inventory = Inventory::take(&Upkeep::open(root).unwrap()).unwrap();
        let first = inventory.of(Kind::Result).next().unwrap().path.clone();
        let mut child = start("collect", root);
        // Looked at without the cache's lock, which would wait for the collection.
        while first.exists() && child.try_wait().unwrap().is_none() {}
        std::thread::sleep(Duration::from_micros(u64::from(moment) * 700));
        let _ = child.kill();
        child.wait().unwrap();
        let left = Upkeep::open(root).unwrap();
        cut_short += usize::from(!Inventory::take(&left).unwrap().items.is_empty());
        let report = verify::check(&left, 2, &Silent).unwrap();
        assert_eq!(report.damage, [], "killed at moment {moment}");
    }
    assert!(cut_short > 0, "at least one was killed in the middle");
}

/// A memory file system of that size, gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={size}")).unwrap();
        rustix::mount::mount(
            "tmpfs",
            folder.path(),
            "tmpfs",
            rustix::mount::MountFlags::empty(),
            options.as_c_str(),
        )
        .ok()?;
        Some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_is_a_clear_error_and_damages_nothing() {
    let Some(disk) = SmallDisk::mount("1m") else {
        return left_out(
            "cache/processes::a_full_disk_is_a_clear_error_and_damages_nothing",
            "it mounts a small disk, which only root may",
        );
    };
    let root = disk.0.path().join("cache");
    let cache = Cache::open(&root).unwrap();
    let fits = cache.blobs().put(&[1; 300_000]).unwrap();

    let too_large = vec![2; 2_000_000];
    let errors = [
        cache.blobs().put(&too_large).unwrap_err(),
        stream(&cache, &too_large).unwrap_err(),
    ];
    for error in errors {
        assert!(error.hint().unwrap().contains("luni cache gc"), "{error}");
        let CacheError::Io { source, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    }
    // Full to the last byte: nothing can be stored, not even a result.
    let mut filler = fs::File::create(disk.0.path().join("filler")).unwrap();
    while filler.write(&[0; 4096]).is_ok_and(|count| count > 0) {}
    let action = Digest::of(b"action");
    let refused = cache.actions().put(&action, &result_naming(&[fits]));
    assert!(refused.is_err());
    assert_eq!(cache.actions().get(&action, cache.blobs()).unwrap(), None);
    assert!(cache.pin("pin", &[Sha256::of(b"x")]).is_err());
    drop(cache);

    let report = verify::check(&Upkeep::open(&root).unwrap(), 2, &Silent).unwrap();
    assert_eq!(
        (report.checked, report.damage.as_slice()),
        (1, [].as_slice())
    );
    // Collecting needs no space, or a full disk could not be mended by it.
    collect_everything(&root);
    assert_eq!(
        Inventory::take(&Upkeep::open(&root).unwrap())
            .unwrap()
            .bytes(),
        0
    );
    drop(filler);
}

fn stream(cache: &Cache, bytes: &[u8]) -> Result<Digest, CacheError> {
    let mut writer = cache.blobs().writer()?;
    writer
        .write_all(bytes)
        .map_err(CacheError::io("write a blob to the cache"))?;
    writer.commit()
}

const ADOPTED: &[u8] = b"adopted";
const COMMITTED: &[u8] = b"committed";
const ACTION: &[u8] = b"action";

/// Stores whatever has to be on the disk before it has its name.
fn keep_for_good(root: &Path) {
    let cache = Cache::open(root).unwrap();
    let blobs = cache.blobs();
    let scratch = cache.scratch().unwrap();
    let file = scratch.path().join("download");
    fs::write(&file, ADOPTED).unwrap();
    blobs.adopt(&file, &Digest::of(ADOPTED)).unwrap();
    let mut writer = blobs.writer().unwrap();
    writer.write_all(COMMITTED).unwrap();
    writer.commit_as(&Digest::of(COMMITTED), "it").unwrap();
    let result = result_naming(&[]);
    (cache.actions().put(&Digest::of(ACTION), &result)).unwrap();
    for (name, existing) in [("new", Existing::Refuse), ("new", Existing::Replace)] {
        let mut file = NewFile::create(&root.join(name)).unwrap();
        file.write_all(b"bytes").unwrap();
        file.place(existing).unwrap();
    }
}

/// A machine that stops must not come back with a name and half of its file: by the system
/// calls, each file was written out before it got its name.
#[test]
fn what_is_kept_for_good_is_on_the_disk_before_it_has_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (root, log) = (folder.path().join("cache"), folder.path().join("log"));
    let calls = "--trace=fsync,fdatasync,linkat,rename,renameat,renameat2";
    let mut command = Command::new("strace");
    command
        .args(["--follow-forks", "--decode-fds=path", calls, "--output"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "other_process"])
        .env(ROLE, "keep")
        .env(ROOT, &root);
    match command.output() {
        Err(error) => return left_out(&this_test(), &format!("no strace can be run: {error}")),
        Ok(ran) => {
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            if said.contains("Operation not permitted") {
                return left_out(&this_test(), "processes cannot be traced here");
            }
            assert!(ran.status.success(), "{said}");
        }
    }
    let cache = Cache::open(&root).unwrap();
    let blob = |bytes: &[u8]| cache.blobs().path(&Sha256::of(bytes));
    let log = fs::read_to_string(log).unwrap();
    for (path, times) in [
        (blob(ADOPTED), 1),
        (blob(COMMITTED), 1),
        (cache.actions().path(&Sha256::of(ACTION)), 1),
        (root.join("new"), 2),
    ] {
        let to = format!("\"{}\"", path.display());
        let named =
            (log.lines().enumerate()).filter(|(_, call)| call.contains(&to) && gives_a_name(call));
        let mut count = 0;
        for (at, call) in named {
            let before: Vec<&str> = log.lines().take(at).collect();
            assert!(was_synced(call, &before), "{call}\n{log}");
            count += 1;
        }
        assert_eq!(count, times, "{to}\n{log}");
    }
}

/// Whether what `call` gives a name was written out by one of the calls before it.
fn was_synced(call: &str, before: &[&str]) -> bool {
    let source = call.split('"').nth(1).unwrap();
    if let Some(number) = source.strip_prefix("/proc/self/fd/") {
        // The number was another file's before that had its name.
        let descriptor = format!("sync({number}<");
        let mut own = before.iter().rev().take_while(|call| !gives_a_name(call));
        return own.any(|call| call.contains(&descriptor));
    }
    // A name that it had meanwhile, because only that can replace another.
    let target = format!("\"{source}\", AT_SYMLINK_FOLLOW");
    let meanwhile = before.iter().rposition(|call| call.contains(&target));
    match meanwhile.and_then(|at| before.split_at_checked(at)) {
        Some((before, rest)) => was_synced(rest[0], before),
        None => {
            let file = format!("<{source}>)");
            before
                .iter()
                .any(|call| call.contains("sync(") && call.contains(&file))
        }
    }
}

fn gives_a_name(call: &str) -> bool {
    (call.contains("link") || call.contains("rename")) && call.ends_with("= 0")
}
