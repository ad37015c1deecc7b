//! A locale with another order of letters, in a root made from Debian packages.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use lunikernel_builder::sandbox::Facet;
use lunikernel_cache::Tree;
use lunikernel_cache::tree::Entry;

use crate::bench::{Ask, Bench, ask_for};

const PACKAGES: &[&str] = &[
    "coreutils",
    "libc-bin",
    "libc6",
    "libcrypt1",
    "libgcc-s1",
    "libssl3",
    "locales",
];

/// The packages unpacked, no script of theirs being run. `None` where this machine
/// cannot get Debian packages, with the test left out.
fn debian(name: &str) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let fetched = Command::new("apt-get")
        .arg("download")
        .args(PACKAGES)
        .current_dir(folder.path())
        .output();
    if !fetched.as_ref().is_ok_and(|output| output.status.success()) {
        let why = format!("Debian packages cannot be had: {fetched:?}");
        lunikernel_testing::left_out(name, &why);
        return None;
    }
    for entry in fs::read_dir(folder.path()).unwrap() {
        let unpacked = Command::new("dpkg-deb")
            .arg("-x")
            .arg(entry.unwrap().path())
            .arg(folder.path().join("root"))
            .status();
        assert!(unpacked.unwrap().success());
    }
    Some(folder)
}

fn entry(bench: &Bench, path: &Path) -> Entry {
    let meta = fs::symlink_metadata(path).unwrap();
    if meta.is_symlink() {
        let target = fs::read_link(path).unwrap();
        let target = target.to_str().unwrap().to_owned();
        return Entry::Symlink { target };
    }
    if meta.is_file() {
        return Entry::File {
            digest: bench.cache.blobs().put(&fs::read(path).unwrap()).unwrap(),
            executable: meta.permissions().mode() & 0o100 != 0,
        };
    }
    let mut tree = Tree::new();
    for below in fs::read_dir(path).unwrap() {
        let below = below.unwrap();
        let name = below.file_name();
        let name = name.to_str().unwrap();
        if name != "doc" && name != "man" {
            tree.insert(name, entry(bench, &below.path())).unwrap();
        }
    }
    Entry::Folder(tree)
}

in_every_sandbox! {
    a_locale_is_compiled_by_the_roots_own_program,
    a_locale_hides_nothing_that_is_behind_a_link,
}

fn a_locale_hides_nothing_that_is_behind_a_link(bench: &Bench) {
    let Some(folder) = debian(&lunikernel_testing::this_test()) else {
        return;
    };
    let root = folder.path().join("root");
    let mut asked = ask_for(vec!["/usr/bin/sort".to_owned(), "in".to_owned()])
        .input("in", bench.file("t\ns\n"))
        .surroundings(|s| s.locale = "et_EE.UTF-8".to_owned());
    for part in ["lib", "lib64", "usr"] {
        let mut entry = entry(bench, &root.join(part));
        if let ("usr", Entry::Folder(usr)) = (part, &mut entry) {
            let libraries = usr.get("lib").unwrap().clone();
            usr.remove("lib");
            usr.insert("real", libraries).unwrap();
            let target = "real".to_owned();
            usr.insert("lib", Entry::Symlink { target }).unwrap();
        }
        asked = asked.root(part, entry);
    }
    let ran = bench.run(&asked);
    let unable: Vec<Facet> = ran.outcome.unable.iter().map(|it| it.facet).collect();
    assert_eq!(unable, [Facet::Locale]);
    assert_eq!(ran.well(), "s\nt\n");
}

fn a_locale_is_compiled_by_the_roots_own_program(bench: &Bench) {
    let Some(folder) = debian(&lunikernel_testing::this_test()) else {
        return;
    };
    let whole = ["lib", "lib64", "usr"].map(|part| {
        let entry = entry(bench, &folder.path().join("root").join(part));
        (part, entry)
    });
    let asked = |words: &[&str], locale: &str| -> Ask {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let mut asked = ask_for(words)
            .input("in", bench.file("õ\nz\nt\ns\n"))
            .surroundings(|s| s.locale = locale.to_owned());
        for (part, entry) in &whole {
            asked = asked.root(part, entry.clone());
        }
        asked
    };
    let estonian = "et_EE.UTF-8";
    let sort = ["/usr/bin/sort", "in"];
    assert_eq!(bench.run(&asked(&sort, "C")).well(), "s\nt\nz\nõ\n");
    // In the alphabet there, z comes behind s; made once, and then known.
    for _ in 0..2 {
        let ran = bench.run(&asked(&sort, estonian));
        assert_eq!(ran.outcome.unable, []);
        assert_eq!(ran.well(), "s\nz\nt\nõ\n");
    }

    // It looks like a part of the root, and is there only when asked for.
    let list = [
        "/probe",
        "ls",
        "/usr/lib/locale",
        ",",
        "stat",
        "/usr/lib/locale",
        ",",
        "ls",
        ".",
    ];
    let usual = bench.run(&asked(&list, "C")).well();
    let varied = bench.run(&asked(&list, estonian)).well();
    assert!(!usual.contains("et_EE"), "{usual}");
    let added: Vec<&str> = varied
        .lines()
        .filter(|line| !usual.contains(line))
        .collect();
    assert_eq!(added, ["et_EE.utf8"], "{varied}");

    let ran = bench.run(&asked(&sort, "xx_XX.UTF-8"));
    assert_eq!(ran.outcome.unable.len(), 1);
    assert_eq!(ran.outcome.unable[0].facet, Facet::Locale);
    assert_eq!(ran.well(), "s\nt\nz\nõ\n");
}
