//! The templates: a folder each, and what they take from the recipes that are shipped.

/// A recipe to start from.
pub(super) struct Template {
    recipe: Text,
    /// The files beside it, by their paths; `@NAME@` in them is the recipe's name.
    files: &'static [(&'static str, &'static str)],
    /// What is to be done before it can be locked, and what that is for.
    pub(super) first: &'static [(&'static str, &'static str)],
    /// What `luni lock` does with it.
    pub(super) lock: &'static str,
    /// How to run what is built, after the file's name.
    pub(super) run: [&'static str; 2],
}

/// The text of a template's recipe.
enum Text {
    /// One of its own, in which `@NAME@` stands for the recipe's name.
    Own(&'static str),
    /// That of a shipped recipe, under comments of its own.
    Shipped {
        head: &'static str,
        recipe: &'static str,
    },
}

/// What a new recipe's version is.
const VERSION: &str = "0.1.0";

/// How a machine of its own is booted.
const QEMU: [&str; 2] = ["", "boot the result in QEMU"];

pub(super) const ALPINE: Template = Template {
    recipe: Text::Shipped {
        head: include_str!("alpine/head.txt"),
        recipe: include_str!("../../../recipes/alpine/virt/recipe.yaml"),
    },
    files: &[],
    first: &[],
    lock: "pin every input to exact bytes; they come from Alpine's servers",
    run: QEMU,
};

pub(super) const DEBIAN: Template = Template {
    recipe: Text::Own(include_str!("debian/recipe.yaml")),
    files: &[("files/main.c", include_str!("debian/main.c"))],
    first: &[],
    lock: "pin every input to exact bytes; they come from where apt has packages",
    run: QEMU,
};

pub(super) const MIRAGE: Template = Template {
    recipe: Text::Own(include_str!("mirage/recipe.yaml")),
    files: &[
        ("files/main.c", include_str!("mirage/main.c")),
        ("files/manifest.json", include_str!("mirage/manifest.json")),
    ],
    first: &[],
    lock: "pin every input to exact bytes; they come from where apt and cargo have theirs",
    run: [
        " --own-tender",
        "run it by the tender that was built with it",
    ],
};

pub(super) const TINYCORE: Template = Template {
    recipe: Text::Shipped {
        head: include_str!("tinycore/head.txt"),
        recipe: include_str!("../../../recipes/tinycore/core/recipe.yaml"),
    },
    files: &[],
    first: &[],
    lock: "pin every input to exact bytes; they come from TinyCore's server",
    run: QEMU,
};

pub(super) const UNIKERNEL: Template = Template {
    recipe: Text::Own(include_str!("unikernel/recipe.yaml")),
    files: &[
        (
            "files/hello.c",
            include_str!("../../../recipes/unikernel/hello/files/hello.c"),
        ),
        (
            "files/hello.ld",
            include_str!("../../../recipes/unikernel/hello/files/hello.ld"),
        ),
        (
            "files/module.txt",
            include_str!("../../../recipes/unikernel/hello/files/module.txt"),
        ),
    ],
    first: &[],
    lock: DEBIAN.lock,
    run: QEMU,
};

pub(super) const YOCTO: Template = Template {
    recipe: Text::Own(include_str!("yocto/recipe.yaml")),
    files: &[("deploy/README", include_str!("yocto/README"))],
    first: &[(
        "cp -L FILES deploy/",
        "bring what Yocto has built; recipe.yaml says which files",
    )],
    lock: "pin every input to exact bytes; nothing is fetched",
    run: QEMU,
};

impl Template {
    /// The recipe called `name`.
    pub(super) fn recipe(&self, name: &str) -> String {
        let (head, recipe) = match self.recipe {
            Text::Own(text) => return text.replace("@NAME@", name),
            Text::Shipped { head, recipe } => (head, recipe),
        };
        let mut text = head.to_owned();
        // What a shipped recipe says of itself stands before this line.
        for line in recipe
            .lines()
            .skip_while(|line| !line.starts_with("apiVersion:"))
        {
            if line.starts_with("name:") {
                text += &format!("name: {name}\n");
            } else if line.starts_with("version:") {
                text += &format!("version: {VERSION}\n");
            } else {
                text += &format!("{line}\n");
            }
        }
        text
    }

    /// The files beside the recipe called `name`, by their paths.
    pub(super) fn files(&self, name: &str) -> Vec<(&'static str, String)> {
        let files = self.files.iter();
        files
            .map(|(path, text)| (*path, text.replace("@NAME@", name)))
            .collect()
    }
}
