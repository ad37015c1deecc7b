//! Locking from end to end, over archives that the tests make, and over the archives
//! that this machine is configured with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use fs_err as fs;
use url::Url;

use super::test_archive::{DATE, Files, TestSuite, package, public, signer, write_all};
use super::*;
use crate::recipe::DebSource;

pub(super) fn source(packages: &[&str]) -> DebSource {
    DebSource {
        suite: "calm".to_owned(),
        components: vec!["main".to_owned()],
        packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        without: Vec::new(),
    }
}

pub(super) const OPTIONS: DebOptions<'_> = DebOptions {
    now: DATE + 3600,
    allow_expired: false,
    keep: &[],
    before: &[],
};

/// A machine with the archive `root`/debian, configured for these suites.
pub(super) fn machine(root: &Path, suites: &str) -> AptConfig {
    let uri = Url::from_file_path(root.join("debian")).unwrap();
    let sources = format!(
        "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\n\
         Signed-By: /usr/share/keyrings/test.gpg\n"
    );
    write_all(
        root,
        &BTreeMap::from([
            ("etc/apt/sources.list.d/test.sources", sources.into_bytes()),
            ("usr/share/keyrings/test.gpg", public(signer())),
        ]),
    );
    AptConfig::read(root).unwrap()
}

pub(super) fn resolve_test(
    source: &DebSource,
    apt: &AptConfig,
    options: DebOptions<'_>,
) -> Result<ResolvedDebs, DebError> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(Archives::new(apt).resolve_by(source, Arch::X86_64, &Files::default(), options))
}

fn names(resolved: &ResolvedDebs) -> Vec<String> {
    resolved
        .packages
        .iter()
        .map(|deb| format!("{} {} {}", deb.name, deb.version, deb.suite))
        .collect()
}

pub(super) fn three_suites(root: &Path) {
    let root = root.join("debian");
    TestSuite::new(
        "calm",
        [
            package("app", "1", "Depends: lib; Source: apps (0.9)"),
            package("lib", "1.0-1", ""),
            package("tool", "1", "Architecture: all"),
        ]
        .concat(),
    )
    .write(&root);
    TestSuite::new("calm-updates", package("tool", "2", "Architecture: all")).write(&root);
    TestSuite::new(
        "calm-security",
        [
            package("lib", "1.0-1", ""),
            package("lib", "1.0-1+deb1", ""),
        ]
        .concat(),
    )
    .write(&root);
}

#[test]
fn updates_and_security_take_part() {
    let folder = tempfile::tempdir().unwrap();
    three_suites(folder.path());
    let apt = machine(folder.path(), "calm calm-updates calm-security");
    let resolved = resolve_test(&source(&["app", "tool"]), &apt, OPTIONS).unwrap();
    assert_eq!(
        names(&resolved),
        [
            "app 1 calm",
            "lib 1.0-1+deb1 calm-security",
            "tool 2 calm-updates"
        ]
    );
    let release = resolved.release_of(&resolved.packages[0]).unwrap();
    assert_eq!(release.snapshot, "20260711T101637Z");
    assert_eq!(release.codename.as_deref(), Some("calm"));
    let signed = fs::read(folder.path().join("debian/dists/calm/InRelease")).unwrap();
    assert_eq!(release.inrelease, Digest::of(&signed));
    assert_eq!(release.keys.len(), 1);
    let app = &resolved.packages[0];
    assert_eq!(app.path, "pool/main/app_1_amd64.deb");
    assert_eq!(app.size, 1003);
    assert_eq!(
        app.source,
        Some(SourcePackage {
            name: "apps".to_owned(),
            version: "0.9".to_owned()
        })
    );
    assert_eq!(resolved.packages[2].arch, "all");

    let text = serde_json::to_string_pretty(&resolved).unwrap();
    let host = folder.path().to_str().unwrap();
    assert!(!text.contains(host) && !text.contains("://"), "{text}");
    assert_eq!(
        serde_json::from_str::<ResolvedDebs>(&text).unwrap(),
        resolved
    );
}

#[test]
fn a_machine_of_another_release_finds_the_suite_at_its_archives() {
    let folder = tempfile::tempdir().unwrap();
    three_suites(folder.path());
    let here = machine(folder.path(), "calm calm-updates calm-security");
    let expected = resolve_test(&source(&["app", "tool"]), &here, OPTIONS).unwrap();
    let elsewhere = machine(folder.path(), "other other-updates other/updates");
    let resolved = resolve_test(&source(&["app", "tool"]), &elsewhere, OPTIONS).unwrap();
    assert_eq!(resolved, expected);
    // `oldcalm` is what the release says its suite is.
    fs_err::os::unix::fs::symlink("calm", folder.path().join("debian/dists/oldcalm")).unwrap();
    let mut by_alias = source(&["app"]);
    by_alias.suite = "oldcalm".to_owned();
    let resolved = resolve_test(&by_alias, &elsewhere, OPTIONS).unwrap();
    assert_eq!(resolved.releases[0].codename.as_deref(), Some("calm"));
}

