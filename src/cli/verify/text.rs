//! The report as a person reads it on a terminal: verdict, where, why, what to do.

use std::collections::BTreeSet;

use lunikernel_builder::verify::{Cause, Class, Confidence, Report, RoundReport, Verdict};

/// Where the second column begins.
const COLUMN: usize = 10;
/// How wide lines may be, where they can be broken.
const WIDTH: usize = 100;

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let mut lines = vec![headline(report)];
    if let Some(failure) = &report.failure {
        lines.push(entry("failed", &format!("round {}", failure.round)));
        if let Some(step) = &failure.step {
            lines.push(entry("step", step));
        }
        if let Some(script) = &failure.script {
            lines.push(entry("script", script));
        }
    }
    for name in report.unlike_exports() {
        lines.push(entry(
            "export",
            &format!("{name} is not the same in every round"),
        ));
    }
    if let Some(difference) = &report.difference {
        lines.push(entry("where", &difference.to_string()));
    }
    if let Some(step) = &report.step {
        let text = format!("`{step}` is the first that made something else of the same");
        lines.push(entry("step", &text));
    }
    for cause in &report.causes {
        lines.extend(why(cause));
    }
    if let Some(bisection) = &report.bisection {
        let count = bisection.trials.len();
        let text = format!("{count} trials: {}", bisection.outcome);
        lines.push(entry("search", &text));
    }
    for (label, digest) in [("given", &report.given), ("expected", &report.expected)] {
        if let Some(digest) = digest {
            lines.push(entry(label, &digest.sha256.to_string()));
        }
    }
    for (number, round) in report.rounds.iter().enumerate() {
        let label = format!("round {}", number + 1);
        lines.push(entry(&label, &round.artefact.sha256.to_string()));
    }
    if let Some(round) = report.rounds.first() {
        let unlike: Vec<&str> = report.unlike_exports().collect();
        for (name, digest) in &round.exports {
            if !unlike.contains(&name.as_str()) {
                lines.push(entry("export", &format!("{} {name}", digest.sha256)));
            }
        }
    }
    let as_locked = Vec::from_iter(report.as_locked());
    if !as_locked.is_empty() {
        let text = format!("taken as locked, not run: {}", as_locked.join(", "));
        lines.push(entry("steps", &text));
    }
    lines.extend(sandboxes(report));
    lines.extend(varied(report));
    lines.join("\n") + "\n"
}

fn headline(report: &Report) -> String {
    let verdict = report.verdict;
    let count = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    };
    let varied = count(report.varied().count(), "variation");
    let rounds = count(report.rounds.len(), "round");
    let fixed = report.fixed().filter(|(.., all)| *all);
    let fixed: Vec<String> = fixed.map(|(name, ..)| name.to_string()).collect();
    let unable: Vec<String> = report.unable().map(|(name, _)| name.to_string()).collect();
    let mut open = String::new();
    for (names, what) in [
        (fixed, "fixed by the recipe"),
        (unable, "could not be varied"),
    ] {
        if !names.is_empty() {
            open += &format!("; {} {what}: {}", names.len(), names.join(", "));
        }
    }
    match verdict {
        Verdict::Failed => format!("{verdict}: nothing is known"),
        _ if report.rounds.is_empty() => format!("{verdict}, compared only"),
        Verdict::Differs => format!("{verdict} in {rounds} over {varied}"),
        Verdict::Good => format!("{verdict} in {rounds} over {varied}{open}"),
    }
}

/// Where the steps ran, which may be the choice of `auto`; nothing where none did.
fn sandboxes(report: &Report) -> Option<String> {
    let ran = report.rounds.iter().filter(|round| round.ran());
    let places: BTreeSet<String> = ran.map(RoundReport::place).collect();
    let places: Vec<String> = places.into_iter().collect();
    (!places.is_empty()).then(|| entry("sandbox", &places.join("\n")))
}

fn why(cause: &Cause) -> Vec<String> {
    let sure = match cause.confidence {
        Confidence::None => String::new(),
        confidence => format!(" ({confidence})"),
    };
    let mut why = match cause.class {
        Class::Unknown => "it cannot be told".to_owned(),
        class => format!("{class}{sure}: the result depends on {}", class.meaning()),
    };
    for evidence in &cause.evidence {
        why += &format!("\n- {evidence}");
    }
    vec![entry("why", &why), entry("what to do", &cause.hint)]
}

fn varied(report: &Report) -> Vec<String> {
    let list = |names: Vec<String>| names.join(", ");
    let varied = list(report.varied().map(|(name, _)| name.to_string()).collect());
    let not_asked = list(report.not_asked().map(|name| name.to_string()).collect());
    let mut lines = Vec::new();
    if !report.variations.is_empty() {
        let varied = if varied.is_empty() {
            "nothing"
        } else {
            &varied
        };
        lines.push(entry("varied", varied));
    }
    let fixed: Vec<String> = report
        .fixed()
        .map(|(name, steps, all)| {
            let rest = if all { "" } else { "; varied for the others" };
            let noun = if steps.len() == 1 { "step" } else { "steps" };
            let steps: Vec<String> = steps.iter().map(|step| format!("`{step}`")).collect();
            format!("{name}: by the recipe's {noun} {}{rest}", steps.join(", "))
        })
        .collect();
    if !fixed.is_empty() {
        lines.push(entry("fixed", &fixed.join("\n")));
    }
    let unable: Vec<String> = report
        .unable()
        .map(|(name, why)| format!("{name}: {why}"))
        .collect();
    if !unable.is_empty() {
        lines.push(entry("not varied", &unable.join("\n")));
    }
    if !not_asked.is_empty() {
        lines.push(entry("not asked", &not_asked));
    }
    lines
}

/// A label and what belongs to it; further lines are moved below the first.
fn entry(label: &str, text: &str) -> String {
    let width = COLUMN + 2;
    let mut lines = Vec::new();
    for line in text.lines() {
        lines.extend(broken(line, WIDTH - width));
    }
    let indent = format!("\n{:width$}", "");
    format!("{label:<width$}{}", lines.join(&indent))
}

/// Breaks a line of words; one that begins with a blank is laid out already.
fn broken(line: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if line.starts_with(' ') || line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if last.chars().count() + 1 + word.chars().count() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_blanks_and_moved_below_the_first() {
        let words = "word ".repeat(30);
        let shown = entry("why", words.trim());
        assert_eq!(shown.lines().count(), 2, "{shown}");
        for line in shown.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(
            shown
                .lines()
                .nth(1)
                .unwrap()
                .starts_with("            word")
        );
        let laid_out = format!("  {}", "ab ".repeat(60));
        assert_eq!(entry("where", &laid_out).lines().count(), 1);
    }
}
