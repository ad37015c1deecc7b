use std::collections::BTreeMap;

use super::super::test_archive::{key, public, signer, write_all};
use super::*;

fn read(files: &[(&str, &str)]) -> Result<AptConfig, DebError> {
    let folder = tempfile::tempdir().unwrap();
    let files: BTreeMap<&str, Vec<u8>> = files
        .iter()
        .map(|(path, text)| (*path, text.as_bytes().to_vec()))
        .collect();
    write_all(folder.path(), &files);
    AptConfig::read(folder.path())
}

fn shown(config: &AptConfig) -> Vec<String> {
    config
        .entries
        .iter()
        .map(|entry| {
            format!(
                "{} {} {}",
                entry.uri,
                entry.suite,
                entry.components.join(",")
            )
        })
        .collect()
}

#[test]
fn the_format_of_one_line_is_read() {
    let config = read(&[(
        "etc/apt/sources.list",
        "# a comment\n\
         deb http://one.example/linux calm main contrib # another\n\
         deb-src http://one.example/linux calm main\n\
         \n\
         deb\t[ arch=amd64,arm64 signed-by=/k/a.gpg,/k/b.asc check-valid-until=no ]  https://two.example/linux/  calm-security main\n\
         deb [trusted=yes lang=none] http://three.example/ ./\n\
         deb cdrom:[Disc 1]/ calm main\n\
         deb file:/srv/archive calm main\n",
    )])
    .unwrap();
    assert_eq!(
        shown(&config),
        [
            "http://one.example/linux/ calm main,contrib",
            "https://two.example/linux/ calm-security main",
            "http://three.example/ ./ ",
            "file:///srv/archive/ calm main",
        ]
    );
    let second = &config.entries[1];
    assert_eq!(second.architectures, ["amd64", "arm64"]);
    assert_eq!(
        second.signed_by.files,
        [Path::new("/k/a.gpg"), Path::new("/k/b.asc")]
    );
    assert_eq!(second.check_valid_until, Some(false));
    assert_eq!(second.archive(), "linux");
    assert_eq!(config.entries[2].archive(), "three.example");
    assert!(second.offers("arm64", &["main".to_owned()]));
    assert!(!second.offers("riscv64", &["main".to_owned()]));
    assert!(!second.offers("arm64", &["contrib".to_owned()]));
}

#[test]
fn the_format_of_paragraphs_is_read() {
    let config = read(&[(
        "etc/apt/sources.list.d/x.sources",
        "# a comment\n\
         Types: deb deb-src\n\
         # another, inside\n\
         URIs: http://one.example/linux\n\
         \x20http://two.example/linux\n\
         Suites: calm\n\
         # and between continuations\n\
         \x20calm-updates\n\
         components: main restricted\n\
         Signed-By: /usr/share/keyrings/x.gpg 0123456789ABCDEF0123456789ABCDEF01234567!\n\
         \n\
         Enabled: no\n\
         Types: deb\n\
         URIs: http://off.example/\n\
         Suites: calm\n\
         \n\n\
         Types: deb-src\n\
         URIs: http://source.example/\n\
         Suites: calm\n\
         \n\
         Types: deb\n\
         URIs: http://three.example/a/b/\n\
         Suites: calm\n\
         Components: main\n\
         Architectures: amd64\n\
         Check-Valid-Until: no\n\
         Signed-By:\n\
         \x20-----BEGIN PGP PUBLIC KEY BLOCK-----\n\
         \x20.\n\
         \x20abcd\n\
         \x20-----END PGP PUBLIC KEY BLOCK-----",
    )])
    .unwrap();
    assert_eq!(
        shown(&config),
        [
            "http://one.example/linux/ calm main,restricted",
            "http://one.example/linux/ calm-updates main,restricted",
            "http://two.example/linux/ calm main,restricted",
            "http://two.example/linux/ calm-updates main,restricted",
            "http://three.example/a/b/ calm main",
        ]
    );
    let first = &config.entries[0].signed_by;
    assert_eq!(first.files, [Path::new("/usr/share/keyrings/x.gpg")]);
    assert_eq!(
        first.fingerprints,
        ["0123456789ABCDEF0123456789ABCDEF01234567!"]
    );
    let last = &config.entries[4];
    assert_eq!(
        last.signed_by.blocks,
        ["\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabcd\n-----END PGP PUBLIC KEY BLOCK-----\n"]
    );
    assert_eq!(last.check_valid_until, Some(false));
    assert_eq!(last.archive(), "b");
}

#[test]
fn files_are_taken_as_apt_takes_them() {
    let line = |host: &str| format!("deb http://{host}.example/ calm main\n");
    let config = read(&[
        ("etc/apt/sources.list.d/b.list", &line("b")),
        ("etc/apt/sources.list.d/a.list", &line("a")),
        ("etc/apt/sources.list.d/old.list.save", &line("save")),
        ("etc/apt/sources.list.d/.hidden.list", &line("hidden")),
        ("etc/apt/sources.list.d/od d.list", &line("odd")),
        ("etc/apt/sources.list.d/c.list.disabled", &line("c")),
        ("etc/apt/sources.list", &line("first")),
    ])
    .unwrap();
    assert_eq!(
        shown(&config),
        [
            "http://first.example/ calm main",
            "http://a.example/ calm main",
            "http://b.example/ calm main"
        ]
    );
    assert!(read(&[]).unwrap().entries.is_empty());
}

