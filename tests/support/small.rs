//! A recipe that builds in a moment: busybox, a shell that is a link to it, and a
//! kernel that nobody boots. What its steps do is up to each test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use lunikernel_cache::Sha256;

use super::debs::{Item, deb};
use super::hello;

/// The recipe in a folder of its own, with mirrors that have its inputs.
pub(crate) struct Small {
    folder: tempfile::TempDir,
    mirrors: Vec<String>,
}

impl Small {
    /// Writes it with `steps`, the YAML of that section's list, each line with two
    /// spaces before it. What each step makes is its output `out`, a file or folder,
    /// and becomes `/made/STEP`. `None` where this machine cannot get Debian
    /// packages, with the test `name` left out.
    pub(crate) fn new(name: &str, steps: &str) -> Option<Self> {
        let debian = hello::mirror(name)?;
        let lock = lock_of(&hello::recipe().join("recipe.lock"), |source| {
            source == "base"
        });
        let small = Self::lay(debian, &lock, |_| true);
        fs::write(small.path("recipe/recipe.yaml"), recipe(steps)).unwrap();
        Some(small)
    }

    /// A copy of the recipe in the folder `of`, whose sources `linux` and `shell` are
    /// those of the others here. Its other packages are locked under the same names in
    /// the recipe in the folder `packages`. `None` as for [`Small::new`].
    pub(crate) fn copy(name: &str, of: &Path, packages: &Path) -> Option<Self> {
        let debian = hello::mirror_of(name, "packages", packages)?;
        let recipe = fs::read_to_string(of.join("recipe.yaml")).unwrap();
        let has = |source: &str| recipe.contains(&format!("\n  {source}:\n    deb:\n"));
        let mut lock = lock_of(&packages.join("recipe.lock"), has);
        let files = of.join("files");
        let mut names: Vec<_> = fs::read_dir(&files)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        for file in &names {
            let bytes = fs::read(files.join(file)).unwrap();
            let (sha256, size) = (Sha256::of(&bytes), bytes.len());
            lock += &format!(
                "  {file}:\n    file:\n      path: files/{file}\n      kind: file\n      digest:\n        sha256: {sha256}\n        size: {size}\n"
            );
        }
        let small = Self::lay(debian, &lock, has);
        fs::write(small.path("recipe/recipe.yaml"), &recipe).unwrap();
        for file in names {
            fs::create_dir_all(small.path("recipe/files")).unwrap();
            let to = small.path("recipe/files").join(&file);
            fs::copy(files.join(&file), to).unwrap();
        }
        Some(small)
    }

    /// The folder with everything but the recipe itself; `lock` is the lock without the
    /// small packages, of which those of `wanted` sources are added.
    fn lay(debian: String, lock: &str, wanted: impl Fn(&str) -> bool) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("a small one ")
            .tempdir()
            .unwrap();
        let mirror = folder.path().join("mirror/sha256");
        fs::create_dir_all(&mirror).unwrap();
        let mut lock = lock.to_owned();
        for (source, package, bytes) in [
            ("linux", "linux-image-small", kernel()),
            ("shell", "sh-small", shell()),
        ] {
            if !wanted(source) {
                continue;
            }
            let sha256 = Sha256::of(&bytes).hex();
            fs::write(mirror.join(&sha256), &bytes).unwrap();
            lock += &locked(source, package, &sha256, bytes.len());
        }
        let small = Self {
            mirrors: vec![
                debian,
                format!("file://{}", folder.path().join("mirror").display()).replace(' ', "%20"),
            ],
            folder,
        };
        fs::create_dir(small.path("recipe")).unwrap();
        fs::write(small.path("recipe/recipe.lock"), lock).unwrap();
        small
    }

    /// A path in the folder: `recipe/` is the recipe's, `cache` the cache.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Where everything may be had.
    pub(crate) fn mirrors(&self) -> &[String] {
        &self.mirrors
    }

    /// `luni VERB`, offline, in the folder.
    pub(crate) fn luni(&self, verb: &str) -> Command {
        let mut command = hello::luni(&self.path("cache"));
        command.current_dir(self.folder.path()).arg("--offline");
        for mirror in &self.mirrors {
            command.args(["--mirror", mirror]);
        }
        command.arg(verb);
        command
    }

    /// Runs `luni VERB recipe ARGS…`.
    pub(crate) fn run(&self, verb: &str, args: &[&str]) -> Output {
        let mut command = self.luni(verb);
        command.arg("recipe").args(args).output().unwrap()
    }
}

fn recipe(steps: &str) -> String {
    let names = steps.lines().filter_map(|line| {
        line.trim_start_matches([' ', '-'])
            .strip_prefix("name: ")
            .map(str::to_owned)
    });
    let files: String = names
        .map(|name| format!("    /made/{name}:\n      from: {name}/out\n"))
        .collect();
    format!(
        "apiVersion: lunikernel/v1\nname: small\nversion: 1.0.0\nflavour: debian\n\
         arch: x86_64\nsources:\n\
         \x20 base:\n    deb:\n      suite: bookworm\n      packages: [busybox-static]\n\
         \x20 linux:\n    deb:\n      suite: small\n      packages: [linux-image-small]\n\
         \x20 shell:\n    deb:\n      suite: small\n      packages: [sh-small]\n\
         steps:\n{steps}\
         rootfs:\n  from: [base]\n  files:\n{files}\
         kernel:\n  from: linux\n  modules: []\n"
    )
}

/// A package with what looks like a kernel from outside.
pub(crate) fn kernel() -> Vec<u8> {
    deb(
        "linux-image-small",
        "1.0",
        &[
            ("boot", Item::Folder),
            ("boot/vmlinuz-1.0-small", Item::File(b"no kernel at all\n")),
        ],
    )
}

/// A package whose `/bin/sh` is busybox.
fn shell() -> Vec<u8> {
    let items = [("bin", Item::Folder), ("bin/sh", Item::Link("busybox"))];
    deb("sh-small", "1.0", &items)
}

/// The head of a lock, and those of its sources that are `wanted`.
pub(crate) fn lock_of(path: &Path, wanted: impl Fn(&str) -> bool) -> String {
    let text = fs::read_to_string(path).unwrap();
    let (head, sources) = text.split_once("\nsources:\n").unwrap();
    let mut kept = format!("{head}\nsources:\n");
    let mut keeps = false;
    for line in sources.lines() {
        if let Some(name) = line
            .strip_prefix("  ")
            .and_then(|line| line.strip_suffix(':'))
            && !name.starts_with(' ')
        {
            keeps = wanted(name);
        }
        if keeps {
            kept += &format!("{line}\n");
        }
    }
    kept
}

/// One source of a lock, with one package of an archive that exists nowhere.
fn locked(source: &str, package: &str, sha256: &str, size: usize) -> String {
    let nothing = Sha256::of(b"").hex();
    format!(
        "  {source}:
    deb:
      request:
        suite: small
        components:
        - main
        packages:
        - {package}
        without: []
      releases:
      - archive: small
        suite: small
        snapshot: 20260711T101637Z
        inrelease:
          sha256: sha256:{nothing}
          size: 0
        keys: []
      packages:
      - name: {package}
        version: '1.0'
        arch: amd64
        archive: small
        suite: small
        path: pool/{package}_1.0_amd64.deb
        sha256: sha256:{sha256}
        size: {size}
"
    )
}
