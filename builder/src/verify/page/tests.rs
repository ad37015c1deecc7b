//! A fixed report gives a fixed page, and no name becomes markup.

use lunikernel_cache::Digest;

use super::page;
use crate::sandbox::Facet;
use crate::verify::compare::{Bytes, Difference, Extent, Format, Found, Other, Place, Window};
use crate::verify::report::{
    Bisection, FailureReport, Outcome, Report, RoundReport, State, Subject, TrialReport,
    VariationReport, Verdict,
};
use crate::verify::{Cause, Class, Conditions, Confidence, Variation};

const HOST_NAME: Variation = Variation::Around(Facet::HostName);
const TERMINAL: Variation = Variation::Around(Facet::Terminal);

fn window(text: &str) -> Window {
    Window {
        start: 0,
        bytes: text.as_bytes().to_vec(),
        size: text.len() as u64,
    }
}

/// Builds differ in their host name, in a file called `name`.
fn report(name: &str) -> Report {
    let texts = ["built on lunikernel\n", "built on elsewhere-1\n"];
    let bytes = Bytes {
        offset: 9,
        left: window(texts[0]),
        right: window(texts[1]),
        extent: Some(Extent {
            bytes: 10,
            ranges: 1,
        }),
    };
    let difference = Difference {
        entry: "initramfs.gz".to_owned(),
        path: vec![
            Place::Unpacked {
                format: Format::Gzip,
            },
            Place::Member {
                format: Format::Cpio,
                name: name.to_owned(),
            },
        ],
        found: Found::Line {
            number: 1,
            left: Some(texts[0].trim().to_owned()),
            right: Some(texts[1].trim().to_owned()),
            reordered: None,
            bytes,
        },
        others: vec![Other {
            entry: "lunikernel.json".to_owned(),
            path: Vec::new(),
            found: Found::Value {
                pointer: "/entries/0/digest".to_owned(),
                left: Some(name.to_owned()),
                right: None,
            },
        }],
        unlisted: 0,
    };
    let made = [Digest::of(b"one"), Digest::of(b"two")];
    let rounds = made
        .iter()
        .enumerate()
        .map(|(number, artefact)| RoundReport {
            artefact: *artefact,
            sandbox: "docker".to_owned(),
            engine: Some(format!("Docker {name}")),
            conditions: Conditions::of_round(number, &[HOST_NAME]),
            unable: Vec::new(),
            steps: Vec::new(),
            exports: [
                ("small.gce.tar.gz", b"image".as_slice()),
                (name, [b"one", b"two"][number].as_slice()),
            ]
            .map(|(file, bytes)| (file.to_owned(), Digest::of(bytes)))
            .into(),
        });
    Report {
        verdict: Verdict::Differs,
        subject: Some(Subject {
            name: "small".to_owned(),
            version: "1.0.0".to_owned(),
            recipe: Digest::of(b"recipe"),
            lock: Digest::of(b"lock"),
        }),
        rounds: rounds.collect(),
        variations: vec![
            VariationReport {
                name: HOST_NAME,
                state: State::Varied {
                    values: vec!["lunikernel".to_owned(), "elsewhere-1".to_owned()],
                    fixed_by: vec![name.to_owned()],
                },
            },
            VariationReport {
                name: Variation::Around(Facet::TimeZone),
                state: State::Fixed {
                    fixed_by: vec![name.to_owned(), "other".to_owned()],
                },
            },
            VariationReport {
                name: TERMINAL,
                state: State::Unable {
                    why: format!("no {name}"),
                },
            },
            VariationReport {
                name: Variation::Cache,
                state: State::NotAsked,
            },
        ],
        step: Some(name.to_owned()),
        causes: vec![Cause {
            class: Class::HostName,
            confidence: Confidence::Certain,
            guilty: vec![HOST_NAME],
            evidence: vec![format!("it is in {name}")],
            hint: "leave the host name out".to_owned(),
            difference: difference.clone(),
        }],
        difference: Some(difference),
        bisection: Some(Bisection {
            trials: vec![
                TrialReport {
                    varied: Vec::new(),
                    artefact: Some(made[0]),
                    failed: None,
                    same: true,
                },
                TrialReport {
                    varied: vec![HOST_NAME, TERMINAL],
                    artefact: Some(made[1]),
                    failed: None,
                    same: false,
                },
            ],
            outcome: Outcome::Found,
        }),
        ..Report::empty()
    }
}

