//! Fetching from servers that misbehave.

mod order;

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
        Box::new(Silent)
    }
    fn part(&self, _: &'static str, _: &str, _: Option<u64>) -> Box<dyn Task> {
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
    let good = Server::of(&site.bytes);
    let notes = Arc::new(Notes::default());
    let fetcher = Fetcher::new(site.cache.clone(), options(), notes.clone()).unwrap();
    for file in ["one", "two"] {
        let bytes = [site.bytes.as_slice(), file.as_bytes()].concat();
        let good = Server::of(&bytes);
        let want = Want {
            name: file.to_owned(),
            sha256: Sha256::of(&bytes),
            size: None,
            places: vec![closed.clone(), good.url(file)],
        };
        fetcher.fetch(&[want]).await.unwrap();
    }
    let notes = notes.notes.lock().unwrap().clone();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("cannot be reached"), "{notes:?}");
    let answers = site.fails(std::slice::from_ref(&closed)).await;
    assert!(
        matches!(answers[..], [Answer::Unreachable(_)]),
        "{answers:?}"
    );
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
async fn a_name_that_does_not_exist_is_not_tried_again() {
    let site = site();
    // Longer than a part of a name may be (RFC 1035 §2.3.4): nobody has to be asked.
    let name = format!("http://{}.invalid/file.bin", "x".repeat(70));
    let error = site
        .fetcher()
        .fetch(&[site.want(&[name.parse().unwrap()])])
        .await
        .unwrap_err();
    let FetchError::Unavailable(missing) = &error else {
        panic!("{error}");
    };
    let attempt = &missing[0].attempts[0];
    assert!(matches!(attempt.answer, Answer::NoSuchName(_)), "{error}");
    assert_eq!(attempt.tries, 1);
}
