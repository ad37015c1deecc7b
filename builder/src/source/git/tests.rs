//! Locking and fetching real repositories, from disk and over smart HTTP.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use fs_err as fs;
use git2::{Oid, Repository, Signature};
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Cache, Silent, Tree};

use super::*;
use crate::fetch::FetchOptions;
use crate::fetch::test_server::{Request, Server, respond};

/// Two repositories, one a submodule of the other, and an empty cache.
pub(super) struct Site {
    folder: tempfile::TempDir,
    pub(super) fetcher: Fetcher,
    first: Oid,
    pub(super) second: Oid,
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

pub(super) fn site() -> Site {
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
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
    pub(super) fn repos(&self) -> PathBuf {
        self.folder.path().join("repos")
    }
    pub(super) fn url(&self) -> String {
        format!("file://{}/main.git", self.repos().display())
    }
    pub(super) fn empty(&self, name: &str, options: FetchOptions) -> Fetcher {
        fetcher(&self.folder.path().join(name), options)
    }
    pub(super) async fn lock(&self, url: &str, rev: &str) -> Result<LockedGit, GitError> {
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
    let error = fetch(&site.empty("offline", options), &locked)
        .await
        .unwrap_err();
    assert!(
        matches!(error, GitError::Fetch(FetchError::Offline(_))),
        "{error}"
    );
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
}

#[tokio::test]
async fn submodules_without_an_address_are_refused() {
    let site = site_with(&[]);
    let error = site.lock(&site.url(), "main").await.unwrap_err();
    assert!(matches!(error, GitError::Content { .. }), "{error}");
}

/// Git's own CGI program.
fn http_backend() -> Option<PathBuf> {
    let found = Command::new("git").arg("--exec-path").output().ok()?;
    let folder = PathBuf::from(String::from_utf8(found.stdout).ok()?.trim());
    let backend = folder.join("git-http-backend");
    backend.exists().then_some(backend)
}

/// Serves the repositories in `root` by git's own CGI program; without that, the test
/// is left out. Of each pack, the bit `flipped` bytes behind its beginning is flipped.
pub(super) fn smart_http(root: PathBuf, flipped: Option<usize>) -> Option<Server> {
    let Some(backend) = http_backend() else {
        lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            "git-http-backend is not installed",
        );
        return None;
    };
    Some(Server::start(move |request, stream| {
        cgi(&backend, &root, flipped, request, stream)
    }))
}

fn cgi(
    backend: &Path,
    root: &Path,
    flipped: Option<usize>,
    request: &Request,
    stream: &mut TcpStream,
) -> std::io::Result<()> {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    if let Some(rest) = path.strip_prefix("/moved/") {
        let to = format!("/{rest}?{query}");
        return respond(stream, "301 Moved", &[("Location", to.as_str())], b"");
    }
    let kind = request.headers.get("content-type");
    let mut child = Command::new(backend)
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", kind.map_or("", String::as_str))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&request.body)?;
    }
    let mut output = child.wait_with_output()?.stdout;
    let pack = output.windows(4).position(|four| four == b"PACK");
    if let (Some(pack), Some(at)) = (pack, flipped)
        && let Some(byte) = output.get_mut(pack + at)
    {
        *byte ^= 0x08;
    }
    let end = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or(0);
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut status = "200 OK";
    let mut headers = Vec::new();
    for line in head.lines() {
        match line.split_once(": ") {
            Some(("Status", value)) => status = value,
            Some(header) => headers.push(header),
            None => {}
        }
    }
    respond(
        stream,
        status,
        &headers,
        &output[(end + 4).min(output.len())..],
    )
}

#[tokio::test]
async fn smart_http_gives_the_same_as_the_disk() {
    let site = site();
    let Some(server) = smart_http(site.repos(), None) else {
        return;
    };
    let from_disk = site.lock(&site.url(), "v1").await.unwrap();
    for path in ["main.git", "main.git/", "moved/main.git"] {
        let url = server.url(path).to_string();
        let source = GitSource {
            url: url.clone(),
            rev: "v1".to_owned(),
        };
        let cache = path.replace('/', "-");
        let fetcher = site.empty(&cache, FetchOptions::default());
        let locked = lock(&fetcher, &source).await.unwrap();
        assert_eq!(
            (locked.tree, &locked.commit),
            (from_disk.tree, &from_disk.commit)
        );
        check_content(fetcher.cache(), &locked);
    }
    let posts = server
        .requests()
        .into_iter()
        .filter(|request| request.method == "POST");
    let mut count = 0;
    for post in posts {
        count += 1;
        let body = String::from_utf8_lossy(&post.body).into_owned();
        // The submodule's commit has no name, and this server gives only what has one.
        assert!(
            post.target.contains("dep.git") || body.contains("deepen 1"),
            "history was asked for: {body}"
        );
        assert!(!post.target.starts_with("/moved/"));
    }
    assert!(
        count >= 6,
        "a commit and its submodule, three times: {count}"
    );
}

#[tokio::test]
async fn a_commit_is_had_over_http_even_where_the_server_gives_only_tips() {
    let site = site();
    let Some(server) = smart_http(site.repos(), None) else {
        return;
    };
    let url = server.url("main.git").to_string();
    let main = Repository::open(site.repos().join("main.git")).unwrap();
    for tag in ["v1", "light"] {
        main.tag_delete(tag).unwrap();
    }
    let locked = site.lock(&url, &site.first.to_string()).await.unwrap();
    assert_eq!(locked.commit, site.first.to_string());
    check_content(site.fetcher.cache(), &locked);
    main.config()
        .unwrap()
        .set_bool("uploadpack.allowReachableSHA1InWant", true)
        .unwrap();
    let before = server.requests().len();
    let able = site.empty("able", FetchOptions::default());
    fetch(&able, &locked).await.unwrap();
    let bodies: Vec<_> = server.requests().split_off(before);
    assert!(
        bodies
            .iter()
            .all(|request| !request.target.contains("main.git")
                || request.body.is_empty()
                || String::from_utf8_lossy(&request.body).contains("deepen 1"))
    );
    check_content(able.cache(), &locked);
}

#[tokio::test]
async fn the_network_does_not_lead_to_this_machine_and_its_errors_are_clear() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("file://{}", folder.path().display());
    let site = site_with(&[("lib/dep", &address)]);
    if let Some(server) = smart_http(site.repos(), None) {
        let url = server.url("main.git").to_string();
        let error = site.lock(&url, "main").await.unwrap_err();
        assert!(error.to_string().contains("on this machine"), "{error}");
        let error = site
            .lock(server.url("none.git").as_str(), "main")
            .await
            .unwrap_err();
        assert!(error.to_string().contains("it is not there"), "{error}");
    }
    let page = Server::of(b"<html>");
    let error = site.lock(page.url("x").as_str(), "main").await.unwrap_err();
    assert!(error.to_string().contains("no git repository"), "{error}");
    let offline = FetchOptions {
        offline: true,
        ..FetchOptions::default()
    };
    let source = GitSource {
        url: page.url("x").to_string(),
        rev: "main".to_owned(),
    };
    let error = lock(&site.empty("offline", offline), &source)
        .await
        .unwrap_err();
    assert!(
        matches!(error, GitError::Fetch(FetchError::NoNetwork { .. })),
        "{error}"
    );
    assert_eq!(page.requests().len(), 1);
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
