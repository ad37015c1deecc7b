//! Archives as they are written, and every way in which they could be something else.

use std::io::Cursor;
use std::path::Path;

use fs_err as fs;
use lunikernel_cache::tree::Entry;
use lunikernel_cache::{Cache, CacheError, Digest, Sha256, Silent, Tree};

use super::header::{header, padding};
use super::{InputsTar, InputsTarError, index, is_inputs_tar, write};
use crate::lock::{LockFile, LockedSource};
use crate::source::file::{FileKind, LockedFile};
use crate::source::url::LockedUrl;

/// A cache with a recipe's inputs: a file from the web, a file of its own and a folder.
struct Site {
    folder: tempfile::TempDir,
    cache: Cache,
    lock: LockFile,
    blobs: Vec<Digest>,
}

const RECIPE: &str = "apiVersion: lunikernel/v1\n";

fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    let put = |bytes: &[u8]| cache.blobs().put(bytes).unwrap();
    let [web, own, inner] = [&[7; 1000][..], b"", b"#!/bin/sh\n"].map(put);
    let mut tree = Tree::new();
    let file = |digest| Entry::File {
        digest,
        executable: true,
    };
    tree.insert("deep/inner", file(inner)).unwrap();
    let target = "/etc".to_owned();
    tree.insert("link", Entry::Symlink { target }).unwrap();
    tree.store(cache.blobs()).unwrap();
    let mut lock = LockFile::new();
    let mut add = |name: &str, source| lock.sources.insert(name.to_owned(), source);
    let url = "https://nowhere.example/x".to_owned();
    let (sha256, size) = (web.sha256, web.size);
    add("web", LockedSource::Url(LockedUrl { url, sha256, size }));
    for (name, path, kind, digest) in [
        ("own", "files/own", FileKind::File, own),
        ("folder", "more", FileKind::Folder, tree.digest()),
    ] {
        let path = path.to_owned();
        add(name, LockedSource::File(LockedFile { path, kind, digest }));
    }
    let blobs = crate::mirror::with_own_files(&lock, cache.blobs()).unwrap();
    Site {
        folder,
        cache,
        lock,
        blobs,
    }
}

impl Site {
    fn bytes(&self, blobs: &[Digest]) -> Result<Vec<u8>, InputsTarError> {
        let mut out = Vec::new();
        let lock = self.lock.render().unwrap();
        let texts = (RECIPE, lock.as_str());
        write(
            &mut out,
            Path::new("x"),
            texts,
            blobs,
            self.cache.blobs(),
            &Silent,
        )?;
        Ok(out)
    }

    fn archive(&self, bytes: &[u8]) -> InputsTar {
        let path = self.folder.path().join("inputs.tar");
        fs::write(&path, bytes).unwrap();
        assert!(is_inputs_tar(&path));
        InputsTar::open(&path).unwrap()
    }

    fn unpack(&self, bytes: &[u8]) -> Result<std::path::PathBuf, InputsTarError> {
        let fresh = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        let cache = Cache::open(&fresh.join("cache")).unwrap();
        self.archive(bytes)
            .unpack(&cache, &fresh.join("recipe"), &Silent)
    }
}

