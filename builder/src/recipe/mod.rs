//! Recipes: what their authors write, and how it is read, checked and complained about.

mod check;
mod complaint;
mod document;
mod grammar;
mod mode;
mod model;
mod near;
mod path;
mod quoted;
mod read;
mod schema;

pub use check::is_recipe_name as is_name;
pub use complaint::{Complaint, Severity};
pub use model::{
    ApiVersion, Arch, Boot, BootTest, DebSource, Device, DeviceKind, FileSpec, FlavourName,
    GitSource, HttpTest, KernelSpec, Mode, Recipe, RootfsSpec, Service, Source, Step, UrlSource,
    User,
};
pub use quoted::quoted;
pub use read::{FILE_NAME, MAX_SIZE, ReadRecipe, RecipeError};
pub use schema::{schema, schema_text};
