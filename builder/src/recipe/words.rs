//! What complaints call a file: recipes are not the only YAML that people write for us.

/// A kind of file, in the words of the complaints about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// One of them: `recipe`.
    pub(crate) one: &'static str,
    /// Several: `recipes`.
    pub(crate) many: &'static str,
    /// The line that one begins with.
    pub(crate) begins: &'static str,
    /// How to come by one to start from.
    pub(crate) start: &'static str,
}

/// Recipes.
pub(super) const RECIPE: Words = Words {
    one: "recipe",
    many: "recipes",
    begins: "apiVersion: lunikernel/v1",
    start: "have one to start from written with `luni new NAME`",
};
