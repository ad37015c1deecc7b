//! The first value in which two manifests differ.

use std::collections::BTreeSet;

use lunikernel_cache::artefact::Manifest;
use serde_json::Value;

use super::Found;

/// Compares two manifests that are known to differ.
pub(super) fn compare(left: &Manifest, right: &Manifest) -> Found {
    // A manifest has nothing that JSON cannot hold, so neither becomes `null`.
    let value = |manifest| serde_json::to_value(manifest).unwrap_or_default();
    let (left, right) = (value(left), value(right));
    let mut pointer = String::new();
    let (left, right) = walk(Some(&left), Some(&right), &mut pointer);
    let shown = |value: Option<&Value>| value.map(ToString::to_string);
    Found::Value {
        pointer,
        left: shown(left),
        right: shown(right),
    }
}

type Pair<'a> = (Option<&'a Value>, Option<&'a Value>);

/// Goes down to the first difference and appends the way there to `pointer`.
fn walk<'a>(left: Option<&'a Value>, right: Option<&'a Value>, pointer: &mut String) -> Pair<'a> {
    let (name, one, two) = match (left, right) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            let names: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
            let differing = names.into_iter().find(|it| one.get(*it) != two.get(*it));
            let Some(name) = differing else {
                return (left, right);
            };
            let escaped = name.replace('~', "~0").replace('/', "~1");
            (escaped, one.get(name), two.get(name))
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => {
            let most = one.len().max(two.len());
            let Some(index) = (0..most).find(|it| one.get(*it) != two.get(*it)) else {
                return (left, right);
            };
            (index.to_string(), one.get(index), two.get(index))
        }
        _ => return (left, right),
    };
    pointer.push('/');
    pointer.push_str(&name);
    walk(one, two, pointer)
}
