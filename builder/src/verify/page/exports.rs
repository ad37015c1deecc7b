//! What the rounds' Lunikernels were exported to.

use lunikernel_cache::Digest;
use maud::{Markup, html};

use crate::verify::report::Report;

/// A file that is the same in every round has one row, another one a row for each round.
pub(super) fn section(report: &Report) -> Markup {
    let unlike: Vec<&str> = report.unlike_exports().collect();
    let first = report.rounds.first().map(|round| &round.exports);
    let files = || first.into_iter().flatten();
    html! {
        @if files().next().is_some() {
            section {
                h2 { "What it was exported to" }
                table.digests {
                    @for (name, digest) in files() {
                        @if unlike.contains(&name.as_str()) {
                            (each_round(report, name, digest))
                        } @else {
                            tr.same {
                                th { (name) }
                                td { code { (digest.sha256) } }
                                td { @if report.rounds.len() > 1 { "in every round" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn each_round(report: &Report, name: &str, first: &Digest) -> Markup {
    html! {
        @for (number, round) in report.rounds.iter().enumerate() {
            @let digest = round.exports.get(name);
            @let same = digest == Some(first);
            tr class=(if same { "same" } else { "other" }) {
                th { (name) ", round " (number + 1) }
                td {
                    @match digest {
                        Some(digest) => code { (digest.sha256) },
                        None => "it was not made",
                    }
                }
                td { @if !same { "≠" } }
            }
        }
    }
}
