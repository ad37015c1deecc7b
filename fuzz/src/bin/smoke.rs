//! Runs every target over its seeds and over mutations of them, for a bounded time,
//! with a stable compiler: `smoke SECONDS [TARGET…]`, seconds being for each target.
//!
//! The sequence of mutations is always the same; only how far it gets depends on the
//! machine. An input that makes a target panic is kept in `fuzz/artifacts/`.

use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fs_err as fs;
use lunikernel_fuzz::{TARGETS, Target};

/// Mutations may grow an input up to this many bytes: enough for any header.
const MAX_SIZE: usize = 1 << 16;
/// Numbers at the edges of what fields hold.
const INTERESTING: [u32; 8] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok());
    let Some(seconds) = seconds else {
        eprintln!("usage: smoke SECONDS [TARGET…]");
        return ExitCode::from(2);
    };
    let wanted: Vec<String> = arguments.collect();
    let mut failed = false;
    for target in TARGETS {
        if wanted.is_empty() || wanted.iter().any(|name| name == target.0) {
            failed |= !run(target, Duration::from_secs(seconds));
        }
    }
    ExitCode::from(u8::from(failed))
}

/// Runs one target; whether it held.
fn run((name, target): &Target, time: Duration) -> bool {
    let seeds = seeds(name);
    if seeds.is_empty() {
        eprintln!("{name}: there are no seeds in fuzz/seeds/{name}");
        return false;
    }
    let start = Instant::now();
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut runs = 0u64;
    for seed in &seeds {
        if !holds(name, *target, seed) {
            return false;
        }
        runs += 1;
    }
    while start.elapsed() < time {
        let mut input = random.choose(&seeds).clone();
        for _ in 0..=random.below(4) {
            mutate(&mut input, &seeds, &mut random);
        }
        input.truncate(MAX_SIZE);
        if !holds(name, *target, &input) {
            return false;
        }
        runs += 1;
    }
    println!(
        "{name}: {runs} runs from {} seeds, nothing found",
        seeds.len()
    );
    true
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The seeds of a target, in the order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder().join("seeds").join(name)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .collect()
}

fn holds(name: &str, target: fn(&[u8]), input: &[u8]) -> bool {
    if panic::catch_unwind(|| target(input)).is_ok() {
        return true;
    }
    let kept = folder().join("artifacts").join(name).join("smoke");
    let written =
        fs::create_dir_all(kept.with_file_name("")).and_then(|()| fs::write(&kept, input));
    match written {
        Ok(()) => eprintln!("{name}: found something; the input is {}", kept.display()),
        Err(error) => eprintln!("{name}: found something, and could not keep it: {error}"),
    }
    false
}

fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Xorshift) {
    let at = random.below(input.len() + 1);
    let end = at + random.below((input.len() - at).min(64) + 1);
    match random.below(8) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.below(256) as u8;
            }
        }
        2 => {
            let number = random.choose(&INTERESTING).to_le_bytes();
            let width = *random.choose(&[1, 2, 4]);
            input.resize(input.len().max(at + width), 0);
            for (byte, new) in input.iter_mut().skip(at).zip(&number[..width]) {
                *byte = *new;
            }
        }
        3 => drop(input.drain(at..end)),
        4 => {
            let part = input[at..end].to_vec();
            let to = random.below(input.len() + 1);
            input.splice(to..to, part);
        }
        5 => {
            let filler = vec![random.below(256) as u8; random.below(32)];
            input.splice(at..at, filler);
        }
        6 => {
            let other = random.choose(seeds);
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => input.truncate(at),
    }
}

/// Marsaglia's xorshift64: small, and the same on every machine.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
