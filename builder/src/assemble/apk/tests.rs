//! Unpacking and laying packages that the tests make.

use lunikernel_cache::{BlobStore, Cache, Digest, Node, NodeKind, Rootfs};
use lunikernel_testing::apk::{self as testing, Apk};

use std::collections::BTreeSet;

use super::*;

fn store() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    (folder, cache)
}

fn unpack(blobs: &BlobStore, apk: &Apk, bytes: &[u8]) -> Result<Package, ApkError> {
    let expected = Expected {
        name: apk.name.clone(),
        version: apk.version.clone(),
        checksum: Checksum::parse(&testing::checksum(&apk.members().control)).unwrap(),
    };
    unpack_apk(blobs, &blobs.put(bytes).unwrap(), &expected)
}

/// As [`super::merge`], where nothing is wanted by name.
fn merge<'a>(
    base: Rootfs,
    installed: Installed,
    packages: &[(&'a Package, u64)],
) -> Result<Layers<'a>, LayerError> {
    super::merge(base, installed, packages, &BTreeSet::new())
}

fn package(blobs: &BlobStore, apk: &Apk) -> Package {
    unpack(blobs, apk, &apk.members().whole()).unwrap()
}

fn hello() -> Apk {
    Apk::new("hello", "1.0-r0")
        .depends("libgreet")
        .provides("cmd:hello=1.0-r0")
        .line("replaces = old<2")
        .line("triggers = /usr/bin")
        .file("usr/", 0o755, "")
        .file("usr/bin/", 0o755, "")
        .file("usr/bin/hello", 0o755, "hi")
        .file("usr/bin/hi", 0, "hello")
        .file("var/", 0o755, "")
        .file("var/spool/", 0o1777, "")
        .file("etc/", 0o755, "")
        .file("etc/secret", 0o600, "secret")
        .script(".post-install", "#!/bin/sh\n")
        .script(".trigger", "#!/bin/sh\n")
}

#[test]
fn a_package_is_unpacked_with_what_it_says_about_itself() {
    let (_folder, cache) = store();
    let package = package(cache.blobs(), &hello());
    assert_eq!(package.info.label(), "hello 1.0-r0");
    assert_eq!(package.info.triggers, ["/usr/bin"]);
    let scripts: Vec<&String> = package.scripts.keys().collect();
    assert_eq!(scripts, [".post-install", ".trigger"]);
    assert_eq!(package.root.get("etc/secret").unwrap().mode, 0o600);
    assert_eq!(package.sums["usr/bin/hello"], Checksum::of(b"hi"));
    assert_eq!(package.sums["usr/bin/hi"], Checksum::of(b"hello"));
    let json = serde_json::to_vec(&package).unwrap();
    assert_eq!(serde_json::from_slice::<Package>(&json).unwrap(), package);
}

