//! The index files that `modprobe` reads (modules.dep(5)), in their text form, which
//! both busybox and kmod understand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Chosen;

/// `modules.dep`: each module with all that it needs, so ordered that every module
/// stands before what it needs itself; `modprobe` loads from the end.
pub(super) fn dep(chosen: &BTreeMap<String, Chosen>) -> String {
    let mut lines: Vec<String> = chosen
        .iter()
        .map(|(name, module)| {
            let mut line = format!("{}:", module.path);
            for needed in needed_by(chosen, name) {
                if let Some(needed) = chosen.get(needed) {
                    let _ = write!(line, " {}", needed.path);
                }
            }
            line.push('\n');
            line
        })
        .collect();
    lines.sort_unstable();
    lines.concat()
}

/// All that `name` needs, directly or not, each before what it needs itself.
fn needed_by<'a>(chosen: &'a BTreeMap<String, Chosen>, name: &'a str) -> Vec<&'a str> {
    let mut done = BTreeSet::new();
    let mut order = Vec::new();
    // Depth first: a module is put down when all that it needs is. The stack is one
    // of our own, because the depth is up to whoever made the modules.
    let mut stack = vec![(name, false)];
    while let Some((name, is_expanded)) = stack.pop() {
        if is_expanded {
            order.push(name);
        } else if done.insert(name) {
            stack.push((name, true));
            if let Some(module) = chosen.get(name) {
                stack.extend(module.needs.iter().rev().map(|name| (name.as_str(), false)));
            }
        }
    }
    // The last one is the module itself.
    order.pop();
    order.reverse();
    order
}

/// `modules.alias`: which module to load for which device.
pub(super) fn alias(chosen: &BTreeMap<String, Chosen>) -> String {
    let mut text = "# Aliases extracted from modules themselves.\n".to_owned();
    for (name, module) in chosen {
        for alias in &module.info.aliases {
            let _ = writeln!(text, "alias {alias} {name}");
        }
    }
    text
}

/// `modules.softdep`: what else to load, before or after.
pub(super) fn softdep(chosen: &BTreeMap<String, Chosen>) -> String {
    let mut text = "# Soft dependencies extracted from modules themselves.\n".to_owned();
    for (name, module) in chosen {
        for softdep in &module.info.softdeps {
            let _ = writeln!(text, "softdep {name} {softdep}");
        }
    }
    text
}
