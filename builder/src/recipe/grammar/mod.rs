//! Checks a document against the grammar: the JSON Schema that the types give.
//!
//! One pass reports everything that does not fit, each with its place; what the
//! schema says of a key is what people are told that was expected. Only what
//! [`super::schema`] generates is understood, not JSON Schema as a whole.

mod shape;

use serde_json::Value;

use super::complaint::{MOST, Problem};
use super::document::{Kind, Node};
use super::near::nearest;
use super::path::Path;
use super::words::Words;
use shape::{allows, array, constants, plain_type, strings, tagged, type_of};

/// Everything in `document` that does not fit `schema`.
pub(super) fn check(document: &Node, schema: &Value, words: &Words) -> Vec<Problem> {
    let mut checker = Checker {
        document,
        whole: words.one,
        root: schema,
        problems: Vec::new(),
    };
    checker.value(document, schema, &Path::new());
    checker.problems
}

struct Checker<'s> {
    document: &'s Node,
    /// What the document as a whole is called.
    whole: &'static str,
    root: &'s Value,
    problems: Vec<Problem>,
}

impl<'s> Checker<'s> {
    /// Follows references; what a schema says beside its reference is kept.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        // References of ours are one or two steps long; a circle ends all the same.
        for _ in 0..8 {
            let target = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix('#'))
                .and_then(|pointer| self.root.pointer(pointer));
            match target {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn value(&mut self, node: &Node, schema: &'s Value, path: &Path) {
        if self.problems.len() >= MOST {
            return;
        }
        let schema = self.resolve(schema);
        if let Some(words) = constants(schema) {
            return self.word(node, &words, path);
        }
        if let Some(tagged) = tagged(schema) {
            return self.tagged(node, &tagged, path);
        }
        if !self.has_type(node, schema, path) {
            return;
        }
        match &node.kind {
            Kind::Map(_) => self.map(node, schema, path),
            Kind::List(items) => self.list(node, items, schema, path),
            Kind::Scalar { text, .. } => self.number(node, text, schema, path),
        }
    }

    /// One of some words.
    fn word(&mut self, node: &Node, words: &[&str], path: &Path) {
        let written = match &node.kind {
            Kind::Scalar { text, .. } if !text.is_empty() => text.as_str(),
            _ => return self.wrong_type(node, &one_of(words), path),
        };
        if words.contains(&written) {
            return;
        }
        let mut problem = Problem::error(
            node.span.clone(),
            format!("`{}` is not known as `{path}`", short(written)),
        )
        .expected(one_of(words));
        if words.len() > 1 {
            problem.hint = did_you_mean(written, words);
        }
        self.problems.push(problem);
    }

    /// A mapping with one of several keys, which says what kind of thing it is.
    fn tagged(&mut self, node: &Node, kinds: &[(&'s str, &'s Value)], path: &Path) {
        let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
        let Kind::Map(entries) = &node.kind else {
            return self.wrong_type(
                node,
                &format!("a mapping with {} as its key", one_of(&names)),
                path,
            );
        };
        for (key, value) in entries {
            if self.problems.len() >= MOST {
                return;
            }
            match kinds.iter().find(|(name, _)| *name == key.text) {
                Some((name, schema)) => self.value(value, schema, &path.key(name)),
                None => self.unknown_key(&key.text, key.span.clone(), &names, path),
            }
        }
        let known = entries
            .iter()
            .filter(|(key, _)| names.contains(&key.text.as_str()));
        match known.count() {
            0 if entries.is_empty() => self.wrong_type(node, &one_of(&names), path),
            0 | 1 => {}
            _ => self.problems.push(
                Problem::error(
                    self.document.find(&path.of_key()),
                    format!("`{path}` is several things at once"),
                )
                .expected(format!("exactly one of {}", list(&names)))
                .hint("give each a name of its own"),
            ),
        }
    }

    fn map(&mut self, node: &Node, schema: &'s Value, path: &Path) {
        let Kind::Map(entries) = &node.kind else {
            return;
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let known: Vec<&str> = properties
            .iter()
            .flat_map(|properties| properties.keys().map(String::as_str))
            .collect();
        let additional = schema.get("additionalProperties");
        for (key, value) in entries {
            if self.problems.len() >= MOST {
                return;
            }
            let here = path.key(&key.text);
            let property = properties.and_then(|properties| properties.get(&key.text));
            match (property, additional) {
                (Some(schema), _) => self.value(value, schema, &here),
                (None, Some(schema)) if schema.is_object() => self.value(value, schema, &here),
                (None, _) => self.unknown_key(&key.text, key.span.clone(), &known, path),
            }
        }
        // A key that was misspelt is complained about already.
        let has = |name: &str| {
            entries.iter().any(|(key, _)| {
                key.text == name
                    || (!known.contains(&key.text.as_str())
                        && nearest(&key.text, known.iter().copied()) == Some(name))
            })
        };
        for name in strings(schema, "required").filter(|name| !has(name)) {
            let mut problem = Problem::error(
                self.document.find(&path.of_key()),
                format!("{} has no `{name}`", self.described(path)),
            );
            problem.expected = properties
                .and_then(|properties| self.description(properties.get(name)?))
                .map(|text| format!("`{name}`: {text}"));
            self.problems.push(problem);
        }
        self.alternatives(node, schema, path);
    }

    /// Exactly one of several keys.
    fn alternatives(&mut self, node: &Node, schema: &Value, path: &Path) {
        let Kind::Map(entries) = &node.kind else {
            return;
        };
        let choices: Vec<&str> = array(schema, "oneOf")
            .into_iter()
            .flatten()
            .flat_map(|choice| strings(choice, "required"))
            .collect();
        let chosen: Vec<_> = entries
            .iter()
            .filter(|(key, _)| choices.contains(&key.text.as_str()))
            .collect();
        match chosen.as_slice() {
            [] if !choices.is_empty() => self.problems.push(
                Problem::error(
                    self.document.find(&path.of_key()),
                    format!("`{path}` does not say what it is"),
                )
                .expected(format!("exactly one of {}", list(&choices))),
            ),
            [(first, _), (second, _), ..] => self.problems.push(
                Problem::error(
                    second.span.clone(),
                    format!("`{path}` has `{}` as well as `{}`", second.text, first.text),
                )
                .expected(format!("exactly one of {}", list(&choices))),
            ),
            _ => {}
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &'s Value, path: &Path) {
        if let Some(of) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.value(item, of, &path.index(index));
            }
        }
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        if (items.len() as u64) < least {
            self.problems.push(
                Problem::error(node.span.clone(), format!("`{path}` is empty"))
                    .expected("at least one"),
            );
        }
    }

    fn number(&mut self, node: &Node, text: &str, schema: &Value, path: &Path) {
        if !allows(schema, "integer") {
            return;
        }
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if digits.starts_with('0') && digits.len() > 1 {
            self.problems.push(
                Problem::error(
                    node.span.clone(),
                    format!(
                        "{} is not the same number to every reader of YAML",
                        short(text)
                    ),
                )
                .expected("a decimal number without zeros before it"),
            );
            return;
        }
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
        let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum"));
        let number = text.parse::<i64>().ok();
        let fits = |number: i64| number >= least && most.is_none_or(|most| number <= most);
        if number.is_some_and(fits) {
            return;
        }
        let expected = match most {
            Some(most) => format!("a whole number from {least} to {most}"),
            None => format!("a whole number, {least} or more"),
        };
        self.problems.push(
            Problem::error(
                node.span.clone(),
                format!("{} is out of range for `{path}`", short(text)),
            )
            .expected(expected),
        );
    }

    /// Whether the value is of a type that is wanted; complains where it is not.
    fn has_type(&mut self, node: &Node, schema: &'s Value, path: &Path) -> bool {
        let Some(wanted) = ["object", "array", "string", "integer", "boolean"]
            .into_iter()
            .find(|name| allows(schema, name))
        else {
            return true;
        };
        let actual = type_of(node);
        if actual == wanted {
            return true;
        }
        let mut expected = match wanted {
            "object" => "a mapping (`key: value`)",
            "array" => "a list (`[one, two]`, or lines that begin with `- `)",
            "string" => "a text",
            "integer" => "a whole number",
            _ => "`true` or `false`",
        }
        .to_owned();
        if let Some(text) = self.description(schema)
            && !path.segments().is_empty()
        {
            expected += &format!(": {text}");
        }
        self.wrong_type(node, &expected, path);
        let hint = match (&node.kind, wanted) {
            (Kind::Scalar { text, .. }, "string") if actual != "null" => {
                Some(format!("put it in quotes: \"{}\"", short(text)))
            }
            (Kind::Scalar { text, plain: false }, "integer") if text.parse::<i64>().is_ok() => {
                Some(format!("write it without quotes: {}", short(text)))
            }
            (Kind::Scalar { text, .. }, "boolean") => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "true" => Some("write `true`".to_owned()),
                "no" | "off" | "n" | "false" => Some("write `false`".to_owned()),
                _ => None,
            },
            (Kind::Scalar { text, .. }, "array") if actual != "null" => Some(format!(
                "write each entry on its own: `[{}]`",
                words_of(text)
            )),
            _ => None,
        };
        if let Some(problem) = self.problems.last_mut() {
            problem.hint = hint;
        }
        false
    }

