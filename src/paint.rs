//! Colours, where there is a terminal to show them and nobody minds.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use clap::builder::styling::{AnsiColor, Style};

/// Line beginnings that are painted, and how.
const LABELS: [(&str, Style); 5] = [
    ("error:", AnsiColor::Red.on_default().bold()),
    ("warning:", AnsiColor::Yellow.on_default().bold()),
    ("hint:", AnsiColor::Cyan.on_default().bold()),
    ("caused by:", Style::new().bold()),
    ("-->", AnsiColor::Blue.on_default().bold()),
];

/// Whether standard error gets colours: it is a terminal and `NO_COLOR` is unset or
/// empty (<https://no-color.org>).
fn wanted() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// Writes to standard error, painted where that is wanted, and nothing else in it that
/// a terminal would act on. There is nobody left to tell where that cannot be written to.
pub(crate) fn tell(text: &str) {
    told(text);
}

/// The same for those who want to know whether that went well.
pub(crate) fn told(text: &str) -> bool {
    let text = printable(text);
    let text = if wanted() {
        Cow::Owned(paint(&text))
    } else {
        text
    };
    std::io::stderr().write_all(text.as_bytes()).is_ok()
}

/// A text that may quote anything, such as the address in somebody's lock, with what a
/// terminal would act on spelled out. Lines and tabs stay.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Has the terminal show its cursor again, on a new line.
pub(crate) fn show_cursor() {
    let _ = std::io::stderr().write_all(b"\x1b[?25h\n");
}

/// Shows several texts on standard error, with an empty line after each.
pub(crate) fn show(texts: &[impl Display]) {
    for text in texts {
        tell(&format!("{text}\n"));
    }
}

/// Paints the labels at the beginnings of lines and the carets below them.
fn paint(text: &str) -> String {
    text.split_inclusive('\n').map(paint_line).collect()
}

fn paint_line(line: &str) -> String {
    let body = line.trim_start_matches(' ');
    let indent = &line[..line.len() - body.len()];
    for (label, style) in LABELS {
        if let Some(rest) = body.strip_prefix(label) {
            return format!("{indent}{style}{label}{style:#}{rest}");
        }
    }
    match line.split_once("| ") {
        Some((gutter, carets)) if carets.trim().chars().all(|c| c == '^') => {
            let style = AnsiColor::Red.on_default().bold();
            format!(
                "{gutter}| {style}{}{style:#}\n",
                carets.trim_end_matches('\n')
            )
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{paint, printable};

    #[test]
    fn nothing_that_is_told_moves_the_cursor_or_paints() {
        let text = "a\tb \u{1b}[2J\u{9b}1m\r\u{7}ä\n";
        assert_eq!(printable(text), "a\tb \\u{1b}[2J\\u{9b}1m\\r\\u{7}ä\n");
        assert_eq!(printable("plain\n"), "plain\n");
    }

    #[test]
    fn only_labels_and_carets_are_painted() {
        assert_eq!(paint("plain error: text\n"), "plain error: text\n");
        let painted = paint("error: no\n  | ^^\nhint: yes\n");
        assert!(painted.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m no\n"));
        assert!(painted.contains("| \u{1b}[1m\u{1b}[31m^^\u{1b}[0m\n"));
    }
}
