//! Small Debian packages that tests make, the same bytes every time.

use std::io::Write as _;

use tar::{EntryType, Header};

/// What a package holds at a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item<'a> {
    Folder,
    File(&'a [u8]),
    Link(&'a str),
}

/// A package. `items` come with paths below the root; a folder comes before what is in it.
pub(crate) fn deb(name: &str, version: &str, items: &[(&str, Item<'_>)]) -> Vec<u8> {
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\n\
         Maintainer: Test <test@example.org>\nDescription: made by a test\n"
    );
    let control = archive(&[
        (".", Item::Folder),
        ("control", Item::File(control.as_bytes())),
    ]);
    let mut data = vec![(".", Item::Folder)];
    data.extend_from_slice(items);
    ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &control),
        ("data.tar", &archive(&data)),
    ])
}

fn archive(items: &[(&str, Item<'_>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, item) in items {
        let mut header = Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let (kind, mode, content) = match item {
            Item::Folder => (EntryType::Directory, 0o755, &b""[..]),
            Item::File(content) => (EntryType::Regular, 0o644, *content),
            Item::Link(target) => {
                header.set_link_name(target).unwrap();
                (EntryType::Symlink, 0o777, &b""[..])
            }
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        let path = match *path {
            "." => "./".to_owned(),
            path => format!("./{path}"),
        };
        builder.append_data(&mut header, path, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An archive of `ar`, in the form that packages have.
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        writeln!(
            bytes,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`",
            0, 0, 0, "100644"
        )
        .unwrap();
        bytes.extend_from_slice(content);
        if size % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}
