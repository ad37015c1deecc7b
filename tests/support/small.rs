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
        let folder = tempfile::Builder::new()
            .prefix("a small one ")
            .tempdir()
            .unwrap();
        let mirror = folder.path().join("mirror/sha256");
        fs::create_dir_all(&mirror).unwrap();
        let mut lock = hello_lock_head();
        for (source, package, bytes) in [
            ("linux", "linux-image-small", kernel()),
            ("shell", "sh-small", shell()),
        ] {
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
        fs::write(small.path("recipe/recipe.yaml"), recipe(steps)).unwrap();
        fs::write(small.path("recipe/recipe.lock"), lock).unwrap();
        Some(small)
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

/// The lock of recipes/debian/hello up to and with its source `base`, so that the
/// same busybox is used.
fn hello_lock_head() -> String {
    let path = hello::recipe().join("recipe.lock");
    let text = fs::read_to_string(Path::new(&path)).unwrap();
    let (head, rest) = text.split_once("\n  base:\n").unwrap();
    let base: String = rest
        .lines()
        .take_while(|line| line.starts_with("    "))
        .map(|line| format!("{line}\n"))
        .collect();
    format!("{head}\n  base:\n{base}")
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