#[test]
fn a_report_gives_one_page() {
    let page = page(&report("made/origin"));
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/verify/page/golden.html");
    // After a change that was meant: `UPDATE=1 cargo test -p lunikernel-builder page`.
    if std::env::var_os("UPDATE").is_some() {
        fs_err::write(golden, &page).unwrap();
    }
    assert_eq!(page, fs_err::read_to_string(golden).unwrap());
}

#[test]
fn exports_that_are_unlike_are_shown_for_each_round() {
    let rows = |report: &Report| {
        let page = page(report);
        let rows = page
            .split("<tr")
            .filter(|row| row.contains("<th>small.raw"));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut report = report("small.raw");
    report.causes.clear();
    report.difference = None;
    report.step = None;
    let unlike = rows(&report);
    assert_eq!(unlike.len(), 2, "{unlike:?}");
    assert!(unlike[0].contains("small.raw, round 1") && !unlike[0].contains('≠'));
    assert!(unlike[1].contains("small.raw, round 2") && unlike[1].contains('≠'));
    assert!(page(&report).contains("exports of 2 cold builds are not the same"));
    report.rounds[1].exports = report.rounds[0].exports.clone();
    let same = rows(&report);
    assert!(
        same.len() == 1 && same[0].contains("in every round"),
        "{same:?}"
    );
    assert!(!page(&report).contains("exports of"));
    for round in &mut report.rounds {
        round.exports.clear();
    }
    assert!(!page(&report).contains("exported"));
}

#[test]
fn what_steps_decide_and_where_they_ran_is_shown() {
    let page = page(&report("sign"));
    for shown in [
        "fixed by the recipe's steps <code>sign</code>, <code>other</code>",
        "<small>not for step <code>sign</code></small>",
        "docker: Docker sign",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
}

#[test]
fn names_do_not_become_markup() {
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;";
    let mut report = report(hostile);
    report.failure = Some(FailureReport {
        round: 1,
        step: Some(hostile.to_owned()),
        script: Some(hostile.to_owned()),
        message: hostile.to_owned(),
        hint: Some(hostile.to_owned()),
    });
    if let Some(subject) = &mut report.subject {
        subject.name = hostile.to_owned();
    }
    let page = page(&report);
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("<img"), "{page}");
    // Every one of its quotes and brackets is escaped, so that all tags are ours.
    let ours = [
        "html", "head", "meta", "title", "style", "body", "header", "span", "div", "h1", "p",
        "strong", "main", "section", "h2", "h3", "pre", "code", "ul", "li", "mark", "details",
        "summary", "table", "tr", "th", "td", "em", "footer", "!DOCTYPE", "br", "small",
    ];
    for tag in page.split('<').skip(1) {
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '!')
            .collect();
        assert!(ours.contains(&name.as_str()), "<{name}");
    }
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    let page = page(&report("made/origin"));
    for word in ["http://", "https://", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn each_verdict_has_its_own_banner() {
    for (verdict, class) in [
        (Verdict::Good, "good"),
        (Verdict::Differs, "differs"),
        (Verdict::Failed, "failed"),
    ] {
        let page = page(&Report {
            verdict,
            ..Report::empty()
        });
        assert!(
            page.contains(&format!("<header class=\"{class}\">")),
            "{page}"
        );
        assert!(page.contains(&format!("<h1>{verdict}</h1>")), "{page}");
    }
}
