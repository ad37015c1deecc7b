//! Complaints: what is wrong, where, what was expected, and what helps.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// How many characters of a line are shown; a longer one is cut around the place.
const EXCERPT: usize = 100;

/// How many complaints are made about one recipe. Nobody mends more at once, and a
/// hostile file could have a hundred thousand.
pub(super) const MOST: usize = 100;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The recipe cannot be used.
    Error,
    /// The recipe can be used, but its author hardly meant this.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Something wrong in a file. Displayed as the text that people see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What was expected.
    pub expected: Option<String>,
    /// What helps.
    pub hint: Option<String>,
    #[serde(skip)]
    excerpt: Excerpt,
}

/// The line in question, made fit to be printed, and what to underline in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    start: usize,
    width: usize,
}

/// A complaint before it is known what file it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(super) severity: Severity,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) expected: Option<String>,
    pub(super) hint: Option<String>,
}

impl Problem {
    pub(crate) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span,
            message: message.into(),
            expected: None,
            hint: None,
        }
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Finds the line in `text`, of which `span` is a range of bytes.
    pub(super) fn locate(self, file: &str, text: &str) -> Complaint {
        let mut at = self.span.start.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (before, after) = text.split_at(at);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let (head, rest) = (&before[line_start..], after);
        let tail = rest.split('\n').next().unwrap_or_default();
        let tail = tail.trim_end_matches('\r');
        let column = head.chars().count() + 1;
        let width = match text.get(at..self.span.end.min(at + tail.len())) {
            Some(covered) => covered.trim_end().chars().count(),
            None => 1,
        };
        Complaint {
            severity: self.severity,
            message: printable(&self.message),
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column,
            expected: self.expected.as_deref().map(printable),
            hint: self.hint.as_deref().map(printable),
            excerpt: Excerpt::cut(head, tail, width.max(1)),
        }
    }
}

/// A text that may quote anything from the file, without what a terminal would act
/// on, and no longer than anybody reads.
fn printable(text: &str) -> String {
    const LONGEST: usize = 600;
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

impl Excerpt {
    /// The part of the line around the place. Everything that a terminal would act
    /// on is replaced, so that the carets stand below what they mean.
    fn cut(head: &str, tail: &str, width: usize) -> Self {
        let shown = |c: char| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        };
        let before = head.chars().count();
        let skipped = before.saturating_sub(EXCERPT / 2);
        let mut text: String = if skipped > 0 { "…" } else { "" }.to_owned();
        text.extend(head.chars().skip(skipped).map(shown));
        let start = text.chars().count();
        let room = EXCERPT.saturating_sub(start);
        text.extend(tail.chars().take(room).map(shown));
        if tail.chars().nth(room).is_some() {
            text.push('…');
        }
        Self {
            text: text.trim_end().to_owned(),
            start,
            width: width.min(room.max(1)),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{}: {}", self.severity, self.message)?;
        writeln!(f, "{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(
            f,
            "{}",
            format!("{number} | {}", self.excerpt.text).trim_end()
        )?;
        let Excerpt { start, width, .. } = self.excerpt;
        writeln!(f, "{gutter} | {}{}", " ".repeat(start), "^".repeat(width))?;
        if let Some(expected) = &self.expected {
            writeln!(f, "{gutter} = expected {expected}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_underlined() {
        let text = "a: 1\nbc: déf\n";
        let start = text.find("déf").unwrap();
        let complaint = Problem::error(start..start + 4, "no `déf`")
            .expected("a number")
            .hint("write 1")
            .locate("r.yaml", text);
        assert_eq!(
            complaint.to_string(),
            "error: no `déf`\n --> r.yaml:2:5\n  |\n2 | bc: déf\n  |     ^^^\n  = expected a number\nhint: write 1\n"
        );
    }

    #[test]
    fn long_and_hostile_lines_are_cut_and_cleaned() {
        let text = format!("{}\u{1b}[31mX{}", "a".repeat(5000), "b".repeat(5000));
        let shown = Problem::error(5005..5006, "x")
            .locate("r", &text)
            .to_string();
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        assert!(
            shown.lines().all(|line| line.chars().count() < 120),
            "{shown}"
        );
        let lines: Vec<&str> = shown.lines().collect();
        let at = lines[4].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[3].chars().nth(at), Some('X'), "{shown}");
    }

    #[test]
    fn places_beyond_the_text_or_inside_a_character_do_no_harm() {
        for span in [0..0, 1..2, 2..9, 99..100] {
            let complaint = Problem::error(span, "x").locate("r", "é");
            assert_eq!(complaint.line, 1);
        }
    }
}
