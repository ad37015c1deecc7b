//! Exports by an ordinary user, who has neither root nor a device.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fs_err as fs;
use tempfile::TempDir;

use super::support::exported::{Site, printed};
use super::support::hello;
use super::{ALL, BUNDLES};

/// Who owns nothing.
const NOBODY: u32 = 65534;

/// A folder with copies of all that an ordinary user needs: ours may lie where nobody else
/// can read. Whoever runs the tests as one keeps being that.
pub(super) struct Theirs {
    folder: TempDir,
}

impl Theirs {
    /// With copies of the folders of blobs by these names.
    pub(super) fn with(mirrors: &[(&str, &Path)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let theirs = Self { folder };
        fs::create_dir(theirs.path("theirs")).unwrap();
        for path in [theirs.folder.path(), &theirs.path("theirs")] {
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_luni"), theirs.path("luni")).unwrap();
        for (name, from) in mirrors {
            let to = theirs.path(name).join("sha256");
            fs::create_dir_all(&to).unwrap();
            for blob in fs::read_dir(from.join("sha256")).unwrap() {
                let blob = blob.unwrap();
                fs::copy(blob.path(), to.join(blob.file_name())).unwrap();
            }
        }
        theirs
    }

    /// A path in the folder. What is in its folder `theirs` becomes the user's.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Runs the program in their folder, with these mirrors alone.
    pub(super) fn run(&self, mirrors: &[&str], arguments: &[&str]) -> Output {
        let home = self.path("theirs");
        let mut command = hello::luni_at(&self.path("luni"), &home.join("cache"));
        command.current_dir(&home).env("HOME", &home);
        command.arg("--offline");
        for mirror in mirrors {
            let mirror = format!("file://{}", self.path(mirror).display());
            command.args(["--mirror", &mirror]);
        }
        command.args(arguments);
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown")
                .args(["-R", &format!("{NOBODY}:{NOBODY}")])
                .arg(&home)
                .status();
            assert!(owned.unwrap().success());
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap()
    }
}

/// A mirror that the tests have in their folder.
pub(super) fn mirror(called: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(called)
        .join("mirror")
}

/// Why `output` says that ordinary users have no sandbox here, where it does.
pub(super) fn without_sandbox(output: &Output) -> Option<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    let lacks = !output.status.success() && said.contains("`luni doctor` shows");
    lacks.then(|| format!("no sandbox here: {said}"))
}

/// Nothing that an export needs takes root or a device; and nothing of who does it, and
/// where, is in what comes of it.
#[test]
fn an_ordinary_user_makes_the_same() {
    let name = "export::ordinary::an_ordinary_user_makes_the_same";
    let Some(site) = Site::of_hello(name) else {
        return;
    };
    let theirs = Theirs::with(&[("pieces", &mirror("boot-pieces"))]);
    fs::copy(site.zip(), theirs.path("hello.luni.zip")).unwrap();
    let formats = format!("{ALL},{BUNDLES}");
    let output = theirs.run(
        &["pieces"],
        &["export", "../hello.luni.zip", "--force", "--to", &formats],
    );
    if let Some(why) = without_sandbox(&output) {
        return lunikernel_testing::left_out(name, &why);
    }
    let ours = tempfile::tempdir().unwrap();
    let expected = site.made(ours.path(), &formats, &["--force"]);
    assert_eq!(printed(&output), expected);
    // Whose SHA-256 is not said.
    for file in ["hello.raw", "hello.azure.vhd", "hello.fixed.vhd"] {
        let read = |folder: &Path| fs::read(folder.join(file)).unwrap();
        let same = read(&theirs.path("theirs")) == read(ours.path());
        assert!(same, "{file}");
    }
}