#[test]
fn a_package_that_is_not_what_the_lock_says_is_refused() {
    let (_folder, cache) = store();
    let members = hello().members();
    let mut data = members.data.clone();
    data[30] ^= 1;
    let no_data = [&*members.signature, &members.control].concat();
    let behind = [members.whole(), b"behind".to_vec()].concat();
    let other = Apk::new("hello", "1.0-r0").members().whole();
    for (bytes, expected) in [
        (
            [&*members.signature, &members.control, &data].concat(),
            "data with the SHA-256",
        ),
        (behind, "data with the SHA-256"),
        (no_data, "could not read the data"),
        (other, "has the checksum"),
        (
            members.signature.clone(),
            "could not read the control member",
        ),
        (
            // Many small signatures, none of which is looked at.
            testing::gzip(&[b".SIGN.".as_slice(), &[0; 100 << 10]].concat()),
            "has signatures of 102406 bytes, more than 65536",
        ),
        (Vec::new(), "could not read the signature"),
        (b"no gzip at all".to_vec(), "could not read the signature"),
        (
            members.whole()[..members.whole().len() / 2].to_vec(),
            "hello 1.0-r0",
        ),
    ] {
        let error = unpack(cache.blobs(), &hello(), &bytes)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_database_says_what_apk_would() {
    let (_folder, cache) = store();
    let package = package(cache.blobs(), &hello());
    let base = "C:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nP:base\nV:1-r0\nA:x86_64\nF:etc\nM:0:0:700\nR:motd\na:0:0:600\nZ:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\nF:\nR:init\n\n";
    let installed = Installed::parse(base).unwrap();
    assert_eq!(installed.render(), base);
    let layers = merge(Rootfs::new(), installed, &[(&package, 1234)]).unwrap();
    let text = layers.installed.render();
    let text = text.strip_prefix(base).unwrap();
    let expected = format!(
        "C:{}\nP:hello\nV:1.0-r0\nA:x86_64\nS:1234\nI:4096\nT:a test\nU:https://example.org\nL:MIT\no:hello\nD:libgreet\np:cmd:hello=1.0-r0\nr:old<2\nF:etc\nR:secret\na:0:0:600\nZ:{}\nF:usr\nF:usr/bin\nR:hello\na:0:0:755\nZ:{}\nR:hi\na:0:0:777\nZ:{}\nF:var\nF:var/spool\nM:0:0:1777\n\n",
        package.checksum,
        Checksum::of(b"secret"),
        Checksum::of(b"hi"),
        Checksum::of(b"hello"),
    );
    assert_eq!(text, expected);
    assert_eq!(Installed::parse(text).unwrap().render(), text);
    for (bad, line) in [
        ("P:a\nR:b\n", 2),
        ("P:a\nF:b\nZ:c\n", 3),
        ("P:a\nF:b\nV:1\n", 3),
        ("nothing\n", 1),
    ] {
        assert_eq!(Installed::parse(bad).unwrap_err().line, line, "{bad}");
    }
}

#[test]
fn names_that_would_be_lines_of_their_own_are_refused() {
    let (_folder, cache) = store();
    for name in [
        "srv/x\nmode 4777 bin/busybox",
        "a\r",
        "a\u{85}b/c",
        "a\u{1b}[2J",
    ] {
        let apk = Apk::new("hello", "1.0-r0").file(name, 0o644, "");
        let error = unpack(cache.blobs(), &apk, &apk.members().whole()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("a control character in its name"), "{said}");
        assert!(!said.contains(char::is_control), "{said}");
    }
    let apk = Apk::new("hello", "1.0-r0").file("srv/ä b\\n", 0o644, "");
    assert!(
        package(cache.blobs(), &apk)
            .root
            .get("srv/ä b\\n")
            .is_some()
    );
}

fn content(root: &Rootfs, blobs: &BlobStore, path: &str) -> String {
    let NodeKind::File { content, .. } = &root.get(path).unwrap().kind else {
        panic!("{path} is no file");
    };
    String::from_utf8(blobs.read(content).unwrap()).unwrap()
}

#[test]
fn who_replaces_whose_files_is_for_packages_to_say() {
    let (_folder, cache) = store();
    let blobs = cache.blobs();
    let one = Apk::new("one", "1").file("etc/file", 0o644, "one");
    let two = Apk::new("two", "2").file("etc/file", 0o644, "two");
    for (one, two, expected) in [
        (one.clone(), two.clone().line("replaces = one"), Some("two")),
        (one.clone().line("replaces = two"), two.clone(), Some("one")),
        (one.clone().line("replaces = two<2"), two.clone(), None),
        (
            one.clone().line("replaces = two"),
            two.clone().line("replaces = one"),
            Some("two"),
        ),
        (
            one.clone()
                .line("replaces = two")
                .line("replaces_priority = 5"),
            two.clone().line("replaces = one"),
            Some("one"),
        ),
        (one.clone(), two.clone(), None),
    ] {
        let (one, two) = (package(blobs, &one), package(blobs, &two));
        let layers = merge(Rootfs::new(), Installed::default(), &[(&two, 1), (&one, 1)]);
        match expected {
            None => {
                let error = layers.unwrap_err().to_string();
                assert!(
                    error.contains(
                        "`etc/file` is in the package one and in two, and neither replaces"
                    ),
                    "{error}"
                );
            }
            Some(expected) => {
                let layers = layers.unwrap();
                assert_eq!(content(&layers.root, blobs, "etc/file"), expected);
                // The database says the same.
                let text = layers.installed.render();
                let owner = format!("P:{expected}\n");
                let paragraph = text.split("\n\n").find(|p| p.contains("R:file")).unwrap();
                assert!(format!("{paragraph}\n").contains(&owner), "{text}");
                assert_eq!(text.matches("R:file").count(), 1, "{text}");
            }
        }
    }
    // So is the same file in both, as apk has it.
    let same = Apk::new("two", "2").file("etc/file", 0o644, "one");
    let (one, same) = (package(blobs, &one), package(blobs, &same));
    let both = [(&one, 1), (&same, 1)];
    let error = merge(Rootfs::new(), Installed::default(), &both).unwrap_err();
    assert!(matches!(error, LayerError::Conflict { .. }), "{error}");
}

#[test]
fn folders_are_what_those_make_them_who_come_first() {
    let (_folder, cache) = store();
    let blobs = cache.blobs();
    let apk = |name: &str, needs: &str, mode: u32| {
        Apk::new(name, "1").depends(needs).file("srv/", mode, "")
    };
    let mode = |base: &str, packages: &[Apk]| {
        let packages: Vec<Package> = packages.iter().map(|apk| package(blobs, apk)).collect();
        let packages: Vec<(&Package, u64)> = packages.iter().map(|apk| (apk, 1)).collect();
        let mut root = Rootfs::new();
        root.insert("srv", Node::folder(0o1777)).unwrap();
        root.insert("srv/kept", Node::folder(0o700)).unwrap();
        let layers = merge(root, Installed::parse(base).unwrap(), &packages).unwrap();
        assert_eq!(layers.root.get("srv/kept"), Some(&Node::folder(0o700)));
        let text = layers.installed.render();
        assert_eq!(
            text.matches("F:srv\n").count(),
            packages.len() + usize::from(!base.is_empty())
        );
        layers.root.get("srv").unwrap().mode
    };
    let base = |more: &str| format!("P:m\nV:1\no:m\n{more}F:srv\nM:0:0:1777\n");
    for (base, packages, expected) in [
        // Nobody has it in the base.
        (String::new(), vec![apk("z", "", 0o755)], 0o755),
        (base("q:1000\n"), vec![apk("a", "", 0o755)], 0o1777),
        (
            base("q:1000\n"),
            vec![apk("z", "", 0o755).line("replaces_priority = 1001")],
            0o755,
        ),
        // By origin, then by name, in whichever order they are installed.
        (base(""), vec![apk("z", "", 0o755)], 0o1777),
        (base(""), vec![apk("a", "", 0o755)], 0o755),
        (base(""), vec![apk("a", "", 0o755).origin("z")], 0o1777),
        (base(""), vec![apk("a", "", 0o755).origin("m")], 0o755),
        (
            String::new(),
            vec![apk("a", "", 0o750), apk("b", "", 0o705)],
            0o750,
        ),
        (
            String::new(),
            vec![apk("a", "b", 0o750), apk("b", "", 0o705)],
            0o750,
        ),
        (
            String::new(),
            vec![
                apk("a", "", 0o750),
                apk("b", "", 0o705).line("replaces_priority = 1"),
            ],
            0o705,
        ),
    ] {
        assert_eq!(mode(&base, &packages), expected, "{base} {packages:?}");
    }
}

#[test]
fn packages_of_one_origin_write_over_each_other() {
    let (_folder, cache) = store();
    let blobs = cache.blobs();
    let whole = |name: &str, needs: &str| {
        let apk = Apk::new(name, "1").depends(needs).origin("both");
        apk.file("etc/file", 0o644, name).file(name, 0o644, name)
    };
    let laid = |base: &str, packages: [&Apk; 2]| {
        let packages = packages.map(|apk| package(blobs, apk));
        let packages = [(&packages[0], 1), (&packages[1], 1)];
        let mut root = Rootfs::new();
        let mut installed = Installed::default();
        if !base.is_empty() {
            installed = Installed::parse(base).unwrap();
            root.insert("etc", Node::folder(0o755)).unwrap();
            let old = blobs.put(b"old").unwrap();
            root.insert("etc/file", Node::file(0o644, old)).unwrap();
        }
        let layers = merge(root, installed, &packages)?;
        let names: Vec<&str> = layers.installed.names().collect();
        let owners: Vec<&str> = (layers.installed.files())
            .filter(|(path, _)| path == "etc/file")
            .map(|(_, number)| names[number])
            .collect();
        let content = content(&layers.root, blobs, "etc/file");
        // The others of its files stay with each.
        let files = layers.installed.files().count();
        Ok::<_, LayerError>((content, owners.join(" "), files))
    };
    let has = |name: &str| (name.to_owned(), name.to_owned(), 3);

    // Who is installed later has it, in whichever order they are named.
    for (one, two, expected) in [
        (whole("one", ""), whole("two", ""), "two"),
        (whole("one", "two"), whole("two", ""), "one"),
        // What is said by `replaces` goes before.
        (
            whole("one", "").line("replaces = two"),
            whole("two", ""),
            "one",
        ),
        (
            whole("one", ""),
            whole("two", "").line("replaces = one"),
            "two",
        ),
        (
            whole("one", "two"),
            whole("two", "").line("replaces = one"),
            "two",
        ),
    ] {
        assert_eq!(laid("", [&one, &two]).unwrap(), has(expected));
        assert_eq!(laid("", [&two, &one]).unwrap(), has(expected));
    }
    // An origin that is not known is nobody's, and two that differ are two.
    for other in ["", "another"] {
        let one = whole("one", "").origin(other);
        for two in [whole("two", ""), whole("two", "").origin("")] {
            assert!(laid("", [&one, &two]).is_err(), "{other}");
        }
    }
    // What the base has installed is of an origin, too.
    let (one, two) = (whole("one", ""), whole("two", ""));
    let base = |origin: &str| format!("P:old\nV:1\n{origin}F:etc\nR:file\n");
    assert_eq!(laid(&base("o:both\n"), [&one, &two]).unwrap(), has("two"));
    for origin in ["", "o:another\n"] {
        let error = laid(&base(origin), [&one, &two]).unwrap_err().to_string();
        assert!(error.contains("in the package old"), "{error}");
    }
}

#[test]
fn owners_go_by_name_and_by_number_where_nobody_has_it() {
    let (_folder, cache) = store();
    let apk = Apk::new("web", "1")
        .file("srv/", 0o755, "")
        .file("srv/web/", 0o750, "")
        .owned("srv/web/", ("web", 185), ("web", 183))
        .file("srv/web/page", 0o640, "")
        .owned("srv/web/page", ("web", 185), ("", 7))
        .file("srv/web/given", 0o644, "")
        .owned("srv/web/given", ("web", 185), ("root", 0))
        .file("srv/web/rest", 0o644, "")
        .owned("srv/web/rest", ("ghost", 9), ("root", 0));
    let apk =
        apk.file("srv/web/taken", 0o644, "")
            .owned("srv/web/taken", ("web", 185), ("web", 183));
    let web = package(cache.blobs(), &apk);
    let other = Apk::new("web-other", "1").line("replaces = web");
    let other = package(cache.blobs(), &other.file("srv/web/taken", 0o644, ""));
    let base = Installed::parse("P:old\nV:1\nF:srv\nM:3:4:755\n").unwrap();
    let mut layers = merge(Rootfs::new(), base, &[(&web, 1), (&other, 1)]).unwrap();
    let numbers = |names: &OwnerNames| {
        let web = |name: &str, number| (name == "web").then_some(number);
        (web(&names.user, 100), web(&names.group, 101))
    };
    let mut root = layers.root.clone();
    // A script gave it away.
    let given = Node {
        uid: 5,
        ..root.get("srv/web/given").unwrap().clone()
    };
    root.insert("srv/web/given", given).unwrap();
    layers.give(&mut root, &numbers).unwrap();
    layers.record_owners(&numbers);
    let owner = |path: &str| {
        let node = root.get(path).unwrap();
        (node.uid, node.gid)
    };
    assert_eq!(owner("srv"), (0, 0));
    assert_eq!(owner("srv/web"), (100, 101));
    assert_eq!(owner("srv/web/page"), (100, 7));
    assert_eq!(owner("srv/web/given"), (5, 0));
    assert_eq!(owner("srv/web/rest"), (9, 0));
    // Whose it is now, it is as that one has it.
    assert_eq!(owner("srv/web/taken"), (0, 0));
    let text = layers.installed.render();
    assert!(text.contains("F:srv\nM:3:4:755\n"), "{text}");
    let expected = "F:srv\nF:srv/web\nM:100:101:750\nR:given\na:100:0:644\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("R:page\na:100:7:640\n"), "{text}");
    assert!(text.contains("R:rest\na:9:0:644\n"), "{text}");
}

#[test]
fn triggers_are_listed_by_the_checksums_of_their_packages() {
    let (_folder, cache) = store();
    let hello = package(cache.blobs(), &hello());
    let none = package(cache.blobs(), &Apk::new("none", "1"));
    let all = [(&hello, 1), (&none, 1)];
    let layers = merge(Rootfs::new(), Installed::default(), &all).unwrap();
    let folders = ["/usr/bin".to_owned()];
    assert_eq!(layers.triggers(), [(hello.checksum, &folders[..])]);
}

#[test]
fn what_others_need_is_installed_first() {
    let (_folder, cache) = store();
    let blobs = cache.blobs();
    let all: Vec<Package> = [
        Apk::new("a", "1").depends("so:z !b"),
        Apk::new("b", "1").depends("c>0"),
        Apk::new("c", "1").depends("b"),
        Apk::new("z", "1").provides("so:z=1"),
    ]
    .iter()
    .map(|apk| package(blobs, apk))
    .collect();
    let all: Vec<(&Package, u64)> = all.iter().map(|package| (package, 1)).collect();
    let layers = merge(Rootfs::new(), Installed::default(), &all).unwrap();
    let order: Vec<&str> = layers
        .packages
        .iter()
        .map(|p| p.info.name.as_str())
        .collect();
    assert_eq!(order, ["z", "a", "c", "b"]);
}

#[test]
fn a_file_over_a_folder_names_its_package() {
    let (_folder, cache) = store();
    let mut base = Rootfs::new();
    base.insert("etc/file", Node::folder(0o755)).unwrap();
    base.insert("etc/file/x", Node::file(0o644, Digest::of(b"")))
        .unwrap();
    let one = package(
        cache.blobs(),
        &Apk::new("one", "1").file("etc/file", 0o644, "one"),
    );
    let error = merge(base, Installed::default(), &[(&one, 1)]).unwrap_err();
    assert!(error.to_string().contains("the package one"), "{error}");
}

#[test]
fn a_file_behind_a_link_is_the_same_file() {
    let (_folder, cache) = store();
    let blobs = cache.blobs();
    let one = package(blobs, &Apk::new("p1", "1").file("d/f", 0o644, "one"));
    let link = package(blobs, &Apk::new("p2", "1").file("e", 0, "d"));
    let three = Apk::new("p3", "1").file("e/f", 0o644, "three");
    let laid = |three: &Package| {
        let all = [(&one, 1), (&link, 1), (three, 1)];
        let layers = merge(Rootfs::new(), Installed::default(), &all)?;
        Ok::<_, LayerError>((layers.root, layers.installed.render()))
    };
    let error = laid(&package(blobs, &three)).unwrap_err().to_string();
    assert!(
        error.contains("`e/f` is in the package p1 and in p3, and neither replaces"),
        "{error}"
    );
    let (root, database) = laid(&package(blobs, &three.line("replaces = p1"))).unwrap();
    assert_eq!(content(&root, blobs, "d/f"), "three");
    assert_eq!(database.matches("R:f\n").count(), 1, "{database}");
    assert!(database.contains("F:e\nR:f\n"), "{database}");
    // What the base has installed counts, wherever its database says that it lies.
    let mut base = Rootfs::new();
    base.insert("d", Node::folder(0o755)).unwrap();
    base.insert("e", Node::symlink("d")).unwrap();
    base.insert("e/f", Node::file(0o644, Digest::of(b"")))
        .unwrap();
    let installed = Installed::parse("P:old\nV:1\nF:e\nR:f\n").unwrap();
    let error = merge(base, installed, &[(&one, 1)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("in the package old"), "{error}");
}

#[test]
fn bombs_are_refused_whichever_member_they_are_in() {
    let (_folder, cache) = store();
    let refusal = |apk: &Apk| {
        let error = unpack(cache.blobs(), apk, &apk.members().whole()).unwrap_err();
        let mut said = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            said = format!("{said}: {cause}");
            source = cause.source();
        }
        said
    };
    let zeros = "\0".repeat(70 << 20);
    let script = hello().script(".post-install", &zeros);
    let said = refusal(&script);
    assert!(
        said.contains("the control member of the package hello 1.0-r0")
            && said.contains("it unpacks to more than 67108864 bytes"),
        "{said}"
    );
    let script = hello().script(".post-install", &zeros[..5 << 20]);
    let said = refusal(&script);
    assert!(said.contains("it is larger than 4194304 bytes"), "{said}");
    let said = refusal(&hello().line("replaces = a\n".repeat(1001).trim_end()));
    assert!(said.contains("more than 1000 of `replaces`"), "{said}");
    let said = refusal(&hello().file("zeros", 0o644, &zeros));
    assert!(
        said.contains("the data of the package hello") && said.contains("bytes at `zeros`"),
        "{said}"
    );
}

#[test]
fn many_files_may_change_hands_at_once() {
    let (_folder, cache) = store();
    let mut old = Apk::new("old", "1").file("usr/", 0o755, "");
    let mut new = Apk::new("new", "1")
        .file("usr/", 0o755, "")
        .line("replaces = old");
    for at in 0..300 {
        old = old.file(&format!("usr/{at}"), 0o644, "old");
        new = new.file(&format!("usr/{at}"), 0o644, "new");
    }
    old = old.file("usr/own", 0o644, "old");
    let (old, new) = (package(cache.blobs(), &old), package(cache.blobs(), &new));
    let layers = merge(Rootfs::new(), Installed::default(), &[(&old, 1), (&new, 1)]).unwrap();
    let files: Vec<(String, usize)> = layers.installed.files().collect();
    assert_eq!(files.len(), 301);
    let names: Vec<&str> = layers.installed.names().collect();
    for (path, number) in files {
        let owner = if path == "usr/own" { "old" } else { "new" };
        assert_eq!(names[number], owner, "{path}");
    }
}
