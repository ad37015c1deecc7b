//! Pushing to folders, and to web servers that misbehave.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs_err as fs;
use lunikernel_cache::{Cache, CacheError, Digest, Silent};
use url::Url;

use super::{MirrorError, Pushed, list, push};
use crate::fetch::test_server::{Request, Server, head, respond};
use crate::fetch::{Answer, Credentials, FetchOptions, Fetcher, Want};

struct Site {
    folder: tempfile::TempDir,
    cache: Cache,
    blobs: Vec<Digest>,
}

fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    let large = vec![9; 700_001];
    let small: Vec<Vec<u8>> = (0..40u8).map(|i| vec![i; usize::from(i)]).collect();
    let all = small.iter().chain([&large]);
    let blobs = all.map(|bytes| cache.blobs().put(bytes).unwrap()).collect();
    Site {
        folder,
        cache,
        blobs,
    }
}

fn options() -> FetchOptions {
    FetchOptions {
        idle_timeout: Duration::from_millis(500),
        connect_timeout: Duration::from_millis(500),
        retries: 2,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(50),
        ..FetchOptions::default()
    }
}

impl Site {
    fn fetcher(&self, options: FetchOptions) -> Fetcher {
        Fetcher::new(self.cache.clone(), options, Arc::new(Silent)).unwrap()
    }

    async fn push(&self, url: &Url) -> Result<Pushed, MirrorError> {
        push(&self.fetcher(options()), url, &self.blobs, false).await
    }

    fn mirror(&self) -> Url {
        Url::from_file_path(self.folder.path().join("a mirror")).unwrap()
    }

    /// Gets everything from the mirror alone, into a fresh cache.
    async fn pull(&self, url: &Url) {
        let fresh = tempfile::tempdir_in(self.folder.path()).unwrap();
        let cache = Cache::open(fresh.path()).unwrap();
        let options = FetchOptions {
            mirrors: vec![url.clone()],
            only_mirrors: true,
            ..options()
        };
        let fetcher = Fetcher::new(cache, options, Arc::new(Silent)).unwrap();
        let want = |blob: &Digest| Want {
            name: "x".to_owned(),
            sha256: blob.sha256,
            size: Some(blob.size),
            places: vec![Url::parse("http://127.0.0.1:1/x").unwrap()],
        };
        let wants: Vec<Want> = self.blobs.iter().map(want).collect();
        let report = fetcher.fetch(&wants).await.unwrap();
        assert_eq!(report.fetched, self.blobs.len());
    }

    fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }
}

#[tokio::test]
async fn a_folder_gets_what_it_lacks_and_gives_it_back() {
    let site = site();
    let url = site.mirror();
    let fetcher = site.fetcher(options());
    let dry = push(&fetcher, &url, &site.blobs, true).await.unwrap();
    let first = site.push(&url).await.unwrap();
    let all = Pushed {
        pushed: site.blobs.len(),
        bytes: site.bytes(),
        present: 0,
    };
    assert_eq!((dry, first), (all, all));
    let again = site.push(&url).await.unwrap();
    assert_eq!((again.pushed, again.present), (0, site.blobs.len()));
    let mut sorted = site.blobs.clone();
    sorted.sort();
    assert_eq!(list(&fetcher, &url).await.unwrap(), sorted);
    let folder = url.to_file_path().unwrap().join("sha256");
    assert_eq!(fs::read_dir(folder).unwrap().count(), site.blobs.len());
    site.pull(&url).await;
}

#[tokio::test]
async fn where_only_mirrors_are_asked_no_other_place_is() {
    let site = site();
    let blob = *site.blobs.iter().max_by_key(|blob| blob.size).unwrap();
    let place = Url::from_file_path(site.cache.blobs().path(&blob.sha256)).unwrap();
    let want = Want {
        name: "x".to_owned(),
        sha256: blob.sha256,
        size: Some(blob.size),
        places: vec![place],
    };
    for only_mirrors in [true, false] {
        let fresh = tempfile::tempdir_in(site.folder.path()).unwrap();
        let cache = Cache::open(fresh.path()).unwrap();
        let options = FetchOptions {
            mirrors: vec![site.mirror()],
            only_mirrors,
            ..options()
        };
        let fetcher = Fetcher::new(cache, options, Arc::new(Silent)).unwrap();
        let fetched = fetcher.fetch(std::slice::from_ref(&want)).await;
        assert_eq!(fetched.is_err(), only_mirrors);
    }
}

