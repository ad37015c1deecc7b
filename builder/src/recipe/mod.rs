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
mod source;
mod typed;
mod words;

pub use check::is_recipe_name as is_name;
pub(crate) use complaint::Problem;
pub use complaint::{Complaint, Severity};
pub use model::{
    ApiVersion, Arch, Boot, BootModule, BootTest, Device, DeviceKind, FileSpec, FlavourName,
    HttpTest, KernelSpec, Mode, Recipe, RootfsSpec, Service, Step, User,
};
pub use near::nearest;
pub(crate) use path::Path;
pub use quoted::quoted;
pub use read::{FILE_NAME, ReadRecipe, RecipeError};
pub(crate) use schema::schema_of;
pub use schema::{schema, schema_text};
pub use source::{
    ApkScripts, ApkSource, CrateSource, DebSource, GitSource, OciSource, Source, TczInstall,
    TczSource, UrlSource,
};
pub use typed::MAX_SIZE;
pub(crate) use typed::{Finding, read as read_typed};
pub(crate) use words::Words;
