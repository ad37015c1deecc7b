//! What a unikernel's recipe may say, and what only Linux has.

use super::Findings;
use crate::recipe::path::Path;
use crate::recipe::{Recipe, RootfsSpec};

/// How long the text is that goes with a module.
const LONGEST_CMDLINE: usize = 1024;
/// How many modules there may be.
const MOST_MODULES: usize = 64;

pub(super) fn check(recipe: &Recipe, findings: &mut Findings) {
    let kernel = Path::new().key("kernel");
    findings.part(&recipe.kernel.from, usize::MAX, kernel.key("from"));
    if recipe.kernel.modules.is_some() {
        findings.error_with_hint(
            kernel.key("modules").of_key(),
            format!(
                "the flavour `{}` has no modules of a kernel",
                recipe.flavour.name()
            ),
            "no `modules` in `kernel`",
            "files that a multiboot kernel takes along are named in `boot.modules`",
        );
    }
    if recipe.rootfs != RootfsSpec::default() {
        findings.error_with_hint(
            Path::new().key("rootfs").of_key(),
            format!(
                "the flavour `{}` has no root file system",
                recipe.flavour.name()
            ),
            "no `rootfs`",
            "a unikernel is one file: name it in `kernel.from`",
        );
    }
    check_modules(recipe, findings);
    if let Some(tender) = &recipe.boot.tender {
        let path = Path::new().key("boot").key("tender");
        findings.part(tender, usize::MAX, path);
    }
}

fn check_modules(recipe: &Recipe, findings: &mut Findings) {
    let path = Path::new().key("boot").key("modules");
    for (index, module) in recipe.boot.modules.iter().enumerate() {
        let path = path.index(index);
        findings.part(&module.from, usize::MAX, path.key("from"));
        let is_printable = |c: char| c == ' ' || c.is_ascii_graphic();
        let cmdline = &module.cmdline;
        if cmdline.len() > LONGEST_CMDLINE || !cmdline.chars().all(is_printable) {
            findings.error(
                path.key("cmdline"),
                "this cannot be given to a module",
                format!("one line of printable ASCII, at most {LONGEST_CMDLINE} characters"),
            );
        }
    }
    if recipe.boot.modules.len() > MOST_MODULES {
        findings.error(
            path,
            format!("there are {} modules", recipe.boot.modules.len()),
            format!("at most {MOST_MODULES}"),
        );
    }
}
