use super::*;
use crate::digest::Digest;

fn file() -> Node {
    Node::file(0o644, Digest::of(b"x"))
}

#[test]
fn merged_usr_is_followed() {
    let mut root = Rootfs::new();
    root.insert("usr/bin", Node::folder(0o755)).unwrap();
    root.insert("bin", Node::symlink("usr/bin")).unwrap();
    root.insert("bin", Node::folder(0o755)).unwrap();
    assert_eq!(root.locate("bin/sh").as_deref(), Some("usr/bin/sh"));
    root.insert("bin/sh", file()).unwrap();
    assert!(root.get("usr/bin/sh").is_some());
    assert!(root.get("bin/sh").is_none());
}

#[test]
fn nothing_leaves_the_root() {
    let mut root = Rootfs::new();
    for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/."] {
        assert!(root.insert(path, file()).is_err(), "{path:?}");
    }
    root.insert("up", Node::symlink("../../..")).unwrap();
    root.insert("up/x", file()).unwrap();
    assert!(root.get("x").is_some());
    root.insert("loop", Node::symlink("loop")).unwrap();
    assert!(matches!(
        root.insert("loop/x", file()),
        Err(RootfsError::NotAFolder { .. })
    ));
}

#[test]
fn what_is_there_stays_over_what_is_laid_below() {
    let (mut root, mut lower) = (Rootfs::new(), Rootfs::new());
    root.insert("usr/bin/sh", file()).unwrap();
    root.insert("bin", Node::symlink("usr/bin")).unwrap();
    lower.insert("bin/sh", Node::symlink("busybox")).unwrap();
    lower.insert("bin/init", file()).unwrap();
    root.underlay(&lower).unwrap();
    assert_eq!(root.get("usr/bin/sh"), Some(&file()));
    assert_eq!(root.get("usr/bin/init"), Some(&file()));
    assert!(matches!(
        root.get("bin").map(|node| &node.kind),
        Some(NodeKind::Symlink { .. })
    ));
}

#[test]
fn a_folder_is_not_replaced() {
    let mut root = Rootfs::new();
    root.insert("d/f", file()).unwrap();
    assert!(matches!(
        root.insert("d", file()),
        Err(RootfsError::IsAFolder { .. })
    ));
    assert!(root.remove("d"));
    assert_eq!(root.nodes().len(), 0);
}

#[test]
fn what_is_below_a_folder_keeps_its_metadata() {
    let mut root = Rootfs::new();
    for path in ["a-b", "a/f", "a/g/h", "ab"] {
        root.insert(path, file()).unwrap();
    }
    root.insert("a/g", Node::folder(0o700)).unwrap();
    let below = root.below("a").unwrap();
    let paths: Vec<&str> = below.nodes().map(|(path, _)| path).collect();
    assert_eq!(paths, ["f", "g", "g/h"]);
    assert_eq!(below.get("g"), Some(&Node::folder(0o700)));
    assert!(root.below("ab").is_none() && root.below("c").is_none());
}

#[test]
fn json_round_trip_is_canonical() {
    let mut root = Rootfs::new();
    root.insert(
        "dev/null",
        Node::of(0o666, NodeKind::CharDevice { major: 1, minor: 3 }),
    )
    .unwrap();
    let json = serde_json::to_string(&root).unwrap();
    assert_eq!(
        json,
        r#"{"dev":{"mode":493,"kind":"folder"},"dev/null":{"mode":438,"kind":{"char_device":{"major":1,"minor":3}}}}"#
    );
    assert_eq!(serde_json::from_str::<Rootfs>(&json).unwrap(), root);
}

#[test]
fn json_of_others_cannot_leave_the_root() {
    let folder = r#"{"mode":493,"kind":"folder"}"#;
    let link = r#"{"mode":511,"kind":{"symlink":{"target":"/"}}}"#;
    for (json, expected) in [
        (format!(r#"{{"..":{folder}}}"#), "`..` is no path"),
        (format!(r#"{{"/a":{folder}}}"#), "`/a` is no path"),
        (format!(r#"{{"":{folder}}}"#), "`` is no path"),
        (format!(r#"{{"a":{folder},"a/../b":{folder}}}"#), "no path"),
        (format!(r#"{{"a/b":{folder}}}"#), "that is not there"),
        (
            format!(r#"{{"a":{link},"a/b":{folder}}}"#),
            "a symbolic link",
        ),
        (
            r#"{"a":{"mode":65535,"kind":"folder"}}"#.to_owned(),
            "mode 177777",
        ),
    ] {
        let error = serde_json::from_str::<Rootfs>(&json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn links_lead_on_through_links_and_upwards() {
    let mut root = Rootfs::new();
    root.insert("usr/share/d", Node::folder(0o755)).unwrap();
    for (path, target) in [
        ("usr/lib", "share/./d/../d/"),
        ("lib", "/usr//lib"),
        ("usr/share/up", "../../.."),
        ("here", ""),
        ("missing", "usr/none"),
        ("beyond", "usr/none/.."),
        ("long", &format!("{}usr", "./".repeat(2048))),
    ] {
        root.insert(path, Node::symlink(target)).unwrap();
    }
    for (path, place) in [
        ("lib/a/b", Some("usr/share/d/a/b")),
        ("usr/share/up/lib/x", Some("usr/share/d/x")),
        ("here/x", Some("x")),
        ("/usr//lib/x", Some("usr/share/d/x")),
        ("none/of/these", Some("none/of/these")),
        ("missing/x", None),
        ("beyond/x", None),
        ("long/x", None),
    ] {
        assert_eq!(root.locate(path).as_deref(), place, "{path}");
        let inserted = root.clone().insert(path.trim_start_matches('/'), file());
        assert_eq!(inserted.is_ok(), place.is_some() && !path.contains("//"));
    }
}

/// A root in which each of `count` links leads to the one before by way of `detour`.
fn chain(count: usize, detour: &str) -> Rootfs {
    let mut root = Rootfs::new();
    root.insert("d", Node::folder(0o755)).unwrap();
    root.insert("l0", Node::symlink("d")).unwrap();
    for number in 1..count {
        let target = format!("{detour}l{}", number - 1);
        root.insert(&format!("l{number}"), Node::symlink(target))
            .unwrap();
    }
    root
}

#[test]
fn links_are_counted_for_the_whole_path() {
    assert!(chain(40, "").locate("l39/x").is_some());
    assert!(chain(41, "").locate("l40/x").is_none());
    let mut root = chain(30, "");
    assert!(root.locate("l29/x").is_some());
    // Thirty and thirty are more than forty.
    root.insert("d/back", Node::symlink("../l28")).unwrap();
    assert_eq!(root.locate("l0/back/x").as_deref(), Some("d/x"));
    assert_eq!(root.locate("l29/back/x"), None);
    assert!(root.insert("l29/back/x", file()).is_err());
}

#[test]
fn the_way_that_links_take_is_bounded() {
    assert!(chain(39, "d/../").locate("l38/x").is_some());
    assert_eq!(chain(39, "d/../d/../d/../d/../").locate("l38/x"), None);
}

/// A look for each name on the way would be ten million, at long names.
#[test]
fn a_deep_path_costs_one_look() {
    let mut root = Rootfs::new();
    let deep = vec!["d"; 2000].join("/");
    for number in 0..5_000 {
        root.insert(&format!("{deep}/{number}"), file()).unwrap();
    }
    assert_eq!(root.nodes().len(), 7_000);
}
