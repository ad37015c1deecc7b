//! Counting what was varied and what could not be.

use std::collections::BTreeMap;
use std::thread::available_parallelism;

use lunikernel_cache::Digest;

use super::report::{Report, RoundReport, State, Subject, VariationReport, Verdict};
use super::{Round, Variation, Verifier};
use crate::build::StepReport;
use crate::sandbox::Facet;

impl Report {
    /// A report of nothing, which differs in nothing.
    pub(super) fn empty() -> Self {
        Self {
            format: Self::FORMAT,
            verdict: Verdict::Good,
            subject: None,
            given: None,
            expected: None,
            rounds: Vec::new(),
            variations: Vec::new(),
            difference: None,
            step: None,
            causes: Vec::new(),
            bisection: None,
            failure: None,
        }
    }
}

impl Verifier<'_> {
    /// The report before the first round.
    pub(super) fn report(&self, expected: Option<Digest>) -> Report {
        let recipe = self.locked.recipe();
        Report {
            subject: Some(Subject {
                name: recipe.name.clone(),
                version: recipe.version.clone(),
                recipe: Digest::of(self.locked.recipe_text().as_bytes()),
                lock: Digest::of(self.locked.lock_text().as_bytes()),
            }),
            expected,
            ..Report::empty()
        }
    }

    /// What there is to tell of a round.
    pub(super) fn round_report(
        &self,
        round: &Round,
        exports: BTreeMap<String, Digest>,
    ) -> RoundReport {
        RoundReport {
            artefact: round.built.artefact,
            sandbox: round.place.sandbox.to_owned(),
            engine: round.place.engine.clone(),
            conditions: round.conditions.clone(),
            unable: round.built.unable(),
            steps: round.built.steps.clone(),
            exports,
        }
    }

    /// Fills in what was varied in the rounds that `report` has.
    pub(super) fn tally(&self, report: &mut Report) {
        report.variations = Variation::all()
            .map(|name| {
                let state = if self.varied.contains(&name) {
                    state(name, &report.rounds, self.sandboxes.len())
                } else {
                    State::NotAsked
                };
                VariationReport { name, state }
            })
            .collect();
    }
}

/// Whether `variation` was really something else in one round than in another, with
/// that many kinds of sandbox to choose from.
fn state(variation: Variation, rounds: &[RoundReport], sandboxes: usize) -> State {
    let unable = |why: &str| State::Unable {
        why: why.to_owned(),
    };
    if rounds.len() < 2 {
        return unable("there were no two rounds");
    }
    match variation {
        Variation::Sandbox if sandboxes < 2 => {
            return unable("only one kind of sandbox was used");
        }
        Variation::Around(Facet::Cpus) if available_parallelism().is_ok_and(|n| n.get() == 1) => {
            return unable("there is only one processor");
        }
        Variation::Around(_) | Variation::Sandbox if !rounds.iter().any(RoundReport::ran) => {
            return unable("no step ran that could notice");
        }
        _ => {}
    }
    let fixed_by = fixed_by(variation, rounds);
    if !fixed_by.is_empty() && fixed_by.len() == ran(rounds).count() {
        return State::Fixed { fixed_by };
    }
    let refusal = |round: &RoundReport| match variation {
        Variation::Around(facet) => round
            .unable
            .iter()
            .find(|unable| unable.facet == facet)
            .map(|unable| unable.why.clone()),
        _ => None,
    };
    // What differs in the other rounds is only the name: no other collation was had.
    if variation == Variation::Around(Facet::Locale)
        && let Some(why) = rounds.iter().find_map(refusal)
    {
        return unable(&why);
    }
    let values: Vec<String> = rounds
        .iter()
        .map(|round| match (refusal(round), variation) {
            (Some(_), _) => "could not be had".to_owned(),
            (None, Variation::Sandbox) => round.sandbox.clone(),
            (None, _) => round.conditions.value(variation),
        })
        .collect();
    let differs = rounds
        .iter()
        .zip(&values)
        .skip(1)
        .any(|(round, value)| refusal(round).is_none() && Some(value) != values.first());
    if differs {
        return State::Varied { values, fixed_by };
    }
    let why = rounds.iter().find_map(refusal);
    unable(why.as_deref().unwrap_or("it was the same in all rounds"))
}

/// The steps that ran, as the first round has them: they are the same in all.
fn ran(rounds: &[RoundReport]) -> impl Iterator<Item = &StepReport> {
    let steps = rounds.first().into_iter().flat_map(|round| &round.steps);
    steps.filter(|step| !step.pinned)
}

