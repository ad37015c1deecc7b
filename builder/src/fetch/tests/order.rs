//! What is asked first, what at once, and what not at all.

use std::io::Write as _;
use std::time::Duration;

use lunikernel_cache::Cache;

use super::super::test_server::{head, respond, serve};
use super::*;

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

/// Opening a pipe would wait for who writes to it.
#[tokio::test]
async fn a_pipe_is_no_file_to_fetch() {
    let site = site();
    let pipe = site.folder.path().join("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    for path in [pipe, site.folder.path().to_owned()] {
        let answers = site.fails(&[Url::from_file_path(path).unwrap()]).await;
        let expected = Answer::Unusable("it is no regular file".to_owned());
        assert_eq!(answers, [expected]);
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
    let Some(mirror) = lunikernel_testing::artefacts(&lunikernel_testing::this_test()) else {
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
    // What a lock says of its size makes no difference.
    let endless = Want {
        name: "x".to_owned(),
        sha256: Sha256::of(b"x"),
        size: Some(u64::MAX),
        places: vec![server.url("endless")],
    };
    let error = small.fetch(&[endless]).await.unwrap_err();
    let FetchError::Unavailable(missing) = &error else {
        panic!("{error}");
    };
    let answer = &missing[0].attempts[0].answer;
    let limit = 1 << 20;
    assert!(
        matches!(answer, Answer::WrongSize { expected, .. } if *expected == limit),
        "{error}"
    );
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
        Some(c"size=200k,mode=755"),
    );
    if let Err(error) = mounted {
        lunikernel_testing::left_out(
            &lunikernel_testing::this_test(),
            &format!("a small tmpfs cannot be mounted here: {error}"),
        );
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

#[tokio::test]
async fn all_at_once_wait_for_a_server_that_restarts() {
    let site = site();
    // It hangs up on the first eight, each of which has a second try.
    let server = Server::start(|request, stream| match request.number {
        0..8 => Ok(()),
        _ => respond(stream, "200 OK", &[], &request.target.as_bytes()[1..]),
    });
    let wants: Vec<Want> = (0..8)
        .map(|number| Want {
            name: format!("n{number}"),
            sha256: Sha256::of(number.to_string().as_bytes()),
            size: None,
            places: vec![server.url(&number.to_string())],
        })
        .collect();
    let report = site.fetcher().fetch(&wants).await.unwrap();
    assert_eq!(report.fetched, 8);
}
