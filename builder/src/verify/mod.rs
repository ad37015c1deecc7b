//! Verifying that a recipe and its lock give the same bits, whatever is around them,
//! and finding out why where they do not.
//!
//! A round is a cold build in a cache of its own: the locked inputs are copied into it
//! and hashed again on the way, nothing else is shared, and no result is recalled.
//! What an honest build must not depend on differs from round to round. Where two
//! rounds differ, trials in a laboratory find the variations that it takes, and the
//! bytes around the difference tell what kind of cause it is.

mod bisect;
mod cause;
pub mod compare;
mod error;
mod evidence;
mod hint;
mod lab;
mod moment;
mod page;
mod report;
mod round;
mod search;
mod tally;
mod variation;

use std::sync::Arc;

use lunikernel_cache::artefact::Artefact;
use lunikernel_cache::{Cache, Digest, Progress, Silent};
use tokio::task::block_in_place;

pub use cause::{Cause, Class, Confidence};
pub use compare::{CompareError, Difference, compare};
pub use error::VerifyError;
pub use moment::Span;
pub use page::page;
pub use report::{
    Bisection, FailureReport, Outcome, Report, RoundReport, State, Subject, TrialReport,
    VariationReport, Verdict,
};
pub use round::{ExportRound, MakeBuilder, Round, round};
pub use variation::{Conditions, Variation};

use crate::build::Command;
use crate::lock::LockedRecipe;

/// Verifies one locked recipe. Its inputs must be in `cache` already.
pub struct Verifier<'a> {
    /// Where the inputs are, and below which rounds are built.
    pub cache: &'a Cache,
    /// What is built.
    pub locked: &'a LockedRecipe,
    /// How many cold builds are made, at least 2.
    pub rounds: usize,
    /// What differs from round to round.
    pub varied: &'a [Variation],
    /// What the rounds are to make, where that is known.
    pub expected: Option<&'a Artefact>,
    /// Names of the sandboxes that take turns; [`Conditions::sandbox`] counts on and on,
    /// and `make` takes the one that it is that many places behind the first.
    pub sandboxes: &'a [String],
    /// Whether trials are made to find the guilty variations of a difference.
    pub bisect: bool,
    /// Hears what is being done.
    pub progress: Arc<dyn Progress>,
    /// Makes a builder for each round.
    pub make: MakeBuilder<'a>,
    /// Exports what each round built, where that is to be compared too.
    pub export: Option<ExportRound<'a>>,
}

/// What verifying came to, and the error that ended it early.
#[derive(Debug)]
pub struct Verified {
    /// What was found.
    pub report: Report,
    /// Why there is no verdict; or where it is DIFFERS, which no error takes back, why
    /// rounds or the search for the cause are missing.
    pub error: Option<VerifyError>,
}

