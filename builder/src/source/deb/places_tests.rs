use lunikernel_cache::{Digest, Sha256};

use super::super::SignedBy;
use super::super::apt_config::AptEntry;
use super::*;

fn deb(archive: &str, path: &str) -> LockedDeb {
    LockedDeb {
        name: "app".to_owned(),
        version: "1".to_owned(),
        arch: "amd64".to_owned(),
        source: None,
        archive: archive.to_owned(),
        suite: "calm".to_owned(),
        path: path.to_owned(),
        sha256: Sha256::of(b"app"),
        size: 3,
    }
}

fn release(archive: &str) -> Vouched {
    Vouched {
        archive: archive.to_owned(),
        suite: "calm".to_owned(),
        codename: None,
        origin: Some("Maker".to_owned()),
        label: Some("Test".to_owned()),
        snapshot: "20260711T101637Z".to_owned(),
        inrelease: Digest::of(b""),
        keys: Vec::new(),
    }
}

fn machine(uris: &[&str]) -> AptConfig {
    let entry = |uri: &&str| AptEntry {
        uri: Url::parse(uri).unwrap(),
        suite: "calm".to_owned(),
        components: Vec::new(),
        architectures: Vec::new(),
        signed_by: SignedBy::default(),
        check_valid_until: None,
    };
    let mut config = AptConfig::default();
    config.entries = uris.iter().map(entry).collect();
    config
}

fn shown(urls: Vec<Url>) -> Vec<String> {
    urls.into_iter().map(String::from).collect()
}

#[test]
fn mirrors_of_the_same_archive_come_first_and_snapshots_last() {
    let apt = machine(&[
        "http://security.linux.example/linux-security/",
        "http://deb.linux.example/linux/",
        "http://deb.linux.example/linux/",
        "http://ftp.xy.linux.example/linux/",
    ]);
    assert_eq!(
        shown(places(
            &deb("linux", "pool/a.deb"),
            &release("linux"),
            &apt,
            None,
            None
        )),
        [
            "http://deb.linux.example/linux/pool/a.deb",
            "http://ftp.xy.linux.example/linux/pool/a.deb",
            "http://security.linux.example/linux-security/pool/a.deb",
            "http://snapshot.linux.example/archive/linux/20260711T101637Z/pool/a.deb",
            "http://snapshot.linux.example/archive/linux/20260712T101637Z/pool/a.deb",
        ]
    );
}

#[test]
fn archives_of_snapshots_are_tried_in_the_order_of_who_named_them() {
    let mut apt = machine(&["http://deb.linux.example/linux/"]);
    apt.snapshots = vec![
        (
            "label::test".to_owned(),
            "http://by-apt.example/@SNAPSHOTID@".to_owned(),
        ),
        (
            "origin::other".to_owned(),
            "http://not-meant.example/@SNAPSHOTID@".to_owned(),
        ),
    ];
    let found = places(
        &deb("linux", "pool/a.deb"),
        &release("linux"),
        &apt,
        Some("http://explicit.example/@ARCHIVE@/@SNAPSHOTID@/"),
        Some("http://by-release.example/@SNAPSHOTID@/"),
    );
    let hosts: Vec<&str> = found.iter().take(5).filter_map(Url::host_str).collect();
    assert_eq!(
        hosts,
        [
            "deb.linux.example",
            "explicit.example",
            "by-apt.example",
            "by-release.example",
            "snapshot.linux.example"
        ]
    );
    assert_eq!(
        found[1].as_str(),
        "http://explicit.example/linux/20260711T101637Z/pool/a.deb"
    );
}

#[test]
fn only_hosts_of_the_convention_have_snapshots_by_convention() {
    for uri in [
        "http://mirror.linux.example/linux/",
        "http://127.0.0.1/linux/",
        "file:///srv/linux/",
        "http://deb.local/linux/",
    ] {
        let found = places(
            &deb("linux", "pool/a.deb"),
            &release("linux"),
            &machine(&[uri]),
            None,
            None,
        );
        assert_eq!(shown(found), [format!("{uri}pool/a.deb")]);
    }
}

#[test]
fn a_path_that_leaves_the_archive_has_no_place() {
    let apt = machine(&["http://deb.linux.example/linux/"]);
    for path in [
        "../a.deb",
        "/etc/passwd",
        "pool/../../a",
        "http://evil.example/",
        "",
        "a//b",
        "pool/a?b",
    ] {
        assert!(
            places(&deb("linux", path), &release("linux"), &apt, None, None).is_empty(),
            "{path}"
        );
    }
}
