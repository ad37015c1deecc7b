//! Repositories over HTTP, by git's own server program.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use git2::Repository;

use super::super::*;
use super::{check_content, site, site_with};
use crate::fetch::FetchOptions;
use crate::fetch::test_server::{Request, Server, respond};

/// Git's own CGI program.
fn http_backend() -> Option<PathBuf> {
    let found = Command::new("git").arg("--exec-path").output().ok()?;
    let folder = PathBuf::from(String::from_utf8(found.stdout).ok()?.trim());
    let backend = folder.join("git-http-backend");
    backend.exists().then_some(backend)
}

/// Serves the repositories in `root` by git's own CGI program; without that, the test
/// is left out. Of each pack, a bit of the byte that is `flipped` bytes behind its
/// beginning is flipped.
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
