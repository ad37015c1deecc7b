//! Recipes: what their authors write, and how it is read, checked and complained about.

mod check;
mod complaint;
mod document;
mod grammar;
mod mode;
mod model;
mod near;
mod oci;
mod path;
mod quoted;
mod read;
mod schema;
mod typed;
mod words;

pub use check::is_recipe_name as is_name;
pub(crate) use complaint::Problem;
pub use complaint::{Complaint, Severity};
pub use model::{
    ApiVersion, ApkScripts, ApkSource, Arch, Boot, BootModule, BootTest, CrateSource, DebSource,
    Device, DeviceKind, FileSpec, FlavourName, GitSource, HttpTest, KernelSpec, Mode, Recipe,
    RootfsSpec, Service, Source, Step, TczInstall, TczSource, UrlSource, User,
};
pub(crate) use near::nearest;
pub use oci::OciSource;
pub(crate) use path::Path;
pub use quoted::quoted;
pub use read::{FILE_NAME, ReadRecipe, RecipeError};
pub(crate) use schema::schema_of;
pub use schema::{schema, schema_text};
pub use typed::MAX_SIZE;
pub(crate) use typed::{Finding, read as read_typed};
pub(crate) use words::Words;
