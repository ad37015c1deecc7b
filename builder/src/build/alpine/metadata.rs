//! The owners and modes with which scripts find files, as commands for their shell. `$box`
//! is in front of each: busybox, or nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lunikernel_cache::{NodeKind, Rootfs};

use super::difference;
use super::scripts::{is_hidden, quote};
use crate::assemble::apk::{Layers, Package};

/// How many paths are in one command.
const AT_ONCE: usize = 64;

/// Commands that give everything the owners and modes that it has in `root`, but for those
/// that a sandbox gives it anyway.
pub(super) fn laid_out(root: &Rootfs) -> String {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut modes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, node) in root.nodes() {
        if path.split('/').next().is_some_and(is_hidden) {
            continue;
        }
        let usual = match &node.kind {
            NodeKind::Folder => Some(0o755),
            NodeKind::File { .. } if node.mode & 0o111 != 0 => Some(0o755),
            NodeKind::File { .. } => Some(0o644),
            NodeKind::Symlink { .. } => None,
            // A sandbox has none.
            _ => continue,
        };
        let path = quote(&format!("/build/{path}"));
        if (node.uid, node.gid) != (0, 0) {
            let owner = format!("chown -h {}:{}", node.uid, node.gid);
            owners.entry(owner).or_default().push(path.clone());
        }
        let mode = difference::laid_mode(node);
        if usual.is_some_and(|usual| mode != usual) {
            modes
                .entry(format!("chmod {mode:o}"))
                .or_default()
                .push(path);
        }
    }
    let mut text = String::new();
    // Giving a file away takes its set-user-ID bit.
    for (command, paths) in owners.into_iter().chain(modes) {
        for paths in paths.chunks(AT_ONCE) {
            let _ = writeln!(text, "$box {command} {}", paths.join(" "));
        }
    }
    text
}

/// Commands that give what `package` brought to those whom it names, as far as they are
/// there by then. A number is none of these names.
pub(super) fn claims(layers: &Layers<'_>, package: &Package) -> String {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut modes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, names) in layers.named_by(package) {
        let Some(node) = layers.root.get(&path) else {
            continue;
        };
        if path.split('/').next().is_some_and(is_hidden) {
            continue;
        }
        let path = quote(&format!("/build/{path}"));
        let mut given = false;
        for (sign, name, number) in [("", &names.user, node.uid), (":", &names.group, node.gid)] {
            let is_known = name == "root" && number == 0;
            if !is_known
                && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            {
                let command = format!("chown -h {}", quote(&format!("{sign}{name}")));
                owners.entry(command).or_default().push(path.clone());
                given = true;
            }
        }
        if given && matches!(node.kind, NodeKind::File { .. }) && node.mode & 0o6000 != 0 {
            let command = format!("chmod {:o}", difference::laid_mode(node));
            modes.entry(command).or_default().push(path);
        }
    }
    let mut text = String::new();
    for (command, paths) in owners.into_iter().chain(modes) {
        for paths in paths.chunks(AT_ONCE) {
            let _ = writeln!(text, "$box {command} {} 2>/dev/null || :", paths.join(" "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use lunikernel_cache::{Digest, Node};

    use super::*;

    #[test]
    fn only_what_a_sandbox_does_not_give_anyway_is_given() {
        let file = |mode: u32, uid: u32, gid: u32| Node {
            uid,
            gid,
            ..Node::file(mode, Digest::of(b""))
        };
        let mut root = Rootfs::new();
        for (path, node) in [
            ("bin/sh", file(0o755, 0, 0)),
            ("bin/it's", file(0o4111, 0, 0)),
            ("etc/motd", file(0o644, 0, 0)),
            ("etc/shadow", file(0o640, 0, 42)),
            ("etc/key", file(0o400, 7, 0)),
            ("proc/hidden", file(0o600, 7, 0)),
            (".luni-report", file(0o600, 7, 0)),
        ] {
            root.insert(path, node).unwrap();
        }
        let link = Node {
            uid: 7,
            ..Node::symlink("motd")
        };
        root.insert("etc/link", link).unwrap();
        root.insert("root", Node::folder(0o700)).unwrap();
        root.insert("var", Node::folder(0o555)).unwrap();
        assert_eq!(
            laid_out(&root),
            r"$box chown -h 0:42 '/build/etc/shadow'
$box chown -h 7:0 '/build/etc/key' '/build/etc/link'
$box chmod 4711 '/build/bin/it'\''s'
$box chmod 600 '/build/etc/key'
$box chmod 640 '/build/etc/shadow'
"
        );
    }
}
