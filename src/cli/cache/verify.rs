//! `luni cache verify`: whether everything in the cache is what its name says.

use indicatif::BinaryBytes;
use lunikernel_cache::verify::{Report, check, repair};
use lunikernel_cache::{Upkeep, WhenBusy};
use serde_json::json;

use crate::cli::Context;
use crate::cli::output::lossy;
use crate::exit::Exit;
use crate::failure::Failure;

/// Check that everything in the cache is what its name says.
///
/// Every blob and every folder laid out for sandboxes is hashed again, every action
/// result is read, and what it names is looked for. Ends with 0 where nothing is
/// damaged, or where all that is was removed; with 1 otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Remove what is damaged; it is fetched or built again when it is needed
    #[arg(long)]
    repair: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let folder = context.cache_folder()?;
    let progress = context.progress();
    let threads = context.jobs().get();
    let report = if args.repair {
        let alone = Upkeep::open_exclusive(&folder, WhenBusy::Wait, &*progress)?;
        let report = check(&alone, threads, &*progress)?;
        repair(&alone, &report)?;
        report
    } else {
        check(&Upkeep::open(&folder)?, threads, &*progress)?
    };
    if context.json() {
        context.print_json(&for_programs(&report, args.repair))?;
    } else {
        context.print(&for_people(&report, args.repair))?;
    }
    let whole = report.damage.is_empty() || args.repair;
    Ok(if whole { Exit::Ok } else { Exit::Failed })
}

fn for_programs(report: &Report, repaired: bool) -> serde_json::Value {
    let damage: Vec<_> = report
        .damage
        .iter()
        .map(|found| json!({ "path": lossy(&found.path), "fault": found.fault.to_string() }))
        .collect();
    json!({
        "checked": report.checked,
        "bytes": report.bytes,
        "damage": damage,
        "repaired": repaired,
    })
}

fn for_people(report: &Report, repaired: bool) -> String {
    let mut text = String::new();
    for found in &report.damage {
        text += &format!("{}: {}\n", found.path.display(), found.fault);
    }
    text += &format!(
        "checked {} things, {}: {} damaged",
        report.checked,
        BinaryBytes(report.bytes),
        report.damage.len()
    );
    text += match (report.damage.is_empty(), repaired) {
        (true, _) => "\n",
        (false, true) => " and removed\n",
        (false, false) => "; remove what is damaged with `luni cache verify --repair`\n",
    };
    text
}
