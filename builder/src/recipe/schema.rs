//! The JSON Schema of recipes, generated from the types.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::Recipe;

/// The JSON Schema (draft 2020-12) of recipes.
#[must_use]
pub fn schema() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Recipe>()
}

/// The same as text, as `docs/recipe.schema.json` has it.
#[must_use]
pub fn schema_text() -> String {
    format!("{:#}\n", schema().as_value())
}
