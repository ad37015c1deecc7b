//! No byte of an input is hashed twice. One test in a process of its own, because it
//! counts what the process hashes.

mod support;

use std::path::Path;
use std::sync::Arc;

use lunikernel_builder::build::{Builder, Recall};
use lunikernel_builder::fetch::{FetchOptions, Fetcher};
use lunikernel_builder::lock::LockedRecipe;
use lunikernel_builder::recipe::Recipe;
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_builder::sandbox::native::Native;
use lunikernel_cache::digest::hashed_bytes;
use lunikernel_cache::inventory::{Inventory, Kind};
use lunikernel_cache::{Cache, Silent, Upkeep};
use support::hello::{golden, mirror, recipe};

#[test]
fn inputs_are_hashed_while_they_come_and_never_again() {
    let Some(mirror) = mirror("hashing::inputs_are_hashed_while_they_come_and_never_again") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let options = FetchOptions {
        mirrors: vec![mirror.parse().unwrap()],
        offline: true,
        ..FetchOptions::default()
    };
    let fetcher = Fetcher::new(cache.clone(), options, Arc::new(Silent)).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_luni")).to_owned();
    let builder = Builder {
        apt_root: "/".into(),
        fetcher,
        sandbox: Arc::new(Native::new(cache.clone(), program)),
        progress: Arc::new(Silent),
        snapshots: None,
        threads: 2,
        surroundings: Surroundings::default(),
        recall: Recall::All,
        network_steps: true,
        cache: cache.clone(),
    };
    let read = Recipe::read(&recipe().join("recipe.yaml")).unwrap();
    let locked = LockedRecipe::open(read, &cache).unwrap();
    let inputs = missing_bytes(&locked, &cache);
    let largest = locked.inputs().map(|digest| digest.size).max().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();

    let before = hashed_bytes();
    runtime.block_on(builder.fetch(&locked)).unwrap();
    assert_eq!(
        hashed_bytes() - before,
        inputs,
        "fetching hashes each byte once"
    );
    let stored = blob_bytes(folder.path());

    let before = hashed_bytes();
    let built = runtime.block_on(builder.build(&locked)).unwrap();
    assert_eq!(built.artefact.sha256.hex(), golden());
    let made = blob_bytes(folder.path()) - stored;
    let hashed = hashed_bytes() - before;
    // What was made was hashed on its way into the store, files that several packages
    // have once for each; the kernel is checked once more when it is sealed. All that is
    // less than the largest package, which therefore cannot have been hashed again.
    println!("inputs {inputs}, the largest {largest}, made {made}, hashed while building {hashed}");
    assert!(
        hashed < made + largest,
        "{hashed} bytes were hashed for {made} that were made: inputs of {inputs} bytes among them?"
    );

    let before = hashed_bytes();
    let again = runtime.block_on(builder.build(&locked)).unwrap();
    assert!(again.cached);
    let hashed = hashed_bytes() - before;
    assert!(hashed < 1 << 20, "nothing to do, and {hashed} bytes hashed");
}

/// How many bytes are to be fetched.
fn missing_bytes(locked: &LockedRecipe, cache: &Cache) -> u64 {
    let missing: std::collections::BTreeSet<_> = locked
        .inputs()
        .filter(|digest| !cache.blobs().contains(digest))
        .collect();
    missing.iter().map(|digest| digest.size).sum()
}

fn blob_bytes(root: &Path) -> u64 {
    let inventory = Inventory::take(&Upkeep::open(root).unwrap()).unwrap();
    inventory.sum(Kind::Blob).1
}
