//! `luni cache ls`: what is in the cache.

use std::time::{SystemTime, UNIX_EPOCH};

use indicatif::BinaryBytes;
use lunikernel_cache::inventory::{Inventory, Item, Kind};
use lunikernel_cache::{Sha256, Upkeep};
use serde::Serialize;

use crate::cli::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// List what is in the cache: how much of each kind, and what was built.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// List the outputs of every action, not only Lunikernels
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Serialize)]
struct Listing {
    cache: String,
    bytes: u64,
    kinds: Vec<Sum>,
    results: Vec<Made>,
}

#[derive(Debug, Serialize)]
struct Sum {
    kind: &'static str,
    count: usize,
    bytes: u64,
}

/// One output of an action.
#[derive(Debug, Serialize)]
struct Made {
    path: String,
    sha256: Sha256,
    size: u64,
    action: Sha256,
    /// Seconds since 1970.
    last_used: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let upkeep = Upkeep::open(&context.cache_folder()?)?;
    let inventory = Inventory::take(&upkeep)?;
    let sums = Kind::ALL.map(|kind| {
        let (count, bytes) = inventory.sum(kind);
        let kind = kind.plural();
        Sum { kind, count, bytes }
    });
    let mut results: Vec<Made> = inventory
        .of(Kind::Result)
        .flat_map(|item| made_by(item, &inventory))
        .filter(|made| args.all || made.path.ends_with(".luni.zip"))
        .collect();
    results.sort_by(|a, b| (&a.path, a.action).cmp(&(&b.path, b.action)));
    let listing = Listing {
        cache: upkeep.root().display().to_string(),
        bytes: inventory.bytes(),
        kinds: sums.into(),
        results,
    };
    if context.json() {
        context.print_json(&listing)?;
    } else {
        context.print(&for_people(&listing, SystemTime::now()))?;
    }
    Ok(Exit::Ok)
}

fn made_by<'a>(item: &'a Item, inventory: &'a Inventory) -> impl Iterator<Item = Made> + 'a {
    let recorded = item
        .sha256
        .and_then(|action| Some((action, inventory.results.get(&action)?)));
    let since_1970 = item.last_used.duration_since(UNIX_EPOCH);
    let last_used = since_1970.unwrap_or_default().as_secs();
    recorded.into_iter().flat_map(move |(action, recorded)| {
        recorded.outputs.iter().map(move |(path, digest)| Made {
            path: path.clone(),
            sha256: digest.sha256,
            size: digest.size,
            action,
            last_used,
        })
    })
}

fn for_people(listing: &Listing, now: SystemTime) -> String {
    let mut text = format!("cache {}\n\n", listing.cache);
    for sum in &listing.kinds {
        let bytes = BinaryBytes(sum.bytes).to_string();
        text += &format!("{:<18} {:>8} {bytes:>12}\n", sum.kind, sum.count);
    }
    let count: usize = listing.kinds.iter().map(|sum| sum.count).sum();
    let bytes = BinaryBytes(listing.bytes).to_string();
    text += &format!("{:<18} {count:>8} {bytes:>12}\n", "together");
    if listing.results.is_empty() {
        return text;
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let paths = listing.results.iter().map(|made| made.path.chars().count());
    let width = paths.max().unwrap_or(0).max("built".len());
    text += &format!("\n{:<width$} {:>12}  last used\n", "built", "size");
    for made in &listing.results {
        let size = BinaryBytes(made.size).to_string();
        let ago = ago(now.saturating_sub(made.last_used));
        text += &format!(
            "{:<width$} {size:>12}  {ago}\n    {}\n",
            made.path, made.sha256
        );
    }
    text
}

fn ago(seconds: u64) -> String {
    match seconds / (24 * 60 * 60) {
        0 => "within a day".to_owned(),
        1 => "1 day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_table_says_what_was_built_and_when_it_was_used() {
        let sum = |kind, count, bytes| Sum { kind, count, bytes };
        let listing = Listing {
            cache: "/c".to_owned(),
            bytes: 3072,
            kinds: vec![sum("blobs", 2, 2048), sum("action results", 1, 1024)],
            results: vec![Made {
                path: "hello.luni.zip".to_owned(),
                sha256: Sha256::of(b"zip"),
                size: 2048,
                action: Sha256::of(b"action"),
                last_used: 1_000_000,
            }],
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000 + 3 * 86_400);
        let expected = format!(
            "cache /c\n\n\
             blobs                     2     2.00 KiB\n\
             action results            1     1.00 KiB\n\
             together                  3     3.00 KiB\n\n\
             built                  size  last used\n\
             hello.luni.zip     2.00 KiB  3 days ago\n    {}\n",
            Sha256::of(b"zip")
        );
        assert_eq!(for_people(&listing, now), expected);
    }
}
