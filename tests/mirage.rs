//! `recipes/mirage/hello`, as far as it goes without the repositories of opam: its own
//! steps, with the real opam, on packages and a tool `mirage` that are made here.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use fs_err as fs;
use lunikernel_cache::Sha256;
use lunikernel_cache::artefact::{Artefact, KERNEL};
use lunikernel_testing::this_test;
use support::server::Server;
use support::small::lock_of;
use support::{hello, project, transcript, varied};

/// Where the recipe gets its repositories from, and what they are called here.
const REPOSITORIES: [(&str, &str); 3] = [
    (
        "https://github.com/ocaml/opam-repository.git",
        "opam-repository",
    ),
    (
        "https://github.com/dune-universe/opam-overlays.git",
        "opam-overlays",
    ),
    (
        "https://github.com/dune-universe/mirage-opam-overlays.git",
        "mirage-overlays",
    ),
];

/// The recipe, unchanged but for the addresses of its repositories, which lie here.
struct World {
    folder: tempfile::TempDir,
    mirrors: Vec<String>,
    server: Option<Server>,
}

impl World {
    /// `None` where Debian's packages or the crate cannot be had.
    fn new() -> Option<Self> {
        let test = format!("mirage::{}", this_test());
        let tools = project("tests/mirage/tools");
        let solo5 = project("recipes/mirage/solo5-hello");
        let mirrors = vec![
            hello::mirror_of(&test, "opam", &tools)?,
            hello::mirror_of(&test, "solo5-hello", &solo5)?,
        ];
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("served")).unwrap();
        let server = Server::of_folder(folder.path().join("served"));
        let url = server.url();
        let world = Self {
            folder,
            mirrors,
            server: Some(server),
        };
        world.serve(&url);
        world.lay_recipe();
        Some(world)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Makes the archives of the packages, and the repositories that name them.
    fn serve(&self, url: &str) {
        let solo5 = crate_archive(&self.mirrors[1]);
        let archives = [
            ("MIRAGE", "mirage.tar.gz", archive("mirage")),
            ("DURATION", "duration.tar.gz", archive("duration")),
            ("SOLO5", "solo5.tar.gz", solo5),
        ];
        let files = "tests/mirage/opam-repository/packages/solo5/solo5.0.7.2/files";
        let version = fs::read(project(files).join("version.h.distrib")).unwrap();
        let mut words = vec![
            ("URL", url.to_owned()),
            ("VERSION", Sha256::of(&version).hex()),
        ];
        for (word, file, bytes) in archives {
            words.push((word, Sha256::of(&bytes).hex()));
            fs::write(self.path("served").join(file), bytes).unwrap();
        }
        for (_, name) in REPOSITORIES {
            let template = project("tests/mirage").join(name);
            copy_filled(&template, &self.path(name), &words);
            commit_all(&self.path(name));
        }
    }

    fn lay_recipe(&self) {
        let shipped = project("recipes/mirage/hello");
        let mut text = fs::read_to_string(shipped.join("recipe.yaml")).unwrap();
        let tools = fs::read_to_string(project("tests/mirage/tools/recipe.yaml")).unwrap();
        let block = |text: &str| {
            let (_, rest) = text.split_once("\n  tools:\n").unwrap();
            let (block, _) = rest.split_once("\n      # opam's own sandbox").unwrap();
            block.to_owned()
        };
        assert_eq!(
            block(&text),
            block(&tools),
            "the packages of recipes/mirage/hello and of tests/mirage/tools differ"
        );
        for (address, name) in REPOSITORIES {
            assert!(text.contains(address), "{address} is not in {text}");
            let here = format!("file://{}", self.path(name).display());
            text = text.replace(address, &here);
        }
        copy_filled(&shipped.join("files"), &self.path("recipe/files"), &[]);
        fs::write(self.path("recipe/recipe.yaml"), text).unwrap();
        let lock = project("tests/mirage/tools/recipe.lock");
        let lock = lock_of(&lock, |source| source == "tools");
        fs::write(self.path("recipe/recipe.lock"), lock).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = hello::luni(&self.path("cache"));
        command.current_dir(self.folder.path());
        let mirrors = self.mirrors.iter();
        command.args(mirrors.flat_map(|mirror| ["--mirror", mirror.as_str()]));
        command.args(arguments).output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", transcript(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The files that its server was asked for so far.
    fn asked(&self) -> BTreeSet<String> {
        let asked = self.server.as_ref().map(Server::asked);
        asked.into_iter().flatten().collect()
    }

    /// The same years later: neither the archives nor the repositories are there.
    fn without_upstream(mut self) -> Self {
        self.server = None;
        for (_, name) in REPOSITORIES {
            fs::remove_dir_all(self.path(name)).unwrap();
        }
        self
    }
}

/// The source of Solo5 as the mirror of its recipe has it.
fn crate_archive(mirror: &str) -> Vec<u8> {
    let lock = project("recipes/mirage/solo5-hello/recipe.lock");
    let lock = fs::read_to_string(lock).unwrap();
    let (_, rest) = lock.split_once("name: solo5-sys").unwrap();
    let (_, rest) = rest.split_once("sha256: sha256:").unwrap();
    let mirror = Path::new(mirror.trim_start_matches("file://"));
    fs::read(mirror.join("sha256").join(&rest[..64])).unwrap()
}

/// The folder of that name in `tests/mirage/sources`, packed.
fn archive(name: &str) -> Vec<u8> {
    let folder = project("tests/mirage/sources").join(name);
    let gzip = flate2::GzBuilder::new().mtime(0);
    let gzip = gzip.write(Vec::new(), flate2::Compression::default());
    let mut tar = tar::Builder::new(gzip);
    tar.mode(tar::HeaderMode::Deterministic);
    for file in sorted(&folder) {
        let path = Path::new(name).join(file.file_name().unwrap());
        let content = fs::read(&file).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_slice())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Copies a folder; `@WORD@` in its files becomes what `words` say.
fn copy_filled(from: &Path, to: &Path, words: &[(&str, String)]) {
    fs::create_dir_all(to).unwrap();
    for path in sorted(from) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_filled(&path, &target, words);
            continue;
        }
        let mut text = fs::read_to_string(&path).unwrap();
        for (word, value) in words {
            text = text.replace(&format!("@{word}@"), value);
        }
        fs::write(target, text).unwrap();
    }
}

