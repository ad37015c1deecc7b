//! From a difference between two rounds to its causes.

use std::collections::BTreeSet;

use lunikernel_cache::artefact::Artefact;

use super::bisect::{Answer, smallest};
use super::cause::{Cause, Shown, Side, judge, suspects};
use super::lab::{Laboratory, Trial, wait_apart};
use super::report::{Bisection, Outcome};
use super::{Difference, Round, Variation, Verifier, VerifyError, compare};
use crate::sandbox::Facet;

/// How many causes are looked for, one after the other.
const MOST_CAUSES: usize = 4;
/// How many single variations are tried because the bytes speak for them.
const MOST_SUSPECTS: usize = 3;

/// What a search found.
pub(super) struct Findings {
    pub(super) causes: Vec<Cause>,
    pub(super) bisection: Option<Bisection>,
}

/// Judges by the bytes alone.
pub(super) fn by_bytes(difference: Difference, first: &Round, other: &Round) -> Findings {
    let cause = judge(difference, side(first), side(other), Shown::Nothing);
    Findings {
        causes: vec![cause],
        bisection: None,
    }
}

/// Searches for the variations that it takes to make the first round and round
/// `number` differ, as they do.
pub(super) async fn search(
    verifier: &Verifier<'_>,
    first: &Round,
    other: &Round,
    number: usize,
    difference: &Difference,
) -> Result<Findings, VerifyError> {
    let mut laboratory = Laboratory::new(verifier, number, first.built.artefact);
    wait_apart(first.span.end).await;
    let Some(base) = laboratory.trial(&[]).await? else {
        return Ok(by_bytes(difference.clone(), first, other));
    };
    if base.digest() != Some(first.built.artefact) {
        return by_itself(laboratory, &first.artefact()?, side(first), &base).await;
    }
    let mut left = candidates(verifier);
    let mut differing = (difference.clone(), side(other), None::<Trial>);
    let mut causes: Vec<Cause> = Vec::new();
    let mut outcome = Outcome::Found;
    for _ in 0..MOST_CAUSES {
        let seen = differing.2.as_ref().map_or(differing.1, Trial::side);
        let suspects = suspects(&differing.0, base.side(), seen, &left);
        let (guilty, end) = guilty(&mut laboratory, &left, &suspects).await?;
        outcome = end;
        let Some(guilty) = guilty else { break };
        let Some((trial, made)) = differs(&mut laboratory, &base, &guilty).await? else {
            break;
        };
        let shown = Shown::Guilty(&guilty);
        let cause = judge(made, base.side(), trial.side(), shown);
        match causes.iter_mut().find(|known| known.class == cause.class) {
            Some(known) => known.join(cause),
            None => causes.push(cause),
        }
        left.retain(|one| !guilty.contains(one));
        if left.is_empty() || outcome != Outcome::Found {
            break;
        }
        let Some((trial, made)) = differs(&mut laboratory, &base, &left).await? else {
            break;
        };
        differing = (made, side(other), Some(trial));
    }
    // What differs by itself now and then makes any variation look guilty.
    wait_apart(base.span.end).await;
    if let Some(again) = laboratory.again(&[]).await?
        && again.digest() != base.digest()
        && let Some(artefact) = base.artefact()?
    {
        return by_itself(laboratory, &artefact, base.side(), &again).await;
    }
    if causes.is_empty() {
        let shown = Shown::Nothing;
        causes.push(judge(difference.clone(), side(first), side(other), shown));
    }
    Ok(Findings {
        causes,
        bisection: Some(Bisection {
            trials: laboratory.reports,
            outcome,
        }),
    })
}

/// The guilty ones of `left`, which are taken to make a difference together if trials say so.
async fn guilty(
    laboratory: &mut Laboratory<'_>,
    left: &[Variation],
    suspects: &[Variation],
) -> Result<(Option<Vec<Variation>>, Outcome), VerifyError> {
    for suspect in suspects.iter().take(MOST_SUSPECTS) {
        if answer(laboratory, &[*suspect]).await? == Answer::Differs {
            return Ok((Some(vec![*suspect]), Outcome::Found));
        }
    }
    match answer(laboratory, left).await? {
        Answer::Differs => {}
        Answer::Same => return Ok((None, Outcome::NotAgain)),
        Answer::Stop => return Ok((None, Outcome::GaveUp)),
    }
    let (found, whole) = smallest(left, async |some: &[Variation]| {
        answer(laboratory, some).await
    })
    .await?;
    let outcome = if whole {
        Outcome::Found
    } else {
        Outcome::GaveUp
    };
    Ok((Some(found), outcome))
}

async fn answer(
    laboratory: &mut Laboratory<'_>,
    varied: &[Variation],
) -> Result<Answer, VerifyError> {
    let Some(trial) = laboratory.trial(varied).await? else {
        return Ok(Answer::Stop);
    };
    let base = laboratory.trial(&[]).await?;
    let base = base.and_then(|base| base.digest());
    // A build that fails tells nothing about what the others make.
    Ok(match trial.digest() {
        Some(digest) if Some(digest) != base => Answer::Differs,
        _ => Answer::Same,
    })
}

/// The trial with `varied`, and how what it made differs from the base, if it does.
async fn differs(
    laboratory: &mut Laboratory<'_>,
    base: &Trial,
    varied: &[Variation],
) -> Result<Option<(Trial, Difference)>, VerifyError> {
    let Some(trial) = laboratory.trial(varied).await? else {
        return Ok(None);
    };
    let (Some(one), Some(two)) = (base.artefact()?, trial.artefact()?) else {
        return Ok(None);
    };
    Ok(compare(&one, &two)?.map(|difference| (trial, difference)))
}

/// Nothing has to be varied for it: tells what runs in parallel from the rest.
async fn by_itself(
    mut laboratory: Laboratory<'_>,
    first: &Artefact,
    first_side: Side<'_>,
    again: &Trial,
) -> Result<Findings, VerifyError> {
    let serial = [Variation::Around(Facet::Cpus)];
    let mut made = BTreeSet::new();
    for _ in 0..2 {
        if let Some(trial) = laboratory.again(&serial).await? {
            made.insert(trial.digest());
        }
    }
    let unless_serial = made.len() == 1 && !made.contains(&None);
    let shown = Shown::ByItself { unless_serial };
    let difference = match again.artefact()? {
        Some(artefact) => compare(first, &artefact)?,
        None => None,
    };
    let causes: Vec<Cause> = difference
        .map(|difference| judge(difference, first_side, again.side(), shown))
        .into_iter()
        .collect();
    let by_chance = causes.iter().all(|cause| cause.class != super::Class::Cpus);
    Ok(Findings {
        causes,
        bisection: Some(Bisection {
            trials: laboratory.reports,
            outcome: if by_chance {
                Outcome::DiffersByItself
            } else {
                Outcome::DiffersInParallel
            },
        }),
    })
}

/// What was varied and can be in a laboratory: a cache that nothing was unpacked in is
/// not to be had there. What a sandbox could not vary as it should may still have changed
/// something, so it stays in.
fn candidates(verifier: &Verifier<'_>) -> Vec<Variation> {
    let varied = verifier.varied.iter().copied();
    varied
        .filter(|one| *one != Variation::Cache)
        .filter(|one| *one != Variation::Sandbox || verifier.sandboxes.len() > 1)
        .collect()
}

fn side(round: &Round) -> Side<'_> {
    Side {
        conditions: &round.conditions,
        span: round.span,
    }
}
