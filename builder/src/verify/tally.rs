//! Counting what was varied and what could not be.

use std::collections::BTreeMap;
use std::thread::available_parallelism;

use lunikernel_cache::Digest;

use super::report::{Report, RoundReport, State, Subject, VariationReport, Verdict};
use super::{Round, Variation, Verifier};
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
            sandbox: self.sandbox(round.conditions.sandbox),
            conditions: round.conditions.clone(),
            unable: round.built.unable(),
            steps: round.built.steps.clone(),
            exports,
        }
    }

    fn sandbox(&self, number: usize) -> String {
        let count = self.sandboxes.len().max(1);
        self.sandboxes
            .get(number % count)
            .cloned()
            .unwrap_or_default()
    }

    /// Fills in what was varied in the rounds that `report` has.
    pub(super) fn tally(&self, report: &mut Report) {
        report.variations = Variation::all()
            .map(|name| {
                let state = if self.varied.contains(&name) {
                    self.state(name, &report.rounds)
                } else {
                    State::NotAsked
                };
                VariationReport { name, state }
            })
            .collect();
    }

    /// Whether `variation` was really something else in one round than in another.
    fn state(&self, variation: Variation, rounds: &[RoundReport]) -> State {
        let unable = |why: &str| State::Unable {
            why: why.to_owned(),
        };
        if rounds.len() < 2 {
            return unable("there were no two rounds");
        }
        match variation {
            Variation::Sandbox if self.sandboxes.len() < 2 => {
                return unable("only one kind of sandbox was used");
            }
            Variation::Around(Facet::Cpus)
                if available_parallelism().is_ok_and(|n| n.get() == 1) =>
            {
                return unable("there is only one processor");
            }
            Variation::Around(_) if rounds.iter().all(|round| round.steps.is_empty()) => {
                return unable("no step ran that could notice");
            }
            _ => {}
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
            return State::Varied { values };
        }
        let why = rounds.iter().find_map(refusal);
        unable(why.as_deref().unwrap_or("it was the same in all rounds"))
    }
}