/// The names of those for which their own variables decide it.
fn fixed_by(variation: Variation, rounds: &[RoundReport]) -> Vec<String> {
    let Variation::Around(facet) = variation else {
        return Vec::new();
    };
    let fixed = ran(rounds).filter(|step| step.fixed.contains(&facet));
    fixed.map(|step| step.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Unable;
    use crate::verify::Conditions;

    /// Two rounds with these steps, each of them pinned or not, in two sandboxes.
    fn rounds(steps: &[bool]) -> Vec<RoundReport> {
        let steps: Vec<StepReport> = (steps.iter())
            .map(|pinned| StepReport {
                name: "step".to_owned(),
                action: Digest::of(b"action"),
                outputs: Digest::of(b"outputs"),
                cached: *pinned,
                pinned: *pinned,
                place: None,
                unable: Vec::new(),
                fixed: Vec::new(),
            })
            .collect();
        let all: Vec<Variation> = Variation::all().collect();
        let sandboxes = ["native", "docker"].into_iter().enumerate();
        sandboxes
            .map(|(number, sandbox)| RoundReport {
                artefact: Digest::of(b"the same"),
                sandbox: sandbox.to_owned(),
                engine: None,
                conditions: Conditions::of_round(number, &all),
                unable: Vec::new(),
                steps: steps.clone(),
                exports: BTreeMap::new(),
            })
            .collect()
    }

    #[test]
    fn what_a_step_decides_by_itself_is_no_variation_for_it() {
        let zone = Variation::Around(Facet::TimeZone);
        let of = |steps: &[(bool, bool)]| {
            let pinned: Vec<bool> = steps.iter().map(|(pinned, _)| *pinned).collect();
            let mut rounds = rounds(&pinned);
            for round in &mut rounds {
                for (step, (_, fixed)) in round.steps.iter_mut().zip(steps) {
                    step.fixed = fixed.then_some(Facet::TimeZone).into_iter().collect();
                }
            }
            state(zone, &rounds, 2)
        };
        let names = |count| vec!["step".to_owned(); count];
        // A pinned step decides nothing, as it did not run.
        let all = of(&[(true, false), (false, true), (false, true)]);
        assert_eq!(all, State::Fixed { fixed_by: names(2) });
        for (steps, expected) in [
            (&[(false, true), (false, false)][..], 1),
            (&[(true, true), (false, false)], 0),
        ] {
            match of(steps) {
                State::Varied { fixed_by, .. } => assert_eq!(fixed_by, names(expected)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_could_not_be_had_or_was_the_same_is_not_varied() {
        let why = |variation, rounds: &[RoundReport], sandboxes| match state(
            variation, rounds, sandboxes,
        ) {
            State::Unable { why } => why,
            other => panic!("{other:?}"),
        };
        let (host, locale) = [Facet::HostName, Facet::Locale]
            .map(Variation::Around)
            .into();
        let two = rounds(&[false]);
        assert!(matches!(state(host, &two, 2), State::Varied { .. }));
        assert_eq!(why(host, &two[..1], 2), "there were no two rounds");
        assert_eq!(
            why(Variation::Sandbox, &two, 1),
            "only one kind of sandbox was used"
        );
        let same = [two[0].clone(), two[0].clone()];
        assert_eq!(why(host, &same, 2), "it was the same in all rounds");

        // It was to be another, and was not.
        let refused = |facet| {
            let why = "not here".to_owned();
            RoundReport {
                unable: vec![Unable { facet, why }],
                ..two[1].clone()
            }
        };
        let not_had = [two[0].clone(), refused(Facet::HostName)];
        assert_eq!(why(host, &not_had, 2), "not here");
        // In a third round it was.
        let had = [&not_had[..], &two[1..]].concat();
        assert!(matches!(state(host, &had, 2), State::Varied { .. }));
        // Of a locale that a root lacks, only the name is another then.
        let had = [two[0].clone(), refused(Facet::Locale), two[1].clone()];
        assert_eq!(why(locale, &had, 2), "not here");
    }

    #[test]
    fn what_only_a_step_could_notice_is_varied_where_one_ran() {
        let notices =
            |variation: Variation| matches!(variation, Variation::Around(_) | Variation::Sandbox);
        // How many processors there are is the machine's affair.
        let all = Variation::all().filter(|one| *one != Variation::Around(Facet::Cpus));
        for variation in all {
            for (steps, ran) in [
                (&[] as &[bool], false),
                (&[true, true], false),
                (&[true, false], true),
            ] {
                let state = state(variation, &rounds(steps), 2);
                let varied = matches!(state, State::Varied { .. });
                assert_eq!(varied, ran || !notices(variation), "{variation}: {state:?}");
            }
        }
    }
}
