//! Every target over its seeds, and over mutations of them for a bounded time.
//!
//! A seed whose name begins with `bad-` must be refused, and every other one accepted.
//! `LUNI_FUZZ_SECONDS` (2) is how long each target's mutations go on; an input that makes
//! a target panic is kept in `fuzz/artifacts/`.

use std::panic;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use lunikernel_fuzz::mutate::{Xorshift, mutate};
use lunikernel_fuzz::{TARGETS, Target, target};

/// Mutations may grow an input up to this many bytes: enough for any header.
const MAX_SIZE: usize = 1 << 16;
/// No input of that size may take longer, on whatever machine.
const MAX_TIME: Duration = Duration::from_secs(30);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The seeds of a target, in the order of their names.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder().join("seeds").join(name)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

/// Runs the target, and says whether it accepted.
fn run(target: &Target, input: &[u8]) -> bool {
    let begun = Instant::now();
    let ended = panic::catch_unwind(|| (target.read)(input));
    if let Ok(accepted) = ended
        && begun.elapsed() < MAX_TIME
    {
        return accepted;
    }
    let kept = folder().join("artifacts").join(target.name);
    fs::create_dir_all(&kept).unwrap();
    let kept = kept.join("smoke");
    fs::write(&kept, input).unwrap();
    panic!(
        "the input is {}; it took {:?}",
        kept.display(),
        begun.elapsed()
    );
}

fn smoke(name: &str) {
    let target = target(name).unwrap();
    let seeds = seeds(name);
    for (path, seed) in &seeds {
        let file = path.file_name().unwrap().to_string_lossy();
        let expected = !file.starts_with("bad-");
        assert_eq!(run(&target, seed), expected, "accepting {}", path.display());
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let seconds = std::env::var("LUNI_FUZZ_SECONDS").map_or(2, |text| text.parse().unwrap());
    let (begun, time) = (Instant::now(), Duration::from_secs(seconds));
    let mut random = Xorshift::default();
    let (mut runs, mut accepted) = (0u64, 0u64);
    while begun.elapsed() < time {
        let mut input = random.choose(&seeds).clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &seeds, &mut random);
        }
        input.truncate(MAX_SIZE);
        accepted += u64::from(run(&target, &input));
        runs += 1;
    }
    println!("{name}: {runs} mutations, {accepted} of them accepted");
}

/// A test for each target, so that they run beside each other and are told apart.
macro_rules! smoke {
    ($($name:ident)*) => {
        $(#[test] fn $name() { smoke(stringify!($name)); })*
        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

smoke! {
    action_cache_entry apk apk_checksum apk_dependencies apk_index apk_info
    apk_installed apk_key apk_versions apt_conf attestation codec compare_ar
    compare_cpio compare_elf compare_gzip compare_tar compare_zip control cpio deb
    deflate digest export_manifest gitmodules initramfs inputs_tar inrelease iso kernel
    keyring lock manifest modinfo multiboot multiboot2 oci overlay overlay_history
    overlay_paths packages policy pvh recipe relations release report rootfs signature
    solo5 sources sources_list squashfs tar tree uki versions vmlinux
    yocto_licences yocto_manifest zip
}

#[test]
fn every_target_is_tested_and_has_good_and_bad_seeds() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, TESTED);
    // No bytes are bad configuration of apt, as far as it is read; and all can be deflated.
    let judges = |name: &&str| !["apt_conf", "deflate"].contains(name);
    for name in names.into_iter().filter(judges) {
        let seeds = seeds(name);
        let bad = |(path, _): &&(PathBuf, Vec<u8>)| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("bad-")
        };
        let bad = seeds.iter().filter(bad).count();
        assert!(
            bad > 0 && bad < seeds.len(),
            "{name}: {bad} of {}",
            seeds.len()
        );
    }
}
