//! What differs between the rounds of `luni verify` outside of the steps.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use lunikernel_builder::build::{Builder, Recall};
use lunikernel_builder::fetch::{FetchOptions, Fetcher};
use lunikernel_builder::lock::{LockedRecipe, LockedSource};
use lunikernel_builder::recipe::Recipe;
use lunikernel_builder::sandbox::{Native, Outcome, Sandbox, SandboxError, Surroundings};
use lunikernel_builder::verify::{
    Conditions, ExportRound, Round, Variation, Verdict, Verifier, VerifyError, round,
};
use lunikernel_cache::{Cache, CacheError, Digest, Silent};
use support::small::Small;
use support::transcript;

const STEP: &str =
    "  - name: only\n    root: [base, shell]\n    run: echo same > out\n    outputs: [out]\n";

/// Runs steps as ever, and remembers what the cache held when it was asked to.
struct Watching {
    native: Native,
    cache: Cache,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The action that was to be run, and the files of the action cache with their inodes:
/// one that is written anew gets another.
type Seen = (Digest, BTreeMap<PathBuf, u64>);

impl Sandbox for Watching {
    fn name(&self) -> &'static str {
        self.native.name()
    }

    fn run(&self, action: &Digest, around: &Surroundings) -> Result<Outcome, SandboxError> {
        // Each lies in a folder named by its first two digits.
        let below = |path: PathBuf| fs_err::read_dir(path).unwrap().map(Result::unwrap);
        let known = below(self.cache.root().join("ac-v1"))
            .flat_map(|folder| below(folder.path()))
            .map(|entry| (entry.path(), entry.metadata().unwrap().ino()))
            .collect();
        self.seen.lock().unwrap().push((*action, known));
        self.native.run(action, around)
    }
}

/// The recipe with its inputs in a cache; `None` where the test `name` is left out.
fn fetched(name: &str) -> Option<(Small, Cache, LockedRecipe)> {
    let small = Small::new(name, STEP)?;
    let fetch = small.run("fetch", &[]);
    assert!(fetch.status.success(), "{}", transcript(&fetch));
    let main = Cache::open(&small.path("cache")).unwrap();
    let recipe = Recipe::read(&small.path("recipe/recipe.yaml")).unwrap();
    let locked = LockedRecipe::open(recipe, &main).unwrap();
    Some((small, main, locked))
}

fn builder(cache: Cache, conditions: &Conditions, seen: &Arc<Mutex<Vec<Seen>>>) -> Builder {
    let options = FetchOptions {
        offline: true,
        ..FetchOptions::default()
    };
    Builder {
        fetcher: Fetcher::new(cache.clone(), options, Arc::new(Silent)).unwrap(),
        sandbox: Arc::new(Watching {
            native: Native::new(cache.clone(), env!("CARGO_BIN_EXE_luni").into()),
            cache: cache.clone(),
            seen: seen.clone(),
        }),
        progress: Arc::new(Silent),
        apt_root: "/".into(),
        snapshots: None,
        threads: 1,
        surroundings: conditions.surroundings.clone(),
        recall: Recall::All,
        network_steps: true,
        cache,
    }
}

fn build(
    main: &Cache,
    locked: &LockedRecipe,
    change: impl FnOnce(&mut Conditions),
) -> (Result<Round, VerifyError>, Vec<Seen>) {
    let mut conditions = Conditions::base();
    change(&mut conditions);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let make = |cache: Cache, conditions: &Conditions| Ok(builder(cache, conditions, &seen));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let made = runtime.block_on(round(main, locked, 1, conditions, &make));
    let seen = seen.lock().unwrap().clone();
    (made, seen)
}

#[test]
fn a_round_is_made_in_a_folder_of_its_own_that_can_lie_deeper() {
    let name = "rounds::a_round_is_made_in_a_folder_of_its_own_that_can_lie_deeper";
    let Some((_small, main, locked)) = fetched(name) else {
        return;
    };
    let place = |depth| {
        let (made, seen) = build(&main, &locked, |conditions| conditions.depth = depth);
        let made = made.unwrap();
        assert_eq!(seen.len(), 1);
        let below = made.cache.root().strip_prefix(main.root()).unwrap();
        (below.to_owned(), made.built.artefact)
    };
    let (usual, artefact) = place(0);
    let (deeper, same) = place(3);
    assert_ne!(usual, deeper);
    assert_eq!(deeper.components().count(), usual.components().count() + 3);
    assert!(
        deeper.ends_with("deeper/deeper/deeper"),
        "{}",
        deeper.display()
    );
    assert_eq!(artefact, same);
}

