//! Discs as libarchive, genisoimage's and xorriso's tools see them.

use std::collections::BTreeMap;

use lunikernel_exporters::iso::Volume;
use lunikernel_exporters::{Content, raw};

use crate::sample::Dice;
use crate::tools::{make, need, run};

/// More in one folder than fits a block, folders in each other, and what is hard to order.
fn files() -> BTreeMap<String, Vec<u8>> {
    let mut dice = Dice::new(3);
    let mut files = BTreeMap::new();
    let mut add = |path: &str, len| files.insert(path.to_owned(), dice.bytes(len));
    for (path, len) in [
        ("boot/grub/grub.cfg", 100),
        ("empty", 0),
        ("one", 1),
        ("block", 2048),
        ("more", 2049),
        ("AB.c", 7),
        ("a.b", 7),
        ("a/b", 7),
        ("a-b/c", 7),
        ("1/2/3/4/5/6/7/8", 300_000),
        ("a.long.name-with_Everything.x", 9),
    ] {
        add(path, len);
    }
    for number in 0..150 {
        add(&format!("many/{number}"), number * 31);
        add(&format!("folders/{number}/file"), number);
    }
    files
}

#[test]
fn others_find_the_files() {
    let programs = ["bsdtar", "isoinfo", "xorriso"].map(need);
    let [Some(bsdtar), Some(isoinfo), Some(xorriso)] = programs else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image.iso");
    let files = files();
    let contents = files.iter();
    let volume = Volume {
        label: "sample".to_owned(),
        files: contents
            .map(|(path, bytes)| (path.clone(), Content::bytes(bytes.clone())))
            .collect(),
        ..Volume::default()
    };
    let disk = volume.write().unwrap().disk;
    make(&image, |out| raw::write(&disk, out));
    let path = image.to_str().unwrap();

    let out = folder.path().join("out");
    fs_err::create_dir(&out).unwrap();
    run(&bsdtar, ["-xf", path, "-C", out.to_str().unwrap()]);
    for (path, bytes) in &files {
        assert!(fs_err::read(out.join(path)).unwrap() == *bytes, "{path}");
    }
    // With Rock Ridge, and without.
    let listed = |option: &[&str]| {
        let said = run(&isoinfo, [&["-i", path, "-f"], option].concat());
        said.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let names = listed(&["-R"]);
    assert!(files.keys().all(|path| names.contains(&format!("/{path}"))));
    let folders = 1 + 150 + 2 + 7 + 2 + 1;
    assert_eq!(names.len(), files.len() + folders, "{names:?}");
    let plain = listed(&[]);
    assert_eq!(plain.len(), names.len());
    for path in ["/BOOT/GRUB/GRUB.CFG;1", "/MANY/149.;1", "/A_B/C.;1"] {
        assert!(plain.iter().any(|it| it == path), "{path}");
    }
    // Both ways to a folder lead to the same place: by the folder that it is in, and by the
    // path table, whose lines have number, parent, block and name.
    let mut listed = BTreeMap::new();
    let mut of = String::new();
    for line in run(&isoinfo, ["-i", path, "-l"]).lines() {
        if let Some(folder) = line.strip_prefix("Directory listing of ") {
            of = folder.trim_end_matches('/').to_owned();
        } else if line.ends_with(" . ") {
            let block = line.split_once('[').unwrap().1.split_whitespace().next();
            listed.insert(of.clone(), block.unwrap().parse::<u32>().unwrap());
        }
    }
    let mut table = vec![(String::new(), 0)];
    for line in run(&isoinfo, ["-i", path, "-p"]).lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let parent: usize = words[1].parse().unwrap();
        let block = u32::from_str_radix(words[2], 16).unwrap();
        match words.get(3) {
            None => table.push((String::new(), block)),
            Some(name) => table.push((format!("{}/{name}", table[parent].0), block)),
        }
    }
    assert_eq!(
        table.split_off(1).into_iter().collect::<BTreeMap<_, _>>(),
        listed
    );

    let said = run(&xorriso, ["-indev", path, "-find", "/", "-type", "f"]);
    let found = said.lines().filter(|line| line.starts_with("'/"));
    assert_eq!(found.count(), files.len(), "{said}");
    assert!(
        !said.contains("WARNING") && !said.contains("SORRY"),
        "{said}"
    );
}