fn refusal(bytes: &[u8]) -> String {
    let length = bytes.len() as u64;
    match index(&mut Cursor::new(bytes), length, Path::new("x")) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// An archive as the writer would write it if it wrote whatever it is given.
fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in entries {
        let size = content.len() as u64;
        bytes.extend(header(name, size).unwrap().as_bytes());
        bytes.extend(*content);
        bytes.resize(bytes.len() + usize::try_from(padding(size)).unwrap(), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn the_same_inputs_make_the_same_bytes_and_come_back_as_they_were() {
    let site = site();
    let bytes = site.bytes(&site.blobs).unwrap();
    let mut shuffled = site.blobs.clone();
    shuffled.reverse();
    shuffled.push(site.blobs[0]);
    assert_eq!(site.bytes(&shuffled).unwrap(), bytes);
    assert_eq!(
        Digest::of(&bytes).to_string(),
        "sha256:1dcad8ef99edf519e032f72ce221ccff8424d03d86b2e226a112b40a5bbc928f (8704 bytes)",
        "the bytes of archives are a promise"
    );
    let archive = site.archive(&bytes);
    assert_eq!(archive.recipe(), RECIPE);
    assert_eq!(LockFile::parse(archive.lock()).unwrap(), site.lock);
    let mut sorted = site.blobs.clone();
    sorted.sort();
    assert_eq!(archive.blobs().collect::<Vec<_>>(), sorted);
    let recipe = site.unpack(&bytes).unwrap();
    assert_eq!(fs::read_to_string(&recipe).unwrap(), RECIPE);
    let at = |path: &str| recipe.parent().unwrap().join(path);
    assert_eq!(fs::read(at("files/own")).unwrap(), b"");
    assert_eq!(fs::read(at("more/deep/inner")).unwrap(), b"#!/bin/sh\n");
    assert_eq!(fs::read_link(at("more/link")).unwrap(), Path::new("/etc"));
}

#[test]
fn another_program_takes_it_apart() {
    let site = site();
    let bytes = site.bytes(&site.blobs).unwrap();
    let mut found = Vec::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        if let Some(hex) = name.strip_prefix("sha256/") {
            assert_eq!(Sha256::of(&content).hex(), hex);
        }
        found.push(name);
    }
    assert_eq!(found.len(), site.blobs.len() + 2);
    assert_eq!(found[..2], ["recipe.yaml", "recipe.lock"]);
}

#[test]
fn what_the_writer_does_not_write_is_refused() {
    let low = format!("sha256/{}", "0".repeat(64));
    let high = format!("sha256/{}", "f".repeat(64));
    let texts = [("recipe.yaml", &b"r"[..]), ("recipe.lock", b"l")];
    let with = |entries: &[(&str, &[u8])]| tar(&[&texts[..], entries].concat());
    let good = with(&[(&low, b"x"), (&high, b"")]);
    assert_eq!(refusal(&good), "accepted");
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        bytes
    };
    let upper = high.to_uppercase().replace("SHA", "sha");
    let cut = |end: usize| good[..end].to_vec();
    for (what, bytes, why) in [
        ("empty", Vec::new(), "it ends too early"),
        ("nothing in it", tar(&[]), "`recipe.yaml` was expected"),
        ("no lock", tar(&texts[..1]), "`recipe.lock` was expected"),
        (
            "twice",
            with(&[(&low, b"x"), (&low, b"x")]),
            "is there twice",
        ),
        (
            "order",
            with(&[(&high, b""), (&low, b"x")]),
            "not in its place",
        ),
        (
            "parent",
            with(&[("sha256/x", b"")]),
            "is no `sha256/` and 64",
        ),
        (
            "upper case",
            with(&[(&upper, b"")]),
            "is no `sha256/` and 64",
        ),
        (
            "other folder",
            with(&[("x", b"")]),
            "is no `sha256/` and 64",
        ),
        ("mode", changed(100, 1), "no header as the format has it"),
        ("kind", changed(156, 2), "no header as the format has it"),
        ("size", changed(124, 8), "no header as the format has it"),
        ("padding", changed(513, 1), "is followed by something"),
        ("end", changed(good.len() - 1, 1), "followed by more"),
        ("more", [&good[..], &[0; 512]].concat(), "followed by more"),
        ("no end", cut(good.len() - 1024), "it ends too early"),
        ("half an end", cut(good.len() - 512), "it ends too early"),
        ("cut off", cut(512), "goes on beyond the end"),
    ] {
        let told = refusal(&bytes);
        assert!(told.contains(why), "{what}: {told}");
    }
    let mut huge = tar(&texts);
    huge.truncate(2048);
    huge.extend(header(&low, u64::MAX - 600).unwrap().as_bytes());
    assert!(refusal(&huge).contains("goes on beyond the end"));
    let text = header("recipe.yaml", 17 << 20).unwrap();
    let long = [&text.as_bytes()[..], &vec![b'x'; 17 << 20], &[0; 1024]].concat();
    assert!(refusal(&long).contains("is larger than"));
}

#[test]
fn wrong_and_missing_content_is_named_and_nothing_of_it_is_kept() {
    let site = site();
    let good = site.bytes(&site.blobs).unwrap();
    let web = site.blobs.iter().find(|blob| blob.size == 1000).unwrap();
    let span = site.archive(&good).find(&web.sha256).unwrap();
    let mut bad = good;
    bad[usize::try_from(span.offset).unwrap() + 3] ^= 1;
    let fresh = Cache::open(&site.folder.path().join("other")).unwrap();
    let error = site.archive(&bad).take_into(&fresh, &Silent).unwrap_err();
    assert!(
        matches!(&error, InputsTarError::WrongBytes { name, .. } if name.contains(&web.sha256.hex())),
        "{error}"
    );
    assert!(fresh.blobs().find(&web.sha256).is_none());

    for missing in &site.blobs {
        let mut fewer = site.blobs.clone();
        fewer.retain(|blob| blob != missing);
        let error = site.unpack(&site.bytes(&fewer).unwrap()).unwrap_err();
        assert!(
            matches!(&error, InputsTarError::Incomplete { missing: told, what: Some(what), .. }
                if told == missing && what.contains('`')),
            "{error}"
        );
    }
}

#[test]
fn what_the_lock_does_not_name_is_refused() {
    let site = site();
    let extra = site.cache.blobs().put(b"nobody asked for this").unwrap();
    let more = [site.blobs.as_slice(), &[extra]].concat();
    let error = site.unpack(&site.bytes(&more).unwrap()).unwrap_err();
    assert!(
        matches!(&error, InputsTarError::Superfluous { extra: told, .. } if *told == extra),
        "{error}"
    );
}

#[test]
fn a_damaged_cache_is_not_archived() {
    let site = site();
    let web = site.blobs.iter().find(|blob| blob.size == 1000).unwrap();
    let path = site.cache.blobs().path(&web.sha256);
    fs::remove_file(&path).unwrap();
    fs::write(&path, [8; 1000]).unwrap();
    let error = site.bytes(&site.blobs).unwrap_err();
    assert!(
        matches!(error, InputsTarError::Cache(CacheError::Mismatch { .. })),
        "{error}"
    );
}

#[test]
fn own_files_do_not_leave_the_recipes_folder() {
    let own = |site: &mut Site, path: &str| {
        let (path, kind, digest) = (path.to_owned(), FileKind::File, Digest::of(b""));
        let file = LockedSource::File(LockedFile { path, kind, digest });
        site.lock.sources.insert("own".to_owned(), file);
    };
    let deep = "a/".repeat(200) + "b";
    for path in [
        "../x",
        "/x",
        "",
        "a//b",
        "a/./b",
        "more/link/x",
        "recipe.yaml/x",
        &deep,
    ] {
        let mut site = site();
        own(&mut site, path);
        let error = site.unpack(&site.bytes(&site.blobs).unwrap()).unwrap_err();
        assert!(
            matches!(error, InputsTarError::Unfit { .. }),
            "{path}: {error}"
        );
    }
    let mut site = site();
    own(&mut site, "more/deep/beside");
    site.unpack(&site.bytes(&site.blobs).unwrap()).unwrap();
}
