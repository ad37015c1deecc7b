//! Locking: repositories that the tests sign, honest and not, and a real one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use lunikernel_cache::{Cache, Digest, Silent};
use lunikernel_testing::apk::{self as testing, Apk, Hash, SIGNER};
use lunikernel_testing::{artefacts, this_test};
use tempfile::TempDir;
use url::Url;

use super::{ApkSourceError, Asked, Before, LockedApk, VouchedIndex, choose, pin};
use crate::fetch::{FetchOptions, Fetcher};
use crate::recipe::{ApkScripts, ApkSource, Arch};

/// A repository in a folder, and a recipe that asks for what is in it.
pub(super) struct Place {
    pub(super) folder: TempDir,
    pub(super) source: ApkSource,
    pub(super) fetcher: Fetcher,
}

impl Place {
    pub(super) fn new(packages: &[Apk], wanted: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        testing::repository(folder.path(), packages);
        Self::in_folder(folder, wanted)
    }

    fn in_folder(folder: TempDir, wanted: &[&str]) -> Self {
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let repository = Url::from_file_path(folder.path()).unwrap();
        let source = ApkSource {
            repositories: vec![repository.to_string()],
            keys: vec![SIGNER.to_owned()],
            base: None,
            packages: wanted.iter().map(|name| (*name).to_owned()).collect(),
            without: Vec::new(),
            scripts: ApkScripts::Run,
        };
        Self {
            folder,
            source,
            fetcher: Fetcher::new(cache, FetchOptions::default(), Arc::new(Silent)).unwrap(),
        }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("x86_64").join(name)
    }

    fn index(&self, text: &str) {
        let index = testing::index(text, testing::signer(), SIGNER, Hash::Sha1);
        fs::write(self.file("APKINDEX.tar.gz"), index).unwrap();
    }

    pub(super) async fn lock(
        &self,
        before: &[LockedApk],
    ) -> Result<(Vec<VouchedIndex>, Vec<LockedApk>), ApkSourceError> {
        self.lock_over(None, before).await
    }

    async fn lock_over(
        &self,
        base: Option<Digest>,
        before: &[LockedApk],
    ) -> Result<(Vec<VouchedIndex>, Vec<LockedApk>), ApkSourceError> {
        let asked = Asked {
            source: &self.source,
            arch: Arch::X86_64,
            folder: self.folder.path(),
            base,
            keep: &[],
            before: Before::default(),
        };
        let choice = choose(&self.fetcher, asked).await?;
        pin(&self.fetcher, choice, before).await
    }

    /// What locking says.
    async fn refusal(&self) -> String {
        let error = self.lock(&[]).await.unwrap_err();
        let mut said = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            said = format!("{said}: {cause}");
            source = cause.source();
        }
        said
    }
}

pub(super) fn hello() -> Vec<Apk> {
    vec![
        Apk::new("hello", "1.0-r0")
            .depends("so:libgreet.so.1")
            .file("usr/bin/hello", 0o755, "#!/bin/sh\necho hello\n"),
        Apk::new("libgreet", "2.1-r3")
            .provides("so:libgreet.so.1=1.0")
            .file("usr/lib/libgreet.so.1", 0o644, "greetings"),
    ]
}

#[tokio::test]
async fn packages_are_pinned_and_not_fetched_again() {
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
        let place = Place::new(&hello(), &["hello"]);
        let text: String = hello().iter().map(Apk::entry).collect();
        let index = testing::index(&text, testing::signer(), SIGNER, hash);
        fs::write(place.file("APKINDEX.tar.gz"), &index).unwrap();
        let (indexes, packages) = place.lock(&[]).await.unwrap();
        assert_eq!(indexes.len(), 1);
        assert_eq!(indexes[0].key, SIGNER);
        assert_eq!(indexes[0].index, Digest::of(&index));
        assert_eq!(indexes[0].description.as_deref(), Some("of a test"));
        let names: Vec<&str> = packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["hello", "libgreet"]);
        let file = fs::read(place.file("libgreet-2.1-r3.apk")).unwrap();
        assert_eq!(packages[1].digest(), Digest::of(&file));
        // What is locked already stays, even where the repository has it no more.
        fs::remove_file(place.file("libgreet-2.1-r3.apk")).unwrap();
        let (_, again) = place.lock(&packages).await.unwrap();
        assert_eq!(again, packages);
        // One that is another by now is another, however it is called.
        let mut other = packages.clone();
        other[1].checksum = packages[0].checksum;
        let said = place.lock(&other).await.unwrap_err().to_string();
        assert!(
            said.contains("could not get the package libgreet 2.1-r3"),
            "{said}"
        );
        let said = place.refusal().await;
        assert!(
            said.contains("could not get the package libgreet 2.1-r3"),
            "{said}"
        );
        assert!(
            said.contains("needed by hello 1.0-r0: `so:libgreet.so.1`"),
            "{said}"
        );
        assert!(said.contains("needed by the recipe: `hello`"), "{said}");
    }
}

