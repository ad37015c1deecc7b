use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use lunikernel_cache::artefact::{
    Boot, Crc32Writer, EntrySource, KERNEL, Manifest, Overlay, Protocol, seal,
};
use lunikernel_cache::{Cache, Silent};

use super::*;

/// A member as it is in the archive: header fields in the format's order, but for the
/// sizes and the checksum.
#[derive(Clone)]
struct Member {
    name: &'static str,
    /// ino, mode, uid, gid, nlink, mtime, devmajor, devminor, rdevmajor, rdevminor.
    fields: [u32; 10],
    content: Vec<u8>,
}

fn file(name: &'static str, content: &[u8]) -> Member {
    Member {
        name,
        fields: [1, 0o100_644, 0, 0, 1, 0, 0, 0, 0, 0],
        content: content.to_vec(),
    }
}

fn archive(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let trailer = Member {
        fields: [0; 10],
        ..file("TRAILER!!!", b"")
    };
    for member in members.iter().chain([&trailer]) {
        let [
            ino,
            mode,
            uid,
            gid,
            nlink,
            mtime,
            major,
            minor,
            rmajor,
            rminor,
        ] = member.fields;
        let size = member.content.len() as u32;
        let name_size = member.name.len() as u32 + 1;
        bytes.extend(b"070701");
        for field in [
            ino, mode, uid, gid, nlink, mtime, size, major, minor, rmajor, rminor, name_size, 0,
        ] {
            bytes.extend(format!("{field:08X}").bytes());
        }
        bytes.extend(member.name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(&member.content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn gzip(bytes: &[u8], mtime: u32, level: u32) -> Vec<u8> {
    let mut writer = GzBuilder::new()
        .mtime(mtime)
        .operating_system(255)
        .write(Vec::new(), Compression::new(level));
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn manifest() -> Manifest {
    let boot = Boot {
        protocol: Protocol::Linux,
        cmdline: String::new(),
        min_memory_mib: 64,
    };
    Manifest {
        overlay: Overlay::Initramfs {},
        ..Manifest::new("sample", "1", "debian", "x86_64", boot)
    }
}

fn sealed(manifest: Manifest, entries: &[(&str, &[u8])]) -> Artefact {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let sources: Vec<EntrySource> = entries
        .iter()
        .map(|(name, content)| {
            let mut writer = Crc32Writer::new(cache.blobs().writer().unwrap());
            writer.write_all(content).unwrap();
            let (writer, crc32) = writer.finish();
            EntrySource::new(*name, writer.commit().unwrap(), crc32)
        })
        .collect();
    let sealed = seal(cache.blobs(), manifest, &sources, &Silent).unwrap();
    let bytes = cache.blobs().read(&sealed.digest).unwrap();
    Artefact::from_bytes(bytes, "sample.zip").unwrap()
}

fn with_initramfs(initramfs: &[u8]) -> Artefact {
    sealed(manifest(), &[(KERNEL, b"kernel"), (INITRAMFS, initramfs)])
}

fn sample() -> Vec<Member> {
    vec![
        file("bin", b""),
        file("etc/hostname", b"a host name of some length"),
        file("init", b"#!/bin/sh"),
    ]
}

/// What is found where the members of `sample` are changed.
fn found(change: impl FnOnce(&mut Vec<Member>)) -> String {
    let mut changed = sample();
    change(&mut changed);
    let left = with_initramfs(&gzip(&archive(&sample()), 0, 6));
    let right = with_initramfs(&gzip(&archive(&changed), 0, 6));
    let difference = compare(&left, &right).unwrap().unwrap();
    assert_eq!(difference.entry, INITRAMFS);
    let last = difference.others.last().unwrap();
    assert_eq!(last.entry, MANIFEST);
    first(&difference)
}

/// What is printed of the first difference, without the entry's name.
fn first(difference: &Difference) -> String {
    let text = difference.to_string();
    let (first, _) = text.split_once("\nalso different:").unwrap_or((&text, ""));
    let (_, said) = first.split_once(": ").unwrap();
    said.to_owned()
}

#[test]
fn the_same_has_no_difference() {
    let one = with_initramfs(&gzip(&archive(&sample()), 0, 6));
    let two = with_initramfs(&gzip(&archive(&sample()), 0, 6));
    assert_eq!(compare(&one, &two).unwrap(), None);
}

#[test]
fn a_byte_of_a_member() {
    let said = found(|members| members[1].content[12] = b'!');
    assert_eq!(
        said,
        "member `etc/hostname`: line 1 differs\n  \
         left:  a host name of some length\n  \
         right: a host name !f some length"
    );
    let said = found(|members| members[1].content[12] = 0);
    assert_eq!(
        said,
        "member `etc/hostname`: its content differs: first different byte at 12 (0xc), 1 byte in 1 place\n  \
         left:  00000000  61 20 68 6f 73 74 20 6e 61 6d 65 20>6f 66 20 73  a host name of s\n         \
                00000010  6f 6d 65 20 6c 65 6e 67 74 68                    ome length\n  \
         right: 00000000  61 20 68 6f 73 74 20 6e 61 6d 65 20>00 66 20 73  a host name .f s\n         \
                00000010  6f 6d 65 20 6c 65 6e 67 74 68                    ome length"
    );
    let said = found(|members| members[2].content.extend(b"\n"));
    assert_eq!(
        said,
        "member `init`: line 1 differs\n  left:  #!/bin/sh\n  right: #!/bin/sh\\n"
    );
}

#[test]
fn each_field_of_a_member() {
    for (at, value, expected) in [
        (0, 7, "ino differs\n  left:  1\n  right: 7"),
        (
            1,
            0o100_755,
            "mode differs\n  left:  100644\n  right: 100755",
        ),
        (2, 1000, "uid differs\n  left:  0\n  right: 1000"),
        (3, 1000, "gid differs\n  left:  0\n  right: 1000"),
        (4, 2, "nlink differs\n  left:  1\n  right: 2"),
        (5, 1, "mtime differs\n  left:  0\n  right: 1"),
        (6, 8, "dev differs\n  left:  0:0\n  right: 8:0"),
        (8, 5, "rdev differs\n  left:  0:0\n  right: 5:0"),
    ] {
        let said = found(|members| members[1].fields[at] = value);
        assert_eq!(said, format!("member `etc/hostname`: {expected}"));
    }
}

#[test]
fn members_that_are_missing_or_elsewhere() {
    let said = found(|members| drop(members.remove(1)));
    assert_eq!(said, "member `etc/hostname`: only the left one has it");
    let said = found(|members| members.insert(1, file("dev", b"")));
    assert_eq!(said, "member `dev`: only the right one has it");
    let said = found(|members| members.push(file("last", b"")));
    assert_eq!(said, "member `last`: only the right one has it");
    let said = found(|members| members.swap(0, 1));
    assert_eq!(
        said,
        "the same members in another order, from the 1st on\n  left:  `bin`\n  right: `etc/hostname`"
    );
}

fn folder(name: &'static str) -> Member {
    let mut folder = file(name, b"");
    folder.fields[1] = 0o040_755;
    folder
}

/// What is found between initramfs of several archives that follow each other.
fn found_in_rows(left: &[&[Member]], right: &[&[Member]]) -> Vec<String> {
    let packed = |row: &[&[Member]]| {
        let archives: Vec<u8> = row.iter().flat_map(|members| archive(members)).collect();
        with_initramfs(&gzip(&archives, 0, 6))
    };
    let difference = compare(&packed(left), &packed(right)).unwrap();
    let text = difference.unwrap().to_string();
    let lines = text.lines().filter_map(|line| {
        let line = line.trim_start().strip_prefix("initramfs.gz: ");
        line.map(str::to_owned)
    });
    lines.collect()
}

#[test]
fn archives_behind_each_other_are_compared_by_what_they_give() {
    let base = [
        folder("etc"),
        file("etc/changed", b"old"),
        file("etc/gone", b"gone"),
        file("etc/mode", b"mode"),
        file("etc/same", b"same"),
    ];
    let executable = Member {
        fields: [1, 0o100_755, 0, 0, 1, 0, 0, 0, 0, 0],
        ..file("etc/mode", b"mode")
    };
    let second = [
        file("etc/added", b"added"),
        file("etc/changed", b"new"),
        executable,
        file("etc/same", b"same"),
    ];
    let without = [&base[..2], &base[3..]].concat();
    let expected = [
        "member `etc/added`: only the right one has it",
        "member `etc/changed`: line 1 differs",
        "member `etc/gone`: only the left one has it",
        "member `etc/mode`: mode differs: 100644 → 100755",
    ];
    assert_eq!(found_in_rows(&[&base], &[&without, &second]), expected);

    // What a link leads to is not compared with what a file holds.
    let mut link = file("etc/same", b"mode");
    link.fields[1] = 0o120_777;
    let expected = "member `etc/same`: mode differs";
    assert_eq!(found_in_rows(&[&base], &[&base, &[link]]), [expected]);

    // Where the machine has the same, how it is packed is told.
    let found = found_in_rows(&[&base], &[&base, &base[..1]]);
    let expected = "the 2nd archive: member `etc`: only the right one has it";
    assert_eq!(found, [expected]);
    // A member that comes again and again is not lost.
    let found = found_in_rows(&[&base], &[&base, &base[..1], &base[..1]]);
    let again = "the 3rd archive: member `etc`: only the right one has it";
    assert_eq!(found, [expected, again]);
}

#[test]
fn names_of_one_file_and_links_are_unpacked_as_linux_does_it() {
    let name = |name, inode, content: &[u8]| {
        let mut member = file(name, content);
        (member.fields[0], member.fields[4]) = (inode, 2);
        member
    };
    let link = Member {
        fields: [1, 0o120_777, 0, 0, 1, 0, 0, 0, 0, 0],
        ..file("lib", b"usr")
    };
    let base = [
        folder("usr"),
        link,
        file("usr/x", b"old"),
        name("one", 7, b""),
        name("two", 7, b"shared"),
    ];
    // By a link among the folders, and by one name to all.
    let found = found_in_rows(&[&base], &[&base, &[file("lib/x", b"new")]]);
    assert_eq!(found, ["member `usr/x`: line 1 differs"]);
    let found = found_in_rows(&[&base], &[&base, &[file("one", b"mine")]]);
    let both = ["one", "two"].map(|name| format!("member `{name}`: line 1 differs"));
    assert_eq!(found, both);
    // The content may come with the first name as well.
    let first = [name("one", 7, b"shared"), name("two", 7, b"")];
    let found = found_in_rows(&[&first], &[&first, &[file("one", b"shared")]]);
    assert!(
        found.iter().all(|line| line.starts_with("the 2nd archive")),
        "{found:?}"
    );
    // The numbers of each archive are its own.
    let second = [name("three", 7, b""), name("four", 7, b"other")];
    let found = found_in_rows(&[&base], &[&base, &second]);
    let new = ["four", "three"].map(|name| format!("member `{name}`: only the right one has it"));
    assert_eq!(found, new);
    // What has no folder, and what would replace one that is not empty, is passed over.
    let passed = [file("none/x", b""), file("usr", b"")];
    let found = found_in_rows(&[&base], &[&base, &passed]);
    assert!(found.iter().all(|line| line.starts_with("the 2nd archive")));
    assert_eq!(found.len(), 2);
}

#[test]
fn how_it_is_packed() {
    let packed = |mtime, level| with_initramfs(&gzip(&archive(&sample()), mtime, level));
    let said = |left, right| first(&compare(&left, &right).unwrap().unwrap());
    assert_eq!(
        said(packed(0, 6), packed(1_700_000_000, 6)),
        "MTIME (time stamp) in its gzip header differs\n  left:  0\n  right: 1700000000"
    );
    assert!(said(packed(0, 6), packed(0, 5)).starts_with("the same, but packed differently"));
    assert!(said(packed(0, 6), packed(0, 9)).starts_with("XFL (effort)"));

    let mut named = GzBuilder::new()
        .filename("initramfs")
        .operating_system(255)
        .write(Vec::new(), Compression::new(6));
    named.write_all(&archive(&sample())).unwrap();
    let named = with_initramfs(&named.finish().unwrap());
    assert!(said(packed(0, 6), named).starts_with("FNAME (file name)"));
}

#[test]
fn one_that_cannot_be_unpacked() {
    let good = gzip(&archive(&sample()), 0, 6);
    let cut = good.get(..good.len() - 30).unwrap();
    let broken = gzip(b"no archive, but long enough to have a header of one, were it one: it is not. That is all there is.\n              ", 0, 6);
    for (bytes, reason) in [(cut, "could not read"), (&broken, "070701")] {
        let difference = compare(&with_initramfs(&good), &with_initramfs(bytes));
        let found = difference.unwrap().unwrap().found;
        let Found::Unreadable { side, why, .. } = &found else {
            panic!("{found:?}");
        };
        assert_eq!(*side, Side::Right);
        assert!(why.contains(reason), "{why}");
    }
}

#[test]
fn entries_and_the_manifest() {
    let initramfs = gzip(&archive(&sample()), 0, 6);
    let base = || sealed(manifest(), &[(KERNEL, b"one"), (INITRAMFS, &initramfs)]);
    let difference = |right: &Artefact| compare(&base(), right).unwrap().unwrap();

    let kernel = sealed(manifest(), &[(KERNEL, b"two"), (INITRAMFS, &initramfs)]);
    let found = difference(&kernel);
    assert_eq!(
        (found.entry.as_str(), found.others[0].entry.as_str()),
        (KERNEL, MANIFEST)
    );

    let extra: [(&str, &[u8]); 3] = [(KERNEL, b"one"), (INITRAMFS, &initramfs), ("files/a", b"x")];
    let found = difference(&sealed(manifest(), &extra));
    assert_eq!(found.entry, "files/a");
    assert_eq!(
        found.found,
        Found::Presence {
            only_in: Side::Right
        }
    );

    let mut other = manifest();
    other.boot.cmdline = "quiet".to_owned();
    let other = sealed(other, &[(KERNEL, b"one"), (INITRAMFS, &initramfs)]);
    assert_eq!(
        difference(&other).to_string(),
        "lunikernel.json: /boot/cmdline differs\n  left:  \"\"\n  right: \"quiet\""
    );
    let json = serde_json::to_value(difference(&other)).unwrap();
    assert_eq!(json["found"]["kind"], "value");
    assert_eq!(json["found"]["pointer"], "/boot/cmdline");
}
