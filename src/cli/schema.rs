//! `luni schema`: the JSON Schema of recipes.

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use lunikernel_builder::recipe;

/// Print the JSON Schema of recipes, for editors.
///
/// Editors that speak the YAML language server complete and check recipes with it.
/// A recipe made by `luni new` names the schema that lies beside it in its first
/// line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, context: &Context) -> Result<Exit, Failure> {
    context.print(&recipe::schema_text())?;
    Ok(Exit::Ok)
}
