//! What is wrong before any work, and what is done about it.

use std::collections::BTreeSet;

use lunikernel_cache::artefact::Artefact;
use lunikernel_exporters::checks::{self, Firmware, Guest, Severity};
use lunikernel_exporters::export::Format;
use serde::Serialize;

use crate::cli::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Something that is wrong with some of the formats.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    formats: Vec<&'static str>,
    refused: bool,
    /// Whether it stays refused where somebody insists.
    #[serde(skip)]
    never: bool,
    problem: String,
    remedy: String,
}

/// Everything that is to be said about exporting `guest` to `formats`; what is worst first.
pub(super) fn of(guest: &Guest, formats: &BTreeSet<Format>, firmware: Firmware) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for format in formats {
        // An EFI program is started by UEFI alone, whatever starts disks and discs, and
        // the others by none.
        let firmware = match format.has_firmware() {
            true => firmware,
            false => Firmware::Uefi,
        };
        for said in checks::check(guest, format.target(), firmware) {
            match found.iter_mut().find(|it| it.problem == said.problem) {
                Some(known) => known.formats.push(format.name()),
                None => found.push(Finding {
                    formats: vec![format.name()],
                    refused: matches!(said.severity, Severity::Never | Severity::Refuse),
                    never: said.severity == Severity::Never,
                    problem: said.problem,
                    remedy: said.remedy,
                }),
            }
        }
    }
    found.sort_by_key(|it| (!it.never, !it.refused));
    found
}

/// Tells of `found`.
///
/// # Errors
/// Where something cannot be made, or cannot work and nobody insists.
pub(super) fn tell(
    found: &[Finding],
    artefact: &Artefact,
    force: bool,
    context: &Context,
) -> Result<(), Failure> {
    let is_refused = |it: &Finding| it.never || it.refused && !force;
    let refused = found.iter().find(|it| is_refused(it));
    for finding in found {
        if refused.is_some_and(|it| std::ptr::eq(it, finding)) {
            continue;
        }
        let Finding {
            problem, remedy, ..
        } = finding;
        let formats = finding.formats.join(", ");
        let what = match is_refused(finding) {
            true => "refused",
            false => "warning",
        };
        context.say(&format!("{what}: {formats}: {problem}\nhint: {remedy}"));
    }
    match refused {
        None => Ok(()),
        Some(Finding {
            formats,
            problem,
            remedy,
            never,
            ..
        }) => {
            let (label, formats) = (artefact.label(), formats.join(", "));
            let message = format!("could not export {label} to {formats}: {problem}");
            let hint = match never {
                true => remedy.clone(),
                false => format!("{remedy}; `--force` makes it nevertheless"),
            };
            Err(Failure::new(Exit::BadInput, message).with_hint(hint))
        }
    }
}
