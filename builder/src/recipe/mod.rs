//! Recipes: what their authors write, and how it is read, checked and complained about.

mod mode;
mod model;
mod schema;

pub use model::{
    ApiVersion, Arch, Boot, BootTest, DebSource, Device, DeviceKind, FileSpec, FlavourName,
    GitSource, HttpTest, KernelSpec, Mode, Recipe, RootfsSpec, Service, Source, Step, UrlSource,
    User,
};
pub use schema::{schema, schema_text};
