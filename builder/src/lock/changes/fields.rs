//! In which fields two things differ that a lock has under the same name.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Change, short};

/// In which fields `new` differs from `old`, both called `source`.
pub(super) fn differing(source: &str, old: &impl Serialize, new: &impl Serialize) -> Vec<Change> {
    let value = |of: Result<Value, _>| of.unwrap_or_default();
    let mut changes = Vec::new();
    let (old, new) = (
        value(serde_json::to_value(old)),
        value(serde_json::to_value(new)),
    );
    // The kind of source is no field of it.
    let mut path = Vec::new();
    match (kind(&old), kind(&new)) {
        (Some((before, old)), Some((after, new))) if before == after => {
            compare(source, &mut path, Some(old), Some(new), &mut changes);
        }
        _ => compare(source, &mut path, Some(&old), Some(&new), &mut changes),
    }
    changes
}

/// The one field of an object whose value is an object.
fn kind(value: &Value) -> Option<(&String, &Value)> {
    let mut fields = value.as_object()?.iter();
    let one = fields.next().filter(|(_, value)| value.is_object())?;
    fields.next().is_none().then_some(one)
}

fn compare(
    source: &str,
    path: &mut Vec<String>,
    old: Option<&Value>,
    new: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    if old == new {
        return;
    }
    let object = |value: Option<&Value>| match value {
        Some(Value::Object(fields)) => Some(fields.clone()),
        Some(Value::Array(items)) => labelled(items),
        _ => None,
    };
    let is_list = |value: Option<&Value>| value.is_some_and(Value::is_array);
    if let (Some(before), Some(after)) = (object(old), object(new)) {
        // What is in a list is called by its own name.
        let list = match is_list(old) && is_list(new) {
            true => path.pop(),
            false => None,
        };
        let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            path.push(key.clone());
            compare(source, path, before.get(key), after.get(key), changes);
            path.pop();
        }
        path.extend(list);
        return;
    }
    changes.push(Change {
        source: source.to_owned(),
        name: path.join(" "),
        from: old.and_then(text),
        to: new.and_then(text),
    });
}

/// A list of objects by what each is called; `None` where they have no names, or two the
/// same.
fn labelled(items: &[Value]) -> Option<Map<String, Value>> {
    let mut fields = Map::new();
    for item in items {
        let of = |key: &str| item.get(key).and_then(Value::as_str);
        let label = match (of("name"), of("repository"), of("archive"), of("suite")) {
            (Some(name), ..) | (None, Some(name), ..) => name.to_owned(),
            (None, None, Some(archive), Some(suite)) => format!("{archive} {suite}"),
            _ => return None,
        };
        if fields.insert(label, item.clone()).is_some() {
            return None;
        }
    }
    Some(fields)
}

/// A value for people; of one that is empty nothing.
fn text(value: &Value) -> Option<String> {
    let shown = match value {
        Value::Null => String::new(),
        Value::String(text) => match text.strip_prefix("sha256:") {
            Some(hex) => short(hex),
            None => text.clone(),
        },
        Value::Array(items) => {
            let shown: Vec<String> = items.iter().filter_map(text).collect();
            shown.join(", ")
        }
        other => other.to_string(),
    };
    (!shown.is_empty()).then_some(shown)
}
