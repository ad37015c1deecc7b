//! What a schema asks for, and what a value is.

use serde_json::Value;

use crate::recipe::document::{Kind, Node};

pub(super) fn array<'v>(schema: &'v Value, name: &str) -> Option<&'v Vec<Value>> {
    schema.get(name).and_then(Value::as_array)
}

pub(super) fn strings<'v>(schema: &'v Value, name: &str) -> impl Iterator<Item = &'v str> {
    array(schema, name)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Whether a schema is for values of the type.
pub(super) fn allows(schema: &Value, name: &str) -> bool {
    schema.get("type").and_then(Value::as_str) == Some(name)
}

/// The words of a choice between words.
pub(super) fn constants(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = array(schema, "enum") {
        return words.iter().map(Value::as_str).collect();
    }
    array(schema, "oneOf")?
        .iter()
        .map(|choice| choice.get("const").and_then(Value::as_str))
        .collect()
}

/// The keys and values of a choice between mappings with one key each.
pub(super) fn tagged(schema: &Value) -> Option<Vec<(&str, &Value)>> {
    array(schema, "oneOf")?
        .iter()
        .map(|choice| {
            let properties = choice.get("properties").and_then(Value::as_object)?;
            let (name, schema) = properties.iter().next()?;
            Some((name.as_str(), schema))
        })
        .collect()
}

/// The type of a value by the core schema of YAML 1.2 (section 10.3).
pub(super) fn type_of(node: &Node) -> &'static str {
    match &node.kind {
        Kind::Map(_) => "object",
        Kind::List(_) => "array",
        Kind::Scalar { plain: false, .. } => "string",
        Kind::Scalar { text, .. } => plain_type(text),
    }
}

/// The type of a scalar that is not in quotes.
pub(super) fn plain_type(text: &str) -> &'static str {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => "null",
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => "boolean",
        text if is_integer(text) => "integer",
        text if is_float(text) => "number",
        _ => "string",
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    all(digits, 10)
        || text.strip_prefix("0o").is_some_and(|digits| all(digits, 8))
        || text
            .strip_prefix("0x")
            .is_some_and(|digits| all(digits, 16))
}

fn is_float(text: &str) -> bool {
    let named = [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"];
    named.contains(&text.trim_start_matches(['-', '+']))
        || (text.parse::<f64>().is_ok()
            && text.contains(|c: char| c.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_digit() || "+-.eE".contains(c)))
}
