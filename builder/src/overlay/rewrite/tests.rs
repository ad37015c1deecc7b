use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::assemble::cpio::CpioReader;

/// Name, inode, links and content of a file's member.
type Member<'a> = (&'a str, u32, u32, &'a str);

fn archive(members: &[Member<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = Output::new(&mut bytes, 0);
    for (name, inode, links, content) in members {
        let size = content.len() as u32;
        let fields = [*inode, 0o100_644, 1, 2, *links, 77, size, 3, 4, 0, 0];
        out.header(name, fields).unwrap();
        out.put(name, content.as_bytes()).unwrap();
        out.pad(name, 4).unwrap();
    }
    out.trailer().unwrap();
    bytes
}

/// What is left of `archives` without what is `gone`: members, with their archive.
fn left(archives: &[&[Member<'_>]], gone: &[&str]) -> Vec<(u32, String, u32, String)> {
    let mut packed = Vec::new();
    for members in archives {
        let mut encoder = GzEncoder::new(&mut packed, Compression::fast());
        encoder.write_all(&archive(members)).unwrap();
        encoder.finish().unwrap();
    }
    let mut bytes = Vec::new();
    let paths = Paths::of_initramfs(packed.as_slice()).unwrap();
    let is_gone = |path: &str| gone.contains(&path);
    rewrite(|| Ok(packed.as_slice()), &paths, is_gone, &mut bytes).unwrap();
    let mut reader = CpioReader::new(bytes.as_slice(), 1 << 20);
    let mut found = Vec::new();
    while let Some(header) = reader.next_header().unwrap() {
        let mut content = String::new();
        reader.read_to_string(&mut content).unwrap();
        let rest = (header.uid, header.gid, header.mtime, header.device);
        assert_eq!(rest, (1, 2, 77, (3, 4)), "{}", header.path);
        found.push((header.segment, header.path, header.links, content));
    }
    found
}

fn member(segment: u32, path: &str, links: u32, content: &str) -> (u32, String, u32, String) {
    (segment, path.to_owned(), links, content.to_owned())
}

#[test]
fn all_but_what_goes_is_as_it_was() {
    let one: &[Member<'_>] = &[("a", 1, 1, "A"), ("b", 2, 1, ""), ("c", 3, 1, "CCC")];
    let two: &[Member<'_>] = &[("a", 1, 1, "again"), ("d", 2, 1, "D")];
    assert_eq!(
        left(&[one, two], &["a"]),
        [
            member(0, "b", 1, ""),
            member(0, "c", 1, "CCC"),
            member(1, "d", 1, "D")
        ]
    );
}

#[test]
fn content_goes_to_another_name_wherever_it_was() {
    let last: &[Member<'_>] = &[
        ("a", 1, 3, ""),
        ("b", 1, 3, ""),
        ("c", 1, 3, "x"),
        ("d", 2, 1, "D"),
    ];
    let d = member(0, "d", 1, "D");
    let cases = [
        ("a", vec![member(0, "b", 2, ""), member(0, "c", 2, "x")]),
        ("c", vec![member(0, "a", 2, ""), member(0, "b", 2, "x")]),
    ];
    for (gone, mut expected) in cases {
        expected.push(d.clone());
        assert_eq!(left(&[last], &[gone]), expected, "{gone}");
    }
    assert_eq!(
        left(&[last], &["b", "c"]),
        [member(0, "a", 1, "x"), d.clone()]
    );
    assert_eq!(left(&[last], &["a", "b", "c"]), [d]);

    let first: &[Member<'_>] = &[("a", 1, 3, "x"), ("b", 1, 3, ""), ("c", 1, 3, "")];
    assert_eq!(
        left(&[first], &["a"]),
        [member(0, "b", 2, "x"), member(0, "c", 2, "")]
    );
    let each: &[Member<'_>] = &[("a", 1, 2, "x"), ("b", 1, 2, "x")];
    assert_eq!(left(&[each], &["a"]), [member(0, "b", 1, "x")]);
}