#[test]
fn lists_of_mirrors_are_followed() {
    let config = read(&[
        (
            "etc/apt/sources.list",
            "deb mirror+file:/etc/apt/mirrors/list calm main\n",
        ),
        (
            "etc/apt/mirrors/list",
            "# mirrors\nhttp://a.example/linux\tpriority:1\nhttp://b.example/linux/\n",
        ),
    ])
    .unwrap();
    assert_eq!(
        shown(&config),
        [
            "http://a.example/linux/ calm main",
            "http://b.example/linux/ calm main"
        ]
    );
}

#[test]
fn settings_of_apt_are_read() {
    let config = read(&[
        (
            "etc/apt/apt.conf.d/10a",
            "Acquire::Check-Valid-Until \"false\";",
        ),
        (
            "etc/apt/apt.conf.d/20b.conf",
            "Acquire { http { Proxy \"http://proxy.example:3142\"; } };",
        ),
        (
            "etc/apt/apt.conf.d/30c.dpkg-old",
            "Acquire::Check-Valid-Until \"true\";",
        ),
        (
            "etc/apt/apt.conf",
            "Acquire::Snapshots::URI::Label::Test \"http://past.example/@SNAPSHOTID@/\";",
        ),
    ])
    .unwrap();
    assert!(!config.check_valid_until);
    assert_eq!(
        config.http_proxy.as_deref(),
        Some("http://proxy.example:3142")
    );
    assert_eq!(
        config.snapshots,
        [(
            "label::test".to_owned(),
            "http://past.example/@SNAPSHOTID@/".to_owned()
        )]
    );
    assert!(read(&[]).unwrap().check_valid_until);
}

#[test]
fn mistakes_are_shown_with_their_place() {
    for (path, text, line) in [
        ("etc/apt/sources.list", "\ndeb http://a.example/\n", 2),
        ("etc/apt/sources.list", "dep http://a.example/ calm main", 1),
        ("etc/apt/sources.list", "deb", 1),
        (
            "etc/apt/sources.list",
            "deb [arch=amd64 http://a.example/ calm main",
            1,
        ),
        (
            "etc/apt/sources.list",
            "deb [arch] http://a.example/ calm main",
            1,
        ),
        (
            "etc/apt/sources.list.d/a.sources",
            "Types: deb\nSuites: calm\n",
            1,
        ),
        ("etc/apt/sources.list.d/a.sources", "Types: deb\nwhat\n", 2),
        ("etc/apt/sources.list.d/a.sources", " Types: deb\n", 1),
        (
            "etc/apt/sources.list.d/a.sources",
            "Types: deb\ntypes: deb\n",
            2,
        ),
    ] {
        match read(&[(path, text)]).unwrap_err() {
            DebError::AptSources { line: found, .. } => assert_eq!(found, line, "{text}"),
            other => panic!("{text}: {other}"),
        }
    }
}

#[test]
fn keyrings_are_found_by_path_by_fingerprint_and_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (public(signer()), public(&key(2)));
    let armored = |key: u64| {
        pgp::composed::SignedPublicKey::from(super::super::test_archive::key(key))
            .to_armored_string(Default::default())
            .unwrap()
    };
    let both = format!("{}\n{}", armored(2), armored(3));
    write_all(
        folder.path(),
        &BTreeMap::from([
            ("k/one.gpg", one.clone()),
            ("k/both.asc", both.clone().into_bytes()),
            ("k/none.gpg", b"nothing".to_vec()),
            ("etc/apt/trusted.gpg.d/both.asc", both.into_bytes()),
            (
                "usr/share/keyrings/test-archive-keyring.gpg",
                [one, two].concat(),
            ),
            (
                "usr/share/keyrings/test-archive-removed-keys.gpg",
                public(&key(4)),
            ),
        ]),
    );
    let config = AptConfig::read(folder.path()).unwrap();
    let fingerprint = |seed: u64| {
        use pgp::types::KeyDetails as _;
        format!("{:X}", key(seed).fingerprint())
    };
    let signed_by = |files: &[&str], seeds: &[u64]| SignedBy {
        files: files.iter().map(PathBuf::from).collect(),
        fingerprints: seeds.iter().map(|seed| fingerprint(*seed)).collect(),
        blocks: Vec::new(),
    };
    let primaries = |signed_by: &SignedBy| config.keyring(signed_by).map(|ring| ring.primaries());
    let expected = |seeds: &[u64]| {
        let mut all: Vec<String> = seeds.iter().map(|seed| fingerprint(*seed)).collect();
        all.sort();
        all
    };
    assert_eq!(
        primaries(&SignedBy::default()).unwrap(),
        expected(&[1, 2, 3])
    );
    assert_eq!(
        primaries(&signed_by(&["/k/one.gpg"], &[])).unwrap(),
        expected(&[1])
    );
    assert_eq!(
        primaries(&signed_by(&["/k/both.asc"], &[])).unwrap(),
        expected(&[2, 3])
    );
    assert_eq!(primaries(&signed_by(&[], &[3])).unwrap(), expected(&[3]));
    assert!(primaries(&signed_by(&[], &[4])).unwrap().is_empty());
    for path in ["/k/none.gpg", "/k/missing.gpg"] {
        let error = primaries(&signed_by(&[path], &[])).unwrap_err();
        assert!(matches!(error, DebError::NoKeyring { .. }), "{error}");
    }
}