    fn wrong_type(&mut self, node: &Node, expected: &str, path: &Path) {
        let actual = match type_of(node) {
            "object" => "a mapping",
            "array" => "a list",
            "string" => "a text",
            "integer" | "number" => "a number",
            "boolean" => "a truth value",
            _ => "nothing",
        };
        self.problems.push(
            Problem::error(
                node.span.clone(),
                format!("{} is {actual}", self.described(path)),
            )
            .expected(expected),
        );
    }

    fn described(&self, path: &Path) -> String {
        if path.segments().is_empty() {
            format!("the {}", self.whole)
        } else {
            format!("`{path}`")
        }
    }

    fn unknown_key(
        &mut self,
        key: &str,
        span: std::ops::Range<usize>,
        known: &[&str],
        path: &Path,
    ) {
        let place = if path.segments().is_empty() {
            String::new()
        } else {
            format!(" in `{path}`")
        };
        let mut problem = Problem::error(span, format!("unknown key `{}`{place}", short(key)))
            .expected(one_of(known));
        problem.hint = if key == "<<" {
            Some(
                "YAML 1.2 has no merge keys; repeat a whole value with `&name` and `*name`"
                    .to_owned(),
            )
        } else {
            did_you_mean(key, known)
        };
        self.problems.push(problem);
    }

    /// What the schema says of a value, as one line without its full stop.
    fn description(&self, schema: &'s Value) -> Option<String> {
        let own = schema.get("description");
        let text = own
            .or_else(|| self.resolve(schema).get("description"))?
            .as_str()?;
        let first = text.split("\n\n").next()?.to_owned();
        Some(first.trim_end_matches('.').to_owned())
    }
}

fn did_you_mean(written: &str, known: &[&str]) -> Option<String> {
    nearest(written, known.iter().copied()).map(|near| format!("did you mean `{near}`?"))
}

/// The beginning of a text that may be long.
fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// The words of a text as entries of a list.
fn words_of(text: &str) -> String {
    let words: Vec<String> = short(text)
        .split_whitespace()
        .map(|word| match plain_type(word) {
            "string" => word.to_owned(),
            _ => format!("\"{word}\""),
        })
        .collect();
    words.join(", ")
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn one_of(names: &[&str]) -> String {
    match names {
        [only] => format!("`{only}`"),
        _ => format!("one of {}", list(names)),
    }
}
