use super::*;
use crate::content::Content;
use crate::disk::Disk;

fn volume(mib: u64) -> Volume {
    Volume {
        size: mib << 20,
        label: "ESP".to_owned(),
        id: 0x1234_5678,
        hidden_sectors: 4096,
    }
}

fn bytes(disk: &Disk) -> Vec<u8> {
    let mut all = Vec::new();
    crate::raw::write(disk, &mut all).unwrap();
    all
}

#[test]
fn names_that_fat_does_not_have_are_refused() {
    let mut tree = FileTree::new();
    tree.add("EFI/BOOT/BOOTX64.EFI", Content::bytes(*b"x"))
        .unwrap();
    let deep = "a/".repeat(32) + "b";
    let long = "ü".repeat(256);
    for (path, flaw) in [
        ("", NameFlaw::Part),
        ("a//b", NameFlaw::Part),
        ("/a", NameFlaw::Part),
        ("a/", NameFlaw::Part),
        ("a/../b", NameFlaw::Part),
        ("what?", NameFlaw::Character),
        ("a\\b", NameFlaw::Character),
        ("a\nb", NameFlaw::Character),
        ("a.", NameFlaw::End),
        ("a /b", NameFlaw::End),
        (deep.as_str(), NameFlaw::TooDeep),
        (long.as_str(), NameFlaw::TooLong),
        ("EFI", NameFlaw::Twice),
        ("efi/other", NameFlaw::Twice),
        ("EFI/BOOT/bootx64.efi", NameFlaw::Twice),
        ("EFI/BOOT/BOOTX64.EFI/more", NameFlaw::Twice),
    ] {
        match tree.add(path, Content::bytes(*b"y")) {
            Err(FatError::Name { flaw: found, .. }) => assert_eq!(found, flaw, "{path:?}"),
            other => panic!("{path:?}: {other:?}"),
        }
    }
    let source = std::sync::Arc::new(Vec::new());
    let huge = Content::new(source, 0, MAX_FILE + 1);
    assert!(matches!(
        tree.add("huge", huge),
        Err(FatError::FileTooLarge { .. })
    ));
}

#[test]
fn what_does_not_fit_is_refused_and_what_fits_just_is_not() {
    let with = |len: usize| {
        let mut tree = FileTree::new();
        tree.add("dir/file", Content::bytes(vec![7u8; len]))
            .unwrap();
        tree
    };
    // Both kinds, up to the last cluster: FAT16's root takes none.
    for (mib, folders) in [(8, 1), (40, 2)] {
        let (clusters, cluster) = {
            let full = build(&with(mib << 20), &volume(mib as u64)).unwrap_err();
            assert!(full.hint().is_some());
            match full {
                FatError::Full {
                    clusters, cluster, ..
                } => (clusters as usize, cluster as usize),
                other => panic!("{other}"),
            }
        };
        let most = (clusters - folders) * cluster;
        build(&with(most), &volume(mib as u64)).unwrap();
        assert!(build(&with(most + 1), &volume(mib as u64)).is_err());
    }
    assert_eq!(
        build(&with(1), &volume(1)).unwrap_err(),
        FatError::Size(1 << 20)
    );
    for label in ["", "lower", "TWELVE CHARS", " A"] {
        let named = Volume {
            label: label.to_owned(),
            ..volume(8)
        };
        assert!(matches!(build(&with(1), &named), Err(FatError::Label(_))));
    }
}

#[test]
fn the_smallest_holds_the_files_and_one_mib_less_does_not() {
    for mib in [0, 1, 5, 30, 33, 34, 60, 300] {
        let mut tree = FileTree::new();
        let source = std::sync::Arc::new(Vec::new());
        tree.add("file", Content::new(source, 0, mib << 20))
            .unwrap();
        let size = smallest(&tree).unwrap();
        let made = |size| build(&tree, &Volume { size, ..volume(0) });
        assert!(made(size).is_ok(), "{mib}");
        assert!(made(size - (1 << 20)).is_err(), "{mib}");
        assert!(
            size < (mib << 20) + (mib << 14) + (5 << 20),
            "{mib}: {size}"
        );
    }
}

#[test]
fn the_order_of_adding_does_not_matter() {
    let names = ["b", "A", "c/d", "c/B", "long name", "long nose"];
    let add = |tree: &mut FileTree, name: &str| tree.add(name, Content::bytes(name)).unwrap();
    let (mut one, mut two) = (FileTree::new(), FileTree::new());
    names.iter().for_each(|name| add(&mut one, name));
    names.iter().rev().for_each(|name| add(&mut two, name));
    let made = |tree: &FileTree| bytes(&build(tree, &volume(8)).unwrap());
    assert!(made(&one) == made(&two));
    add(&mut two, "more");
    assert!(made(&one) != made(&two));
}

#[test]
fn fat16_has_a_root_of_fixed_size() {
    let mut tree = FileTree::new();
    for number in 0..511 {
        tree.add(&format!("F{number}"), Content::bytes([])).unwrap();
    }
    assert!(build(&tree, &volume(8)).is_ok());
    tree.add("ONE-MORE", Content::bytes([])).unwrap();
    let refused = build(&tree, &volume(8)).unwrap_err();
    assert!(matches!(
        refused,
        FatError::FolderTooLarge {
            entries: 513,
            limit: 512,
            ..
        }
    ));
    assert!(build(&tree, &volume(64)).is_ok());
}
