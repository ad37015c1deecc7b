//! The report as one page for browsers: everything is in it, nothing is loaded, and it
//! needs no script. Every text is escaped, as names in an artefact may be hostile.

mod difference;
mod exports;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::report::{Bisection, Report, RoundReport, State, Verdict};
use super::{Cause, Class, Confidence};

const STYLE: &str = include_str!("page.css");

/// The page. The same report gives the same bytes.
#[must_use]
pub fn page(report: &Report) -> String {
    let title = title(report);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing is ever loaded or run, whatever a name in an artefact says.
                meta http-equiv="Content-Security-Policy"
                    content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="color-scheme" content="light dark";
                title { (report.verdict) ": " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (banner(report, &title))
                main {
                    (failure(report))
                    @for cause in &report.causes { (why(cause, report)) }
                    (difference::section(report))
                    (builds(report))
                    (exports::section(report))
                    (variations(report))
                    @if let Some(bisection) = &report.bisection { (trials(bisection)) }
                }
                footer { "luni verify-reproducibility · " (report.format) }
            }
        }
    };
    markup.into_string() + "\n"
}

fn title(report: &Report) -> String {
    match &report.subject {
        Some(subject) => format!("{} {}", subject.name, subject.version),
        None => "two Lunikernels".to_owned(),
    }
}

fn banner(report: &Report, title: &str) -> Markup {
    let (class, mark) = match report.verdict {
        Verdict::Good => ("good", "✓"),
        Verdict::Differs => ("differs", "≠"),
        Verdict::Failed => ("failed", "!"),
    };
    html! {
        header class=(class) {
            span.mark aria-hidden="true" { (mark) }
            div {
                h1 { (report.verdict) }
                p { strong { (title) } " · " (summary(report)) }
            }
        }
    }
}

/// What the verdict means, in one sentence.
fn summary(report: &Report) -> String {
    let rounds = report.rounds.len();
    let varied = report.varied().count();
    let fixed = report.fixed().filter(|(.., all)| *all).count();
    let mut open = String::new();
    for (count, what) in [
        (fixed, "fixed by the recipe"),
        (report.unable().count(), "could not be varied"),
    ] {
        if count > 0 {
            open += &format!("; {count} {what}");
        }
    }
    match report.verdict {
        Verdict::Good if rounds == 0 => "both are the same, byte by byte".to_owned(),
        Verdict::Differs if rounds == 0 => "the two are not the same".to_owned(),
        Verdict::Good => {
            format!("{rounds} cold builds gave the same bytes over {varied} variations{open}")
        }
        Verdict::Differs => match report.causes.first() {
            Some(cause) if cause.confidence != Confidence::None => {
                format!("the result depends on {}", cause.class.meaning())
            }
            _ => match report.unlike_exports().count() {
                0 => format!("{rounds} cold builds did not give the bytes they should"),
                _ => format!("exports of {rounds} cold builds are not the same"),
            },
        },
        Verdict::Failed => "a round could not be built, so nothing is known".to_owned(),
    }
}

fn failure(report: &Report) -> Markup {
    html! {
        @if let Some(failure) = &report.failure {
            section {
                h2 { "Round " (failure.round) " failed" }
                @if let Some(step) = &failure.step {
                    p { "It was the step " code { (step) } "." }
                }
                @if let Some(script) = &failure.script { p { "It was " (script) "." } }
                pre { (failure.message) }
                @if let Some(hint) = &failure.hint { p.hint { (prose(hint)) } }
            }
        }
    }
}

fn why(cause: &Cause, report: &Report) -> Markup {
    html! {
        section.cause {
            h2 { "Why" }
            @if cause.class == Class::Unknown {
                p.big { "It cannot be told." }
            } @else {
                p.big {
                    "The result depends on " strong { (cause.class.meaning()) } "."
                    @if cause.confidence != Confidence::None {
                        " " span.badge { (cause.confidence) }
                    }
                    " " span.badge.class { (cause.class) }
                }
            }
            @if !cause.evidence.is_empty() {
                ul { @for evidence in &cause.evidence { li { (prose(evidence)) } } }
            }
            @if let Some(step) = &report.step {
                p { "The first step that made something else of the same is " code { (step) } "." }
            }
            h3 { "What to do" }
            p.hint { (prose(&cause.hint)) }
        }
    }
}

