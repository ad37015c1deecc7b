//! `luni cache gc`: remove what was not used for long.

use std::time::{Duration, SystemTime};

use indicatif::BinaryBytes;
use lunikernel_builder::sandbox::docker::{EngineTrouble, Leftover};
use lunikernel_builder::sandbox::{Docker, SandboxError};
use lunikernel_cache::gc::{Plan, Policy, collect};
use lunikernel_cache::inventory::Inventory;
use lunikernel_cache::{Upkeep, WhenBusy};
use serde_json::json;

use crate::cli::Context;
use crate::cli::output::lossy;
use crate::cli::size::Size;
use crate::exit::Exit;
use crate::failure::Failure;

/// Remove what was used least recently.
///
/// What a pin names stays. While another luni uses the cache nothing is removed:
/// this one waits. What killed builds left in an engine of containers goes too.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("limit").required(true).multiple(true))]
pub(crate) struct Args {
    /// Remove until at most this much is left: 512M, 20G (powers of 1024)
    #[arg(long, value_name = "SIZE", group = "limit")]
    max_size: Option<Size>,

    /// Remove what was not used for more than so many days
    #[arg(long, value_name = "DAYS", value_parser = parse_days, group = "limit")]
    older_than: Option<u32>,

    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    /// Fail at once where another luni uses the cache
    #[arg(long, conflicts_with = "dry_run")]
    no_wait: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let folder = context.cache_folder()?;
    let progress = context.progress();
    let policy = Policy {
        max_size: args.max_size.map(|size| size.0),
        older_than: args
            .older_than
            .map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
    };
    let plan_for = |upkeep: &Upkeep| {
        let inventory = Inventory::take(upkeep)?;
        Plan::new(upkeep, &inventory, &policy, SystemTime::now())
    };
    let in_engine = leftovers(args.dry_run);
    let plan = if args.dry_run {
        plan_for(&Upkeep::open(&folder)?)?
    } else {
        let when_busy = match args.no_wait {
            true => WhenBusy::GiveUp,
            false => WhenBusy::Wait,
        };
        let alone = Upkeep::open_exclusive(&folder, when_busy, &*progress)?;
        let plan = plan_for(&alone)?;
        collect(&alone, &plan, &*progress)?;
        plan
    };
    if context.json() {
        let mut answer = for_programs(&plan, args.dry_run);
        match &in_engine {
            Ok(found) => answer["in_engine"] = json!(found),
            Err(failure) => answer["engine_not_asked"] = json!(failure.in_one_line()),
        }
        context.print_json(&answer)?;
    } else {
        context.print(&for_people(&plan, args))?;
        for left in in_engine.iter().flatten() {
            let verb = if args.dry_run {
                "would remove"
            } else {
                "removed"
            };
            context.print(&format!(
                "{verb} {} {} from the engine\n",
                left.kind, left.name
            ))?;
        }
    }
    if let Err(failure) = in_engine {
        context.say(&format!(
            "what killed builds left in the engine stays: {}",
            failure.in_one_line()
        ));
    }
    Ok(Exit::Ok)
}

/// What killed processes left in the engine, if one is named or answers; unless this is
/// only to be listed it is removed. An engine that cannot be asked keeps nobody from
/// collecting the cache, and is told of.
fn leftovers(dry_run: bool) -> Result<Vec<Leftover>, Failure> {
    match Docker::sweep(dry_run) {
        // Without an engine there is nothing in one.
        Err(SandboxError::Engine {
            source: EngineTrouble::None { .. },
            ..
        }) => Ok(Vec::new()),
        asked => asked.map_err(Failure::from),
    }
}

fn for_programs(plan: &Plan, dry_run: bool) -> serde_json::Value {
    let removed: Vec<_> = plan
        .remove
        .iter()
        .map(|item| json!({ "path": lossy(&item.path), "kind": item.kind.plural(), "bytes": item.bytes }))
        .collect();
    json!({
        "dry_run": dry_run,
        "removed": removed,
        "removed_bytes": plan.freed_bytes(),
        "kept_bytes": plan.keep_bytes,
        "pinned_bytes": plan.pinned_bytes,
    })
}

fn for_people(plan: &Plan, args: &Args) -> String {
    let mut text = String::new();
    if args.dry_run {
        for item in &plan.remove {
            text += &format!("{} {}\n", BinaryBytes(item.bytes), item.path.display());
        }
    }
    let verb = match args.dry_run {
        true => "would remove",
        false => "removed",
    };
    text += &format!(
        "{verb} {} things, {}; {} stay, {} of them pinned\n",
        plan.remove.len(),
        BinaryBytes(plan.freed_bytes()),
        BinaryBytes(plan.keep_bytes),
        BinaryBytes(plan.pinned_bytes)
    );
    let limit = args.max_size.map_or(u64::MAX, |size| size.0);
    if plan.keep_bytes > limit {
        text += "what is pinned is larger than the limit\n";
    }
    text
}

/// A number of days, with or without the letter that other tools want.
fn parse_days(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix('d').unwrap_or(text);
    (digits.parse()).map_err(|_| format!("expected a number of days such as `30`, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::parse_days;

    #[test]
    fn days_as_people_write_them() {
        assert_eq!(parse_days("30"), Ok(30));
        assert_eq!(parse_days("30d"), Ok(30));
        for bad in ["", "d", "-1", "30h", "4w", "30dd"] {
            assert!(parse_days(bad).unwrap_err().contains("of days"), "{bad}");
        }
    }
}
