//! `docs/recipe.md` says of every key what the schema says of it.
//!
//! Between `<!-- keys of NAME -->` and `<!-- end -->` stand tables that are generated
//! from the schema; the rest is written by hand.

mod support;

use serde_json::{Map, Value};
use support::{luni, matches, project};

/// After a change that was meant: `UPDATE=1 cargo test --test docs`.
#[test]
fn every_key_is_documented() {
    let schema: Value =
        serde_json::from_slice(&luni(&project("")).arg("schema").output().unwrap().stdout).unwrap();
    let page = fs_err::read_to_string(project("docs/recipe.md")).unwrap();
    let mut documented = Vec::new();
    let mut renewed = String::new();
    let mut rest = page.as_str();
    while let Some((before, after)) = rest.split_once("<!-- keys of ") {
        let (name, after) = after.split_once(" -->").expect("a marker ends with -->");
        let (_, after) = after.split_once("<!-- end -->").expect("a table ends");
        let keys = table(&schema, name);
        renewed += &format!("{before}<!-- keys of {name} -->\n{keys}<!-- end -->");
        documented.push(name.to_owned());
        rest = after;
    }
    renewed += rest;
    for (name, of) in schema["$defs"].as_object().unwrap() {
        let has_keys = of.get("properties").is_some();
        assert!(
            !has_keys || documented.contains(name),
            "docs/recipe.md lacks {name}"
        );
    }
    assert!(documented.iter().any(|name| name == "Recipe"));
    assert!(
        matches(&renewed, &project("docs/recipe.md")),
        "if the change of the schema is meant: UPDATE=1 cargo test --test docs"
    );
}

#[test]
fn the_example_is_right() {
    let page = fs_err::read_to_string(project("docs/recipe.md")).unwrap();
    let (_, after) = page.split_once("```yaml\n").unwrap();
    let (example, _) = after.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("files")).unwrap();
    fs_err::write(folder.path().join("files/hello.c"), "").unwrap();
    fs_err::write(folder.path().join("recipe.yaml"), example).unwrap();
    let output = luni(folder.path())
        .args(["check", "--strict"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", support::transcript(&output));
}

/// The keys of one type as a table.
fn table(schema: &Value, name: &str) -> String {
    let of = match name {
        "Recipe" => schema,
        name => &schema["$defs"][name],
    };
    let mut text = "\n| key | value | without it | what it is |\n|---|---|---|---|\n".to_owned();
    let required: Vec<&str> = of["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (key, value) in &properties(of) {
        let default = match value.get("default") {
            _ if required.contains(&key.as_str()) => "must be there".to_owned(),
            None => "—".to_owned(),
            Some(Value::Object(entries)) if entries.is_empty() => "none".to_owned(),
            Some(Value::Object(_)) => "the defaults of its keys".to_owned(),
            Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let about = value["description"]
            .as_str()
            .or_else(|| referred(schema, value)?["description"].as_str())
            .unwrap_or_default();
        text += &format!(
            "| `{key}` | {} | {default} | {about} |\n",
            kind(schema, value)
        );
    }
    text
}

/// The keys of a mapping, or those of which a choice has one each.
fn properties(of: &Value) -> Map<String, Value> {
    match of["properties"].as_object() {
        Some(properties) => properties.clone(),
        None => of["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|choice| {
                let mut properties = choice["properties"].as_object().unwrap().clone();
                for value in properties.values_mut() {
                    value["description"] = choice["description"].clone();
                }
                properties
            })
            .collect(),
    }
}

fn referred<'s>(schema: &'s Value, value: &Value) -> Option<&'s Value> {
    schema.pointer(value["$ref"].as_str()?.strip_prefix('#')?)
}

/// What kind of value it is, in words.
fn kind(schema: &Value, value: &Value) -> String {
    if let Some(target) = referred(schema, value) {
        let name = value["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        let words: Vec<String> = target["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|choice| Some(format!("`{}`", choice.get("const")?.as_str()?)))
            .collect();
        return match (words.is_empty(), target.get("pattern")) {
            (false, _) => words.join(" or "),
            (true, Some(_)) => "text".to_owned(),
            (true, None) => format!("[{}](#{})", name, name.to_lowercase()),
        };
    }
    match value["type"].as_str() {
        Some("string") => "text".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("integer") => format!(
            "number, {} to {}",
            value["minimum"].as_u64().unwrap_or(0),
            value["maximum"]
                .as_u64()
                .expect("numbers have an upper bound")
        ),
        Some("array") => format!("list: {}", kind(schema, &value["items"])),
        Some("object") => format!("by name: {}", kind(schema, &value["additionalProperties"])),
        _ => "text".to_owned(),
    }
}