/// A text with what stands between backquotes as code.
fn prose(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn builds(report: &Report) -> Markup {
    let first = report.rounds.first().map(|round| round.artefact);
    let reference = report.expected.or(first);
    html! {
        section {
            h2 { "What was built" }
            table.digests {
                @if let Some(subject) = &report.subject {
                    tr { th { "recipe" } td { code { (subject.recipe.sha256) } } td {} }
                    tr { th { "lock" } td { code { (subject.lock.sha256) } } td {} }
                }
                @if let Some(expected) = &report.expected {
                    tr { th { "expected" } td { code { (expected.sha256) } } td {} }
                }
                @if let Some(given) = &report.given {
                    (artefact("given", given.sha256.to_string(), Some(*given) == reference, ""))
                }
                @for (number, round) in report.rounds.iter().enumerate() {
                    (artefact(
                        &format!("round {}", number + 1),
                        round.artefact.sha256.to_string(),
                        Some(round.artefact) == reference,
                        &round.place(),
                    ))
                }
            }
            @let as_locked = report.as_locked();
            @if !as_locked.is_empty() {
                p {
                    "Steps taken as locked, not run: "
                    @for (at, step) in as_locked.iter().enumerate() {
                        @if at > 0 { ", " }
                        code { (step) }
                    }
                    "."
                }
            }
        }
    }
}

fn artefact(label: &str, digest: String, same: bool, sandbox: &str) -> Markup {
    html! {
        tr class=(if same { "same" } else { "other" }) {
            th { (label) }
            td { code { (digest) } }
            td { (sandbox) @if !same { " ≠" } }
        }
    }
}

fn variations(report: &Report) -> Markup {
    let guilty = |name| {
        let mut causes = report.causes.iter();
        causes.any(|cause| cause.guilty.contains(&name))
    };
    html! {
        @if !report.variations.is_empty() {
            section {
                h2 { "What was varied" }
                div.wide {
                    table {
                        tr {
                            th { "variation" }
                            @for number in 1..=report.rounds.len() { th { "round " (number) } }
                        }
                        @for one in &report.variations {
                            @match &one.state {
                                State::Varied { values, fixed_by } => {
                                    tr class=(if guilty(one.name) { "guilty" } else { "varied" }) {
                                        th {
                                            (one.name)
                                            @if guilty(one.name) { " ← guilty" }
                                            @if !fixed_by.is_empty() { br; small { "not for " (steps(fixed_by)) } }
                                        }
                                        @for value in values { td { (value) } }
                                    }
                                }
                                State::Fixed { fixed_by } => {
                                    tr.fixed {
                                        th { (one.name) }
                                        td colspan=(columns(&report.rounds)) {
                                            "fixed by the recipe's " (steps(fixed_by))
                                        }
                                    }
                                }
                                State::Unable { why } => {
                                    tr.unable {
                                        th { (one.name) }
                                        td colspan=(columns(&report.rounds)) { "could not be varied: " (why) }
                                    }
                                }
                                State::NotAsked => {
                                    tr.not-asked {
                                        th { (one.name) }
                                        td colspan=(columns(&report.rounds)) { "not asked for" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The steps with these names.
fn steps(names: &[String]) -> Markup {
    html! {
        @if names.len() == 1 { "step " } @else { "steps " }
        @for (at, name) in names.iter().enumerate() {
            @if at > 0 { ", " }
            code { (name) }
        }
    }
}

fn columns(rounds: &[RoundReport]) -> usize {
    rounds.len().max(1)
}

fn trials(bisection: &Bisection) -> Markup {
    html! {
        section {
            h2 { "How the cause was searched for" }
            p { (bisection.outcome) "." }
            table {
                tr { th { "trial" } th { "varied" } th { "result" } }
                @for (number, trial) in bisection.trials.iter().enumerate() {
                    tr class=(if trial.same { "same" } else { "other" }) {
                        th { (number + 1) }
                        td {
                            @if trial.varied.is_empty() { em { "nothing" } }
                            @for (at, name) in trial.varied.iter().enumerate() {
                                @if at > 0 { ", " }
                                (name)
                            }
                        }
                        td {
                            @match &trial.artefact {
                                None => { (trial.failed.as_deref().unwrap_or("a step failed")) }
                                Some(_) if trial.same => { "the same" }
                                Some(_) => { "differs" }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
