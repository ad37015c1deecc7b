//! The JSON Schema of recipes, generated from the types.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::Recipe;

/// The JSON Schema (draft 2020-12) of recipes.
#[must_use]
pub fn schema() -> Schema {
    schema_of::<Recipe>()
}

/// The JSON Schema of what `T` reads: a grammar for [`super::typed::read`].
pub(crate) fn schema_of<T: JsonSchema>() -> Schema {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    RecursiveTransform(left_out_rather_than_null).transform(&mut schema);
    RecursiveTransform(one_line_descriptions).transform(&mut schema);
    schema
}

/// The same as text, as `docs/recipe.schema.json` has it.
#[must_use]
pub fn schema_text() -> String {
    format!("{:#}\n", schema().as_value())
}

/// A key that is not wanted is left out; `key: null` would be a second way to say
/// the same, and most often it is a value that somebody forgot to write.
fn left_out_rather_than_null(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let null = serde_json::json!({ "type": "null" });
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| *choice != null);
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            for (key, value) in only {
                schema.insert(key, value);
            }
        }
    }
}

/// The types' comments are broken where the source's lines end; what reads the schema
/// breaks lines as it needs.
fn one_line_descriptions(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs: Vec<String> = text
            .split("\n\n")
            .map(|paragraph| paragraph.replace('\n', " "))
            .collect();
        *text = paragraphs.join("\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_can_be_null() {
        assert!(!schema_text().contains("null\""));
        assert!(!schema_text().contains("null,"));
    }
}