#[test]
fn a_warm_round_runs_steps_anew_and_unpacks_nothing() {
    let name = "rounds::a_warm_round_runs_steps_anew_and_unpacks_nothing";
    let Some((_small, main, locked)) = fetched(name) else {
        return;
    };
    let (_, cold) = build(&main, &locked, |_| ());
    assert_eq!(cold.len(), 1);
    let (made, warm) = build(&main, &locked, |conditions| conditions.warm = true);
    let made = made.unwrap();
    assert!(!made.built.cached);
    let [(first, before), (second, after)] = warm.as_slice() else {
        panic!("the step was run {} times", warm.len());
    };
    assert_eq!(first, second);
    // What was unpacked before the first run is as it was before the second.
    assert!(!before.is_empty());
    for (path, inode) in before {
        assert_eq!(
            after.get(path),
            Some(inode),
            "{} was made again",
            path.display()
        );
    }
    // Between the two, the step itself and the artefact were added.
    assert_eq!(after.len(), before.len() + 2);
}

#[test]
fn inputs_arrive_in_the_order_asked_for() {
    let name = "rounds::inputs_arrive_in_the_order_asked_for";
    let Some((_small, main, locked)) = fetched(name) else {
        return;
    };
    let mut inputs: Vec<Digest> = Vec::new();
    for source in locked.lock().sources.values() {
        let LockedSource::Deb(debs) = source else {
            panic!("the recipe has packages only");
        };
        inputs.extend(debs.packages.iter().map(|package| package.digest()));
    }
    assert!(inputs.len() >= 3);
    // With nothing to take over, the first that should come is the one that is missed.
    for input in &inputs {
        main.blobs().discard(input).unwrap();
    }
    let missed = |reversed| {
        let (made, _) = build(&main, &locked, |conditions| conditions.reversed = reversed);
        match made {
            Err(VerifyError::Cache(CacheError::Missing { digest })) => digest,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(missed(false), inputs[0]);
    assert_eq!(missed(true), inputs[inputs.len() - 1]);
}

/// The artefact is the same in both rounds; what comes of its export is made up.
#[test]
fn exports_that_are_not_the_same_are_no_good_verdict() {
    let name = "rounds::exports_that_are_not_the_same_are_no_good_verdict";
    let Some((_small, main, locked)) = fetched(name) else {
        return;
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let make = |cache: Cache, conditions: &Conditions| Ok(builder(cache, conditions, &seen));
    let verify = |export: ExportRound<'_>| {
        let verifier = Verifier {
            cache: &main,
            locked: &locked,
            rounds: 2,
            varied: &[Variation::HostPath],
            expected: None,
            sandboxes: &["native".to_owned()],
            bisect: false,
            progress: Arc::new(Silent),
            make: &make,
            export: Some(export),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(verifier.verify()).unwrap()
    };
    let exported = |bytes: &[u8]| {
        let digest = |name: &str, bytes| (name.to_owned(), Digest::of(bytes));
        Ok(BTreeMap::from([
            digest("it.raw", b"same"),
            digest("it.vmdk", bytes),
        ]))
    };
    let same = verify(&|_| exported(b"same"));
    assert_eq!(same.report.verdict, Verdict::Good);
    assert!(same.error.is_none());

    let unlike = verify(&|round| exported(&round.conditions.depth.to_le_bytes()));
    assert_eq!(unlike.report.verdict, Verdict::Differs);
    let names: Vec<&str> = unlike.report.unlike_exports().collect();
    assert_eq!(names, ["it.vmdk"]);
    let [one, two] = unlike.report.rounds.as_slice() else {
        panic!("{:?}", unlike.report.rounds);
    };
    assert_eq!(one.artefact, two.artefact);
}

#[test]
fn one_round_is_no_comparison() {
    let name = "rounds::one_round_is_no_comparison";
    let Some((_small, main, locked)) = fetched(name) else {
        return;
    };
    let verifier = Verifier {
        cache: &main,
        locked: &locked,
        rounds: 1,
        varied: &[],
        expected: None,
        sandboxes: &["native".to_owned()],
        bisect: false,
        progress: Arc::new(Silent),
        make: &|_, _| panic!("nothing is to be built"),
        export: None,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(verifier.verify()).unwrap_err();
    assert!(matches!(error, VerifyError::TooFewRounds(1)), "{error}");
}

#[test]
fn an_input_that_is_no_longer_what_was_locked_is_not_built_from() {
    let name = "rounds::an_input_that_is_no_longer_what_was_locked_is_not_built_from";
    let Some((_small, main, locked)) = fetched(name) else {
        return;
    };
    let Some(LockedSource::Deb(debs)) = locked.lock().sources.values().next() else {
        panic!("the recipe has packages only");
    };
    let input = debs.packages[0].digest();
    let mut bytes = main.blobs().read(&input).unwrap();
    bytes[100] ^= 1;
    let path = main.blobs().path(&input.sha256);
    main.blobs().discard(&input).unwrap();
    fs_err::write(path, bytes).unwrap();
    match build(&main, &locked, |_| ()) {
        (Err(VerifyError::Cache(CacheError::Mismatch { expected, .. })), seen) => {
            assert!(expected == input && seen.is_empty());
        }
        (other, _) => panic!("{other:?}"),
    }
}
