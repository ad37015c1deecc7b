use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use lunikernel_cache::{Cache, Silent};

use super::*;
use crate::fetch::FetchOptions;
use crate::recipe::TczInstall;

/// A mirror in a folder.
struct World {
    folder: tempfile::TempDir,
}

fn md5_of(bytes: &[u8]) -> String {
    let sum = Md5::digest(bytes);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl World {
    fn new(extensions: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, depends) in extensions {
            let content = format!("content of {name}");
            let put = |ending: &str, text: String| {
                fs::write(folder.path().join(format!("{name}{ending}")), text).unwrap();
            };
            put(
                ".md5.txt",
                format!("{}  {name}\n", md5_of(content.as_bytes())),
            );
            put("", content);
            if !depends.is_empty() {
                put(".dep", (*depends).to_owned());
            }
        }
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn source(&self, extensions: &[&str], kernel: Option<&str>) -> TczSource {
        TczSource {
            mirror: Url::from_file_path(self.path()).unwrap().to_string(),
            extensions: extensions.iter().map(|name| (*name).to_owned()).collect(),
            install: TczInstall::Merge,
            kernel: kernel.map(str::to_owned),
        }
    }

    async fn lock(&self, extensions: &[&str]) -> Result<LockedTczs, TczError> {
        self.lock_source(&self.source(extensions, None)).await
    }

    async fn lock_source(&self, source: &TczSource) -> Result<LockedTczs, TczError> {
        let cache = tempfile::tempdir().unwrap();
        let cache = Cache::open(cache.path()).unwrap();
        let fetcher = Fetcher::new(cache, FetchOptions::default(), Arc::new(Silent)).unwrap();
        lock(&fetcher, source).await
    }
}

fn names(locked: &LockedTczs) -> Vec<&str> {
    locked.extensions.iter().map(|e| e.name.as_str()).collect()
}

const BASH: &[(&str, &str)] = &[
    ("bash.tcz", "readline.tcz\r\n\n ncurses.tcz \n"),
    ("readline.tcz", "ncurses.tcz\n"),
    ("ncurses.tcz", ""),
    ("other.tcz", ""),
];

#[tokio::test]
async fn what_is_depended_on_comes_first_and_once() {
    let world = World::new(BASH);
    let locked = world.lock(&["bash.tcz", "readline.tcz"]).await.unwrap();
    assert_eq!(names(&locked), ["ncurses.tcz", "readline.tcz", "bash.tcz"]);
    let bash = &locked.extensions[2];
    assert_eq!(bash.digest(), Digest::of(b"content of bash.tcz"));
    assert_eq!(bash.depends, ["readline.tcz", "ncurses.tcz"]);
    let want = locked.want(bash).unwrap();
    assert!(want.places[0].as_str().ends_with("/bash.tcz"));
}

#[tokio::test]
async fn a_cycle_ends_with_each_of_it_once() {
    let world = World::new(&[
        ("a.tcz", "b.tcz\n"),
        ("b.tcz", "c.tcz\nb.tcz\n"),
        ("c.tcz", "a.tcz\n"),
    ]);
    let locked = world.lock(&["a.tcz"]).await.unwrap();
    assert_eq!(names(&locked), ["c.tcz", "b.tcz", "a.tcz"]);
}

#[tokio::test]
async fn modules_are_of_the_kernel_that_the_recipe_names() {
    let world = World::new(&[
        ("net.tcz", "ipv6-KERNEL.tcz\n"),
        ("ipv6-6.1-tinycore64.tcz", ""),
    ]);
    let source = world.source(&["net.tcz"], Some("6.1-tinycore64"));
    let locked = world.lock_source(&source).await.unwrap();
    assert_eq!(names(&locked), ["ipv6-6.1-tinycore64.tcz", "net.tcz"]);
    let error = world.lock(&["net.tcz"]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "ipv6-KERNEL.tcz, which net.tcz depends on is for a kernel that the source does not name"
    );
}

#[tokio::test]
async fn what_is_damaged_or_missing_is_named() {
    let says = async |break_it: &dyn Fn(&Path), expected: &str| {
        let world = World::new(BASH);
        break_it(world.path());
        let error = world.lock(&["bash.tcz"]).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{expected} is not in {text}");
        assert!(error.hint().is_some(), "{text}");
    };
    says(
        &|mirror| {
            let path = mirror.join("readline.tcz");
            let mut bytes = fs::read(&path).unwrap();
            bytes[3] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        "readline.tcz is damaged: expected the MD5",
    )
    .await;
    says(
        &|mirror| fs::write(mirror.join("bash.tcz.md5.txt"), "0123\n").unwrap(),
        "bash.tcz.md5.txt is no line of `md5sum`",
    )
    .await;
    says(
        &|mirror| {
            let text = format!("{}  other.tcz\n", md5_of(b"content of bash.tcz"));
            fs::write(mirror.join("bash.tcz.md5.txt"), text).unwrap();
        },
        "bash.tcz.md5.txt is no line of `md5sum` about that extension",
    )
    .await;
    says(
        &|mirror| fs::remove_file(mirror.join("ncurses.tcz")).unwrap(),
        "has no ncurses.tcz, which readline.tcz depends on",
    )
    .await;
    says(
        &|mirror| fs::remove_file(mirror.join("bash.tcz.md5.txt")).unwrap(),
        "has no bash.tcz.md5.txt",
    )
    .await;
    says(
        &|mirror| fs::write(mirror.join("bash.tcz.dep"), "../../etc/passwd\n").unwrap(),
        "bash.tcz.dep has a line that names no extension",
    )
    .await;
    says(
        &|mirror| fs::write(mirror.join("bash.tcz.dep"), "<html>\n").unwrap(),
        "expected one `NAME.tcz`, found `<html>`",
    )
    .await;
    // Core would look for an extension `readline.tczncurses.tcz`.
    says(
        &|mirror| fs::write(mirror.join("bash.tcz.dep"), "readline.tcz ncurses.tcz\n").unwrap(),
        "expected one `NAME.tcz`, found `readline.tcz ncurses.tcz`",
    )
    .await;
}
