use lunikernel_cache::Digest;

use super::*;
use crate::assemble::control::Control;

fn package(name: &str, extra: &str, files: &[(&str, &str)]) -> Package {
    let control = format!("Package: {name}\nVersion: 1\nArchitecture: all\n{extra}");
    let mut root = Rootfs::new();
    for (path, content) in files {
        root.insert(path, Node::file(0o644, Digest::of(content.as_bytes())))
            .unwrap();
    }
    Package {
        control: Control::parse(&control).unwrap(),
        licences: Default::default(),
        root,
    }
}

#[test]
fn usr_is_merged() {
    let root = merge(&[
        package("a", "", &[("bin/sh", "x"), ("lib/x/libc.so", "c")]),
        package("b", "", &[("usr/bin/sh", "x"), ("usr/lib/x/libm.so", "m")]),
    ])
    .unwrap();
    let files: Vec<_> = root
        .nodes()
        .filter(|(_, node)| matches!(node.kind, NodeKind::File { .. }))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(
        files,
        ["usr/bin/sh", "usr/lib/x/libc.so", "usr/lib/x/libm.so"]
    );
    let target = "usr/lib".to_owned();
    assert_eq!(root.get("lib").unwrap().kind, NodeKind::Symlink { target });
    assert!(root.get("lib64").is_none());
}

#[test]
fn a_conflict_names_both() {
    let one = package("one", "", &[("bin/tool", "1")]);
    let two = package("two", "", &[("usr/bin/tool", "2")]);
    let error = merge([&two, &one]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`usr/bin/tool` is in the package one and, with other content, in two"
    );
    let owner = |root: Rootfs| root.get("usr/bin/tool").unwrap().clone();
    for (first, second) in [("Replaces: two\n", ""), ("", "Replaces: one (<< 2)\n")] {
        let one = package("one", first, &[("bin/tool", "1")]);
        let two = package("two", second, &[("usr/bin/tool", "2")]);
        let content = if first.is_empty() { "2" } else { "1" };
        let expected = Node::file(0o644, Digest::of(content.as_bytes()));
        assert_eq!(owner(merge([&one, &two]).unwrap()), expected);
        assert_eq!(owner(merge([&two, &one]).unwrap()), expected);
    }
    assert!(matches!(merge([&one, &one]), Err(LayerError::Twice { .. })));
}

#[test]
fn hard_links_stay_within_their_package() {
    let mut one = package("one", "", &[]);
    let mut two = package("two", "", &[]);
    for (package, path) in [(&mut one, "a"), (&mut two, "b")] {
        let kind = NodeKind::File {
            content: Digest::of(b""),
            link: Some("first".to_owned()),
        };
        package.root.insert(path, Node::of(0o644, kind)).unwrap();
    }
    let root = merge([&one, &two]).unwrap();
    assert_ne!(root.get("a").unwrap().kind, root.get("b").unwrap().kind);
}
