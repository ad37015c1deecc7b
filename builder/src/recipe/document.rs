//! YAML as a tree in which every key and value knows its place.
//!
//! The typed reader stops at the first thing that it does not like and knows places
//! only of what it has just read. Complaints are therefore made about this tree,
//! which is read once, within bounds, before the typed reader sees the text.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_yaml::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};

use super::complaint::{MOST, Problem};
use super::path::{Path, Segment};
use super::words::Words;

/// How deep lists and mappings may be nested. The grammar has 6 levels.
const MAX_DEPTH: usize = 32;

/// How many values a file may have when its aliases are written out, so that a few
/// lines of aliases of aliases do not become gigabytes.
const MAX_NODES: usize = 100_000;

/// A value and its place, as a range of bytes.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
    /// How many values it is, itself included.
    size: usize,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A text, number, truth value or nothing; `plain` where it is not in quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order in which it is written.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// Reads a text that must be exactly one document.
pub(super) fn parse(text: &str, words: &Words) -> Result<Node, Vec<Problem>> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        text,
        words: *words,
        anchors: BTreeMap::new(),
        nodes: 0,
        problems: Vec::new(),
    };
    match reader.document() {
        Ok(node) if reader.problems.is_empty() => Ok(node),
        Ok(_) => Err(reader.problems),
        Err(problem) => {
            reader.problems.push(problem);
            Err(reader.problems)
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, serde_yaml::granit_parser::StrInput<'t>>,
    text: &'t str,
    words: Words,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    /// What is wrong but does not keep the rest from being read.
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<(Event<'static>, Range<usize>), Problem> {
        loop {
            let (event, span) = match self.parser.next() {
                Some(Ok(next)) => next,
                Some(Err(error)) => return Err(self.not_yaml(&error)),
                None => return Ok((Event::StreamEnd, self.text.len()..self.text.len())),
            };
            let span = bytes(&span);
            let own = match event {
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &span);
                    Event::Scalar(text.into_owned().into(), style, anchor, None)
                }
                Event::SequenceStart(style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &span);
                    Event::SequenceStart(style, anchor, None)
                }
                Event::MappingStart(style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &span);
                    Event::MappingStart(style, anchor, None)
                }
                Event::StreamEnd => Event::StreamEnd,
                Event::DocumentStart(explicit, version) => Event::DocumentStart(explicit, version),
                Event::DocumentEnd => Event::DocumentEnd,
                Event::SequenceEnd => Event::SequenceEnd,
                Event::MappingEnd => Event::MappingEnd,
                Event::Alias(anchor) => Event::Alias(anchor),
                // Comments and the start of the stream say nothing about values.
                _ => continue,
            };
            return Ok((own, span));
        }
    }

    fn document(&mut self) -> Result<Node, Problem> {
        let (event, span) = self.next()?;
        if !matches!(event, Event::DocumentStart(..)) {
            let Words { one, begins, .. } = self.words;
            return Err(Problem::error(span, format!("the {one} is empty"))
                .expected(format!("a mapping that begins with `{begins}`"))
                .hint(self.words.start));
        }
        let (event, span) = self.next()?;
        let node = self.node(event, span, 0)?;
        let _end_of_document = self.next()?;
        match self.next()? {
            (Event::StreamEnd, _) => Ok(node),
            (_, span) => Err(Problem::error(span, "a second document begins here")
                .expected(format!("one {} per file", self.words.one))
                .hint("move it to a file of its own")),
        }
    }

    fn node(
        &mut self,
        event: Event<'static>,
        span: Range<usize>,
        depth: usize,
    ) -> Result<Node, Problem> {
        if depth > MAX_DEPTH {
            return Err(Problem::error(span, "this is nested too deeply")
                .expected(format!("at most {MAX_DEPTH} levels")));
        }
        self.count(1, &span)?;
        let (kind, anchor, span) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let kind = Kind::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                };
                (kind, anchor, span)
            }
            Event::SequenceStart(_, anchor, _) => {
                let (items, end) = self.list(depth)?;
                (Kind::List(items), anchor, span.start..end)
            }
            Event::MappingStart(_, anchor, _) => {
                let (entries, end) = self.map(depth)?;
                (Kind::Map(entries), anchor, span.start..end)
            }
            Event::Alias(anchor) => return self.alias(anchor, span),
            _ => return Err(Problem::error(span, "a value is missing here")),
        };
        let size = 1 + match &kind {
            Kind::Scalar { .. } => 0,
            Kind::List(items) => items.iter().map(|item| item.size).sum(),
            Kind::Map(entries) => entries.iter().map(|(_, value)| value.size).sum::<usize>(),
        };
        let node = Node { span, kind, size };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<(Vec<Node>, usize), Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => return Ok((items, span.end)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<(Vec<(Key, Node)>, usize), Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen: BTreeMap<String, Range<usize>> = BTreeMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok((entries, span.end));
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if self.problems.len() >= MOST {
                return Err(Problem::error(key.span, "too much is wrong to go on here"));
            }
            let Kind::Scalar { text, .. } = key.kind else {
                self.problems.push(
                    Problem::error(key.span, "a key must be a text").expected("`key: value`"),
                );
                continue;
            };
            if let Some(first) = seen.get(&text) {
                let line = line_of(self.text, first.start);
                self.problems.push(
                    Problem::error(key.span, format!("the key `{text}` is here a second time"))
                        .expected("each key once")
                        .hint(format!("the first one is in line {line}")),
                );
                continue;
            }
            seen.insert(text.clone(), key.span.clone());
            let key = Key {
                text,
                span: key.span,
            };
            entries.push((key, value));
        }
    }

    fn alias(&mut self, anchor: usize, span: Range<usize>) -> Result<Node, Problem> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(Problem::error(
                span,
                "an alias stands inside what it is an alias of",
            )
            .hint("write out what it stands for, or move the anchor (`&name`) to a value that ends before it"));
        };
        let (kind, size) = (target.kind.clone(), target.size);
        self.count(size, &span)?;
        Ok(Node { span, kind, size })
    }

    fn count(&mut self, more: usize, span: &Range<usize>) -> Result<(), Problem> {
        self.nodes += more;
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        Err(Problem::error(
            span.clone(),
            format!("the {} is too large from here on", self.words.one),
        )
        .expected(format!(
            "at most {MAX_NODES} values, with aliases written out"
        )))
    }

    fn refuse_tag(&mut self, tagged: bool, span: &Range<usize>) {
        if tagged {
            self.problems.push(
                Problem::error(
                    span.clone(),
                    format!("{} have no tags such as `!!str`", self.words.many),
                )
                .hint("remove the tag; a text that looks like a number goes in quotes"),
            );
        }
    }

    /// What the parser could not read, in words that fit what people write here.
    fn not_yaml(&self, error: &ScanError) -> Problem {
        let at = error.marker().byte_offset().unwrap_or(0);
        let message = format!("this is not YAML: {}", error.info());
        let line_start = self
            .text
            .get(..at)
            .and_then(|t| t.rfind('\n'))
            .map_or(0, |n| n + 1);
        let line = self.text.get(line_start..).unwrap_or_default();
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indent).and_then(|indent| indent.find('\t')) {
            let tab = line_start + tab;
            return Problem::error(tab..tab + 1, "a tab stands in the indentation")
                .expected("spaces")
                .hint("YAML allows no tabs there; use two spaces per level");
        }
        match error.kind() {
            ErrorKind::UnknownAnchor => {
                Problem::error(at..at + 1, "this alias has no anchor above it")
                    .hint("`&name` before a value makes an anchor, `*name` repeats the value")
            }
            _ => Problem::error(at..at + 1, message).hint(
                "look at the lines above too: a quote, bracket or colon may be missing there",
            ),
        }
    }
}

