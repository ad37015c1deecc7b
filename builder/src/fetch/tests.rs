//! Fetching from servers that misbehave.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fs_err as fs;
use lunikernel_cache::{Cache, Progress, Sha256, Silent, Task};
use url::Url;

use super::test_server::{Server, head, respond, serve};
use super::{Answer, FetchError, FetchOptions, FetchReport, Fetcher, Missing, Want};

/// A cache of its own, and a file that is no multiple of anything.
struct Site {
    folder: tempfile::TempDir,
    cache: Cache,
    bytes: Vec<u8>,
}

fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    let bytes = (0..300_007u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    Site {
        folder,
        cache,
        bytes,
    }
}

fn options() -> FetchOptions {
    FetchOptions {
        idle_timeout: Duration::from_millis(300),
        retries: 2,
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(50),
        slowest: 1000,
        ..FetchOptions::default()
    }
}

impl Site {
    fn fetcher(&self) -> Fetcher {
        self.fetcher_with(options())
    }
    fn fetcher_with(&self, options: FetchOptions) -> Fetcher {
        Fetcher::new(self.cache.clone(), options, Arc::new(Silent)).unwrap()
    }
    fn want(&self, places: &[Url]) -> Want {
        Want {
            name: "file.bin".to_owned(),
            sha256: Sha256::of(&self.bytes),
            size: Some(self.bytes.len() as u64),
            places: places.to_owned(),
        }
    }
    async fn fetch(&self, places: &[Url]) -> Result<FetchReport, FetchError> {
        self.fetcher().fetch(&[self.want(places)]).await
    }
    /// Fetches, and checks that what is in the cache then is right.
    async fn gets(&self, places: &[Url]) -> FetchReport {
        let report = self.fetch(places).await.unwrap();
        self.check();
        report
    }
    fn check(&self) {
        let path = self.cache.blobs().path(&Sha256::of(&self.bytes));
        assert!(fs::read(path).unwrap() == self.bytes);
        assert_eq!(self.partials(), 0);
    }
    fn partials(&self) -> usize {
        fs::read_dir(self.cache.root().join("partial"))
            .unwrap()
            .count()
    }
    fn partial(&self) -> std::path::PathBuf {
        let hex = Sha256::of(&self.bytes).hex();
        self.cache.root().join("partial").join(hex)
    }
    /// Fetches in vain, and returns what the places answered.
    async fn fails(&self, places: &[Url]) -> Vec<Answer> {
        let error = self.fetch(places).await.unwrap_err();
        assert!(!self.cache.blobs().path(&Sha256::of(&self.bytes)).exists());
        only(&error)
            .attempts
            .iter()
            .map(|a| a.answer.clone())
            .collect()
    }
}

fn only(error: &FetchError) -> &Missing {
    match error {
        FetchError::Unavailable(missing) | FetchError::Offline(missing) => &missing[0],
        other => panic!("{other}"),
    }
}

#[derive(Default)]
struct Notes {
    notes: Mutex<Vec<String>>,
    advanced: Arc<Mutex<u64>>,
}

impl Progress for Notes {
    fn start(&self, _: &'static str, _: &str, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Counted(Arc::clone(&self.advanced)))
    }
    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }
}

struct Counted(Arc<Mutex<u64>>);

impl Task for Counted {
    fn advance(&self, bytes: u64) {
        *self.0.lock().unwrap() += bytes;
    }
    fn finish(self: Box<Self>, _: &str) {}
}

