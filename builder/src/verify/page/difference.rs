//! The difference on the page: the way to it, and both sides next to one another.

use maud::{Markup, html};

use crate::verify::compare::{Bytes, Found};
use crate::verify::report::Report;

/// How many bytes a row has.
const ROW: u64 = 16;
/// How many rows are shown before and behind the first different one.
const AROUND: u64 = 3;

pub(super) fn section(report: &Report) -> Markup {
    let Some(difference) = &report.difference else {
        return html! {};
    };
    let text = difference.found.to_string();
    // Its first line says what; both sides are shown better than as lines.
    let head = text.lines().next().unwrap_or_default();
    html! {
        section {
            h2 { "Where" }
            p.place {
                code { (difference.entry) }
                @for place in &difference.path { " › " span { (place) } }
            }
            p.big { (head) }
            @if let Some((left, right)) = difference.found.texts() {
                div.sides {
                    div { h3 { "left" } pre { (marked(left, right)) } }
                    div { h3 { "right" } pre { (marked(right, left)) } }
                }
            }
            @if let Found::Order { left, right, .. } = &difference.found {
                div.sides {
                    div { h3 { "left" } pre { (left) } }
                    div { h3 { "right" } pre { (right) } }
                }
            }
            @if let Some(bytes) = difference.found.bytes() { (dump(bytes)) }
            @if !difference.others.is_empty() {
                details {
                    summary { "What else differs (" (difference.others.len()) ")" }
                    ul { @for other in &difference.others { li { (other) } } }
                    @if difference.unlisted > 0 { p { "and " (difference.unlisted) " more" } }
                }
            }
        }
    }
}

/// A text with what is not in the other one marked: all between what both begin and
/// end with.
fn marked(text: &str, other: &str) -> Markup {
    let same = text.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    let begin: usize = same.map(|(c, _)| c.len_utf8()).sum();
    let (head, rest) = text.split_at(begin);
    let other_rest = other.get(begin..).unwrap_or_default();
    let end: usize = rest
        .chars()
        .rev()
        .zip(other_rest.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(c, _)| c.len_utf8())
        .sum();
    let (middle, tail) = rest.split_at(rest.len() - end);
    html! { (head) mark { (middle) } (tail) }
}

fn dump(bytes: &Bytes) -> Markup {
    let own = bytes.offset - bytes.offset % ROW;
    let first = own.saturating_sub(AROUND * ROW);
    let rows: Vec<u64> = (0..=2 * AROUND)
        .map(|row| first + row * ROW)
        .filter(|start| *start <= own + AROUND * ROW)
        .collect();
    let (left, right) = (&bytes.left, &bytes.right);
    html! {
        div.sides.hex {
            @for (label, one, two) in [("left", left, right), ("right", right, left)] {
                div {
                    h3 { (label) " · " (one.size) " bytes" }
                    pre {
                        @for start in &rows {
                            @if *start < one.start + one.bytes.len() as u64 {
                                (row(*start, &one.bytes, &two.bytes, one.start))
                                "\n"
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One row of one side; bytes that the other side has not are marked. Both windows
/// begin at `window`.
fn row(start: u64, one: &[u8], two: &[u8], window: u64) -> Markup {
    let at = |position: u64| usize::try_from(position.checked_sub(window)?).ok();
    let cells: Vec<(Option<u8>, bool)> = (start..start + ROW)
        .map(|position| {
            let index = at(position);
            let byte = index.and_then(|index| one.get(index).copied());
            let other = index.and_then(|index| two.get(index).copied());
            (byte, byte != other)
        })
        .collect();
    let shown = |byte: u8| match byte {
        0x20..0x7f => char::from(byte),
        _ => '·',
    };
    html! {
        span.offset { (format!("{start:08x}")) }
        @for (byte, differs) in &cells {
            " "
            @match byte {
                Some(byte) if *differs => mark { (format!("{byte:02x}")) },
                Some(byte) => (format!("{byte:02x}")),
                None => "  ",
            }
        }
        "  "
        @for (byte, differs) in &cells {
            @match byte {
                Some(byte) if *differs => mark { (shown(*byte)) },
                Some(byte) => (shown(*byte)),
                None => " ",
            }
        }
    }
}
