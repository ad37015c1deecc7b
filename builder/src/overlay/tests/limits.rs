//! What is too much, and that nothing stays of it.

use std::collections::BTreeSet;

use super::super::content::{Item, Kind, receive};
use super::*;

impl Bench {
    fn collected(&self, items: impl Iterator<Item = (String, Kind)>) -> Result<(), OverlayError> {
        let mut collector = Collector::default();
        for (path, kind) in items {
            let (mode, link) = (None, None);
            assert!(collector.add(path, Item { mode, kind, link }));
        }
        collector.finish("it", self.cache.blobs()).map(drop)
    }

    fn empty(&self) -> Kind {
        let received = receive(self.cache.blobs(), &mut &b""[..]).unwrap();
        Kind::File(received.keep().unwrap())
    }

    fn has(&self, content: &[u8]) -> bool {
        self.cache.blobs().contains(&Digest::of(content))
    }

    /// All files of the cache.
    fn files(&self) -> BTreeSet<PathBuf> {
        let found = walkdir::WalkDir::new(self.cache.root()).into_iter();
        let found = found.map(|it| it.unwrap());
        let files = found.filter(|it| it.file_type().is_file());
        files.map(walkdir::DirEntry::into_path).collect()
    }
}

#[test]
fn folders_on_the_way_count_as_paths() {
    let bench = Bench::new();
    let deep = |count: usize| {
        let path = |at| format!("{at}/{}f", "d/".repeat(2040));
        bench.collected((0..count).map(|at| (path(at), bench.empty())))
    };
    // Of a few hundred bytes each, for whoever packs them.
    assert!(deep(1).is_ok());
    assert!(matches!(deep(9), Err(OverlayError::TooManyPaths { .. })));
    let names = (0..300_000).map(|at| (at.to_string(), Kind::Folder));
    let Err(error) = bench.collected(names) else {
        panic!("they take more than is taken");
    };
    let expected = "with all folders on the way, take more than 33554432 bytes";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert!(error.hint().is_some() && error.is_bad_input());
    // Each in a folder that is not listed, which counts as one that is.
    let implied = (0..150_000).map(|at| (format!("{at:x}/f"), bench.empty()));
    let implied = bench.collected(implied);
    assert!(matches!(implied, Err(OverlayError::TooManyPaths { .. })));
    let target = "t".repeat(4095);
    let links = (0..9000).map(|at| (at.to_string(), Kind::Symlink(target.clone())));
    let links = bench.collected(links);
    assert!(matches!(links, Err(OverlayError::TooManyPaths { .. })));
}

#[test]
fn a_short_path_that_links_make_long_counts_as_long() {
    let bench = Bench::new();
    let deep = vec!["d".repeat(250); 16].join("/");
    let base = bench.base(&[
        (&deep, Node::folder(0o755)),
        ("short", Node::symlink(&deep)),
    ]);
    let overlay = |count: usize| {
        let mut collector = Collector::default();
        for at in 0..count {
            let (mode, link, kind) = (None, None, bench.empty());
            collector.add(format!("short/{at}"), Item { mode, kind, link });
        }
        let content = collector.finish("it", bench.cache.blobs()).unwrap();
        let paths = paths_of(&base, &Silent).unwrap();
        lay::lay(paths, &[("it".to_owned(), content)])
    };
    assert!(overlay(10).is_ok());
    assert!(matches!(
        overlay(9000),
        Err(OverlayError::TooManyPaths { .. })
    ));
}

#[test]
fn a_path_that_links_make_longer_than_linux_takes_is_told_of() {
    let bench = Bench::new();
    let deep = vec!["d".repeat(250); 16].join("/");
    let base = bench.base(&[
        (&deep, Node::folder(0o755)),
        ("short", Node::symlink(&deep)),
    ]);
    let file = |length: usize| format!("short/{}", "f".repeat(length));
    // The last one that fits has 4095 bytes, with the slash.
    let fits = 4095 - deep.len() - 1;
    let overlay = bench.overlay("fits", &[(&file(fits), "x")]);
    bench.lay(&base, &[overlay]).map(drop).unwrap();
    let overlay = bench.overlay("long", &[(&file(fits + 1), "x")]);
    let error = bench.lay(&base, &[overlay]).map(drop).unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("overlay /") && told.contains("of 4096 bytes"),
        "{told}"
    );
    assert!(error.hint().is_some() && error.is_bad_input());
}