#[tokio::test]
async fn right_bytes_are_fetched_once_and_then_cached() {
    let site = site();
    let server = Server::of(&site.bytes);
    let report = site.gets(&[server.url("x")]).await;
    let size = site.bytes.len() as u64;
    assert_eq!((report.fetched, report.cached, report.bytes), (1, 0, size));
    let report = site.gets(&[server.url("x")]).await;
    assert_eq!((report.fetched, report.cached, report.bytes), (0, 1, 0));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].headers["user-agent"].starts_with("luni/"));
    assert_eq!(requests[0].headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn a_place_with_other_bytes_is_named_and_the_next_one_tried() {
    let site = site();
    let mut wrong = site.bytes.clone();
    wrong[77] ^= 1;
    let (bad, good) = (Server::of(&wrong), Server::of(&site.bytes));
    let notes = Arc::new(Notes::default());
    let fetcher = Fetcher::new(site.cache.clone(), options(), notes.clone()).unwrap();
    let want = site.want(&[bad.url("bad"), good.url("good")]);
    fetcher.fetch(&[want]).await.unwrap();
    site.check();
    let notes_made = notes.notes.lock().unwrap().clone();
    assert_eq!(notes_made.len(), 1);
    assert!(notes_made[0].contains("/bad"), "{notes_made:?}");
    assert!(notes_made[0].contains("other bytes"), "{notes_made:?}");
    assert_eq!(*notes.advanced.lock().unwrap(), site.bytes.len() as u64);
}

#[tokio::test]
async fn the_error_names_every_place_and_what_it_answered() {
    let site = site();
    let mut wrong = site.bytes.clone();
    wrong[0] ^= 1;
    let bad = Server::of(&wrong);
    let gone = Server::start(|_, stream| respond(stream, "404 Not Found", &[], b""));
    let shut = Server::start(|_, stream| respond(stream, "403 Forbidden", &[], b""));
    let mut secret = shut.url("shut");
    secret.set_username("me").unwrap();
    secret.set_password(Some("secret")).unwrap();
    let error = site
        .fetch(&[bad.url("bad"), gone.url("gone"), secret])
        .await
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "1 input:",
        "file.bin (sha256:",
        "/bad: it has other bytes: sha256:",
        "/gone: it is not there",
        "/shut: it answered with HTTP status 403",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(!text.contains("secret"), "{text}");
    assert!(error.hint().unwrap().contains("luni lock --update"));
    assert_eq!(site.partials(), 0);
    for server in [bad, gone, shut] {
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_cut_connection_is_resumed_where_it_was() {
    let site = site();
    let bytes = site.bytes.clone();
    let server = Server::start(move |request, stream| match request.number {
        0 => {
            head(stream, "200 OK", &[], Some(bytes.len()))?;
            stream.write_all(&bytes[..123_456])
        }
        _ => serve(request, stream, &bytes),
    });
    let report = site.gets(&[server.url("x")]).await;
    assert_eq!(report.bytes, site.bytes.len() as u64);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].from(), Some(123_456));
}

#[tokio::test]
async fn what_a_killed_process_left_is_gone_on_with_wherever_it_came_from() {
    for (left, requests) in [(100_000, vec![Some(100_000)]), (300_007, vec![])] {
        let site = site();
        fs::write(site.partial(), &site.bytes[..left]).unwrap();
        let server = Server::of(&site.bytes);
        site.gets(&[server.url("x")]).await;
        let asked: Vec<_> = server.requests().iter().map(|r| r.from()).collect();
        assert_eq!(asked, requests);
    }
}

#[tokio::test]
async fn a_wrong_beginning_is_thrown_away_and_not_blamed_on_the_place() {
    for left in [100_000, 300_007, 400_000] {
        let site = site();
        fs::write(site.partial(), vec![9; left]).unwrap();
        let server = Server::of(&site.bytes);
        site.gets(&[server.url("x")]).await;
        assert_eq!(server.requests().last().unwrap().from(), None);
    }
}

#[tokio::test]
async fn servers_that_get_ranges_wrong_are_asked_for_everything() {
    type Handler = fn(&[u8], &mut std::net::TcpStream) -> std::io::Result<()>;
    let ignores: Handler = |bytes, stream| respond(stream, "200 OK", &[], bytes);
    let refuses: Handler = |_, stream| respond(stream, "416 Range Not Satisfiable", &[], b"");
    let other_range: Handler = |bytes, stream| {
        let headers = [("Content-Range", "bytes 5-300006/300007")];
        respond(stream, "206 Partial Content", &headers, &bytes[5..])
    };
    let no_range: Handler =
        |bytes, stream| respond(stream, "206 Partial Content", &[], &bytes[1000..]);
    for (handler, count) in [(ignores, 1), (refuses, 2), (other_range, 2), (no_range, 2)] {
        let site = site();
        fs::write(site.partial(), &site.bytes[..1000]).unwrap();
        let bytes = site.bytes.clone();
        let server = Server::start(move |request, stream| match request.from() {
            Some(_) => handler(&bytes, stream),
            None => serve(request, stream, &bytes),
        });
        site.gets(&[server.url("x")]).await;
        assert_eq!(server.requests().len(), count);
    }
}

#[tokio::test]
async fn truncation_is_tried_again_and_then_said() {
    let site = site();
    let bytes = site.bytes.clone();
    // The second one ends without having claimed a length.
    for claimed in [Some(bytes.len()), None] {
        let bytes = bytes.clone();
        let server = Server::start(move |_, stream| {
            head(stream, "200 OK", &[], claimed)?;
            stream.write_all(&bytes[..1000])
        });
        let answers = site.fails(&[server.url("x")]).await;
        let expected = Some(site.bytes.len() as u64);
        assert_eq!(
            answers,
            [Answer::Cut {
                got: 1000,
                expected
            }]
        );
        assert_eq!(server.requests().len(), 3);
    }
}

#[tokio::test]
async fn lengths_that_lie_are_refused_before_the_bytes_are_taken() {
    let site = site();
    for length in [200_000, 400_000] {
        let server = Server::of(&vec![1; length]);
        let answers = site.fails(&[server.url("x")]).await;
        let (actual, expected) = (length as u64, site.bytes.len() as u64);
        assert_eq!(answers, [Answer::WrongSize { actual, expected }]);
    }
    // Without a length, one byte too many is one too many.
    let bytes = site.bytes.clone();
    let server = Server::start(move |_, stream| {
        head(stream, "200 OK", &[], None)?;
        stream.write_all(&bytes)?;
        loop {
            stream.write_all(&[0; 65_536])?;
        }
    });
    let answers = site.fails(&[server.url("x")]).await;
    assert!(
        matches!(answers[..], [Answer::WrongSize { .. }]),
        "{answers:?}"
    );
    assert_eq!(site.partials(), 0);
}

#[tokio::test]
async fn a_stall_and_a_crawl_lead_on_to_the_next_place() {
    let site = site();
    let bytes = site.bytes.clone();
    let stalls = Server::start(move |_, stream| {
        head(stream, "200 OK", &[], Some(bytes.len()))?;
        stream.write_all(&bytes[..5000])?;
        std::thread::sleep(Duration::from_secs(5));
        Ok(())
    });
    let crawls = Server::start(|_, stream| {
        head(
            stream,
            "206 Partial Content",
            &[("Content-Range", "bytes 5000-300006/300007")],
            Some(295_007),
        )?;
        loop {
            stream.write_all(b"x")?;
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let good = Server::of(&site.bytes);
    let begin = Instant::now();
    site.gets(&[stalls.url("x"), crawls.url("x"), good.url("x")])
        .await;
    assert!(begin.elapsed() < Duration::from_secs(3));
    assert_eq!(stalls.requests().len(), 1);
    assert_eq!(crawls.requests().len(), 1);
}

#[tokio::test]
async fn a_slow_place_is_waited_for() {
    let site = site();
    let bytes = site.bytes.clone();
    let slow = Server::start(move |_, stream| {
        head(stream, "200 OK", &[], Some(bytes.len()))?;
        for piece in bytes.chunks(30_000) {
            stream.write_all(piece)?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    });
    site.gets(&[slow.url("x")]).await;
    assert_eq!(slow.requests().len(), 1);
}

#[tokio::test]
async fn errors_of_servers_are_tried_again_and_errors_of_ours_are_not() {
    for (status, tries) in [
        ("500 Oops", 2),
        ("503 Busy", 2),
        ("429 Slow down", 2),
        ("408 Late", 2),
    ] {
        let site = site();
        let bytes = site.bytes.clone();
        let server = Server::start(move |request, stream| match request.number {
            0 => respond(stream, status, &[("Retry-After", "9999")], b""),
            _ => serve(request, stream, &bytes),
        });
        site.gets(&[server.url("x")]).await;
        assert_eq!(server.requests().len(), tries, "{status}");
    }
    for status in ["400 Bad", "401 Who", "403 No", "404 None", "410 Gone"] {
        let server = Server::start(move |_, stream| respond(stream, status, &[], b""));
        let site = site();
        site.fails(&[server.url("x")]).await;
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_tried_last_for_the_files_after() {
    let site = site();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/x", listener.local_addr().unwrap());
    drop(listener);
    let closed = Url::parse(&closed).unwrap();
    let answers = site.fails(std::slice::from_ref(&closed)).await;
    assert!(
        matches!(answers[..], [Answer::Unreachable(_)]),
        "{answers:?}"
    );
    let good = Server::of(&site.bytes);
    site.gets(&[closed, good.url("x")]).await;
}

#[tokio::test]
async fn redirects_are_followed_within_bounds() {
    let site = site();
    let bytes = site.bytes.clone();
    let server = Server::start(move |request, stream| match request.target.as_str() {
        "/file" => serve(request, stream, &bytes),
        "/once" => respond(stream, "302 Found", &[("Location", "/file")], b""),
        "/local" => respond(
            stream,
            "302 Found",
            &[("Location", "file:///etc/hosts")],
            b"",
        ),
        _ => respond(stream, "302 Found", &[("Location", "/loop")], b""),
    });
    for path in ["loop", "local"] {
        let answers = site.fails(&[server.url(path)]).await;
        assert!(matches!(answers[..], [Answer::Redirect(_)]), "{answers:?}");
    }
    assert!(server.requests().len() < 20);
    site.gets(&[server.url("once")]).await;
}

#[tokio::test]
async fn two_at_once_do_the_work_once() {
    let site = site();
    let bytes = site.bytes.clone();
    let server = Server::start(move |request, stream| {
        std::thread::sleep(Duration::from_millis(150));
        serve(request, stream, &bytes)
    });
    let want = site.want(&[server.url("x")]);
    let others = Cache::open(site.cache.root()).unwrap();
    let one = site.fetcher();
    let two = Fetcher::new(others, options(), Arc::new(Silent)).unwrap();
    let wants = [want.clone(), want];
    let (one, two) = tokio::join!(one.fetch(&wants), two.fetch(&wants));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.fetched + two.fetched, one.cached + two.cached), (1, 1));
    assert_eq!(server.requests().len(), 1);
    site.check();
}

#[tokio::test]
async fn many_are_fetched_and_errors_come_in_the_order_of_the_wants() {
    let site = site();
    let server = Server::start(|request, stream| {
        let name = request.target.trim_start_matches('/').to_owned();
        let number: u64 = name.parse().unwrap();
        std::thread::sleep(Duration::from_millis((40 - number) * 2));
        match number % 10 {
            0 => respond(stream, "404 Not Found", &[], b""),
            _ => respond(stream, "200 OK", &[], name.as_bytes()),
        }
    });
    let wants: Vec<Want> = (0..40)
        .map(|number| Want {
            name: format!("n{number}"),
            sha256: Sha256::of(number.to_string().as_bytes()),
            size: None,
            places: vec![server.url(&number.to_string())],
        })
        .collect();
    let fetcher = site.fetcher();
    // On a task of its own: the future must be one that can be sent.
    let fetching = fetcher.clone();
    let error = tokio::spawn(async move { fetching.fetch(&wants).await })
        .await
        .unwrap()
        .unwrap_err();
    let FetchError::Unavailable(missing) = error else {
        panic!("{error}");
    };
    let names: Vec<_> = missing
        .iter()
        .map(|missing| missing.name.as_str())
        .collect();
    assert_eq!(names, ["n0", "n10", "n20", "n30"]);
    for number in (0..40).filter(|number| number % 10 != 0) {
        let sha256 = Sha256::of(number.to_string().as_bytes());
        assert!(fetcher.cache().blobs().find(&sha256).is_some());
    }
}

#[tokio::test]
async fn offline_uses_what_is_at_hand_and_lists_all_that_is_missing() {
    let site = site();
    let server = Server::of(&site.bytes);
    let offline = FetchOptions {
        offline: true,
        ..options()
    };
    let other = Want {
        name: "other.bin".to_owned(),
        sha256: Sha256::of(b"other"),
        size: None,
        places: vec![server.url("other")],
    };
    let wants = [site.want(&[server.url("x")]), other];
    let error = site
        .fetcher_with(offline.clone())
        .fetch(&wants)
        .await
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "the cache lacks 2 inputs:",
        "file.bin",
        "other.bin",
        &Sha256::of(b"other").hex(),
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let error = site
        .fetcher_with(offline.clone())
        .get(&server.url("x"), 9)
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::NoNetwork { .. }), "{error}");
    assert_eq!(server.requests().len(), 0);

    let mirror = site.folder.path().join("a mirror");
    fs::create_dir_all(mirror.join("sha256")).unwrap();
    fs::write(
        mirror.join("sha256").join(wants[0].sha256.hex()),
        &site.bytes,
    )
    .unwrap();
    let mirrored = FetchOptions {
        mirrors: vec![Url::from_file_path(&mirror).unwrap()],
        ..offline
    };
    let error = site.fetcher_with(mirrored).fetch(&wants).await.unwrap_err();
    assert_eq!(only(&error).name, "other.bin");
    site.check();
}

#[tokio::test]
async fn mirrors_come_first() {
    let site = site();
    let (mirror, upstream) = (Server::of(&site.bytes), Server::of(&site.bytes));
    let mirrored = FetchOptions {
        mirrors: vec![mirror.url("base/")],
        ..options()
    };
    let want = site.want(&[upstream.url("x")]);
    let hex = want.sha256.hex();
    site.fetcher_with(mirrored).fetch(&[want]).await.unwrap();
    site.check();
    assert_eq!(mirror.requests()[0].target, format!("/base/sha256/{hex}"));
    assert_eq!(upstream.requests().len(), 0);
}

/// The mirror that `LUNI_TEST_MIRROR` names, if any: real files under real hashes.
#[tokio::test]
async fn a_real_mirror_gives_what_its_names_say() {
    let Some(mirror) = std::env::var_os("LUNI_TEST_MIRROR") else {
        println!("left out: LUNI_TEST_MIRROR names no hashed mirror");
        return;
    };
    let site = site();
    let mirror = fs::canonicalize(mirror).unwrap();
    let mut wants = Vec::new();
    for entry in fs::read_dir(mirror.join("sha256")).unwrap().take(8) {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let sha256 = name.parse().unwrap();
        wants.push(Want {
            name,
            sha256,
            size: None,
            places: Vec::new(),
        });
    }
    let options = FetchOptions {
        mirrors: vec![Url::from_file_path(mirror).unwrap()],
        offline: true,
        ..options()
    };
    let report = site.fetcher_with(options).fetch(&wants).await.unwrap();
    assert_eq!(report.fetched, wants.len());
}

#[tokio::test]
async fn what_is_not_known_by_hash_is_bounded() {
    let site = site();
    let bytes = site.bytes.clone();
    let server =
        Server::start(
            move |request, stream| match (request.target.as_str(), request.number) {
                ("/none", _) => respond(stream, "404 Not Found", &[], b""),
                (_, 0) => respond(stream, "502 Oops", &[], b""),
                ("/endless", _) => {
                    head(stream, "200 OK", &[], None)?;
                    loop {
                        stream.write_all(&[0; 65_536])?;
                    }
                }
                _ => serve(request, stream, &bytes),
            },
        );
    let fetcher = site.fetcher();
    let url = server.url("x");
    let size = site.bytes.len() as u64;
    assert!(fetcher.get(&url, size).await.unwrap() == site.bytes);
    assert!(matches!(
        fetcher.get(&url, size - 1).await,
        Err(FetchError::Failed(_))
    ));
    assert!(matches!(
        fetcher.get(&server.url("endless"), 1 << 20).await,
        Err(FetchError::Failed(_))
    ));
    assert!(matches!(
        fetcher.get(&server.url("none"), 1).await,
        Err(FetchError::NotFound { .. })
    ));

    let spawned = fetcher.clone();
    let digest = tokio::spawn(async move { spawned.fetch_unpinned("x", &url).await });
    let digest = digest.await.unwrap().unwrap();
    assert_eq!(digest.sha256, Sha256::of(&site.bytes));
    site.check();
    let small = site.fetcher_with(FetchOptions {
        limit: 1 << 20,
        ..options()
    });
    let error = small
        .fetch_unpinned("x", &server.url("endless"))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Failed(_)), "{error}");
}

/// Encrypted connections work as far as a server that does not speak TLS shows.
#[tokio::test]
async fn https_is_spoken() {
    let site = site();
    let server = Server::of(&site.bytes);
    let url = server.url("x").to_string().replace("http:", "https:");
    let answers = site.fails(&[Url::parse(&url).unwrap()]).await;
    assert!(
        matches!(answers[..], [Answer::Unreachable(_)]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_full_disk_is_named_and_leaves_nothing_broken() {
    let site = site();
    let small = site.folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let mounted = rustix::mount::mount(
        "tmpfs",
        &small,
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        Some(c"size=200k"),
    );
    if let Err(error) = mounted {
        println!("left out: a small tmpfs cannot be mounted here: {error}");
        return;
    }
    let server = Server::of(&site.bytes);
    let cache = Cache::open(&small).unwrap();
    let fetcher = Fetcher::new(cache.clone(), options(), Arc::new(Silent)).unwrap();
    let error = fetcher
        .fetch(&[site.want(&[server.url("x")])])
        .await
        .unwrap_err();
    let unpinned = fetcher
        .fetch_unpinned("x", &server.url("x"))
        .await
        .unwrap_err();
    let little = Want {
        name: "little".to_owned(),
        sha256: Sha256::of(b"little"),
        size: None,
        places: vec![Server::of(b"").url("x")],
    };
    let afterwards = {
        let server = Server::of(b"little");
        let places = vec![server.url("x")];
        fetcher.fetch(&[Want { places, ..little }]).await
    };
    let left = fs::read_dir(small.join("partial")).unwrap().count();
    drop((fetcher, cache));
    rustix::mount::unmount(&small, rustix::mount::UnmountFlags::DETACH).unwrap();
    for error in [error, unpinned] {
        assert!(
            error.hint().unwrap_or_default().contains("free some space"),
            "{error:?}"
        );
    }
    assert_eq!(left, 0);
    assert_eq!(afterwards.unwrap().fetched, 1);
}
