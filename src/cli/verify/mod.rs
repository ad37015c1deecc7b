//! `luni verify-reproducibility`: show that the bits are what the recipe says, or why
//! they are not.

mod subject;
mod text;
mod words;

use std::path::{Path, PathBuf};

use lunikernel_builder::build::Builder;
use lunikernel_builder::sandbox::Surroundings;
use lunikernel_builder::verify::{
    Conditions, Report, Round, Verdict, Verified, Verifier, VerifyError, compare_only, page,
};

use super::Context;
use super::export::{self, FormatArg};
use super::output::Output;
use super::reads::Reads;
use super::sandbox::{self, SandboxChoice};
use super::workshop::{self, NetworkSteps, RecipeArg};
use crate::exit::Exit;
use crate::failure::Failure;
use subject::Subject;
pub(super) use subject::{Named, address, artefact, find};

/// Rebuild a recipe cold, and compare the bits.
///
/// Given a Lunikernel instead, as a file or by its digest in the cache, it rebuilds that
/// from the recipe and lock inside, and compares with it. Every round starts from the locked
/// inputs alone, hashed again, and with an empty cache; what an honest build must not
/// depend on differs from round to round. Where rounds differ, trials find the
/// variations that it takes. Exit code 0 is GOOD, 10 DIFFERS, 11 FAILED: there is no
/// verdict.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to verify: a recipe, a folder with a recipe.yaml in it, or a Lunikernel: a zip,
    /// its address, or the first digits (at least 8) of the SHA-256 of one in the cache
    #[arg(default_value = ".", value_name = "RECIPE|FILE|URL|DIGEST")]
    subject: PathBuf,

    #[command(flatten)]
    network: NetworkSteps,

    /// How many times to build; 0 with `--against` to compare only
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=100))]
    rounds: u16,

    /// A Lunikernel that the rounds must give: a file, an address, or a digest in the cache
    #[arg(long, value_name = "FILE|URL|DIGEST")]
    against: Option<String>,

    /// What to vary: all, none, or names; `-NAME` leaves one out of all
    #[arg(
        long,
        default_value = "all",
        value_name = "LIST",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    vary: Vec<String>,

    /// End with code 14 where it is GOOD, but something that was to be varied could not be
    #[arg(long)]
    strict: bool,

    /// Only compare, and do not search for the variations that a difference takes
    #[arg(long)]
    no_bisect: bool,

    /// Export what each round built, and compare that too: formats of `luni export`
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    export: Vec<FormatArg>,

    /// Write the report as a page for browsers
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let page_at = match &args.report {
        Some(path) => Some(Output::new(
            path,
            "name another file to write with `--report FILE.html`",
            &reads(args, context)?,
        )?),
        None => None,
    };
    let Verified { report, error } = verified(args, context)?;
    if context.json() {
        context.print_json(&report)?;
    } else {
        context.print(&text::text(&report))?;
    }
    if let Some(error) = error {
        Failure::from(error).tell();
    }
    // The verdict stands, whatever became of the page about it.
    if let Some(file) = page_at
        && let Err(failure) = file.write_whole(page(&report).as_bytes())
    {
        failure.tell();
    }
    Ok(match report.verdict {
        Verdict::Good if args.strict && report.unable().next().is_some() => Exit::Unvaried,
        Verdict::Good => Exit::Ok,
        Verdict::Differs => Exit::Differs,
        Verdict::Failed => Exit::Undecided,
    })
}

/// What is read for it.
fn reads(args: &Args, context: &Context) -> Result<Reads, Failure> {
    let reads = Reads::default().and_recipe(&RecipeArg {
        recipe: args.subject.clone(),
    });
    let reads = match &args.against {
        Some(named) => reads.and_named(Path::new(named)),
        None => reads,
    };
    reads.and_mirrors(context)
}

fn verified(args: &Args, context: &Context) -> Result<Verified, Failure> {
    let varied = words::variations(&args.vary)?;
    match (args.rounds, &args.against) {
        (0, None) | (1, _) => {
            let (rounds, hint) = (
                args.rounds,
                "use at least `--rounds 2`, or `--rounds 0 --against FILE` to compare only",
            );
            let message = format!("{rounds} rounds compare nothing");
            return Err(Failure::new(Exit::Usage, message).with_hint(hint));
        }
        _ => {}
    }
    let undecided = |failure: Failure| match failure.exit() {
        // What is wrong with what was given, or cannot be had, is so without any round.
        Exit::Usage | Exit::BadInput | Exit::Lock | Exit::Unavailable => failure,
        _ => failure.with_exit(Exit::Undecided),
    };
    let cache = context.cache()?;
    let subject = Subject::find(&args.subject, context, &cache).map_err(undecided)?;
    let against = args
        .against
        .as_deref()
        .map(|named| artefact(Path::new(named), context))
        .transpose()
        .map_err(undecided)?;
    if args.rounds == 0 {
        let report = only_compared(&subject, against.as_ref()).map_err(undecided)?;
        return Ok(Verified {
            report,
            error: None,
        });
    }
    // What differs from what it is held against is not made good by any rounds.
    if let (Some(_), Some(_)) = (subject.artefact(), &against) {
        let report = only_compared(&subject, against.as_ref()).map_err(undecided)?;
        if report.verdict != Verdict::Good {
            return Ok(Verified {
                report,
                error: None,
            });
        }
    }
    let kinds = sandbox::in_turn(context)?;
    let names: Vec<String> = kinds.iter().map(|kind| kind.name().to_owned()).collect();
    let work = async {
        let locked = subject.locked(&cache)?;
        let mut main = workshop::builder(context, cache.clone(), Surroundings::default())?;
        main.network_steps = args.network.allowed(subject.recipe());
        let fetched = main.fetch(&locked).await;
        fetched.map_err(|error| subject.recipe().explain(error))?;
        let make = |cache, conditions: &Conditions| {
            let surroundings = conditions.surroundings.clone();
            let threads = surroundings.cpus.unwrap_or(main.threads);
            let turn = conditions.sandbox % kinds.len().max(1);
            let kind = kinds.get(turn).copied().unwrap_or(SandboxChoice::Auto);
            workshop::builder_in(kind, context, cache, surroundings)
                .map(|builder| Builder {
                    threads,
                    network_steps: main.network_steps,
                    ..builder
                })
                .map_err(|failure| VerifyError::Prepare(failure.in_one_line()))
        };
        if !args.export.is_empty() {
            export::prepare(&main).await?;
        }
        let further = |round: &Round| {
            let builder = make(round.cache.clone(), &round.conditions)?;
            export::export_round(round, &builder, &cache, &args.export)
                .map_err(|failure| VerifyError::Export(failure.in_one_line()))
        };
        let verifier = Verifier {
            cache: &cache,
            locked: &locked,
            rounds: args.rounds.into(),
            varied: &varied,
            expected: against.as_ref().or(subject.artefact()),
            sandboxes: &names,
            bisect: !args.no_bisect,
            progress: context.progress(),
            make: &make,
            export: (!args.export.is_empty()).then_some(&further),
        };
        Ok(verifier.verify().await?)
    };
    context.runtime()?.block_on(work).map_err(undecided)
}

fn only_compared(
    subject: &Subject,
    against: Option<&lunikernel_cache::artefact::Artefact>,
) -> Result<Report, Failure> {
    match (subject.artefact(), against) {
        (Some(given), Some(against)) => Ok(compare_only(given, against)?),
        _ => Err(Failure::new(
            Exit::Usage,
            "only two Lunikernels can be compared without building one",
        )
        .with_hint("leave `--rounds` out to build the recipe and compare that")),
    }
}
