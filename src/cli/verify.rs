//! `luni verify-reproducibility`: show that the bits are what the recipe says.

use lunikernel_builder::sandbox::Surroundings;
use lunikernel_builder::verify::{self, Conditions, Report, Variation, Verdict, VerifyError};

use super::Context;
use super::workshop::{self, RecipeArg};
use crate::exit::Exit;
use crate::failure::Failure;

/// Rebuild a recipe cold, and compare the bits.
///
/// Given a Lunikernel instead, it rebuilds that from the recipe and lock inside, and
/// compares with it. Every round starts from the locked inputs alone, hashed again, and with an empty
/// cache. Between rounds differ: host name, umask, time zone, locale, number of
/// processors, and the order in which folders list their entries. Exit code 0 is GOOD,
/// 10 DIFFERS, 11 FAILED: there is no verdict.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArg,

    /// How many times to build
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=100))]
    rounds: u16,

    /// What to vary: all, none, or some of host-name, umask, time-zone, locale, cpus,
    /// entry-order
    #[arg(
        long,
        default_value = "all",
        value_name = "LIST",
        value_delimiter = ','
    )]
    vary: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let varied = variations(&args.vary)?;
    let report =
        rounds(args, &varied, context).map_err(|failure| failure.with_exit(Exit::Undecided));
    if report.is_err() && !context.json() {
        context.print("FAILED\n")?;
    }
    let report = report?;
    if context.json() {
        context.print_json(&report)?;
    } else {
        context.print(&format!("{}\n", text(&report)))?;
    }
    Ok(match report.verdict {
        Verdict::Good => Exit::Ok,
        Verdict::Differs => Exit::Differs,
    })
}

fn rounds(args: &Args, varied: &[Variation], context: &Context) -> Result<Report, Failure> {
    let cache = context.cache()?;
    let expected = args.recipe.artefact()?;
    let locked = args.recipe.open(&cache)?;
    let main = workshop::builder(context, cache.clone(), Surroundings::default())?;
    context.runtime()?.block_on(async {
        main.fetch(&locked).await?;
        let make = |cache, conditions: &Conditions| {
            let surroundings = conditions.surroundings.clone();
            let threads = surroundings.cpus.unwrap_or(main.threads);
            workshop::builder(context, cache, surroundings)
                .map(|builder| lunikernel_builder::build::Builder { threads, ..builder })
                .map_err(|failure| VerifyError::Prepare(failure.to_string()))
        };
        let (count, expected) = (args.rounds.into(), expected.as_ref());
        Ok(verify::verify(&cache, &locked, count, varied, expected, &make).await?)
    })
}

/// What the words of `--vary` stand for.
fn variations(words: &[String]) -> Result<Vec<Variation>, Failure> {
    match words {
        [word] if word == "all" => return Ok(Variation::all().collect()),
        [word] if word == "none" => return Ok(Vec::new()),
        _ => {}
    }
    words
        .iter()
        .map(|word| {
            Variation::all()
                .find(|variation| variation.name() == word)
                .ok_or_else(|| {
                    let names: Vec<_> = Variation::all().map(Variation::name).collect();
                    let names = names.join(", ");
                    Failure::new(Exit::Usage, format!("there is no variation `{word}`"))
                        .with_hint(format!("use `all`, `none`, or some of {names}"))
                })
        })
        .collect()
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    if let Some(expected) = &report.expected {
        lines.push(format!("expected {}", expected.sha256));
    }
    for (number, round) in report.rounds.iter().enumerate() {
        lines.push(format!("round {}  {}", number + 1, round.artefact.sha256));
    }
    let varied: Vec<&str> = report.varied.iter().map(|v| v.name()).collect();
    lines.push(match varied.as_slice() {
        [] => "varied   nothing".to_owned(),
        names => format!("varied   {}", names.join(", ")),
    });
    if let Some(difference) = &report.difference {
        lines.push(difference.to_string());
    }
    lines.push(report.verdict.to_string());
    lines.join("\n")
}