#[test]
fn what_nobody_has_is_said_with_what_was_tried() {
    let folder = tempfile::tempdir().unwrap();
    three_suites(folder.path());
    let apt = machine(folder.path(), "calm");
    let mut other = source(&["app"]);
    other.suite = "clam".to_owned();
    let error = resolve_test(&other, &apt, OPTIONS).unwrap_err();
    assert!(error.to_string().contains("`clam`"), "{error}");
    assert!(
        error.to_string().contains("dists/clam/InRelease"),
        "{error}"
    );
    assert!(error.hint().is_some());
    let mut other = source(&["app"]);
    other.components = vec!["main".to_owned(), "contrib".to_owned()];
    let error = resolve_test(&other, &apt, OPTIONS).unwrap_err();
    assert!(matches!(&error, DebError::NoComponent { component, .. } if component == "contrib"));
    other.components = vec!["universe".to_owned()];
    let error = resolve_test(&other, &apt, OPTIONS).unwrap_err();
    assert!(matches!(error, DebError::NoSources { .. }), "{error}");
}

#[test]
fn one_suite_cannot_be_passed_off_as_another() {
    let folder = tempfile::tempdir().unwrap();
    three_suites(folder.path());
    let dists = folder.path().join("debian/dists");
    fs::copy(
        dists.join("calm-updates/InRelease"),
        dists.join("calm/InRelease"),
    )
    .unwrap();
    let error =
        resolve_test(&source(&["app"]), &machine(folder.path(), "calm"), OPTIONS).unwrap_err();
    assert!(
        matches!(&error, DebError::WrongSuite { found, .. } if found.contains("calm-updates")),
        "{error}"
    );
}

#[test]
fn an_expired_release_needs_consent() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut suite = TestSuite::new("calm", package("app", "1", ""));
    suite.release = "Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\n".to_owned();
    suite.write(&root.join("debian"));
    let apt = machine(root, "calm");
    let late = DebOptions {
        now: DATE + 8 * 86_400,
        ..OPTIONS
    };
    resolve_test(&source(&["app"]), &apt, OPTIONS).unwrap();
    let error = resolve_test(&source(&["app"]), &apt, late).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("valid until 2026-07-18 10:16:37 UTC"),
        "{error}"
    );
    let consent = DebOptions {
        allow_expired: true,
        ..late
    };
    resolve_test(&source(&["app"]), &apt, consent).unwrap();
    // apt's own setting is consent as well.
    let conf = b"Acquire::Check-Valid-Until \"false\";".to_vec();
    write_all(
        root,
        &BTreeMap::from([("etc/apt/apt.conf.d/99frozen", conf)]),
    );
    resolve_test(&source(&["app"]), &AptConfig::read(root).unwrap(), late).unwrap();
}

#[test]
fn a_list_that_is_not_what_the_release_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    three_suites(root);
    let apt = machine(root, "calm");
    let lists = root.join("debian/dists/calm/main/binary-amd64/by-hash/SHA256");
    let list = fs::read_dir(&lists)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let honest = fs::read(&list).unwrap();

    let mut changed = honest.clone();
    changed[20] ^= 1;
    fs::write(&list, &changed).unwrap();
    let error = resolve_test(&source(&["app"]), &apt, OPTIONS).unwrap_err();
    assert!(matches!(error, DebError::Mismatch { .. }), "{error}");

    fs::write(&list, [honest.as_slice(), &[0]].concat()).unwrap();
    let error = resolve_test(&source(&["app"]), &apt, OPTIONS).unwrap_err();
    assert!(matches!(error, DebError::Fetch { .. }), "{error}");

    // Not by its hash, then by its name.
    fs::write(
        root.join("debian/dists/calm/main/binary-amd64/Packages.gz"),
        &honest,
    )
    .unwrap();
    fs::remove_dir_all(&lists).unwrap();
    resolve_test(&source(&["app"]), &apt, OPTIONS).unwrap();
}

#[test]
fn a_release_without_packages_is_an_error_only_where_they_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    three_suites(folder.path());
    TestSuite::new("calm-updates", String::new()).write(&folder.path().join("debian"));
    let apt = machine(folder.path(), "calm calm-updates");
    resolve_test(&source(&["app"]), &apt, OPTIONS).unwrap();
}

