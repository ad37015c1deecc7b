//! Locking and fetching real repositories, from disk and over smart HTTP.

mod damage;
mod http;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use git2::{Oid, Repository, Signature};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Cache, Silent, Tree};

use super::*;
use crate::fetch::FetchOptions;

/// Two repositories, one a submodule of the other, and an empty cache.
struct Site {
    folder: tempfile::TempDir,
    fetcher: Fetcher,
    first: Oid,
    second: Oid,
}

/// What a commit holds: content and mode by path.
type Content<'a> = BTreeMap<&'a str, (&'a [u8], i32)>;

fn folder_of(repository: &Repository, content: &Content<'_>, links: &[(&str, Oid)]) -> Oid {
    let mut index = git2::Index::new().unwrap();
    repository.set_index(&mut index).unwrap();
    let entry = |path: &str, mode: i32, id: Oid| git2::IndexEntry {
        ctime: git2::IndexTime::new(0, 0),
        mtime: git2::IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: mode as u32,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_owned(),
    };
    for (path, (bytes, mode)) in content {
        let id = repository.blob(bytes).unwrap();
        index.add(&entry(path, *mode, id)).unwrap();
    }
    for (path, commit) in links {
        index.add(&entry(path, 0o160_000, *commit)).unwrap();
    }
    index.write_tree_to(repository).unwrap()
}

fn commit(
    repository: &Repository,
    content: &Content<'_>,
    links: &[(&str, Oid)],
    parent: Option<Oid>,
) -> Oid {
    let me = Signature::new("me", "me@localhost", &git2::Time::new(1_000_000, 0)).unwrap();
    let tree = repository
        .find_tree(folder_of(repository, content, links))
        .unwrap();
    let parents: Vec<_> = parent
        .map(|id| repository.find_commit(id).unwrap())
        .into_iter()
        .collect();
    let parents: Vec<_> = parents.iter().collect();
    let branch = Some("refs/heads/main");
    repository
        .commit(branch, &me, &me, "change", &tree, &parents)
        .unwrap()
}

fn repository(path: &Path) -> Repository {
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(true).initial_head("main");
    Repository::init_opts(path, &options).unwrap()
}

fn site() -> Site {
    site_with(&[("lib/dep", "../dep.git")])
}

fn site_with(modules: &[(&str, &str)]) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let dep = repository(&folder.path().join("repos/dep.git"));
    let inner = Content::from([("lib.c", (b"int x;\n".as_slice(), 0o100_644))]);
    let dep = commit(&dep, &inner, &[], None);
    let text: String = modules
        .iter()
        .map(|(path, url)| format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n"))
        .collect();
    let main = repository(&folder.path().join("repos/main.git"));
    let mut content = Content::from([
        (
            ".gitattributes",
            (b"* text eol=crlf\n*.id ident\n".as_slice(), 0o100_644),
        ),
        ("unix.txt", (b"a\nb\n".as_slice(), 0o100_644)),
        ("dos.txt", (b"a\r\nb\r\n".as_slice(), 0o100_644)),
        ("some.id", (b"$Id$\n".as_slice(), 0o100_644)),
        ("bin/run", (b"#!/bin/sh\n".as_slice(), 0o100_755)),
        ("bin/link", (b"../unix.txt".as_slice(), 0o120_000)),
    ]);
    if !text.is_empty() {
        content.insert(".gitmodules", (text.as_bytes(), 0o100_644));
    }
    let first = commit(&main, &content, &[("lib/dep", dep)], None);
    let object = main.find_object(first, None).unwrap();
    let me = Signature::new("me", "me@localhost", &git2::Time::new(1_000_000, 0)).unwrap();
    main.tag("v1", &object, &me, "the first", false).unwrap();
    main.tag_lightweight("light", &object, false).unwrap();
    content.insert("new", (b"new".as_slice(), 0o100_644));
    let second = commit(&main, &content, &[("lib/dep", dep)], Some(first));
    let fetcher = fetcher(&folder.path().join("cache"), FetchOptions::default());
    Site {
        folder,
        fetcher,
        first,
        second,
    }
}

fn fetcher(cache: &Path, options: FetchOptions) -> Fetcher {
    let cache = Cache::open(cache).unwrap();
    Fetcher::new(cache, options, Arc::new(Silent)).unwrap()
}

impl Site {
    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
    fn repos(&self) -> PathBuf {
        self.folder.path().join("repos")
    }
    fn url(&self) -> String {
        format!("file://{}/main.git", self.repos().display())
    }
    fn empty(&self, name: &str, options: FetchOptions) -> Fetcher {
        fetcher(&self.folder.path().join(name), options)
    }
    async fn lock(&self, url: &str, rev: &str) -> Result<LockedGit, GitError> {
        let source = GitSource {
            url: url.to_owned(),
            rev: rev.to_owned(),
        };
        lock(&self.fetcher, &source).await
    }
}

fn check_content(cache: &Cache, locked: &LockedGit) {
    let tree = Tree::load(cache.blobs(), &locked.tree).unwrap();
    let file = |path: &str| match tree.get(path) {
        Some(Entry::File { digest, executable }) => {
            (cache.blobs().read(digest).unwrap(), *executable)
        }
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(file("unix.txt"), (b"a\nb\n".to_vec(), false));
    assert_eq!(file("dos.txt"), (b"a\r\nb\r\n".to_vec(), false));
    assert_eq!(file("some.id"), (b"$Id$\n".to_vec(), false));
    assert_eq!(file("bin/run"), (b"#!/bin/sh\n".to_vec(), true));
    assert_eq!(file("lib/dep/lib.c"), (b"int x;\n".to_vec(), false));
    let target = "../unix.txt".to_owned();
    assert_eq!(tree.get("bin/link"), Some(&Entry::Symlink { target }));
    assert_eq!(tree.get(".git"), None);
}

#[tokio::test]
async fn branches_tags_and_commits_are_pinned() {
    let site = site();
    let (first, second) = (site.first.to_string(), site.second.to_string());
    let revs = [
        ("main", &second),
        ("HEAD", &second),
        ("refs/heads/main", &second),
        ("v1", &first),
        ("refs/tags/v1", &first),
        ("light", &first),
        (first.as_str(), &first),
    ];
    for (rev, expected) in revs {
        let locked = site.lock(&site.url(), rev).await.unwrap();
        assert_eq!(&locked.commit, expected, "{rev}");
        check_content(site.fetcher.cache(), &locked);
    }
    let by_path = site.url().trim_start_matches("file://").to_owned();
    site.lock(&by_path, "main").await.unwrap();
}

#[tokio::test]
async fn a_lock_fetches_the_same_later_whatever_has_moved() {
    let site = site();
    let locked = site.lock(&site.url(), "main").await.unwrap();
    let main = Repository::open(site.repos().join("main.git")).unwrap();
    let content = Content::from([("other", (b"other".as_slice(), 0o100_644))]);
    commit(&main, &content, &[], Some(site.second));

    let later = site.empty("later", FetchOptions::default());
    fetch(&later, &locked).await.unwrap();
    check_content(later.cache(), &locked);

    // What is there is not fetched again.
    fs::remove_dir_all(site.repos()).unwrap();
    fetch(&later, &locked).await.unwrap();
    let error = fetch(&site.empty("none", FetchOptions::default()), &locked).await;
    assert!(matches!(error, Err(GitError::Git { .. })), "{error:?}");
}

/// A commit that is pinned is looked for whatever its name came to mean.
#[tokio::test]
async fn a_lock_fetches_the_same_whatever_became_of_the_name() {
    let site = site();
    let locked = site.lock(&site.url(), "v1").await.unwrap();
    let main = Repository::open(site.repos().join("main.git")).unwrap();
    let fetches_as = async |name: &str| {
        let later = site.empty(name, FetchOptions::default());
        fetch(&later, &locked)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        check_content(later.cache(), &locked);
    };
    let second = main.find_commit(site.second).unwrap();
    main.branch("v1", &second, false).unwrap();
    site.lock(&site.url(), "v1").await.unwrap_err();
    fetches_as("both a branch and a tag").await;

    main.reference("refs/tags/v1", second.tree_id(), true, "")
        .unwrap();
    fetches_as("a branch and a tag of a tree").await;
    let mut branch = main.find_reference("refs/heads/v1").unwrap();
    branch.delete().unwrap();
    site.lock(&site.url(), "v1").await.unwrap_err();
    fetches_as("a tag of a tree").await;

    let mut tag = main.find_reference("refs/tags/v1").unwrap();
    tag.delete().unwrap();
    fetches_as("nothing").await;
}

#[tokio::test]
async fn a_lock_with_other_content_is_an_error() {
    let site = site();
    let mut locked = site.lock(&site.url(), "main").await.unwrap();
    locked.tree = Digest::of(b"other");
    let error = fetch(&site.fetcher, &locked).await.unwrap_err();
    assert!(matches!(error, GitError::Changed { .. }), "{error}");
    locked.commit = "main".to_owned();
    let error = fetch(&site.fetcher, &locked).await.unwrap_err();
    assert!(matches!(error, GitError::Rev { .. }), "{error}");
}

#[tokio::test]
async fn a_hashed_mirror_is_enough() {
    let site = site();
    let mut locked = site.lock(&site.url(), "v1").await.unwrap();
    let mirror = site.folder.path().join("mirror/sha256");
    fs::create_dir_all(&mirror).unwrap();
    for shard in fs::read_dir(site.fetcher.cache().root().join("cas-v1")).unwrap() {
        for blob in fs::read_dir(shard.unwrap().path()).unwrap() {
            let blob = blob.unwrap();
            fs::copy(blob.path(), mirror.join(blob.file_name())).unwrap();
        }
    }
    let by_now = locked.url.clone();
    locked.url = "https://gone.invalid/main.git".to_owned();
    let options = FetchOptions {
        mirrors: vec![Url::from_file_path(mirror.parent().unwrap()).unwrap()],
        offline: true,
        ..FetchOptions::default()
    };
    let mirrored = site.empty("mirrored", options.clone());
    fetch(&mirrored, &locked).await.unwrap();
    check_content(mirrored.cache(), &locked);

    let options = FetchOptions {
        mirrors: Vec::new(),
        ..options
    };
    let error = fetch(&site.empty("offline", options.clone()), &locked)
        .await
        .unwrap_err();
    assert!(
        matches!(error, GitError::Fetch(FetchError::Offline(_))),
        "{error}"
    );

    // Of a mirror that lacks a part, both are named.
    let part = Digest::of(b"int x;\n").sha256.hex();
    fs::remove_file(mirror.join(&part)).unwrap();
    let options = FetchOptions {
        mirrors: vec![Url::from_file_path(mirror.parent().unwrap()).unwrap()],
        ..options
    };
    let error = fetch(&site.empty("partly", options), &locked).await;
    let error = error.unwrap_err().to_string();
    let told = format!("part {part} of https://gone.invalid/main.git: it is not there");
    assert!(
        error.contains(&told) && error.contains("/mirror"),
        "{error}"
    );

    // A commit that the repository has dropped is told with what can be done.
    locked.url = by_now;
    let main = Repository::open(site.repos().join("main.git")).unwrap();
    for name in ["refs/tags/v1", "refs/tags/light", "refs/heads/main"] {
        main.find_reference(name).unwrap().delete().unwrap();
    }
    let content = Content::from([("other", (b"other".as_slice(), 0o100_644))]);
    commit(&main, &content, &[], None);
    let objects = site.repos().join("main.git/objects");
    let (folder, name) = locked.commit.split_at(2);
    fs::remove_file(objects.join(folder).join(name)).unwrap();
    let error = fetch(&site.empty("dropped", FetchOptions::default()), &locked).await;
    let error = error.unwrap_err();
    assert!(matches!(error, GitError::Dropped { .. }), "{error}");
    let missing = error.missing("app", &locked).unwrap();
    let error = FetchError::Unavailable(vec![missing]);
    let hint = error.hint().unwrap();
    assert!(hint.contains("`luni lock --update app`"), "{hint}");
}

#[tokio::test]
async fn what_is_not_there_or_not_clear_is_said() {
    let site = site();
    let none = "0123456789012345678901234567890123456789";
    for rev in ["none", none, "", "a b", "..", "refs/heads/none", "v1^{}"] {
        let error = site.lock(&site.url(), rev).await.unwrap_err();
        assert!(matches!(error, GitError::Rev { .. }), "{rev:?}: {error}");
    }
    let main = Repository::open(site.repos().join("main.git")).unwrap();
    let first = main.find_commit(site.first).unwrap();
    main.branch("twice", &first, false).unwrap();
    let second = main.find_object(site.second, None).unwrap();
    main.tag_lightweight("twice", &second, false).unwrap();
    let error = site.lock(&site.url(), "twice").await.unwrap_err();
    assert!(
        error.to_string().contains("both a branch and a tag"),
        "{error}"
    );

    for url in ["", "main.git", "ssh://host/x", "git@host:x", "git://host/x"] {
        let error = site.lock(url, "main").await.unwrap_err();
        assert!(matches!(error, GitError::Address { .. }), "{url}: {error}");
    }
    let error = site.lock("/none/main.git", "main").await.unwrap_err();
    assert!(matches!(error, GitError::Git { .. }), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("`git ls-remote /none/main.git`"), "{hint}");

    let config = site.repos().join("main.git/config");
    let format = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n";
    fs::write(config, format).unwrap();
    let error = site.lock(&site.url(), "main").await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("SHA-256"), "{error}; {hint}");
}

#[tokio::test]
async fn a_submodule_that_cannot_be_fetched_from_is_named() {
    let site = site_with(&[("lib/dep", "ssh://host/dep.git")]);
    let error = site.lock(&site.url(), "main").await.unwrap_err();
    assert!(matches!(error, GitError::Submodule { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("`lib/dep`") && text.contains("ssh:"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains(".gitmodules"));
}

#[tokio::test]
async fn submodules_without_an_address_are_refused() {
    let site = site_with(&[]);
    let error = site.lock(&site.url(), "main").await.unwrap_err();
    assert!(matches!(error, GitError::Content { .. }), "{error}");
}

/// Objects that are too large are refused by their headers, and a file with many names
/// is one file.
#[tokio::test]
async fn objects_are_looked_at_before_they_are_loaded_and_files_once() {
    let site = site();
    let main = Repository::open(site.repos().join("main.git")).unwrap();
    let me = Signature::new("me", "me@localhost", &git2::Time::new(1_000_000, 0)).unwrap();
    let tree = main.find_commit(site.second).unwrap().tree().unwrap();
    let message = "m".repeat(17 << 20);
    let branch = Some("refs/heads/large");
    main.commit(branch, &me, &me, &message, &tree, &[]).unwrap();
    let error = site.lock(&site.url(), "large").await.unwrap_err();
    assert!(error.to_string().contains("is too large"), "{error}");

    let large = main.odb().unwrap().write(git2::ObjectType::Tag, &{
        let head = format!("object {}\ntype commit\ntag t\n", site.second);
        let tagger = "tagger me <me@localhost> 1000000 +0000\n\n";
        (head + tagger + &"m".repeat(2 << 20)).into_bytes()
    });
    main.reference("refs/tags/large-tag", large.unwrap(), false, "")
        .unwrap();
    let error = site.lock(&site.url(), "large-tag").await.unwrap_err();
    assert!(error.to_string().contains("no commit"), "{error}");

    // 64 MiB that are inflated 300 times would take minutes.
    let blob = main.blob(&vec![7; 64 << 20]).unwrap();
    let names = |count: usize| {
        let mut folder = main.treebuilder(None).unwrap();
        for number in 0..count {
            folder
                .insert(format!("f{number}"), blob, 0o100_644)
                .unwrap();
        }
        let tree = main.find_tree(folder.write().unwrap()).unwrap();
        let name = format!("refs/heads/many-{count}");
        main.commit(Some(&name), &me, &me, "many", &tree, &[])
            .unwrap();
    };
    names(256);
    names(257);
    let locked = site.lock(&site.url(), "many-256").await.unwrap();
    let tree = Tree::load(site.fetcher.cache().blobs(), &locked.tree).unwrap();
    assert!(tree.get("f255").is_some());
    let error = site.lock(&site.url(), "many-257").await.unwrap_err();
    assert!(error.to_string().contains("all files together"), "{error}");
}