#[test]
fn a_list_of_paths_that_is_too_long_is_told_from_a_wrong_one() {
    let bench = Bench::new();
    let blobs = bench.cache.blobs();
    let with_list = |list: &[u8]| {
        let base = bench.base(&[]);
        let mut entries: Vec<EntrySource> = Vec::new();
        for (name, digest) in base.entries() {
            if name != artefact::MANIFEST {
                entries.push(EntrySource::of_blob(blobs, name, digest).unwrap());
            }
        }
        let list = blobs.put(list).unwrap();
        entries.push(EntrySource::of_blob(blobs, PATHS, list).unwrap());
        let sealed = seal(blobs, base.manifest().clone(), &entries, &Silent).unwrap();
        let base = Artefact::open(&blobs.path(&sealed.digest.sha256)).unwrap();
        let overlay = bench.overlay("overlay", &[("a", "b")]);
        bench.lay(&base, &[overlay]).map(drop).unwrap_err()
    };
    assert!(matches!(with_list(b"{"), OverlayError::Paths { .. }));
    let long = vec![b' '; usize::try_from(MAX_PATHS).unwrap() + 1];
    let error = with_list(&long);
    assert!(matches!(error, OverlayError::LongList { .. }), "{error}");
    // Nor is such a list written.
    let error = readable("base", long).unwrap_err();
    assert!(matches!(error, OverlayError::TooLongList { .. }), "{error}");
    assert!(error.hint().is_some() && error.is_bad_input());
    assert_eq!(readable("base", b"{}".to_vec()).unwrap(), b"{}");
}

#[test]
fn nothing_stays_in_the_cache_of_what_is_refused() {
    let bench = Bench::new();
    let blobs = bench.cache.blobs();
    let large = vec![b'l'; 3 << 20];
    let folder = bench.folder.path().join("large");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("it"), &large).unwrap();
    let limits = Limits {
        size: 2 << 20,
        ..Limits::default()
    };
    let refused = read(&folder, &limits, blobs, &Silent).unwrap_err();
    assert!(matches!(
        refused,
        OverlayError::Folder(FolderError::TooLarge { .. })
    ));
    assert!(!bench.has(&large) && !bench.has(&large[..(2 << 20) + 1]));

    // Its content unpacks well, and has another checksum.
    let seed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fuzz/seeds/overlay/bad-crc.zip"
    );
    let zip = fs::read(seed).unwrap();
    let refused = read_zip(&zip, "it", &Limits::default(), blobs).unwrap_err();
    assert!(refused.to_string().contains("is damaged"), "{refused}");
    assert!(!bench.has(b"hello\n"));
}

#[test]
fn nothing_stays_in_the_cache_of_what_does_not_fit() {
    let bench = Bench::new();
    let base = bench.base(&[("etc/motd", bench.file(0o644, "old"))]);
    let damaged = {
        let mut zip = fs::read(base.label()).unwrap();
        let header = zip.windows(12).position(|it| it == b"kernelkernel");
        zip[header.unwrap() + KERNEL.len()] ^= 1;
        Artefact::from_bytes(zip, "damaged").unwrap()
    };
    let before = bench.files();
    let large = "l".repeat(3 << 20);
    let flaws: [(&str, &str); 8] = [
        (".wh.nosuch", ""),
        ("etc", "a file"),
        ("etc/motd/", ""),
        ("etc/.wh..wh..opq", ""),
        ("TRAILER!!!", "end"),
        ("TRAILER!!!/x", "end"),
        ("z", "a socket later"),
        (
            "sound",
            "another overlay is not there, or the base is damaged",
        ),
    ];
    let limits = Limits::default();
    for (at, (path, content)) in flaws.into_iter().enumerate() {
        let top = bench.overlay(&at.to_string(), &[("a", large.as_str()), (path, content)]);
        let mut overlays = vec![top.clone()];
        let lay = |base: &Artefact, overlays: &[PathBuf]| {
            prepare(base, overlays, &limits, bench.cache.blobs(), &Silent).map(drop)
        };
        match path {
            "z" => {
                fs::remove_file(top.join("z")).unwrap();
                drop(std::os::unix::net::UnixListener::bind(top.join("z")).unwrap());
            }
            "sound" => {
                assert!(lay(&damaged, &overlays).is_err());
                overlays.push(bench.folder.path().join("none"));
            }
            _ => {}
        }
        let refused = lay(&base, &overlays);
        assert!(refused.is_err(), "{path}");
        assert!(bench.files() == before, "{path}");
    }
    // Nor does what was laid over it, once that is written.
    let sound = bench.overlay("sound", &[("a", large.as_str())]);
    let prepared = prepare(&base, &[sound], &limits, bench.cache.blobs(), &Silent).unwrap();
    assert!(bench.files() != before);
    prepared.write(&mut Vec::new(), &Silent).unwrap();
    drop(prepared);
    assert!(bench.files() == before);
}

#[test]
fn a_file_beyond_what_an_initramfs_holds_is_not_read() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("sparse");
    fs::create_dir(&folder).unwrap();
    let file = fs::File::create(folder.join("it")).unwrap();
    file.set_len(1 << 40).unwrap();
    let limits = Limits {
        size: 1 << 41,
        ..Limits::default()
    };
    let refused = read(&folder, &limits, bench.cache.blobs(), &Silent).unwrap_err();
    assert!(
        refused.to_string().contains("sparse/it` is too large"),
        "{refused}"
    );
    assert!(refused.hint().is_some() && refused.is_bad_input());
}