#[test]
fn sources_of_one_suite_fetch_it_once() {
    let folder = tempfile::tempdir().unwrap();
    three_suites(folder.path());
    let apt = machine(folder.path(), "calm calm-updates calm-security");
    let files = Files::default();
    let mut archives = Archives::new(&apt);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut resolve = |source: &DebSource, options| {
        let resolved = runtime.block_on(archives.resolve_by(source, Arch::X86_64, &files, options));
        (resolved.unwrap(), files.asked.lock().unwrap().len())
    };
    let (app, first) = resolve(&source(&["app"]), OPTIONS);
    let (tool, second) = resolve(&source(&["tool"]), OPTIONS);
    assert_eq!(first, second, "the second source fetched something");
    assert_eq!(
        tool,
        resolve_test(&source(&["tool"]), &apt, OPTIONS).unwrap()
    );
    assert_eq!(names(&app).len(), 2);
    // What changes the judgement is judged anew.
    let later = DebOptions {
        now: DATE + 7200,
        ..OPTIONS
    };
    assert_eq!(resolve(&source(&["app"]), later).1, 2 * first);
}

/// Fetches over http, for the test over this machine's own archives.
struct Http(reqwest::Client);

impl Download for Http {
    async fn get(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        let not_found = || FetchError::NotFound { url: url.clone() };
        let response = self
            .0
            .get(url.clone())
            .send()
            .await
            .map_err(|_| not_found())?;
        if !response.status().is_success() {
            return Err(not_found());
        }
        let bytes = response.bytes().await.map_err(|_| not_found())?;
        assert!(bytes.len() as u64 <= limit, "{url} is larger than {limit}");
        Ok(bytes.to_vec())
    }

    fn progress(&self) -> &dyn Progress {
        &lunikernel_cache::Silent
    }
}

/// apt with package lists of its own, fetched now, and nothing installed.
struct Apt {
    folder: tempfile::TempDir,
}

impl Apt {
    /// `None` where this machine has no apt, or cannot reach its archives.
    fn fresh() -> Option<Self> {
        let apt = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(apt.folder.path().join("lists/partial")).unwrap();
        fs::create_dir_all(apt.folder.path().join("cache")).unwrap();
        apt.run(&["update"]).map(|_| apt)
    }

    fn run(&self, args: &[&str]) -> Option<String> {
        let folder = self.folder.path();
        let output = Command::new("apt-get")
            .args(["-o", "Dir::State::status=/dev/null"])
            .args(["-o", "APT::Install-Recommends=0"])
            .args(["-o", "APT::Sandbox::User=root"])
            .args(["-o", "Debug::NoLocking=1"])
            .arg("-o")
            .arg(format!("Dir::State::lists={}/lists", folder.display()))
            .arg("-o")
            .arg(format!("Dir::Cache={}/cache", folder.display()))
            .args(args)
            .env("LC_ALL", "C")
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    }

    /// Names and versions as apt itself chooses them on an empty machine.
    fn chooses(&self, packages: &[&str]) -> Option<Vec<(String, String)>> {
        let text = self.run(&[&["-s", "install"], packages].concat())?;
        let chosen = text.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
            Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
        });
        let mut chosen: Vec<(String, String)> = chosen.collect();
        chosen.sort();
        Some(chosen)
    }

    /// The release files that it has fetched.
    fn releases(&self) -> Vec<Digest> {
        fs::read_dir(self.folder.path().join("lists"))
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_string_lossy().ends_with("_InRelease"))
            .filter_map(|path| Some(Digest::of(&fs::read(path).ok()?)))
            .collect()
    }
}

#[test]
fn the_machine_s_own_archives_give_what_apt_would_install() {
    let apt = AptConfig::read(Path::new("/")).unwrap();
    let suite = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = suite
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or_default();
    let packages = ["gcc", "libc6-dev", "dash"];
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Http(reqwest::Client::new());
    let mut source = source(&packages);
    source.suite = suite.to_owned();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let options = DebOptions { now, ..OPTIONS };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // An archive may be updated between our look at it and apt's: then look again.
    let mut tries = 0;
    let (resolved, expected) = loop {
        let theirs = Apt::fresh().and_then(|theirs| Some((theirs.chooses(&packages)?, theirs)));
        let Some((expected, theirs)) = theirs else {
            lunikernel_testing::left_out(
                &lunikernel_testing::this_test(),
                "`apt-get update` does not work here",
            );
            return;
        };
        let resolved = runtime
            .block_on(Archives::new(&apt).resolve_by(&source, Arch::X86_64, &client, options))
            .unwrap();
        let known = theirs.releases();
        let same = |release: &Vouched| known.contains(&release.inrelease);
        if resolved.releases.iter().all(same) {
            break (resolved, expected);
        }
        tries += 1;
        assert!(tries < 3, "three times the archives were others for apt");
    };
    let chosen: Vec<(String, String)> = resolved
        .packages
        .iter()
        .map(|deb| (deb.name.clone(), deb.version.clone()))
        .collect();
    assert_eq!(chosen, expected);
    for deb in &resolved.packages {
        let release = resolved.release_of(deb).unwrap();
        assert!(
            !places(deb, release, &apt, None, None).is_empty(),
            "{deb:?}"
        );
    }
}