#[tokio::test]
async fn an_index_that_unpacks_to_more_than_any_is_refused() {
    let place = Place::new(&hello(), &["hello"]);
    // Two hundred megabytes of nothing, a few hundred kilobytes as they are served.
    place.index(&"\n".repeat(200 << 20));
    let said = place.refusal().await;
    assert!(
        said.contains("it unpacks to more than 134217728 bytes"),
        "{said}"
    );
    // A million names in one line, and a version that is one line.
    let entry = hello()[0].entry();
    let many = format!("{entry}p:{}\n\n", "a ".repeat(3 << 20));
    place.index(&many);
    let said = place.refusal().await;
    assert!(said.contains("it is longer than 4194304 bytes"), "{said}");
    let long = format!("V:{}", "1".repeat(100_000));
    place.index(&entry.replace("V:1.0-r0", &long));
    let said = place.refusal().await;
    assert!(said.contains("has `hello`"), "{said}");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn one_flipped_bit_is_noticed_wherever_it_is() {
    let hello = hello();
    let members = hello[0].members();
    let (signature, control) = (members.signature.len(), members.control.len());
    let index_end = |place: &Place| fs::read(place.file("APKINDEX.tar.gz")).unwrap().len();
    for (what, file, at, expected) in [
        (
            "index",
            "APKINDEX.tar.gz",
            usize::MAX,
            "the signature by tests.rsa.pub does not fit",
        ),
        (
            "control",
            "hello-1.0-r0.apk",
            signature + control / 2,
            "hello-1.0-r0.apk",
        ),
        (
            "data",
            "hello-1.0-r0.apk",
            signature + control + 40,
            "has data with the SHA-256",
        ),
        (
            "the end of the data",
            "hello-1.0-r0.apk",
            members.whole().len() - 3,
            "has data with the SHA-256",
        ),
    ] {
        let place = Place::new(&hello, &["hello"]);
        let at = if at == usize::MAX {
            index_end(&place) - 200
        } else {
            at
        };
        flip(&place.file(file), at);
        let said = place.refusal().await;
        assert!(
            said.contains(expected) && said.contains(file),
            "{what}: {said}"
        );
    }
    // In the signatures themselves: below the compression, so that they can be unpacked.
    let broken = |good: &[u8]| {
        let mut tar = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(good);
        std::io::Read::read_to_end(&mut decoder, &mut tar).unwrap();
        tar[512 + 100] ^= 1;
        testing::gzip(&tar)
    };
    let place = Place::new(&hello, &["hello"]);
    let bad = [
        broken(&members.signature),
        members.control.clone(),
        members.data.clone(),
    ]
    .concat();
    // The length may change with what is compressed: then the size is the lie.
    let entry = hello[0].entry().replace(
        &format!("S:{}", members.whole().len()),
        &format!("S:{}", bad.len()),
    );
    place.index(&(entry + &hello[1].entry()));
    fs::write(place.file("hello-1.0-r0.apk"), bad).unwrap();
    let said = place.refusal().await;
    assert!(
        said.contains("refused the package")
            && said.contains("the signature by tests.rsa.pub does not fit"),
        "{said}"
    );
}

#[tokio::test]
async fn an_index_and_a_package_that_disagree_are_told_apart() {
    let honest = hello();
    let entry = honest[0].entry();
    let other = Apk::new("hello", "1.0-r0").file("usr/bin/hello", 0o755, "something else");
    for (from, to, file, expected) in [
        (
            String::new(),
            String::new(),
            other.members().whole(),
            "should have",
        ),
        (
            format!("S:{}", honest[0].members().whole().len()),
            format!("S:{}", other.members().whole().len()),
            other.members().whole(),
            "the package hello 1.0-r0 has the checksum",
        ),
        (
            "V:1.0-r0".to_owned(),
            "V:1.0-r1".to_owned(),
            honest[0].members().whole(),
            "the package hello 1.0-r1 has the version 1.0-r0, and the index says 1.0-r1",
        ),
        (
            "P:hello".to_owned(),
            "P:jello".to_owned(),
            honest[0].members().whole(),
            "the package jello 1.0-r0 has the name hello, and the index says jello",
        ),
    ] {
        let entry = if from.is_empty() {
            entry.clone()
        } else {
            entry.replace(&from, &to)
        };
        let name = if entry.contains("jello") {
            "jello"
        } else {
            "hello"
        };
        let version = if entry.contains("V:1.0-r1") {
            "1.0-r1"
        } else {
            "1.0-r0"
        };
        let place = Place::new(&honest, &[name]);
        place.index(&(entry + &honest[1].entry()));
        fs::write(place.file(&format!("{name}-{version}.apk")), file).unwrap();
        let said = place.refusal().await;
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn what_nobody_or_a_stranger_signed_is_refused() {
    let stranger = testing::key(11);
    let hello = hello();
    let members = hello[0].members();
    let by_stranger = hello[0].members_by(&stranger, "stranger.rsa.pub", Hash::Sha1);
    let in_our_name = hello[0].members_by(&stranger, SIGNER, Hash::Sha256);
    let unsigned = [members.control.clone(), members.data.clone()].concat();
    for (package, expected) in [
        (unsigned, "it is not signed"),
        (
            by_stranger.whole(),
            "it is signed by stranger.rsa.pub, and the trusted keys are tests.rsa.pub",
        ),
        (
            in_our_name.whole(),
            "the signature by tests.rsa.pub does not fit",
        ),
    ] {
        let place = Place::new(&hello, &["hello"]);
        let size = format!("S:{}", members.whole().len());
        let entry = hello[0]
            .entry()
            .replace(&size, &format!("S:{}", package.len()));
        place.index(&(entry + &hello[1].entry()));
        fs::write(place.file("hello-1.0-r0.apk"), package).unwrap();
        let said = place.refusal().await;
        assert!(
            said.contains("refused the package") && said.contains(expected),
            "{said}"
        );
    }
    let text: String = hello.iter().map(Apk::entry).collect();
    let index = |key, name| testing::index(&text, key, name, Hash::Sha1);
    let good = index(testing::signer(), SIGNER);
    let cut = testing::signature(testing::signer(), SIGNER, Hash::Sha1, b"").len();
    for (index, expected) in [
        (
            index(&stranger, "stranger.rsa.pub"),
            "it is signed by stranger.rsa.pub",
        ),
        (index(&stranger, SIGNER), "does not fit"),
        (good.get(cut..).unwrap().to_vec(), "refused the index"),
        (testing::gzip(&[0; 100_000]), "it is not signed"),
        (Vec::new(), "refused the index"),
        (b"<html>no such index</html>".to_vec(), "refused the index"),
    ] {
        let place = Place::new(&hello, &["hello"]);
        fs::write(place.file("APKINDEX.tar.gz"), index).unwrap();
        let said = place.refusal().await;
        assert!(
            said.contains("refused the index") && said.contains(expected),
            "{said}"
        );
    }
    let mut place = Place::new(&hello, &["hello"]);
    place.source.keys.clear();
    assert!(place.refusal().await.contains("no key is trusted"));
    place.source.keys = vec!["x86_64/hello-1.0-r0.apk".to_owned()];
    assert!(place.refusal().await.contains("is no public key in PEM"));
}

/// The packages of the mirror as a repository of Alpine 3.7, where there is one.
fn mirrored() -> Option<(TempDir, Digest)> {
    let mirror = artefacts(&format!("source::apk::pin_tests::{}", this_test()))?;
    let list = fs::read_to_string(mirror.join("INDEX.tsv")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("x86_64")).unwrap();
    let mut base = None;
    for line in list.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [hex, size, name, from] = fields[..] else {
            continue;
        };
        let blob = mirror.join("sha256").join(hex);
        if name == "alpine-minirootfs-3.20.3-x86_64.tar.gz" {
            base = Some(Digest {
                sha256: hex.parse().unwrap(),
                size: size.parse().unwrap(),
            });
            fs::copy(&blob, folder.path().join("base")).unwrap();
        }
        if from == "alpine v3.7 main x86_64" {
            let name = name.trim_start_matches("v3.7-main-");
            fs::copy(&blob, folder.path().join("x86_64").join(name)).unwrap();
        }
    }
    Some((folder, base.unwrap()))
}

#[tokio::test]
async fn real_packages_are_locked_over_a_real_base() {
    let Some((folder, base)) = mirrored() else {
        return;
    };
    let mut place = Place::in_folder(folder, &["bash"]);
    place.source.keys.clear();
    place.source.base = Some("base".to_owned());
    let blob = fs::read(place.folder.path().join("base")).unwrap();
    assert_eq!(place.fetcher.cache().blobs().put(&blob).unwrap(), base);
    let (indexes, packages) = place.lock_over(Some(base), &[]).await.unwrap();
    assert_eq!(
        indexes[0].key,
        "alpine-devel@lists.alpinelinux.org-4a6a0840.rsa.pub"
    );
    let names: Vec<String> = packages
        .iter()
        .map(|package| format!("{} {}", package.name, package.version))
        .collect();
    assert_eq!(
        names,
        [
            "bash 4.4.12-r2",
            "ncurses-libs 6.0_p20170930-r0",
            "ncurses-terminfo 6.0_p20170930-r0",
            "ncurses-terminfo-base 6.0_p20170930-r0",
            "pkgconf 1.3.10-r0",
            "readline 7.0.003-r0",
        ]
    );
    // The keys of 2017 are in the base; what nginx needs is not in the mirror.
    place.source.packages = vec!["nginx".to_owned()];
    let error = place.lock_over(Some(base), &[]).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("libressl"), "{said}");
    assert!(
        said.contains("needed by nginx 1.12.2-r3: `so:libcrypto.so.42`"),
        "{said}"
    );
    assert!(said.contains("needed by the recipe: `nginx`"), "{said}");
}
