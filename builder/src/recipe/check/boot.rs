//! Kernel, boot and the boots that test it.

use std::collections::BTreeSet;

use super::{Findings, text};
use crate::recipe::Recipe;
use crate::recipe::path::Path;

/// The longest command line that Linux takes on x86 (`COMMAND_LINE_SIZE`), without
/// its final NUL.
const LONGEST_CMDLINE: usize = 2047;

pub(super) fn check(recipe: &Recipe, findings: &mut Findings) {
    let kernel = Path::new().key("kernel");
    findings.part(&recipe.kernel.from, usize::MAX, kernel.key("from"));
    for (index, module) in recipe.kernel.modules.iter().enumerate() {
        if !text::is_module(module) {
            findings.error(
                kernel.key("modules").index(index),
                format!("`{module}` is no name of a module"),
                "a name without path and suffix, such as `virtio_net`, or `cloud`",
            );
        }
    }
    findings.no_duplicates(&recipe.kernel.modules, &kernel.key("modules"));
    check_cmdline(&recipe.boot.cmdline, findings);
    check_tests(recipe, findings);
}

fn check_cmdline(cmdline: &str, findings: &mut Findings) {
    let path = Path::new().key("boot").key("cmdline");
    if cmdline.chars().any(|c| c != ' ' && !c.is_ascii_graphic()) {
        findings.error(
            path.clone(),
            "the kernel's command line has a line break or a character that is not ASCII",
            "one line of printable ASCII",
        );
    }
    if cmdline.len() > LONGEST_CMDLINE {
        findings.error(
            path,
            format!("the kernel's command line has {} characters", cmdline.len()),
            format!("at most {LONGEST_CMDLINE}"),
        );
    }
}

fn check_tests(recipe: &Recipe, findings: &mut Findings) {
    let root = Path::new().key("tests");
    let mut names = BTreeSet::new();
    for (index, test) in recipe.tests.iter().enumerate() {
        let path = root.index(index);
        if test.name.trim().is_empty() {
            findings.error(path.key("name"), "the test has no name", "what is tested");
        } else if !names.insert(&test.name) {
            findings.error(
                path.key("name"),
                format!("there is a test `{}` above", test.name),
                "a name of its own for each test",
            );
        }
        if test.expect.is_empty() || test.expect.contains('\n') {
            findings.error(
                path.key("expect"),
                "this can appear in no line on the console",
                "a part of one line",
            );
        }
        let Some(http) = &test.http else { continue };
        if !http.path.starts_with('/') || http.path.chars().any(|c| !c.is_ascii_graphic()) {
            findings.error(
                path.key("http").key("path"),
                format!("`{}` is no path of a page", http.path),
                "printable ASCII that begins with `/`",
            );
        }
        if !recipe.boot.net {
            findings.error_with_hint(
                path.key("http"),
                "a page is asked for, but it has no network",
                "`net: true` in `boot`",
                "add `boot: {net: true}`",
            );
        }
    }
}
