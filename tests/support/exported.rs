//! Lunikernels of shipped recipes, each built once, and what an export of one needs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use lunikernel_cache::Sha256;
use lunikernel_exporters::manifest::ExportManifest;

use super::{hello, matches, project, transcript};

/// A Lunikernel, and mirrors with all that an export of it needs beside it.
pub(crate) struct Site {
    folder: PathBuf,
    zip: PathBuf,
    mirrors: [String; 2],
}

/// A recipe that comes with the program.
pub(crate) struct Shipped {
    /// Its folder, in that of recipes.
    pub(crate) recipe: &'static str,
    /// What its mirror is called.
    pub(crate) mirror: &'static str,
    /// The committed digest of its Lunikernel: the file, and the name there.
    pub(crate) golden: [&'static str; 2],
}

/// A Linux.
const HELLO: Shipped = Shipped {
    recipe: "debian/hello",
    mirror: "hello",
    golden: ["debian-hello.sha256", "hello.luni.zip"],
};

/// A kernel that says what it finds, started by multiboot.
pub(crate) const UNIKERNEL: Shipped = Shipped {
    recipe: "unikernel/hello",
    mirror: "unikernel-hello",
    golden: ["unikernels.sha256", "recipes/unikernel/hello"],
};

impl Site {
    /// `recipes/debian/hello`. The first test that asks builds it; `None` where this machine
    /// cannot get Debian packages, with the test `name` left out.
    pub(crate) fn of_hello(name: &str) -> Option<Self> {
        Self::of(name, &HELLO)
    }

    /// The same for another recipe.
    pub(crate) fn of(name: &str, shipped: &Shipped) -> Option<Self> {
        let recipe = project("recipes").join(shipped.recipe);
        let built_from = hello::mirror_of(name, shipped.mirror, &recipe)?;
        let pieces = hello::mirror_of(name, "boot-pieces", &project("exporters/pieces"))?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("export");
        fs::create_dir_all(&folder).unwrap();
        let lock = fs::File::create(folder.join("lock")).unwrap().into_file();
        lock.lock().unwrap();
        let site = Self {
            zip: folder.join(format!("{}.luni.zip", shipped.mirror)),
            folder,
            mirrors: [built_from, pieces],
        };
        let there = fs::read(site.zip()).unwrap_or_default();
        let golden = golden(shipped.golden);
        if Sha256::of(&there).hex() != golden {
            let build = site
                .luni(&site.folder.join("cache"))
                .arg("build")
                .arg(recipe)
                .arg("-o")
                .arg(site.zip())
                .output()
                .unwrap();
            assert_eq!(hello::built_digest(&build), golden);
        }
        Some(site)
    }

    /// The Lunikernel.
    pub(crate) fn zip(&self) -> PathBuf {
        self.zip.clone()
    }

    /// The program, cut off from the network, with the cache at `cache`.
    pub(crate) fn luni(&self, cache: &Path) -> Command {
        self.luni_at(Path::new(env!("CARGO_BIN_EXE_luni")), cache)
    }

    /// The same for a copy of the program.
    pub(crate) fn luni_at(&self, program: &Path, cache: &Path) -> Command {
        let mut command = hello::luni_at(program, cache);
        command.arg("--offline");
        for mirror in &self.mirrors {
            command.args(["--mirror", mirror]);
        }
        command
    }

    /// `luni export` in `folder`, to `formats`.
    pub(crate) fn export(&self, folder: &Path, formats: &str) -> Command {
        self.export_of(&self.zip, folder, formats)
    }

    /// The same for another Lunikernel.
    pub(crate) fn export_of(&self, zip: &Path, folder: &Path, formats: &str) -> Command {
        let mut command = self.luni(&self.folder.join("cache"));
        command.current_dir(folder);
        command.args(["export", "--to", formats]).arg(zip);
        command
    }

    /// Whether exports of `zip` to disks, and to `more`, have the digests that are committed
    /// in `golden`. After a change that was meant, `UPDATE=1` writes them anew.
    #[track_caller]
    pub(crate) fn has_golden_exports(&self, zip: &Path, more: &str, golden: &str) {
        let folder = tempfile::tempdir().unwrap();
        const DISKS: &str = "azure,ec2,gce,iso,kvm,raw,uki,vdi,vhd,vhd-fixed,vhdx,vmdk";
        let mut command = self.export_of(zip, folder.path(), &format!("{DISKS},{more}"));
        // Its kernel need not have the drivers for every cloud.
        let made = printed(&command.arg("--force").output().unwrap()).replace("./", "");
        let manifest = fs::read_dir(folder.path()).unwrap();
        let mut manifest = manifest.map(|it| it.unwrap().path());
        let manifest = manifest.find(|it| it.to_string_lossy().ends_with(".export.json"));
        let manifest = ExportManifest::parse(&fs::read(manifest.unwrap()).unwrap()).unwrap();
        let block_digest = manifest.disk.unwrap().block_digest.hex();
        let made = format!("{made}{block_digest}  block digest\n");
        assert!(matches(&made, &project("tests/golden").join(golden)));
    }

    /// Exports into `folder`, and says what was printed.
    pub(crate) fn made(&self, folder: &Path, formats: &str, options: &[&str]) -> String {
        let output = self.export(folder, formats).args(options).output().unwrap();
        printed(&output)
    }
}

/// The committed digest of that name in that file.
fn golden([file, name]: [&str; 2]) -> String {
    let text = fs::read_to_string(project("tests/golden").join(file)).unwrap();
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    let mut found = lines.filter(|(_, of)| *of == name);
    let (digest, _) = found
        .next()
        .unwrap_or_else(|| panic!("no digest of {name}"));
    digest.to_owned()
}

/// What a command that succeeded printed on standard output.
pub(crate) fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", transcript(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where programs are that only root needs, and that not everyone looks for there.
const MORE: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The program, or `None` after saying that the test `test` is left out.
pub(crate) fn need(test: &str, program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(MORE.map(PathBuf::from));
    let mut places = folders.map(|folder| folder.join(program));
    let found = places.find(|place| place.is_file());
    if found.is_none() {
        lunikernel_testing::left_out(test, &format!("there is no program `{program}`"));
    }
    found
}