#[tokio::test]
async fn what_a_killed_push_left_is_made_whole() {
    let site = site();
    let url = site.mirror();
    let folder = url.to_file_path().unwrap().join("sha256");
    fs::create_dir_all(&folder).unwrap();
    let large = site.blobs.iter().max_by_key(|blob| blob.size).unwrap();
    let hex = large.sha256.hex();
    fs::write(folder.join(format!(".{hex}.part")), vec![1; 800_000]).unwrap();
    fs::write(folder.join(&hex), b"cut").unwrap();
    site.push(&url).await.unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count(), site.blobs.len());
    site.pull(&url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_where_a_link_leads() {
    let site = site();
    let url = site.mirror();
    let folder = url.to_file_path().unwrap().join("sha256");
    fs::create_dir_all(&folder).unwrap();
    let victim = site.folder.path().join("victim");
    for blob in &site.blobs {
        let half = folder.join(format!(".{}.part", blob.sha256.hex()));
        fs::os::unix::fs::symlink(&victim, half).unwrap();
    }
    let all = site.blobs.len();
    assert_eq!(site.push(&url).await.unwrap().pushed, all);
    assert!(fs::symlink_metadata(&victim).is_err());
    site.pull(&url).await;
    // What only looks like a digest is none: nobody would find it.
    let name = site.blobs[7].sha256.hex();
    fs::rename(folder.join(&name), folder.join(name.to_uppercase())).unwrap();
    assert_eq!(site.push(&url).await.unwrap().pushed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_push_to_one_folder_at_once() {
    let site = site();
    let url = site.mirror();
    let pushes = (0..8).map(|_| site.push(&url));
    for pushed in futures::future::join_all(pushes).await {
        let pushed = pushed.unwrap();
        assert_eq!(pushed.pushed + pushed.present, site.blobs.len());
    }
    let folder = url.to_file_path().unwrap().join("sha256");
    assert_eq!(fs::read_dir(folder).unwrap().count(), site.blobs.len());
    site.pull(&url).await;
}

#[tokio::test]
async fn what_is_damaged_in_the_cache_reaches_no_mirror() {
    let site = site();
    let large = site.blobs.iter().max_by_key(|blob| blob.size).unwrap();
    let path = site.cache.blobs().path(&large.sha256);
    fs::remove_file(&path).unwrap();
    fs::write(&path, vec![8; 700_001]).unwrap();
    let store = Store::default();
    let server = store.serve(|_, _| None);
    for url in [site.mirror(), server.url("base")] {
        let error = site.push(&url).await.unwrap_err();
        assert!(
            matches!(error, MirrorError::Cache(CacheError::Mismatch { .. })),
            "{url}: {error}"
        );
    }
    let hex = large.sha256.hex();
    let folder = site.mirror().to_file_path().unwrap().join("sha256");
    assert!(!folder.join(&hex).exists());
    assert!(!store.has(&hex));
}

/// What a web server has, by path.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Store {
    fn has(&self, name: &str) -> bool {
        let files = self.0.lock().unwrap();
        files.keys().any(|path| path.ends_with(name))
    }

    /// Serves it by GET, HEAD and PUT, but for what `otherwise` answers with a status.
    fn serve(
        &self,
        otherwise: impl Fn(&Request, &Self) -> Option<&'static str> + Send + Sync + 'static,
    ) -> Server {
        let store = self.clone();
        Server::start(move |request, stream| match otherwise(request, &store) {
            Some(status) => respond(stream, status, &[], b""),
            None => store.answer(request, stream),
        })
    }

    fn answer(&self, request: &Request, stream: &mut TcpStream) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let there = files.get(&request.target);
        match (request.method.as_str(), there) {
            ("PUT", Some(_)) if request.headers.contains_key("if-none-match") => {
                respond(stream, "412 Precondition Failed", &[], b"")
            }
            ("PUT", _) => {
                files.insert(request.target.clone(), request.body.clone());
                respond(stream, "201 Created", &[], b"")
            }
            ("HEAD", Some(bytes)) => head(stream, "200 OK", &[], Some(bytes.len())),
            ("GET", Some(bytes)) => respond(stream, "200 OK", &[], bytes),
            _ => head(stream, "404 Not Found", &[], Some(0)),
        }
    }
}

#[tokio::test]
async fn a_web_server_gets_what_it_lacks_and_gives_it_back() {
    let site = site();
    let store = Store::default();
    let server = store.serve(|_, _| None);
    let url = server.url("base/of%20it/");
    let pushed = site.push(&url).await.unwrap();
    assert_eq!((pushed.pushed, pushed.present), (site.blobs.len(), 0));
    assert!(
        store
            .0
            .lock()
            .unwrap()
            .keys()
            .all(|path| path.starts_with("/base/of%20it/sha256/"))
    );
    let before = server.requests().len();
    let again = site.push(&url).await.unwrap();
    assert_eq!((again.pushed, again.present), (0, site.blobs.len()));
    let asked = &server.requests()[before..];
    assert!(asked.iter().all(|request| request.method == "HEAD"));
    site.pull(&url).await;
    let error = list(&site.fetcher(options()), &url).await.unwrap_err();
    assert!(matches!(error, MirrorError::NoList { .. }), "{error}");
}

#[tokio::test]
async fn servers_that_fail_for_a_while_are_asked_again() {
    let site = site();
    let store = Store::default();
    // Each file's first PUT meets a server that is busy, its second one that keeps half.
    let tries: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let server = store.serve(move |request, store| {
        if request.method != "PUT" {
            return None;
        }
        let mut tries = tries.lock().unwrap();
        let count = tries.entry(request.target.clone()).or_default();
        *count += 1;
        match count {
            1 => Some("503 Service Unavailable"),
            2 if request.body.len() > 1 => {
                let half = request.body[..request.body.len() / 2].to_vec();
                store.0.lock().unwrap().insert(request.target.clone(), half);
                Some("201 Created")
            }
            _ => None,
        }
    });
    let url = server.url("");
    assert_eq!(site.push(&url).await.unwrap().pushed, site.blobs.len());
    site.pull(&url).await;
}

#[tokio::test]
async fn servers_that_fail_for_good_are_named() {
    let site = site();
    let code = |error: &MirrorError| match error {
        MirrorError::Push(attempt) => match attempt.answer {
            Answer::Status { code, .. } => code,
            _ => 0,
        },
        _ => 0,
    };
    for (status, expected, tries) in [
        ("500 Internal Server Error", 500, 3),
        ("401 Unauthorized", 401, 1),
        ("403 Forbidden", 403, 1),
        ("405 Method Not Allowed", 405, 1),
        ("507 Insufficient Storage", 507, 3),
    ] {
        let server =
            Store::default().serve(move |request, _| (request.method == "PUT").then_some(status));
        let error = site.push(&server.url("")).await.unwrap_err();
        assert_eq!(code(&error), expected, "{error}");
        assert!(
            matches!(&error, MirrorError::Push(attempt) if attempt.tries == tries),
            "{error}"
        );
        assert!(error.hint().is_some(), "{error}");
    }
    // It says that it took everything, and has nothing.
    let liar = Store::default().serve(|request, _| (request.method == "PUT").then_some("200 OK"));
    let error = site.push(&liar.url("")).await.unwrap_err();
    assert!(
        matches!(&error, MirrorError::Push(attempt) if attempt.answer == Answer::NotThere),
        "{error}"
    );
    // It takes the connection, and says nothing.
    let silent = Server::start(|_, stream| {
        std::thread::sleep(Duration::from_secs(10));
        stream.flush()
    });
    let error = site.push(&silent.url("")).await.unwrap_err();
    assert!(
        matches!(&error, MirrorError::Push(attempt) if matches!(attempt.answer, Answer::Stalled(_))),
        "{error}"
    );
}

#[tokio::test]
async fn servers_without_head_are_told_to_keep_what_they_have() {
    let site = site();
    let store = Store::default();
    let server =
        store.serve(|request, _| (request.method == "HEAD").then_some("405 Method Not Allowed"));
    let url = server.url("");
    for _ in 0..2 {
        assert_eq!(site.push(&url).await.unwrap().pushed, site.blobs.len());
    }
    let puts = server.requests();
    let puts = puts.iter().filter(|request| request.method == "PUT");
    assert!(puts.into_iter().all(|put| {
        put.headers
            .get("if-none-match")
            .is_some_and(|any| any == "*")
    }));
    site.pull(&url).await;
}

#[tokio::test]
async fn credentials_are_shown_to_the_mirror_that_they_are_for() {
    let site = site();
    let store = Store::default();
    let server = store.serve(|request, _| {
        let shown = request.headers.get("authorization").map(String::as_str);
        (shown != Some("Bearer hush")).then_some("401 Unauthorized")
    });
    let url = server.url("team");
    let error = site.push(&url).await.unwrap_err();
    assert!(
        error.hint().unwrap().contains("LUNI_MIRROR_AUTH"),
        "{error}"
    );
    let options = FetchOptions {
        credentials: Credentials::parse(&format!("{url}=bearer:hush")).unwrap(),
        ..options()
    };
    let fetcher = site.fetcher(options);
    let pushed = push(&fetcher, &url, &site.blobs, false).await.unwrap();
    assert_eq!(pushed.pushed, site.blobs.len());
    let error = push(&fetcher, &server.url("teams"), &site.blobs, false).await;
    assert!(!error.unwrap_err().to_string().contains("hush"));
}

#[tokio::test]
async fn offline_reaches_folders_and_nothing_else() {
    let site = site();
    let options = FetchOptions {
        offline: true,
        ..options()
    };
    let fetcher = site.fetcher(options);
    push(&fetcher, &site.mirror(), &site.blobs, false)
        .await
        .unwrap();
    for url in ["http://127.0.0.1:1/", "s3://bucket/x", "gs://bucket"] {
        let url = Url::parse(url).unwrap();
        let error = push(&fetcher, &url, &site.blobs, false).await.unwrap_err();
        assert!(matches!(error, MirrorError::NoNetwork { .. }), "{error}");
    }
    let url = Url::parse("ftp://127.0.0.1/").unwrap();
    let error = push(&fetcher, &url, &site.blobs, false).await.unwrap_err();
    assert!(matches!(error, MirrorError::Address { .. }), "{error}");
}
