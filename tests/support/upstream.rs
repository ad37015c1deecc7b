//! A recipe that is built from the hashed mirror with real artefacts of others.

use std::path::PathBuf;
use std::process::Output;

use fs_err as fs;

use super::{luni, transcript};

/// A folder for a recipe, and where its inputs come from: mirrors, and nothing else.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    /// The hashed mirror.
    pub(crate) mirror: PathBuf,
    /// The addresses of all mirrors that are known by hash.
    pub(crate) mirrors: Vec<String>,
}

impl World {
    /// An empty folder; `None` where there is no mirror and `test` is left out.
    pub(crate) fn empty(test: &str) -> Option<Self> {
        let mirror = lunikernel_testing::artefacts(test)?;
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
            mirrors: vec![format!("file://{}", mirror.display())],
            mirror,
        })
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mirrors = self.mirrors.iter();
        luni(self.folder.path())
            .arg("--offline")
            .args(mirrors.flat_map(|mirror| ["--mirror", mirror.as_str()]))
            .args(arguments)
            .output()
            .unwrap()
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", transcript(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], expected: &[&str]) {
        let output = self.run(arguments);
        let text = transcript(&output);
        assert!(!output.status.success(), "{text}");
        for expected in expected {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
    }

    pub(crate) fn change(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(self.path(path), text.replace(from, to)).unwrap();
    }
}