fn bytes(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or(0..0)
}

/// The line that a byte is in, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

impl Node {
    /// The place of what `path` leads to, or of the last thing on the way that exists.
    pub(super) fn find(&self, path: &Path) -> Range<usize> {
        let mut node = self;
        let mut span = match &self.kind {
            Kind::Map(entries) => entries.first().map_or(&self.span, |(key, _)| &key.span),
            _ => &self.span,
        };
        for segment in path.segments() {
            let (next, key) = match (segment, &node.kind) {
                (Segment::Index(index), Kind::List(items)) => match items.get(*index) {
                    Some(item) => (item, &item.span),
                    None => break,
                },
                (Segment::Key(name), Kind::Map(entries)) => {
                    match entries.iter().find(|(key, _)| key.text == *name) {
                        Some((key, value)) => (value, &key.span),
                        None => break,
                    }
                }
                _ => break,
            };
            node = next;
            span = key;
        }
        let whole = matches!(path.segments().last(), Some(Segment::Key(_)));
        match &node.kind {
            // The value is what is wrong, and there is one to show.
            Kind::Scalar { text, .. } if !path.is_of_key() && !text.is_empty() => node.span.clone(),
            _ if whole || path.is_of_key() => span.clone(),
            _ => node.span.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::words::RECIPE;

    #[test]
    fn alias_bombs_are_stopped() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{below}]\n");
        }
        let problems = parse(&text, &RECIPE).unwrap_err();
        assert!(problems[0].message.contains("too large"), "{problems:?}");
    }

    #[test]
    fn deep_nesting_is_stopped() {
        for text in ["[".repeat(10_000), "- ".repeat(10_000), "{a: ".repeat(200)] {
            assert!(parse(&text, &RECIPE).is_err());
        }
    }

    #[test]
    fn places_are_found_by_path() {
        let text = "steps:\n  - name: é\n    inputs: {\"hello.c\": x}\n";
        let node = parse(text, &RECIPE).unwrap();
        let path = Path::new()
            .key("steps")
            .index(0)
            .key("inputs")
            .key("hello.c");
        assert_eq!(&text[node.find(&path)], "x");
        assert_eq!(&text[node.find(&path.of_key())], "\"hello.c\"");
        assert_eq!(path.to_string(), "steps[0].inputs.\"hello.c\"");
        let missing = Path::new().key("steps").index(0).key("run");
        assert!(
            text[node.find(&missing)].starts_with("name"),
            "{:?}",
            &text[node.find(&missing)]
        );
    }
}
