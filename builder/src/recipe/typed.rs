//! Reading a YAML file that people write, with everything that is wrong with it: the
//! text, then its tree, then the grammar, then the types, then what only code can check.

use schemars::Schema;
use serde::de::DeserializeOwned;
use serde_yaml::Options;

use super::complaint::{Complaint, MOST, Problem, Severity};
use super::document::Node;
use super::path::Path;
use super::words::Words;
use super::{document, grammar};

/// How large such a file may be, in bytes. The largest ones have a few KiB; who
/// reaches this has named the wrong file.
pub const MAX_SIZE: u64 = 1 << 20;

/// Something wrong at a path of the document.
#[derive(Debug)]
pub(crate) struct Finding {
    path: Path,
    problem: Problem,
}

impl Finding {
    /// `problem`, whose place `path` will tell.
    pub(crate) fn new(path: Path, problem: Problem) -> Self {
        Self { path, problem }
    }

    /// Finds out where in the text it is.
    fn place(mut self, document: &Node) -> Problem {
        self.problem.span = document.find(&self.path);
        self.problem
    }
}

/// What was read: the value, its text, and warnings.
pub(crate) type Typed<T> = (T, String, Vec<Complaint>);

/// Reads what `bytes` hold; `name` is what complaints call the file, `schema` the
/// grammar that the type gives, and `check` finds what that cannot say.
///
/// # Errors
/// Complaints, of which at least one is an error.
pub(crate) fn read<T: DeserializeOwned>(
    bytes: &[u8],
    name: &str,
    words: &Words,
    schema: &Schema,
    check: impl FnOnce(&T) -> Vec<Finding>,
) -> Result<Typed<T>, Vec<Complaint>> {
    let text = text_of(bytes, words)
        .map_err(|problem| vec![problem.locate(name, &String::from_utf8_lossy(bytes))])?;
    let (value, mut problems) = parse(text, words, schema, check);
    problems.truncate(MOST);
    let mut complaints: Vec<Complaint> = problems
        .into_iter()
        .map(|problem| problem.locate(name, text))
        .collect();
    complaints.sort_by_key(|complaint| (complaint.line, complaint.column));
    match value {
        Some(value) if complaints.iter().all(|c| c.severity == Severity::Warning) => {
            Ok((value, text.to_owned(), complaints))
        }
        _ => Err(complaints),
    }
}

/// The text, if it is one that such a file can be.
fn text_of<'b>(bytes: &'b [u8], words: &Words) -> Result<&'b str, Problem> {
    if bytes.len() as u64 > MAX_SIZE {
        let message = format!("the file is too large for a {}", words.one);
        return Err(Problem::error(0..1, message)
            .expected("at most 1 MiB")
            .hint("is this the file that you meant?"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Problem::error(at..at + 1, "the file is not UTF-8 from here on")
            .expected("a text in UTF-8")
            .hint("save it as UTF-8 in the editor")
    })?;
    match text.find('\0') {
        Some(at) => Err(Problem::error(at..at + 1, "the file has a NUL byte here")
            .expected("a text")
            .hint("is this the file that you meant?")),
        None => Ok(text),
    }
}

/// The value, as far as it could be read, and everything that is wrong with it.
fn parse<T: DeserializeOwned>(
    text: &str,
    words: &Words,
    schema: &Schema,
    check: impl FnOnce(&T) -> Vec<Finding>,
) -> (Option<T>, Vec<Problem>) {
    let document = match document::parse(text, words) {
        Ok(document) => document,
        Err(problems) => return (None, problems),
    };
    let problems = grammar::check(&document, schema.as_value(), words);
    if !problems.is_empty() {
        return (None, problems);
    }
    match serde_yaml::from_str_with_options::<T>(text, options()) {
        Ok(value) => {
            let findings = check(&value).into_iter();
            let problems = findings.map(|finding| finding.place(&document)).collect();
            (Some(value), problems)
        }
        Err(error) => (None, vec![typed(&error, text)]),
    }
}

fn options() -> Options {
    serde_yaml::options! {
        strict_booleans: true,
        with_snippet: false,
    }
}

/// What only the typed reader noticed, such as a digest that is none.
fn typed(error: &serde_yaml::Error, text: &str) -> Problem {
    let at = error.location().map_or(0, |location| {
        let line = usize::try_from(location.line()).unwrap_or(1);
        let column = usize::try_from(location.column()).unwrap_or(1);
        let start: usize = text
            .split_inclusive('\n')
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        let rest = text.get(start..).unwrap_or_default();
        start
            + rest
                .char_indices()
                .nth(column.saturating_sub(1))
                .map_or(0, |(offset, _)| offset)
    });
    let rest = text.get(at..).unwrap_or_default();
    let width = rest.find(['\n', '#']).unwrap_or(rest.len());
    let message = match error.without_snippet() {
        serde_yaml::Error::Message { msg, .. } => msg.clone(),
        other => other.to_string(),
    };
    match message
        .split_once(": expected ")
        .or(message.split_once(", expected "))
    {
        Some((message, expected)) => Problem::error(at..at + width, message).expected(expected),
        None => Problem::error(at..at + width, message),
    }
}