impl Verifier<'_> {
    /// Builds the rounds, compares what they made, and finds out why they differ if
    /// they do.
    ///
    /// # Errors
    /// [`VerifyError`] where nothing could be begun. A round that cannot be built is a
    /// verdict, and one that was reached before stays.
    pub async fn verify(&self) -> Result<Verified, VerifyError> {
        if self.rounds < 2 {
            return Err(VerifyError::TooFewRounds(self.rounds));
        }
        let expected = match self.expected {
            Some(artefact) => Some((artefact, artefact.check(&Silent)?.digest)),
            None => None,
        };
        let mut report = self.report(expected.map(|(_, digest)| digest));
        let mut first: Option<Round> = None;
        // The first round that differs from the first one, or else from what is expected.
        let mut other: Option<(usize, Round)> = None;
        // What kept a round from being built. It ends the rounds, but takes nothing back.
        let mut ended = None;
        for number in 0..self.rounds {
            (self.progress).note(&format!("round {} of {}", number + 1, self.rounds));
            let this = match self.round(number).await {
                Ok(this) => this,
                Err(error) => {
                    ended = Some(error);
                    break;
                }
            };
            let exported = self.export.map(|export| block_in_place(|| export(&this)));
            match exported.transpose() {
                Ok(exports) => {
                    let exports = exports.unwrap_or_default();
                    report.rounds.push(self.round_report(&this, exports));
                }
                Err(error) => {
                    ended = Some(error);
                    break;
                }
            }
            match &first {
                None => {
                    // Time stamps are to differ between the first round and the next.
                    lab::wait_apart(this.span.end).await;
                    first = Some(this);
                }
                Some(first) if other.is_none() && first.built.artefact != this.built.artefact => {
                    other = Some((number, this));
                }
                Some(_) => {}
            }
        }
        self.tally(&mut report);
        report.failure = ended.as_ref().and_then(VerifyError::report);
        let explained = match (&first, &other, expected) {
            (Some(first), Some((number, other)), _) => {
                report.verdict = Verdict::Differs;
                self.explain(&mut report, first, *number, other).await
            }
            (Some(first), None, Some((artefact, digest))) if digest != first.built.artefact => {
                report.verdict = Verdict::Differs;
                explain_expected(&mut report, artefact, first)
            }
            _ if report.unlike_exports().next().is_some() => {
                report.verdict = Verdict::Differs;
                Ok(())
            }
            _ => {
                match ended {
                    Some(error) if report.failure.is_none() => return Err(error),
                    Some(_) => report.verdict = Verdict::Failed,
                    None => {}
                }
                Ok(())
            }
        };
        let error = ended.or(explained.err());
        Ok(Verified { report, error })
    }

    /// Builds round `number`.
    async fn round(&self, number: usize) -> Result<Round, VerifyError> {
        let conditions = Conditions::of_round(number, self.varied);
        round(self.cache, self.locked, number, conditions, self.make).await
    }

    /// Says how and why round `number`, which is `other`, differs from the first, as far
    /// as it comes: where the search for the causes fails, the bytes are judged alone.
    async fn explain(
        &self,
        report: &mut Report,
        first: &Round,
        number: usize,
        other: &Round,
    ) -> Result<(), VerifyError> {
        let Some(difference) = compare(&first.artefact()?, &other.artefact()?)? else {
            return Ok(());
        };
        report.step = guilty_step(first, other);
        let searched = if self.bisect {
            search::search(self, first, other, number, &difference).await
        } else {
            Ok(search::by_bytes(difference.clone(), first, other))
        };
        let (findings, error) = match searched {
            Ok(findings) => (findings, Ok(())),
            Err(error) => (
                search::by_bytes(difference.clone(), first, other),
                Err(error),
            ),
        };
        report.difference = Some(difference);
        report.causes = findings.causes;
        report.bisection = findings.bisection;
        error
    }
}

/// Says how the rounds, which agree with `first`, differ from what was expected.
fn explain_expected(
    report: &mut Report,
    expected: &Artefact,
    first: &Round,
) -> Result<(), VerifyError> {
    report.difference = compare(expected, &first.artefact()?)?;
    let causes = report.difference.clone().map(cause::of_expected);
    report.causes.extend(causes);
    Ok(())
}

/// The first step that made different things in two rounds of the same inputs.
fn guilty_step(one: &Round, two: &Round) -> Option<String> {
    let mut steps = one.built.steps.iter().zip(&two.built.steps);
    steps
        .find(|(one, two)| one.action == two.action && one.outputs != two.outputs)
        .map(|(one, _)| one.name.clone())
}

/// The report of a comparison of two artefacts, of which nothing is built again.
///
/// # Errors
/// [`VerifyError`] where one of them is damaged.
pub fn compare_only(given: &Artefact, expected: &Artefact) -> Result<Report, VerifyError> {
    let digests: [Digest; 2] = [
        given.check(&Silent)?.digest,
        expected.check(&Silent)?.digest,
    ];
    let mut report = Report::empty();
    let [one, two] = digests;
    report.given = Some(one);
    report.expected = Some(two);
    if one != two {
        report.verdict = Verdict::Differs;
        report.difference = compare(given, expected)?;
    }
    Ok(report)
}

impl VerifyError {
    /// For a report, if it is about a round that could not be built.
    fn report(&self) -> Option<FailureReport> {
        let Self::Build { round, source } = self else {
            return None;
        };
        let mut message = source.to_string();
        let mut next = std::error::Error::source(source.as_ref());
        while let Some(error) = next {
            let text = error.to_string();
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            next = error.source();
        }
        let (step, script) = match source.command() {
            Some(Command::Step(name)) => (Some(name.to_owned()), None),
            Some(Command::Script(what)) => (None, Some(what.to_owned())),
            None => (None, None),
        };
        Some(FailureReport {
            round: *round,
            step,
            script,
            message,
            hint: source.hint(),
        })
    }
}