/// Makes a folder a repository whose one commit has all that is in it.
fn commit_all(folder: &Path) {
    let mut options = git2::RepositoryInitOptions::new();
    let options = options.initial_head("main");
    let repository = git2::Repository::init_opts(folder, options).unwrap();
    let mut index = repository.index().unwrap();
    index
        .add_all(["*"], git2::IndexAddOption::FORCE, None)
        .unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let when = git2::Time::new(1_717_200_000, 0);
    let author = git2::Signature::new("Test", "test@example.org", &when).unwrap();
    let message = "Add packages";
    let commit = repository.commit(Some("HEAD"), &author, &author, message, &tree, &[]);
    commit.unwrap();
}

#[test]
fn a_frozen_switch_is_fetched_once_and_builds_without_network() {
    let Some(world) = World::new() else { return };
    // What the switch was frozen with decides, not what is served.
    let honest = fs::read(world.path("served/mirage.tar.gz")).unwrap();
    fs::write(world.path("served/mirage.tar.gz"), archive("duration")).unwrap();
    let refused = world.run(&["lock", "recipe"]);
    let text = transcript(&refused);
    assert!(!refused.status.success(), "{text}");
    assert!(text.contains("step `archives` failed"), "{text}");
    let why = "not all archives of mirage.4.0.0 could be had";
    assert!(text.contains(why), "{text}");

    fs::write(world.path("served/mirage.tar.gz"), honest).unwrap();
    world.succeeds(&["lock", "recipe"]);
    let asked = world.asked();
    let archives = ["/duration.tar.gz", "/mirage.tar.gz", "/solo5.tar.gz"];
    assert!(asked.iter().eq(archives), "{asked:?}");

    // From here on neither the server nor the repositories are needed.
    let world = world.without_upstream();
    let built = ["--offline", "build", "recipe", "-o", "hello.luni.zip"];
    world.succeeds(&built);
    let artefact = Artefact::open(&world.path("hello.luni.zip")).unwrap();
    let kernel = artefact.manifest().entries[KERNEL].sha256.hex();
    let golden = fs::read_to_string(project("tests/golden/mirage-hello.sha256")).unwrap();
    assert_eq!(
        Some(kernel.as_str()),
        golden.split_whitespace().next(),
        "the unikernel that the stand-ins of tests/mirage make has moved; if that is meant, write \
         the new digest into tests/golden/mirage-hello.sha256 and say in the commit message why"
    );
    let ran = world.run(&["run", "hello.luni.zip", "--own-tender", "--test"]);
    let console = transcript(&ran);
    assert_eq!(ran.status.code(), Some(0), "{console}");
    assert!(console.contains("hello from a unikernel"), "{console}");
    let report = world.succeeds(&["--offline", "verify", "recipe", "--json"]);
    let report = serde_json::from_str(&report).unwrap();
    let test = format!("mirage::{}", this_test());
    varied::all_but(&test, &report, &varied::SANDBOX_AND_LOCALE);
}

#[test]
fn the_template_is_built_and_runs_by_its_own_tender() {
    let test = format!("mirage::{}", this_test());
    let solo5 = project("recipes/mirage/solo5-hello");
    let Some(mirror) = hello::mirror_of(&test, "solo5-hello", &solo5) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let luni = |arguments: &[&str]| {
        let mut command = hello::luni(&folder.path().join("cache"));
        command.current_dir(folder.path());
        command
            .args(["--offline", "--mirror", &mirror])
            .args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", transcript(&output));
        transcript(&output)
    };
    luni(&["new", "web", "--flavour", "mirage"]);
    // It wants the packages and the crate that the shipped recipe has locked.
    let lock = lock_of(&solo5.join("recipe.lock"), |_| true);
    fs::write(folder.path().join("web/recipe.lock"), lock).unwrap();
    luni(&["lock", "web"]);
    luni(&["build", "web"]);
    let console = luni(&["run", "web.luni.zip", "--own-tender", "--test"]);
    assert!(console.contains("web: hello from web"), "{console}");
}