/// Writes to a file as soon as something was read.
#[derive(Debug)]
struct Meddler(PathBuf);

impl lunikernel_cache::Task for Meddler {
    fn advance(&self, _amount: u64) {
        fs::write(&self.0, "something longer").unwrap();
    }

    fn finish(self: Box<Self>, _note: &str) {}
}

#[test]
fn names_of_a_file_that_changes_meanwhile_are_refused() {
    let bench = Bench::new();
    let top = bench.overlay("it", &[("a", "one"), ("m", "between")]);
    fs::hard_link(top.join("a"), top.join("z")).unwrap();
    let read = |meddler: &dyn lunikernel_cache::Task| {
        let mut into = Collector::default();
        folder::read(
            &top,
            &Limits::default(),
            bench.cache.blobs(),
            &mut into,
            meddler,
        )
    };
    let elsewhere = bench.folder.path().join("elsewhere");
    read(&Meddler(elsewhere)).unwrap();
    let error = read(&Meddler(top.join("z"))).unwrap_err();
    assert!(matches!(error, FolderError::Changed { .. }), "{error}");
    assert!(error.to_string().contains("it/z` changed"), "{error}");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let bench = Bench::new();
    let path = bench.overlay("it", &[("a", "one")]).join("a");
    let file = fs::File::open(&path).unwrap();
    let steady = folder::steady(&file, |mut file| {
        let mut text = String::new();
        file.read_to_string(&mut text).map(|_| text)
    });
    assert_eq!(steady.unwrap().map(|it| it.0).as_deref(), Some("one"));
    let torn = folder::steady(&file, |_| fs::write(&path, "something longer"));
    assert!(torn.unwrap().is_none());
}

#[test]
fn a_sparse_file_that_is_too_large_is_not_read() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("sparse");
    fs::create_dir(&folder).unwrap();
    // Reading it would take an hour.
    let file = fs::File::create(folder.join("it")).unwrap();
    file.set_len(1 << 42).unwrap();
    let limits = Limits {
        size: 1 << 41,
        ..Limits::default()
    };
    let refused = read(&folder, &limits, bench.cache.blobs(), &Silent).unwrap_err();
    assert!(matches!(
        refused,
        OverlayError::Folder(FolderError::TooLarge { .. })
    ));
}

#[test]
fn what_is_refused_in_a_folder_comes_with_a_hint() {
    use std::os::unix::ffi::OsStrExt as _;
    let bench = Bench::new();
    let mut told = Vec::new();
    let name = |name: &'static [u8]| Path::new(std::ffi::OsStr::from_bytes(name));
    let ways: [&dyn Fn(&Path); 5] = [
        &|top| {
            fs::create_dir(top.join("TRAILER!!!")).unwrap();
            fs::write(top.join("TRAILER!!!/x"), "x").unwrap();
        },
        &|top| fs::write(top.join(name(b"caf\xe9")), "x").unwrap(),
        &|top| fs::os::unix::fs::symlink(name(b"caf\xe9"), top.join("link")).unwrap(),
        &|top| fs::write(top.join("TRAILER!!!"), "x").unwrap(),
        &|top| {
            let socket = std::os::unix::net::UnixListener::bind(top.join("socket"));
            drop(socket.unwrap());
        },
    ];
    for (at, make) in ways.into_iter().enumerate() {
        let top = bench.folder.path().join(at.to_string());
        fs::create_dir(&top).unwrap();
        make(&top);
        let limits = Limits::default();
        let refused = read(&top, &limits, bench.cache.blobs(), &Silent).unwrap_err();
        assert!(refused.is_bad_input());
        told.push((refused.to_string(), refused.hint().unwrap()));
    }
    let expected = [
        ("which ends an initramfs", "give it another name"),
        ("a name that is not UTF-8", "give it another name"),
        ("a target that is not UTF-8", "ln -sfn"),
        ("which ends an initramfs", "give it another name"),
        ("is no file, folder or symbolic link", "leave it out"),
    ];
    for ((error, hint), (said, helps)) in told.iter().zip(expected) {
        assert!(
            error.contains(said) && hint.contains(helps),
            "{error}; {hint}"
        );
    }
}

#[test]
fn what_is_beside_a_folder_stays_when_that_is_removed() {
    // Sorted, these are among what is below `a`, or next to it.
    let list =
        br#"{"a":"folder","a-b":"file","a.b":"file","a/b":"folder","a/b/c":"file","a0":"file"}"#;
    let mut paths = Paths::of_json(list).unwrap();
    assert_eq!(paths.remove("a"), ["a", "a/b", "a/b/c"]);
    assert_eq!(paths.iter().collect::<Vec<_>>(), ["a-b", "a.b", "a0"]);
    assert!(paths.remove("none").is_empty());
}
